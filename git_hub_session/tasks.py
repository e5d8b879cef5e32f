"""A command to run for an agent, and how it ended: values, for those who plan it and who runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from git_hub_session.typed import NamedTuple, Protocol


class Task(NamedTuple):
    """A command to run."""

    command: Sequence[str]
    directory: str
    environ: Mapping[str, str]


class TaskResult(NamedTuple):
    """How a task ended."""

    status: int
    """Its exit code; where a signal ended it, 128 and the signal's number, as a shell says it."""
    seconds: float
    stop_reason: str = ""
    """'timed out' or 'interrupted' where we ended it."""


class TaskCallbacks(NamedTuple):
    """Who hears of the tasks while they run; a task is known by its index."""

    on_start: Callable[[int], None]
    on_output: Callable[[int, bytes, bool], None]
    """It wrote this; True: on standard error, where that is kept apart."""
    on_end: Callable[[int, TaskResult], None]
    find_escaped: Callable[[int], Iterable[int]]
    """The processes of a task that we ended, which have left its process group."""


class RunAll(Protocol):
    """What runs them (processes.run_all)."""

    def __call__(
        self,
        tasks: Sequence[Task],
        listener: TaskCallbacks,
        *,
        jobs: int,
        timeout: float | None = None,
        apart: bool = False,
    ) -> None:
        """Run the tasks, so many at once."""
