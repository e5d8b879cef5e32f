"""A command run at one commit after another, and the metric that it prints.

Each is measured in the worktree that has just this commit checked out; where there is none,
in a checkout made for it beside the agents' worktrees. git's lock on that says whose it is: what
a killed run left of them the next one takes away.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from time import sleep

from git_hub_session._typing import NamedTuple, Self
from git_hub_session.errors import HubError, Refused
from git_hub_session.evaluation.metric import MetricNotFound, read_metric
from git_hub_session.evaluation.ranking import Score
from git_hub_session.git.ref_names import HEADS, AgentBranch, SessionId
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment, run_environment
from git_hub_session.session.agents import EVAL
from git_hub_session.session.model import Config
from git_hub_session.session.project import Project
from git_hub_session.session.runs import OutputLog
from git_hub_session.session.state import State
from git_hub_session.system import procfs
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.util.paths import is_inside
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.paths import worktree_path, worktree_template
from git_hub_session.worktree.setup import WorktreeSetup

BASELINE = "baseline"
"""What stands for an agent's name where the commit is measured that all started from."""
_MOST = 16 << 20  # bytes of output that a metric is looked for in: the last ones
_TICK = 0.02  # seconds: within less a file that is written again may keep its time


class MeasureTarget(NamedTuple):
    """A commit that is measured, and where."""

    name: str
    """ "agent-2", or "baseline"."""
    commit: str
    directory: str
    """'' where a checkout has to be made."""
    environ: Mapping[str, str]


class Measurement(NamedTuple):
    """What was measured at a spot."""

    values: tuple[float, ...] = ()
    reason: str = ""
    """Why there are no values; '' where there are."""


class MetricCommand(NamedTuple):
    """How a metric is measured."""

    command: str
    """For sh."""
    metric: str
    metric_file: str = ""
    """Where the command writes it, seen from the top of the worktree; '': on standard output."""
    repeat: int = 1
    jobs: int = 1
    timeout: float | None = None
    """Seconds."""


class EvalWorktrees:
    """Checkouts of commits, made beside the agents' worktrees; `with` takes them away again."""

    def __init__(self, sid: SessionId, project: Project) -> None:
        path = worktree_path(worktree_template(project), project.paths, AgentBranch(sid, 1, 1))
        beside = os.path.realpath(os.path.dirname(path))
        self._prefix = os.path.join(beside, f".{sid}-{EVAL}-")
        self._common_dir = project.paths.common_dir
        self._scene = project

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_stale()

    def add(self, name: str, commit: str, environ: Mapping[str, str]) -> str:
        """A new checkout of `commit`, with the outfit of an agent's worktree: its path; raises HubError."""
        path = f"{self._prefix}{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        options = ["--detach", "--lock", "--reason", EVAL_LOCK]
        self._scene.git.add_worktree(path, commit, options)
        fault = WorktreeSetup(self._scene, commit).apply(path, environ)
        if fault:
            raise HubError(f"the checkout of {name}: {fault}")
        return path

    def remove_stale(self) -> None:
        """Take away those that are there, a killed run's too: no other run of the session may be alive."""
        own = [one for one in linked_worktrees(self._common_dir) if self._is_own(one)]
        for worktree in own:
            try:
                removal.remove_unchecked(worktree)
            except RemovalFailed:
                pass  # the next run tries again
        if own:
            empty_trash(self._common_dir)

    def _is_own(self, worktree: Worktree) -> bool:
        return worktree.lock_reason == EVAL_LOCK and worktree.path.startswith(self._prefix)


class MetricRunner:
    """Measures spots, in rounds; what each command prints is kept in the run's logs."""

    def __init__(
        self,
        spots: Sequence[MeasureTarget],
        recipe: MetricCommand,
        run: runs.Run,
        progress: Callable[[int], None],
    ) -> None:
        """`progress` hears how many are done."""
        self.found = {spot.name: Measurement() for spot in spots}
        self._recipe = recipe
        self._run = run
        self._progress = progress
        self._done = 0
        self._spots = list(spots)
        self._logs = {spot.name: OutputLog(run.create_log(spot.name)) for spot in spots}
        self._printed: dict[str, bytearray] = {}
        self._before: dict[str, object] = {}

    def measure(self, project: Project) -> dict[str, Measurement]:
        """{name: what was found}; who has failed once is not measured again."""
        recipe = self._recipe
        try:
            for _ in range(recipe.repeat):
                self._spots = [spot for spot in self._spots if not self.found[spot.name].reason]
                self._stat_metric_files()
                project.run_tasks(
                    [self._task(spot) for spot in self._spots],
                    TaskCallbacks(
                        self._on_start, self._on_output, self._on_end, self._find_escaped
                    ),
                    jobs=recipe.jobs,
                    timeout=recipe.timeout,
                    separate_stderr=True,
                )
        finally:
            for log in self._logs.values():
                log.close()
        return self.found

    def _task(self, spot: MeasureTarget) -> Task:
        variables = {**spot.environ, **run_environment(self._run), "HUB_AGENT": spot.name}
        return Task(["/bin/sh", "-c", self._recipe.command], spot.directory, variables)

    def _find_escaped(self, at: int) -> Sequence[int]:
        return procfs.pids_with_environment(
            {**run_environment(self._run), "HUB_AGENT": self._spots[at].name}
        )

    def _stat_metric_files(self) -> None:
        """As they are before any command runs, and so early that what one writes is seen."""
        if self._recipe.metric_file:
            self._before = {spot.name: _file_stamp(self._metric_file(spot)) for spot in self._spots}
            if any(self._before.values()):
                sleep(_TICK)

    def _on_start(self, at: int) -> None:
        self._printed[self._spots[at].name] = bytearray()

    def _on_output(self, at: int, data: bytes, is_error: bool) -> None:
        name = self._spots[at].name
        self._logs[name].write(data)
        if not is_error:
            self._printed[name] += data
            del self._printed[name][:-_MOST]

    def _on_end(self, at: int, ending: TaskResult) -> None:
        spot = self._spots[at]
        try:
            value = self._metric(spot, ending)
            self.found[spot.name] = Measurement((*self.found[spot.name].values, value))
        except MetricNotFound as fault:
            self.found[spot.name] = Measurement((), str(fault))
        self._done += 1
        self._progress(self._done)

    def _metric(self, spot: MeasureTarget, ending: TaskResult) -> float:
        if ending.stop_reason or ending.status:
            raise MetricNotFound(ending.stop_reason or f"exit code {ending.status}")
        data = bytes(self._printed[spot.name])
        if self._recipe.metric_file:
            data = self._read_metric_file(spot)
        return read_metric(data.decode("utf-8", "replace"), self._recipe.metric)

    def _metric_file(self, spot: MeasureTarget) -> str:
        return os.path.join(spot.directory, self._recipe.metric_file)

    def _read_metric_file(self, spot: MeasureTarget) -> bytes:
        """What the command has written into the metric file; raises NoMetric."""
        path = self._metric_file(spot)
        if not is_inside(os.path.realpath(os.path.dirname(path)), os.path.realpath(spot.directory)):
            raise MetricNotFound(f"'{self._recipe.metric_file}' is not in the worktree")
        # One that an agent committed, or that an earlier command wrote, says nothing of this one.
        if _file_stamp(path) == self._before[spot.name]:
            raise MetricNotFound(f"it did not write '{self._recipe.metric_file}'")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise MetricNotFound(f"'{self._recipe.metric_file}' is not a regular file")
                return file.read(_MOST)
        except OSError as fault:
            raise MetricNotFound(f"'{self._recipe.metric_file}': {fault.strerror}") from None


def _file_stamp(path: str) -> object:
    """What changes when a file is written, or None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class BaselineFailed(Refused):
    """The command says nothing of the base branch, so it will say nothing of the agents."""

    code = "no-baseline"


def measure_baseline(sid: SessionId, project: Project, recipe: MetricCommand) -> float:
    """Measure the tip of the base branch in a checkout of its own, and write down what was found.

    AgentHub has the baseline in config.yaml, which is not written any more once there are agents.
    Raises NoBaseline, Refused (there are agents already), GitFailed.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        if session.state is not State.INIT:
            raise Refused(f"session '{sid}' is '{session.state}': its baseline is settled")
        base = project.repo.tip(HEADS + session.config.base_branch)
        variables = agent_environment(
            project.environ, session, None, base, edit.ensure_task_file(session)
        )
        run = runs.start_run(edit.directory, EVAL)
        checkouts = EvalWorktrees(sid, project)
        checkouts.remove_stale()
        with run, checkouts:
            spot = MeasureTarget(
                BASELINE, base, checkouts.add(BASELINE, base, variables), variables
            )
            progress = project.progress("Measuring", recipe.repeat)
            found = MetricRunner([spot], recipe, run, progress).measure(project)[BASELINE]
        if not found.values:
            raise BaselineFailed(
                f"the eval command cannot measure '{session.config.base_branch}': {found.reason}",
                hint=f"what it printed is in {run.path}/{BASELINE}.log",
            )
        metric = Score(0, found.values, (0, 0)).metric
        edit.save_config(Config({**session.config.values, "baseline": f"{metric:.12g}"}))
        return metric
