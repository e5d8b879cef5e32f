"""The tasks that `system.processes` runs: their results, their callbacks, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from signal import SIGTERM

from git_hub_session._typing import NamedTuple

TIMED_OUT = "timed out"
INTERRUPTED = "interrupted"
TERMINATED = 128 + SIGTERM
"""The exit status of a command that SIGTERM has ended."""


class Task(NamedTuple):
    """A command to run."""

    command: Sequence[str]
    directory: str
    environ: Mapping[str, str]


class TaskResult(NamedTuple):
    """The result of a task that has ended."""

    status: int
    """The exit status, or 128 plus the number of the signal that ended the command."""
    seconds: float
    stop_reason: str = ""
    """TIMED_OUT or INTERRUPTED if this program terminated the task, or ''."""
    left: tuple[str, ...] = ()
    """The names of the processes that the command left running, if they had to be ended."""
    remaining: tuple[str, ...] = ()
    """The names of those that could not be ended."""


def _run_once(_index: int, _result: TaskResult) -> float | None:
    """Return None: an ended task does not run again."""
    return None


def _wait_on() -> float | None:
    """Return None: no call is necessary while tasks run."""
    return None


class TaskCallbacks(NamedTuple):
    """The functions that are called while tasks run. Most get the index of the task."""

    on_start: Callable[[int], None]
    on_output: Callable[[int, bytes, bool], None]
    """Called with each piece of output. True means standard error that is read separately."""
    on_end: Callable[[int, TaskResult], None]
    find_marked: Callable[[int], Iterable[int]] | None = None
    """Return the ids of the running processes that are marked as processes of a task.

    None to let the processes run that have left the process group of the command.
    """
    retry_delay: Callable[[int, TaskResult], float | None] = _run_once
    """Return the seconds after which an ended task runs again, or None to end it."""
    on_wait: Callable[[], float | None] = _wait_on
    """Called before each wait. Return the seconds until the next call, or None."""


class DelayedTask(NamedTuple):
    """A task that has ended and will run again."""

    due: float
    """The time of its next start, on the monotonic clock."""
    task: int
    """The index of the task."""
    result: TaskResult
    """The result of its last try."""
