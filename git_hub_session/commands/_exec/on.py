"""Run the command of agents with workers on executors (exec --on)."""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import AGENTS, ONLY, with_agent_command
from git_hub_session.cli.command_line import command_line
from git_hub_session.commands._exec.on_view import OnView
from git_hub_session.commands._executors.base import share_base
from git_hub_session.commands._executors.job_work import JobWork
from git_hub_session.commands._executors.options import CANCEL, ON
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.agents import all_agents
from git_hub_session.session.runs import has_command_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.options import Arguments, Option
    from git_hub_session.commands._executors.call import ExecutorCall
    from git_hub_session.session.model import Session

_CALL = "git hub-session exec --on <executors> [<id>] -- <command>"
LOCAL_OPTIONS = (AGENTS.name, "failed", "jobs", "force", "dry-run")
"""The options that --on excludes."""


def run_elsewhere(
    call: ExecutorCall, args: Arguments, agents: Sequence[int], work_options: Sequence[Option]
) -> OnView:
    """Publish the session, run workers on the executors, and fetch the results.

    Args:
        agents: the selected agents, or () for all.
        work_options: the options that `work` has too.

    Raises:
        RemoteFailed, PushRefused: the session cannot be published.
        Refused: the remote does not have the commit from which the agents start.
    """
    again, project = "", call.context.project
    if args.is_set(CANCEL.name):
        results = call.cancel_workers()
    else:
        args = with_agent_command(call.context, args, _CALL)
        share_base(call)
        call.publish_session()
        words = {"arguments": [call.sid], "command": args.command}
        again = command_line("exec", (ON, *work_options), args, **words)
        line = command_line("work", work_options, args, **words)
        job_options = [option for option in work_options if option is not ONLY]
        job_line = command_line("work", job_options, args, **words)
        wanted = agents or all_agents(project.store.read(call.sid))
        jobs = JobWork(job_line, wanted, partial(_ended_agents, wanted))
        results = call.run_workers(line, again, jobs)
    error = call.fetch_session()
    session = project.store.read(call.sid)
    view = OnView(session, agents or all_agents(session), results, error, project.repo)
    view.show_command = again
    return view


def _ended_agents(agents: Sequence[int], session: Session) -> list[int]:
    """Return those of the agents whose command has ended."""
    return [agent for agent in agents if has_command_ended(session, agent_name(agent))]
