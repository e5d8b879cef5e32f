"""Run repeatable work in parallel processes (by default only on Linux).

The processes are forks, not threads: the scan of a directory is Python code, and Python runs one
thread at a time. A fork shares the open files of its parent, with their locks. A lock is therefore
released only when the last of the processes has ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from signal import SIGTERM

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system.signals import defer_signals

if TYPE_CHECKING:
    from typing import TypeVar

    Item = TypeVar("Item")
    Outcome = TypeVar("Outcome")

_MIN_ITEMS = 4  # A fork and its result take about 3 ms, so fewer items are not worth a process.
_PROCESSES_PER_CPU = 4  # While one process waits for the disk, another uses the CPU.


class _Worker(NamedTuple):
    """A forked process, and the pipe through which it sends its results."""

    pid: int
    pipe: int


def parallel_map(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    *,
    waits: bool = False,
    processes: int | None = None,
) -> list[Outcome]:
    """Return `work(item)` for each item, in order, and raise what `work` raises.

    This process does the items of a worker that was killed, so `work` must be repeatable. Its
    results must be picklable.

    Args:
        work: the function to call.
        items: its arguments.
        waits: True if `work` mostly waits for the disk. Use more processes than CPUs then.
        processes: the largest number of processes (default: depends on the CPUs and the items).
    """
    if processes is None:
        count = _count_shares(len(items), waits=waits)
    else:
        count = min(processes, len(items))
    return _map_shares(lambda share: [work(item) for item in share], items, count)


def map_in_shares(
    work: Callable[[Sequence[Item]], list[Outcome]], items: Sequence[Item], *, waits: bool = False
) -> list[Outcome]:
    """Return the results of `parallel_map` for a function that does many items in one call.

    Args:
        work: the function that returns the results for a sequence of items. It gets the items of
            one process at once.
        items: the items of all processes.
        waits: as for `parallel_map`.
    """
    return _map_shares(work, items, _count_shares(len(items), waits=waits))


def _count_shares(items: int, *, waits: bool) -> int:
    return min(_process_count(waits=waits), items // _MIN_ITEMS)


def _map_shares(
    work: Callable[[Sequence[Item]], list[Outcome]], items: Sequence[Item], count: int
) -> list[Outcome]:
    if count < 2:
        return work(items)
    outcomes: list[Outcome | None] = [None] * len(items)
    own, by_worker = _run_shares(work, items, count)
    outcomes[0::count] = own
    for share in range(1, count):
        outcomes[share::count] = by_worker.get(share) or work(items[share::count])
    return outcomes  # type: ignore[return-value]  # every share is filled in


def _run_shares(
    work: Callable[[Sequence[Item]], list[Outcome]], items: Sequence[Item], count: int
) -> tuple[list[Outcome], dict[int, list[Outcome] | None]]:
    """Return the results of share 0, done here, and those of the workers for the other shares.

    Share N has each `count`-th item, from item N on. The result of a share is missing if it has no
    worker, and None if its worker failed. All workers have ended on return.
    """
    workers: dict[int, _Worker] = {}
    results: dict[int, list[Outcome] | None]
    try:
        for share in range(1, count):
            # Defer signals: a worker that is not yet in the table would not be terminated.
            release = defer_signals()
            worker = _fork_worker(work, items[share::count], release)
            if worker is not None:
                workers[share] = worker
            release()
        own = work(items[0::count])
        # A signal now terminates the workers at once. It ends this process after they have ended.
        release = defer_signals(lambda: _terminate_workers(workers))
    except BaseException:
        release = defer_signals()
        _terminate_workers(workers)
        raise
    finally:
        results = {share: _collect_result(workers, share) for share in [*workers]}
        release()
    return own, results


def _process_count(*, waits: bool) -> int:
    if sys.platform != "linux":
        return 1
    return cpu_count() * (_PROCESSES_PER_CPU if waits else 1)


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _fork_worker(
    work: Callable[[Sequence[Item]], list[Outcome]],
    items: Sequence[Item],
    release: Callable[[], None],
) -> _Worker | None:
    """Fork a process that does `items`, and calls `release` to receive signals again.

    Return None if the system cannot create another process or pipe.
    """
    try:
        reader, writer = os.pipe()
    except OSError:
        return None
    import pickle  # before the fork, so that each worker has it

    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if pid:
        os.close(writer)
        return _Worker(pid, reader)
    status = 1
    try:
        os.close(reader)
        release()
        outcomes = work(items)
        with open(writer, "wb") as pipe:
            pickle.dump(outcomes, pipe)
        status = 0
    finally:
        # Report no exception: the parent repeats the work of this share and raises it there.
        os._exit(status)


def _terminate_workers(workers: Mapping[int, _Worker]) -> None:
    for worker in workers.values():
        os.kill(worker.pid, SIGTERM)


def _collect_result(workers: dict[int, _Worker], share: int) -> list[Outcome] | None:
    """Wait for the worker of `share`, remove it from the table, and return its results.

    Return None if the worker was killed or its work raised an exception.
    """
    import pickle

    worker = workers[share]
    outcomes: list[Outcome] | None = None
    with open(worker.pipe, "rb") as file:
        try:
            outcomes = pickle.load(file)
        except (EOFError, pickle.UnpicklingError):
            pass  # the worker was killed
    # Remove the worker before waitpid: the system can then give its id to another process.
    del workers[share]
    _, status = os.waitpid(worker.pid, 0)
    return None if status else outcomes
