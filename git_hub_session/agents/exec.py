"""Run a command for each agent in its worktree, several at a time, and keep the output.

state.json records the status and the result of each agent. The session lock is held only while
state.json is written. A run locks its directory until it ends. If the directory of a recorded run
is not locked, the run was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.agents.commit import commit_changes
from git_hub_session.errors import HubError, Refused, to_hub_error
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment, run_environment
from git_hub_session.session.agents import (
    find_base_commit,
    missing_agents_hint,
    refuse_if_running,
)
from git_hub_session.session.record import with_agents
from git_hub_session.session.runs import OutputLog
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.system import procfs
from git_hub_session.system.directory import LOCK_TIMEOUT
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.owner import agent_worktrees
from git_hub_session.worktree.reattach import unusable_reason

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


COMMIT_SUCCESS = "success"
"""Commit the changes of the agents whose command has succeeded."""
COMMIT_ALWAYS = "always"
"""Commit the changes of all agents."""

_STATUS_LOCK_TIMEOUT = 0.5  # seconds to wait for the session lock while commands run


class AgentRun(NamedTuple):
    """The command of one agent, before or after it ran."""

    branch: AgentBranch
    path: str
    """The path of the worktree."""
    log: str = ""
    """The path of the file with the output."""
    result: TaskResult | None = None
    """None if the command has not run."""
    commits: int = 0
    """The number of commits that the run added to the branch."""
    git_dir: str = ""
    """The git dir of the worktree."""
    commit: str = ""
    """The commit of the changes that the command left, or ''."""
    not_committed: str = ""
    """The reason why changes that had to be committed are uncommitted, or ''."""

    @property
    def agent(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.branch.agent)

    @property
    def has_succeeded(self) -> bool:
        """True if the command did not fail, and no change is uncommitted that had to be committed."""
        result = self.result
        return result is None or not (result.status or result.stop_reason or self.not_committed)


class ExecResult(NamedTuple):
    """The result or the preview of an exec."""

    session: SessionId
    run: str
    """The name of the run, such as exec-3, or '' for a preview."""
    agent_runs: tuple[AgentRun, ...]
    notes: tuple[str, ...] = ()


class ExecOptions(NamedTuple):
    """The command, the agents to run it for, and the limits."""

    command: Sequence[str]
    agents: Sequence[int] = ()
    """The numbers of the agents; empty: all agents that have a worktree."""
    jobs: int | None = None
    """The number of parallel commands, or None to start all at once."""
    timeout: float | None = None
    """The time limit of each command, in seconds."""
    force: bool = False
    """Run even if another program has marked the agent as running."""
    commit: str = ""
    """COMMIT_SUCCESS, COMMIT_ALWAYS, or '' to commit nothing after the commands."""


def preview_exec(sid: SessionId, project: Project, options: ExecOptions) -> ExecResult:
    """Return the agents for which `run_for_agents` would run the command."""
    return ExecResult(sid, "", _plan_runs(project.store.read(sid), project, options))


def run_for_agents(
    sid: SessionId, project: Project, options: ExecOptions, show: Callable[[str, bytes], None]
) -> ExecResult:
    """Run the command for each agent. A command that fails is a result, not an error.

    Args:
        show: a function that prints one line of output of an agent ("agent-2").

    Raises:
        Refused: the state, a missing worktree or a running agent forbids it.
        CannotWriteLog: no command was started.
        LockHeld: another process changes the session. No command was started.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        agent_runs = _plan_runs(session, project, options)
        _refuse_if_busy(session, locked, agent_runs, force=options.force)
        task_file = locked.ensure_task_file(session)
        run = runs.start_run(locked.directory, runs.EXEC)
        monitor = _RunMonitor(session, run, agent_runs, project, show)
        jobs = options.jobs or len(agent_runs)
        statuses = {
            agent_run.agent: _status_fields(
                AgentStatus.RUNNING if index < jobs else AgentStatus.WAITING, run
            )
            for index, agent_run in enumerate(agent_runs)
        }
        locked.save(with_agents(session, statuses, at=format_iso(project.now())))
    with run:
        try:
            tasks = _make_tasks(
                session, agent_runs, project, command=options.command, run=run, task_file=task_file
            )
            project.run_tasks(tasks, monitor.callbacks(jobs), jobs=jobs, timeout=options.timeout)
            if options.commit:
                monitor.commit_changes(always=options.commit == COMMIT_ALWAYS)
        finally:
            notes = monitor.close()
    return ExecResult(sid, run.name, tuple(monitor.agent_runs), tuple(notes))


def _plan_runs(session: Session, project: Project, options: ExecOptions) -> tuple[AgentRun, ...]:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': its agents cannot run commands",
            hint=missing_agents_hint(session, project.repo),
        )
    worktrees = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    missing = [agent_name(number) for number in options.agents or () if number not in worktrees]
    if missing or not worktrees:
        no_worktrees = f"session '{session.id}' has no agent worktrees"
        raise Refused(
            f"no worktree: {', '.join(missing)}" if missing else no_worktrees,
            hint=missing_agents_hint(session, project.repo, worktrees),
        )
    agent_runs = []
    for number in options.agents or worktrees:
        branch, worktree = worktrees[number]
        reason = unusable_reason(worktree, branch, project)
        if reason:
            raise Refused(*reason)
        agent_runs.append(AgentRun(branch, worktree.path, git_dir=worktree.git_dir))
    return tuple(agent_runs)


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
    refuse_if_running(session, locked.directory, among=agents, force=force)
    if runs.active_runs(locked.directory, runs.EVAL):
        raise Refused(
            f"session '{session.id}' is being evaluated",
            hint="wait for the evaluation to end, or stop it",
        )


def _status_fields(status: str, run: runs.Run, **fields: object) -> dict[str, Any]:
    """Return the fields of an agent in state.json."""
    return {"status": status, "exec": {"run": run.name, **fields}}


def _make_tasks(
    session: Session,
    agent_runs: Sequence[AgentRun],
    project: Project,
    *,
    command: Sequence[str],
    run: runs.Run,
    task_file: str,
) -> list[Task]:
    base = find_base_commit(session, project.repo)
    tasks = []
    for agent_run in agent_runs:
        variables = agent_environment(project.environ, session, agent_run.branch, base, task_file)
        tasks.append(Task(command, agent_run.path, {**variables, **run_environment(run)}))
    return tasks


class _RunMonitor:
    """Writes the output of a run to its logs, and the progress of the agents to state.json."""

    def __init__(
        self,
        session: Session,
        run: runs.Run,
        agent_runs: Sequence[AgentRun],
        project: Project,
        show: Callable[[str, bytes], None],
    ) -> None:
        self.agent_runs = [
            agent_run._replace(log=f"{run.path}/{agent_run.agent}.log") for agent_run in agent_runs
        ]
        self._session = session
        self._run = run
        self._project = project
        self._show = show
        self._old_tips = [project.repo.tip(agent_run.branch.ref) for agent_run in agent_runs]
        self._pending: dict[str, dict[str, Any]] = {}
        """The fields that are not yet in state.json, by the agent's name."""
        self._logs = [self._create_log(agent_run.agent) for agent_run in agent_runs]

    def _create_log(self, agent: str) -> OutputLog:
        return OutputLog(self._run.create_log(agent), lambda line: self._show(agent, line))

    def callbacks(self, jobs: int) -> TaskCallbacks:
        """Return the callbacks for the tasks.

        The first `jobs` commands start at once, so state.json already marks their agents as running.
        """

        def on_start(index: int) -> None:
            if index >= jobs:
                agent = self.agent_runs[index].agent
                self._save_status(agent, _status_fields(AgentStatus.RUNNING, self._run))

        return TaskCallbacks(on_start, self._on_output, self._on_end, self._find_escaped)

    def _on_output(self, index: int, data: bytes, _is_error: bool) -> None:
        self._logs[index].write(data)

    def _find_escaped(self, index: int) -> Sequence[int]:
        """Return the processes of the agent's command, also those outside its process group."""
        return procfs.pids_with_environment(
            {**run_environment(self._run), "HUB_AGENT": self.agent_runs[index].agent}
        )

    def _on_end(self, index: int, result: TaskResult) -> None:
        self._logs[index].close()
        self._record_end(index, self.agent_runs[index]._replace(result=result))

    def commit_changes(self, *, always: bool) -> None:
        """Commit what the commands left uncommitted. Skip failed commands unless `always`."""
        title = self._session.config.title
        for index, agent_run in enumerate(self.agent_runs):
            if agent_run.result is not None and (always or agent_run.has_succeeded):
                result = commit_changes(agent_run.branch, agent_run.git_dir, title, self._project)
                committed = agent_run._replace(commit=result.commit, not_committed=result.reason)
                if committed != agent_run:
                    self._record_end(index, committed)

    def _record_end(self, index: int, agent_run: AgentRun) -> None:
        """Keep the result of an agent, and write it to state.json."""
        result = agent_run.result
        assert result is not None
        repo = self._project.repo
        old_tip, new_tip = self._old_tips[index], repo.tip(agent_run.branch.ref)
        commits = repo.ahead_behind(new_tip, old_tip)[0] if old_tip and new_tip else 0
        self.agent_runs[index] = agent_run = agent_run._replace(commits=commits)
        fields: dict[str, Any] = {
            "exit_code": result.status,
            "seconds": round(result.seconds, 3),
            "commits": commits,
        }
        optional = {
            "cut_off": result.stop_reason,
            "commit": agent_run.commit,
            "not_committed": agent_run.not_committed,
        }
        fields |= {name: value for name, value in optional.items() if value}
        status = AgentStatus.DONE if agent_run.has_succeeded else AgentStatus.FAILED
        self._save_status(agent_run.agent, _status_fields(status, self._run, **fields))

    def _save_status(self, agent: str, fields: dict[str, Any]) -> None:
        self._pending[agent] = fields
        # If the lock is busy, the fields stay pending until the next change.
        self._save_pending(_STATUS_LOCK_TIMEOUT)

    def _save_pending(self, wait: float) -> str:
        """Write the pending fields to state.json. Return the error, or ''."""
        if not self._pending:
            return ""
        try:
            with self._project.store.lock_session(self._session.id, wait=wait) as locked:
                at = format_iso(self._project.now())
                locked.save(with_agents(locked.read(), self._pending, at=at))
        except (HubError, OSError) as error:
            return to_hub_error(error).message
        self._pending = {}
        return ""

    def close(self) -> list[str]:
        """Record the final statuses after all commands ended. Return the warnings."""
        notes = []
        for agent_run, log in zip(self.agent_runs, self._logs, strict=True):
            if agent_run.result is None:  # the command never started: restore the old status
                status = self._session.agent_record(agent_run.agent).status or AgentStatus.READY
                self._pending[agent_run.agent] = _status_fields(status, self._run)
                log.close()
            if log.error:
                notes.append(f"'{agent_run.log}' is incomplete: {log.error}")
        error = self._save_pending(LOCK_TIMEOUT)
        if error:
            notes.append(f"cannot record the results in state.json: {error}")
        return notes
