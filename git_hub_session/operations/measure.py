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

from git_hub_session import procfs, runs
from git_hub_session.errors import HubError
from git_hub_session.metric import NoMetric, read_metric
from git_hub_session.operations import removal
from git_hub_session.operations.agents import EVAL, run_variable, template_of, worktree_path
from git_hub_session.operations.outfit import Outfit
from git_hub_session.operations.output import Output
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import empty_trash
from git_hub_session.refnames import AgentBranch, SessionId
from git_hub_session.tasks import Ending, Listener, RunAll, Task
from git_hub_session.typed import NamedTuple, Self
from git_hub_session.worktrees import Worktree, lies_in, linked_worktrees

BASELINE = "baseline"
"""What stands for an agent's name where the commit is measured that all started from."""

_LOCK = "git hub-session eval"
_MOST = 16 << 20  # bytes of output that a metric is looked for in: the last ones
_TICK = 0.02  # seconds: within less a file that is written again may keep its time


class Spot(NamedTuple):
    """A commit that is measured, and where."""

    name: str
    """ "agent-2", or "baseline"."""
    commit: str
    directory: str
    """'' where a checkout has to be made."""
    environ: Mapping[str, str]


class Found(NamedTuple):
    """What was measured at a spot."""

    values: tuple[float, ...] = ()
    reason: str = ""
    """Why there are no values; '' where there are."""


class Recipe(NamedTuple):
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


class Checkouts:
    """Checkouts of commits, made beside the agents' worktrees; `with` takes them away again."""

    def __init__(self, sid: SessionId, scene: Scene) -> None:
        path = worktree_path(template_of(scene), scene.place, AgentBranch(sid, 1, 1))
        beside = os.path.realpath(os.path.dirname(path))
        self._prefix = os.path.join(beside, f".{sid}-{EVAL}-")
        self._common_dir = scene.place.common_dir
        self._scene = scene

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tidy()

    def make(self, name: str, commit: str, environ: Mapping[str, str]) -> str:
        """A new checkout of `commit`, with the outfit of an agent's worktree: its path; raises HubError."""
        path = f"{self._prefix}{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        options = ["--detach", "--lock", "--reason", _LOCK]
        self._scene.git.add_worktree(path, commit, options)
        fault = Outfit(self._scene, commit).put_on(path, environ)
        if fault:
            raise HubError(f"the checkout of {name}: {fault}")
        return path

    def tidy(self) -> None:
        """Take away those that are there, a killed run's too: no other run of the session may be alive."""
        own = [one for one in linked_worktrees(self._common_dir) if self._is_own(one)]
        for worktree in own:
            try:
                removal.discard(worktree)
            except removal.Stuck:
                pass  # the next run tries again
        if own:
            empty_trash(self._common_dir)

    def _is_own(self, worktree: Worktree) -> bool:
        return worktree.lock == _LOCK and worktree.path.startswith(self._prefix)


class Meter:
    """Measures spots, in rounds; what each command prints is kept in the run's logs."""

    def __init__(
        self,
        spots: Sequence[Spot],
        recipe: Recipe,
        run: runs.Run,
        progress: Callable[[int], None],
    ) -> None:
        """`progress` hears how many are done."""
        self.found = {spot.name: Found() for spot in spots}
        self._recipe = recipe
        self._run = run
        self._progress = progress
        self._done = 0
        self._spots = list(spots)
        self._logs = {spot.name: Output(run.log(spot.name)) for spot in spots}
        self._printed: dict[str, bytearray] = {}
        self._before: dict[str, object] = {}

    def measure(self, run_all: RunAll) -> dict[str, Found]:
        """{name: what was found}; who has failed once is not measured again."""
        recipe = self._recipe
        try:
            for _ in range(recipe.repeat):
                self._spots = [spot for spot in self._spots if not self.found[spot.name].reason]
                self._note_metric_files()
                run_all(
                    [self._task(spot) for spot in self._spots],
                    Listener(self._began, self._heard, self._ended, self._strays),
                    jobs=recipe.jobs,
                    timeout=recipe.timeout,
                    apart=True,
                )
        finally:
            for log in self._logs.values():
                log.close()
        return self.found

    def _task(self, spot: Spot) -> Task:
        variables = {**spot.environ, **run_variable(self._run), "HUB_AGENT": spot.name}
        return Task(["/bin/sh", "-c", self._recipe.command], spot.directory, variables)

    def _strays(self, at: int) -> Sequence[int]:
        return procfs.told({**run_variable(self._run), "HUB_AGENT": self._spots[at].name})

    def _note_metric_files(self) -> None:
        """As they are before any command runs, and so early that what one writes is seen."""
        if self._recipe.metric_file:
            self._before = {spot.name: _stamp(self._metric_file(spot)) for spot in self._spots}
            if any(self._before.values()):
                sleep(_TICK)

    def _began(self, at: int) -> None:
        self._printed[self._spots[at].name] = bytearray()

    def _heard(self, at: int, data: bytes, is_error: bool) -> None:
        name = self._spots[at].name
        self._logs[name].take(data)
        if not is_error:
            self._printed[name] += data
            del self._printed[name][:-_MOST]

    def _ended(self, at: int, ending: Ending) -> None:
        spot = self._spots[at]
        try:
            value = self._metric(spot, ending)
            self.found[spot.name] = Found((*self.found[spot.name].values, value))
        except NoMetric as fault:
            self.found[spot.name] = Found((), str(fault))
        self._done += 1
        self._progress(self._done)

    def _metric(self, spot: Spot, ending: Ending) -> float:
        if ending.cut_off or ending.status:
            raise NoMetric(ending.cut_off or f"exit code {ending.status}")
        data = bytes(self._printed[spot.name])
        if self._recipe.metric_file:
            data = self._written(spot)
        return read_metric(data.decode("utf-8", "replace"), self._recipe.metric)

    def _metric_file(self, spot: Spot) -> str:
        return os.path.join(spot.directory, self._recipe.metric_file)

    def _written(self, spot: Spot) -> bytes:
        """What the command has written into the metric file; raises NoMetric."""
        path = self._metric_file(spot)
        if not lies_in(os.path.realpath(os.path.dirname(path)), os.path.realpath(spot.directory)):
            raise NoMetric(f"'{self._recipe.metric_file}' is not in the worktree")
        # One that an agent committed, or that an earlier command wrote, says nothing of this one.
        if _stamp(path) == self._before[spot.name]:
            raise NoMetric(f"it did not write '{self._recipe.metric_file}'")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise NoMetric(f"'{self._recipe.metric_file}' is not a regular file")
                return file.read(_MOST)
        except OSError as fault:
            raise NoMetric(f"'{self._recipe.metric_file}': {fault.strerror}") from None


def _stamp(path: str) -> object:
    """What changes when a file is written, or None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
