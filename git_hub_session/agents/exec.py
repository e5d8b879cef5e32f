"""Run a command for each agent in its worktree, several at a time, and keep the output.

state.json records the status and the result of each agent. The session lock is held only while
state.json is written. A run locks its directory until it ends. If the directory of a recorded run
is not locked, the run was killed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.agents.environment import write_environment
from git_hub_session.agents.exec_plan import merge_runs, plan_exec
from git_hub_session.agents.run_monitor import AgentRun, RunMonitor, RunObserver, status_fields
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import AgentBranch, SessionId
from git_hub_session.git.worktrees import read_worktree
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import (
    run_environment,
    variable_warnings,
)
from git_hub_session.session.agents import (
    refuse_if_evaluated,
    refuse_if_running,
)
from git_hub_session.session.layout import exclude_hub
from git_hub_session.session.record import with_attempts
from git_hub_session.session.state import AgentStatus
from git_hub_session.system.tasks import Task
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.uncommitted import uncommitted_files

if TYPE_CHECKING:
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


class ExecResult(NamedTuple):
    """The result or the preview of an exec."""

    session: SessionId
    run: str
    """The name of the run, such as exec-3, or '' for a preview."""
    agent_runs: tuple[AgentRun, ...]
    notes: tuple[str, ...] = ()


def preview_exec(sid: SessionId, project: Project, options: ExecOptions) -> ExecResult:
    """Return the agents for which `run_for_agents` would run the command."""
    plan = plan_exec(project.store.read(sid), project, options)
    return ExecResult(sid, "", merge_runs(_with_commands(plan.agent_runs, options), plan.skipped))


def run_for_agents(
    sid: SessionId, project: Project, options: ExecOptions, observer: RunObserver
) -> ExecResult:
    """Run the command for each agent. A command that fails is a result, not an error.

    Raises:
        Refused: the state, a missing worktree or a running agent forbids it.
        CannotWriteLog: no command was started.
        LockHeld: another process changes the session. No command was started.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        plan = plan_exec(session, project, options)
        agent_runs = _with_commands(plan.agent_runs, options)
        _refuse_if_busy(session, locked, agent_runs, force=options.force)
        environments = _write_environments(locked, session, agent_runs, project)
        warnings = exclude_hub(project.paths)
        run = runs.start_run(locked.directory, runs.EXEC)
        monitor = RunMonitor(session, run, agent_runs, project, options=options, observer=observer)
        jobs = options.jobs or len(agent_runs)
        at = format_iso(project.now())
        statuses = _first_statuses(agent_runs, run, jobs, at)
        locked.update(partial(with_attempts, changes=statuses, at=at))
    tasks = [
        Task(_find_command(agent_run, options), agent_run.path, {**environ, **run_environment(run)})
        for agent_run, environ in zip(agent_runs, environments, strict=True)
    ]
    with run:
        try:
            monitor.run(tasks)
        finally:
            notes = monitor.close()
    all_runs = merge_runs(_with_uncommitted(monitor.agent_runs, project), plan.skipped)
    return ExecResult(
        sid,
        run.name,
        all_runs,
        (*warnings, *variable_warnings(session, [task.environ for task in tasks]), *notes),
    )


def _with_uncommitted(agent_runs: Sequence[AgentRun], project: Project) -> list[AgentRun]:
    """Return the agents with the numbers of uncommitted files that their commands have left."""
    counted = []
    for agent_run in agent_runs:
        worktree = read_worktree(os.path.basename(agent_run.git_dir), agent_run.git_dir)
        has_run = agent_run.result is not None and not worktree.is_missing
        files = uncommitted_files(worktree, project) if has_run else ()
        counted.append(agent_run._replace(uncommitted=len(files or ())))
    return counted


def _find_command(agent_run: AgentRun, options: ExecOptions) -> Sequence[str]:
    """Return the command of an agent, or (). It is `true` if only changes are committed."""
    return ("true",) if agent_run.commits_only else options.find_command(agent_run.branch.agent)


def _with_commands(agent_runs: Sequence[AgentRun], options: ExecOptions) -> tuple[AgentRun, ...]:
    """Return the agents with their commands. Raise Refused if an agent has none."""
    missing = [agent_run.agent for agent_run in agent_runs if not _find_command(agent_run, options)]
    if missing:
        raise Refused(
            f"no command for {', '.join(missing)}",
            hint="select the other agents with --only, or give an --agent-cmd without 'agent-<N>='",
        )
    return tuple(
        agent_run._replace(command=options.command_text(agent_run.branch.agent))
        for agent_run in agent_runs
    )


def _first_statuses(
    agent_runs: Sequence[AgentRun], run: runs.Run, jobs: int, at: str
) -> dict[AgentBranch, dict[str, Any]]:
    """Return the fields of the attempts in state.json. The first `jobs` commands start at once."""
    return {
        agent_run.branch: status_fields(
            AgentStatus.RUNNING, run, started=at, command=agent_run.command
        )
        if index < jobs
        else status_fields(AgentStatus.WAITING, run, command=agent_run.command)
        for index, agent_run in enumerate(agent_runs)
    }


def _refuse_if_busy(
    session: Session, locked: LockedSession, agent_runs: Sequence[AgentRun], *, force: bool
) -> None:
    for agent_run in agent_runs:
        if session.agent_record(agent_run.agent).status == AgentStatus.SPAWNING:
            raise Refused(
                f"{agent_run.agent} is incomplete: its spawn was interrupted",
                hint=f"git hub-session spawn {session.id}",
            )
    agents = {agent_run.agent for agent_run in agent_runs}
    refuse_if_running(session, locked.directory, among=agents, force=force, only_last=True)
    refuse_if_evaluated(session.id, locked.directory)


def _write_environments(
    locked: LockedSession, session: Session, agent_runs: Sequence[AgentRun], project: Project
) -> list[dict[str, str]]:
    """Write the files with the task and the assignments. Return the agents' environments."""
    branches = (agent_run.branch for agent_run in agent_runs)
    return [write_environment(locked, session, branch, project) for branch in branches]
