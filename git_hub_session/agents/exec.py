"""Run a command for each agent, side by side, each in its worktree, and keep what it prints.

The session says of each agent whether it waits or runs, and how that ended; its lock is held
only while that is written. A run that was killed is known by the free lock of its directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError, Refused, describe
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment, run_environment
from git_hub_session.session.agents import (
    EVAL,
    EXEC,
    find_base_commit,
    missing_agents_hint,
    refuse_if_running,
)
from git_hub_session.session.model import Session, with_agents
from git_hub_session.session.project import Project
from git_hub_session.session.runs import OutputLog
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.system import procfs
from git_hub_session.system.directory import LOCK_TIMEOUT
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.detached import unusable_reason
from git_hub_session.worktree.owner import agent_worktrees

if TYPE_CHECKING:
    from git_hub_session.session.store import LockedSession


_STATUS_LOCK_TIMEOUT = 0.5  # seconds that a note in the session may wait while commands run


class AgentRun(NamedTuple):
    """An agent that the command runs for, and how that ended."""

    branch: AgentBranch
    path: str
    """Of its worktree."""
    log: str = ""
    """Where what was printed is."""
    result: TaskResult | None = None
    """None where it has not run."""
    commits: int = 0
    """How many its branch has that it had not before."""

    @property
    def agent(self) -> str:
        """ "agent-2"."""
        return agent_name(self.branch.agent)


class ExecResult(NamedTuple):
    """What an exec did, or would do."""

    session: SessionId
    run: str
    """Its name, such as exec-3."""
    turns: tuple[AgentRun, ...]
    notes: tuple[str, ...] = ()


class ExecOptions(NamedTuple):
    """What is to be run."""

    command: Sequence[str]
    agents: Sequence[int] = ()
    """None: all that have a worktree."""
    jobs: int | None = None
    """None: all at once."""
    timeout: float | None = None
    """Seconds."""
    force: bool = False
    """Also for who is said to run by somebody else."""


def preview_exec(sid: SessionId, project: Project, wish: ExecOptions) -> ExecResult:
    """Who `execute` would run the command for now; nothing is changed."""
    return ExecResult(sid, "", _plan_runs(project.store.read(sid), project, wish))


def run_for_agents(
    sid: SessionId, project: Project, wish: ExecOptions, show: Callable[[str, bytes], None]
) -> ExecResult:
    """Run the command for each agent; what it ends with is no fault of ours.

    `show` shows a line that the command of an agent printed.

    Raises Refused (state, no worktree, an agent that runs already), CannotKeep, LockHeld;
    nothing was started then.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        turns = _plan_runs(session, project, wish)
        _refuse_if_busy(session, edit, turns, force=wish.force)
        task_file = edit.ensure_task_file(session)
        run = runs.start_run(edit.directory, EXEC)
        watch = _RunMonitor(session, run, turns, project, show)
        at_once = wish.jobs or len(turns)
        marks = {
            turn.agent: _status_fields(
                AgentStatus.RUNNING if at < at_once else AgentStatus.WAITING, run
            )
            for at, turn in enumerate(turns)
        }
        edit.save(with_agents(session, marks, at=format_iso(project.now())))
    with run:
        try:
            project.run_all(
                [_make_task(session, turn, run, project, wish, task_file) for turn in turns],
                watch.listener(at_once),
                jobs=at_once,
                timeout=wish.timeout,
            )
        finally:
            notes = watch.close()
    return ExecResult(sid, run.name, tuple(watch.turns), tuple(notes))


def _plan_runs(session: Session, project: Project, wish: ExecOptions) -> tuple[AgentRun, ...]:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': no agent is at work in it",
            hint=missing_agents_hint(session, project.repo),
        )
    found = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    without = [agent_name(number) for number in wish.agents or () if number not in found]
    if without or not found:
        raise Refused(
            f"no worktree: {', '.join(without) or 'no agent has one'}",
            hint=missing_agents_hint(session, project.repo, found),
        )
    turns = []
    for number in wish.agents or found:
        branch, worktree = found[number]
        wrong = unusable_reason(worktree, branch, project)
        if wrong:
            raise Refused(*wrong)
        turns.append(AgentRun(branch, worktree.path))
    return tuple(turns)


def _refuse_if_busy(
    session: Session, edit: LockedSession, turns: Sequence[AgentRun], *, force: bool
) -> None:
    for turn in turns:
        if session.agent_record(turn.agent).status == AgentStatus.SPAWNING:
            raise Refused(
                f"{turn.agent} was made by half: its spawn was cut off",
                hint=f"git hub-session spawn {session.id}",
            )
    among = {turn.agent for turn in turns}
    refuse_if_running(session, edit.directory, among=among, force=force)
    measured = runs.active_runs(edit.directory, EVAL)
    if measured:
        raise Refused(f"session '{session.id}' is being evaluated", hint="wait for it, or end it")


def _status_fields(status: str, run: runs.Run, **more: object) -> dict[str, Any]:
    """What the session says of an agent."""
    return {"status": status, "exec": {"run": run.name, **more}}


def _make_task(
    session: Session,
    turn: AgentRun,
    run: runs.Run,
    project: Project,
    wish: ExecOptions,
    task_file: str,
) -> Task:
    base = find_base_commit(session, project.repo)
    variables = agent_environment(project.environ, session, turn.branch, base, task_file)
    return Task(wish.command, turn.path, {**variables, **run_environment(run)})


class _RunMonitor:
    """The turns of one run, as far as they are; what happens to them is written down."""

    def __init__(
        self,
        session: Session,
        run: runs.Run,
        turns: Sequence[AgentRun],
        project: Project,
        show: Callable[[str, bytes], None],
    ) -> None:
        self.turns = [turn._replace(log=f"{run.path}/{turn.agent}.log") for turn in turns]
        self._session = session
        self._run = run
        self._scene = project
        self._show = show
        self._tips = [project.repo.tip(turn.branch.ref) for turn in turns]
        self._pending: dict[str, dict[str, Any]] = {}
        self._outputs = [self._output(turn.agent) for turn in turns]

    def _output(self, agent: str) -> OutputLog:
        return OutputLog(self._run.create_log(agent), lambda line: self._show(agent, line))

    def listener(self, at_once: int) -> TaskCallbacks:
        """`at_once` are marked as running already."""

        def began(at: int) -> None:
            if at >= at_once:
                self._queue_status(
                    self.turns[at].agent, _status_fields(AgentStatus.RUNNING, self._run)
                )

        return TaskCallbacks(
            began,
            lambda at, data, _: self._outputs[at].write(data),
            self._on_end,
            self._find_escaped,
        )

    def _find_escaped(self, at: int) -> Sequence[int]:
        return procfs.pids_with_environment(
            {**run_environment(self._run), "HUB_AGENT": self.turns[at].agent}
        )

    def _on_end(self, at: int, ending: TaskResult) -> None:
        turn, repo = self.turns[at], self._scene.repo
        before, now = self._tips[at], repo.tip(turn.branch.ref)
        commits = repo.ahead_behind(now, before)[0] if before and now else 0
        self.turns[at] = turn._replace(result=ending, commits=commits)
        self._outputs[at].close()
        more: dict[str, Any] = {"exit_code": ending.status, "seconds": round(ending.seconds, 3)}
        more["commits"] = commits
        if ending.stop_reason:
            more["cut_off"] = ending.stop_reason
        is_good = not ending.status and not ending.stop_reason
        self._queue_status(
            turn.agent,
            _status_fields(AgentStatus.DONE if is_good else AgentStatus.FAILED, self._run, **more),
        )

    def _queue_status(self, agent: str, mark: dict[str, Any]) -> None:
        self._pending[agent] = mark
        self._save_status(_STATUS_LOCK_TIMEOUT)  # what cannot be written now is the next time

    def _save_status(self, wait: float) -> str:
        """Write down what is pending; why that cannot be, or ''."""
        if not self._pending:
            return ""
        try:
            with self._scene.store.lock_session(self._session.id, wait=wait) as edit:
                edit.save(with_agents(edit.read(), self._pending, at=format_iso(self._scene.now())))
        except (HubError, OSError) as fault:
            return describe(fault)
        self._pending = {}
        return ""

    def close(self) -> list[str]:
        """Nothing runs any more: what there is to say besides."""
        notes = []
        for turn, output in zip(self.turns, self._outputs, strict=True):
            if turn.result is None:  # it was never its turn: what it was, it is
                before = self._session.agent_record(turn.agent).status or AgentStatus.READY
                self._pending[turn.agent] = _status_fields(before, self._run)
                output.close()
            if output.fault:
                notes.append(
                    f"what {turn.agent} printed is not all in '{turn.log}': {output.fault}"
                )
        fault = self._save_status(LOCK_TIMEOUT)
        if fault:
            notes.append(f"how it ended is not recorded in the session: {fault}")
        return notes
