"""Run a command for each agent, side by side, each in its worktree, and keep what it prints.

The session says of each agent whether it waits or runs, and how that ended; its lock is held
only while that is written. A run that was killed is known by the free lock of its directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session import procfs, runs
from git_hub_session.clock import iso
from git_hub_session.errors import HubError, Refused
from git_hub_session.hub import LOCK_WAIT
from git_hub_session.operations.agents import (
    EVAL,
    EXEC,
    SPAWNING,
    base_of,
    environment,
    refuse_if_running,
    run_variable,
    way_to_agents,
)
from git_hub_session.operations.offbranch import unfit
from git_hub_session.operations.output import Output
from git_hub_session.operations.ownership import agent_worktrees
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.verdict import said
from git_hub_session.refnames import AgentBranch, SessionId
from git_hub_session.session import Session, with_agents
from git_hub_session.states import State
from git_hub_session.tasks import Ending, Listener, Task
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.worktrees import linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.store import Edit

_HURRY = 0.5  # seconds that a note in the session may wait while commands run


class Turn(NamedTuple):
    """An agent that the command runs for, and how that ended."""

    branch: AgentBranch
    path: str
    """Of its worktree."""
    log: str = ""
    """Where what was printed is."""
    ending: Ending | None = None
    """None where it has not run."""
    commits: int = 0
    """How many its branch has that it had not before."""

    @property
    def agent(self) -> str:
        """ "agent-2"."""
        return f"agent-{self.branch.agent}"


class Executed(NamedTuple):
    """What an exec did, or would do."""

    session: SessionId
    run: str
    """Its name, such as exec-3."""
    turns: tuple[Turn, ...]
    notes: tuple[str, ...] = ()


class Wish(NamedTuple):
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


def rehearse(sid: SessionId, scene: Scene, wish: Wish) -> Executed:
    """Who `execute` would run the command for now; nothing is changed."""
    return Executed(sid, "", _plan(scene.store.read(sid), scene, wish))


def execute(
    sid: SessionId, scene: Scene, wish: Wish, show: Callable[[str, bytes], None]
) -> Executed:
    """Run the command for each agent; what it ends with is no fault of ours.

    `show` shows a line that the command of an agent printed.

    Raises Refused (state, no worktree, an agent that runs already), CannotKeep, LockHeld;
    nothing was started then.
    """
    with scene.store.edit(sid) as edit:
        session = edit.read()
        turns = _plan(session, scene, wish)
        _refuse_if_busy(session, edit, turns, force=wish.force)
        task_file = edit.task_file(session)
        run = runs.begin(edit.directory, EXEC)
        watch = _Watch(session, run, turns, scene, show)
        at_once = wish.jobs or len(turns)
        marks = {
            turn.agent: _mark("running" if at < at_once else "waiting", run)
            for at, turn in enumerate(turns)
        }
        edit.save(with_agents(session, marks, at=iso(scene.now())))
    with run:
        try:
            scene.run_all(
                [_task(session, turn, run, scene, wish, task_file) for turn in turns],
                watch.listener(at_once),
                jobs=at_once,
                timeout=wish.timeout,
            )
        finally:
            notes = watch.close()
    return Executed(sid, run.name, tuple(watch.turns), tuple(notes))


def _plan(session: Session, scene: Scene, wish: Wish) -> tuple[Turn, ...]:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': no agent is at work in it",
            hint=way_to_agents(session, scene.repo),
        )
    found = agent_worktrees(session.id, scene, linked_worktrees(scene.place.common_dir))
    without = [f"agent-{number}" for number in wish.agents or () if number not in found]
    if without or not found:
        raise Refused(
            f"no worktree: {', '.join(without) or 'no agent has one'}",
            hint=way_to_agents(session, scene.repo, found),
        )
    turns = []
    for number in wish.agents or found:
        branch, worktree = found[number]
        wrong = unfit(worktree, branch, scene)
        if wrong:
            raise Refused(*wrong)
        turns.append(Turn(branch, worktree.path))
    return tuple(turns)


def _refuse_if_busy(session: Session, edit: Edit, turns: Sequence[Turn], *, force: bool) -> None:
    for turn in turns:
        if session.agent(turn.agent).get("status") == SPAWNING:
            raise Refused(
                f"{turn.agent} was made by half: its spawn was cut off",
                hint=f"git hub-session spawn {session.id}",
            )
    among = {turn.agent for turn in turns}
    refuse_if_running(session, edit.directory, among=among, force=force)
    measured = runs.alive(edit.directory, EVAL)
    if measured:
        raise Refused(f"session '{session.id}' is being evaluated", hint="wait for it, or end it")


def _mark(status: str, run: runs.Run, **more: object) -> dict[str, Any]:
    """What the session says of an agent."""
    return {"status": status, "exec": {"run": run.name, **more}}


def _task(
    session: Session, turn: Turn, run: runs.Run, scene: Scene, wish: Wish, task_file: str
) -> Task:
    base = base_of(session, scene.repo)
    variables = environment(scene.environ, session, turn.branch, base, task_file)
    return Task(wish.command, turn.path, {**variables, **run_variable(run)})


class _Watch:
    """The turns of one run, as far as they are; what happens to them is written down."""

    def __init__(
        self,
        session: Session,
        run: runs.Run,
        turns: Sequence[Turn],
        scene: Scene,
        show: Callable[[str, bytes], None],
    ) -> None:
        self.turns = [turn._replace(log=f"{run.path}/{turn.agent}.log") for turn in turns]
        self._session = session
        self._run = run
        self._scene = scene
        self._show = show
        self._tips = [scene.repo.tip(turn.branch.ref) for turn in turns]
        self._pending: dict[str, dict[str, Any]] = {}
        self._outputs = [self._output(turn.agent) for turn in turns]

    def _output(self, agent: str) -> Output:
        return Output(self._run.log(agent), lambda line: self._show(agent, line))

    def listener(self, at_once: int) -> Listener:
        """`at_once` are marked as running already."""

        def began(at: int) -> None:
            if at >= at_once:
                self._note(self.turns[at].agent, _mark("running", self._run))

        return Listener(
            began, lambda at, data, _: self._outputs[at].take(data), self._ended, self._strays
        )

    def _strays(self, at: int) -> Sequence[int]:
        return procfs.told({**run_variable(self._run), "HUB_AGENT": self.turns[at].agent})

    def _ended(self, at: int, ending: Ending) -> None:
        turn, repo = self.turns[at], self._scene.repo
        before, now = self._tips[at], repo.tip(turn.branch.ref)
        commits = repo.ahead_behind(now, before)[0] if before and now else 0
        self.turns[at] = turn._replace(ending=ending, commits=commits)
        self._outputs[at].close()
        more: dict[str, Any] = {"exit_code": ending.status, "seconds": round(ending.seconds, 3)}
        more["commits"] = commits
        if ending.cut_off:
            more["cut_off"] = ending.cut_off
        is_good = not ending.status and not ending.cut_off
        self._note(turn.agent, _mark("done" if is_good else "failed", self._run, **more))

    def _note(self, agent: str, mark: dict[str, Any]) -> None:
        self._pending[agent] = mark
        self._write(_HURRY)  # what cannot be written now is the next time

    def _write(self, wait: float) -> str:
        """Write down what is pending; why that cannot be, or ''."""
        if not self._pending:
            return ""
        try:
            with self._scene.store.edit(self._session.id, wait=wait) as edit:
                edit.save(with_agents(edit.read(), self._pending, at=iso(self._scene.now())))
        except (HubError, OSError) as fault:
            return said(fault)
        self._pending = {}
        return ""

    def close(self) -> list[str]:
        """Nothing runs any more: what there is to say besides."""
        notes = []
        for turn, output in zip(self.turns, self._outputs, strict=True):
            if turn.ending is None:  # it was never its turn: what it was, it is
                before = self._session.agent(turn.agent).get("status", "ready")
                self._pending[turn.agent] = _mark(before, self._run)
                output.close()
            if output.fault:
                notes.append(
                    f"what {turn.agent} printed is not all in '{turn.log}': {output.fault}"
                )
        fault = self._write(LOCK_WAIT)
        if fault:
            notes.append(f"how it ended is not recorded in the session: {fault}")
        return notes
