"""Work runs in parallel processes. This process repeats the work of a killed process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_hub_session.system.parallel import parallel_map

ITEMS = list(range(10))


def square(number: int) -> int:
    return number * number


def children() -> set[str]:
    """Return the child processes of this process, ended ones too."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@pytest.fixture(autouse=True)
def no_new_children() -> Iterator[None]:
    """Check that the test leaves no child process. Earlier tests may have left some."""
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("processes", [0, 1, 2, 3, 10, 20])
def test_results_are_in_the_order_of_the_items(processes: int) -> None:
    assert parallel_map(square, ITEMS, processes=processes) == [square(item) for item in ITEMS]


def test_few_items_start_no_process() -> None:
    pid = os.getpid()
    assert parallel_map(lambda _item: os.getpid(), [1, 2, 3]) == [pid] * 3


def test_this_process_does_the_items_of_a_killed_worker() -> None:
    pid = os.getpid()

    def kill_worker(item: int) -> int:
        if os.getpid() != pid:
            os.kill(os.getpid(), signal.SIGKILL)
        return square(item)

    assert parallel_map(kill_worker, ITEMS, processes=3) == [square(item) for item in ITEMS]


def test_an_exception_of_a_worker_is_raised_in_this_process() -> None:
    def fail(item: int) -> int:
        if item == 1:
            raise ValueError(f"item {item}")
        return item

    with pytest.raises(ValueError, match="item 1"):
        parallel_map(fail, ITEMS, processes=2)


def test_an_exception_in_this_process_ends_the_workers() -> None:
    pid = os.getpid()

    def fail_here(item: int) -> int:
        if os.getpid() == pid:
            raise ValueError("here")
        signal.pause()
        return item

    with pytest.raises(ValueError, match="here"):
        parallel_map(fail_here, ITEMS, processes=3)


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_this_process_does_all_items_if_fork_or_pipe_fails(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, call, fail)
    assert parallel_map(square, ITEMS, processes=3) == [square(item) for item in ITEMS]
