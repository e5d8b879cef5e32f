"""git hub-session work: work on the agents of a shared session until none is left."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.agent_options import AGENT_CMD, ONLY, parse_only_agents, with_agent_command
from git_hub_session.cli.options import FORMAT, QUIET, Option, Usage
from git_hub_session.cli.view import (
    View,
)
from git_hub_session.commands._eval.options import FOR_EVALUATION, WORKER_OPTIONS
from git_hub_session.commands._exec.options import RUN_OPTIONS, parse_run_options
from git_hub_session.commands._exec.table import run_fields
from git_hub_session.commands._share.claim_options import read_claim_options
from git_hub_session.commands._share.worker import WorkerView, run_worker
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.worker.work import Worker, WorkOptions
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.cli.view import View
    from git_hub_session.sharing.remote import Remote
    from git_hub_session.worker.observer import WorkObserver
    from git_hub_session.worker.worked_agent import WorkedAgent

_MEASURE_OPTIONS = tuple(option for option in WORKER_OPTIONS if option not in RUN_OPTIONS)
USAGE = Usage(
    (
        "work [<options>] <id> -- <command> [<argument>...]",
        "work [<options>] --agent-cmd <command> <id>",
        "work --measure <evaluation> [<options>] <id>",
    ),
    (
        AGENT_CMD,
        ONLY,
        Option("--remote", "remote to work through (default: hubsession.remote)", "<remote>"),
        Option("--max", "largest number of agents to work on (default: all)", "<number>"),
        *RUN_OPTIONS,
        FOR_EVALUATION,
        *_MEASURE_OPTIONS,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    takes_command=True,
)

_CALL = "git hub-session work <id> -- <command>"


def run(context: Context, args: Arguments) -> View:
    """Work on one agent after the other: run its command, or measure it."""
    if args.has(FOR_EVALUATION.name):
        from git_hub_session.commands._eval.worker import measure_as_worker
        from git_hub_session.worker.measure import MeasureWorker

        return measure_as_worker(context, args, MeasureWorker)
    for option in _MEASURE_OPTIONS:
        if args.has(option.name):
            raise UsageError(f"--{option.name} requires --{FOR_EVALUATION.name}")
    args = with_agent_command(context, args, _CALL)
    if args.argument is None:
        raise UsageError("no session given", hint=_CALL)
    sid = parse_session_id(args.argument)
    options = _parse_options(context, args)

    def make_worker(remote: Remote, observer: WorkObserver) -> Worker:
        return Worker(sid, context.project, remote, options, observer)

    return WorkView(run_worker(context, args, sid, make_worker))


def _parse_options(context: Context, args: Arguments) -> WorkOptions:
    project = context.project
    return WorkOptions(
        parse_run_options(args, MAX_AGENTS),
        read_claim_options(context),
        parse_only_agents(args),
        _parse_maximum(args),
        worktree_template(project.settings, project.paths),
    )


def _parse_maximum(args: Arguments) -> int:
    text = args.value("max")
    number = MAX_COUNT if text is None else parse_int(text, MAX_COUNT)
    if not number:
        raise UsageError(f"not a number of agents: '{text}'", hint="--max takes 1 or more")
    return number


class WorkView(WorkerView):
    """The agents whose command the worker has run."""

    def document(self) -> dict[str, Any]:
        agents = [self.agent_fields(each) for each in self.work.worked]
        return {"session_id": self.work.sid, "remote": self.work.remote, "agents": agents}

    def agent_fields(self, worked: WorkedAgent) -> dict[str, Any]:
        run = worked.agent_run
        return {
            "agent": worked.branch.agent,
            "attempt": worked.branch.attempt or None,
            "outcome": self.outcome(worked),
            "commit": worked.tip or None,
            "run": run_fields(run) if run else None,
        }
