"""Work done side by side, in a process a processor or a few (Linux; elsewhere one after the other).

Forks, not threads: looking at a tree is Python's own work, which threads do one at a
time. A fork starts no program, and has open what its parent has open, a lock too: that
stays held until the last of them is done.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from signal import SIGTERM

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.signals import defer_signals

if TYPE_CHECKING:
    from typing import TypeVar

    Item = TypeVar("Item")
    Outcome = TypeVar("Outcome")

_MIN_ITEMS = 4  # A fork and its answer cost some 3 ms: fewer items are not worth it.
_PROCESSES_PER_CPU = 4  # Processes a processor: one that waits for the disk leaves it to another.


def parallel_map(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    *,
    waits: bool = False,
    processes: int | None = None,
) -> list[Outcome]:
    """`work(item)` of each item, in their order; `waits` says that it mostly waits for the disk.

    In as many `processes`, or in as many as are worth while for short work. What `work`
    raises is raised here. A share whose process was killed is done here, so `work` has to be
    repeatable; what it returns has to be picklable.
    """
    if processes is None:
        count = min(_process_count(waits), len(items) // _MIN_ITEMS)
    else:
        count = min(processes, len(items))
    if count < 2:
        return [work(item) for item in items]
    outcomes: list[Outcome | None] = [None] * len(items)
    children: dict[int, tuple[int, int]] = {}
    answers: dict[int, list[Outcome] | None]
    try:
        for share in range(1, count):
            release = defer_signals()  # a child that is in no list yet nobody would wait for
            child = _fork_worker(work, items[share::count], release)
            if child is not None:  # else its share is done here
                children[share] = child
            release()
        outcomes[0::count] = [work(item) for item in items[0::count]]
        release = defer_signals(
            lambda: _terminate_workers(children)
        )  # a signal ends them too, and waits
    except BaseException:
        release = defer_signals()
        _terminate_workers(children)
        raise
    finally:
        answers = {share: _collect_result(children, share) for share in [*children]}
        release()
    for share in range(1, count):
        outcomes[share::count] = answers.get(share) or [work(one) for one in items[share::count]]
    return outcomes  # type: ignore[return-value]  # every share is filled in


def _process_count(waits: bool) -> int:
    if sys.platform != "linux":
        return 1
    return cpu_count() * (_PROCESSES_PER_CPU if waits else 1)


def cpu_count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _fork_worker(
    work: Callable[[Item], Outcome], items: Sequence[Item], release: Callable[[], None]
) -> tuple[int, int] | None:
    """Fork a process that works on `items`: its number, and the pipe that its answer comes through.

    It hears of signals again once it is whole: `release`. None where the system has no process or file left for it.
    """
    try:
        read, write = os.pipe()
    except OSError:
        return None
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        return None
    if pid:
        os.close(write)
        return pid, read
    status = 1
    try:
        os.close(read)
        release()
        outcomes = [work(item) for item in items]
        with open(write, "wb") as pipe:
            pickle.dump(outcomes, pipe)
        status = 0
    finally:
        # Whatever was raised: the parent does the share itself, and so learns it first hand.
        os._exit(status)


def _terminate_workers(children: Mapping[int, tuple[int, int]]) -> None:
    """Ask them to end: nobody wants their shares any more."""
    for pid, _ in children.values():
        os.kill(pid, SIGTERM)


def _collect_result(children: dict[int, tuple[int, int]], share: int) -> list[Outcome] | None:
    """What the child says that has the share; it is over then, and none of `children` any more."""
    pid, pipe = children[share]
    outcomes: list[Outcome] | None = None
    with open(pipe, "rb") as file:
        try:
            outcomes = pickle.load(file)
        except (EOFError, pickle.UnpicklingError):
            pass  # it was killed
    del children[share]  # before its number can be another's
    _, status = os.waitpid(pid, 0)
    return None if status else outcomes
