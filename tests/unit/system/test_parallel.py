"""Work runs in parallel processes, and is repeated here if one of them is killed."""

from __future__ import annotations

import os
import signal

import pytest

from git_hub_session.system.parallel import parallel_map

ITEMS = list(range(10))


def square(number: int) -> int:
    return number * number


def assert_no_children() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("processes", [0, 1, 2, 3, 10, 20])
def test_results_are_in_the_order_of_the_items(processes: int) -> None:
    assert parallel_map(square, ITEMS, processes=processes) == [square(item) for item in ITEMS]
    assert_no_children()


def test_few_items_are_not_worth_a_process() -> None:
    own = os.getpid()
    assert parallel_map(lambda _item: os.getpid(), [1, 2, 3]) == [own] * 3


def test_the_items_of_a_killed_worker_are_done_here() -> None:
    own = os.getpid()

    def kill_worker(item: int) -> int:
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return square(item)

    assert parallel_map(kill_worker, ITEMS, processes=3) == [square(item) for item in ITEMS]
    assert_no_children()


def test_an_exception_of_a_worker_is_raised_here() -> None:
    def fail(item: int) -> int:
        if item == 1:
            raise ValueError(f"item {item}")
        return item

    with pytest.raises(ValueError, match="item 1"):
        parallel_map(fail, ITEMS, processes=2)
    assert_no_children()


def test_an_exception_here_ends_the_workers() -> None:
    own = os.getpid()

    def fail_here(item: int) -> int:
        if os.getpid() == own:
            raise ValueError("here")
        signal.pause()
        return item

    with pytest.raises(ValueError, match="here"):
        parallel_map(fail_here, ITEMS, processes=3)
    assert_no_children()


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_without_a_free_process_or_file_everything_is_done_here(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, call, fail)
    assert parallel_map(square, ITEMS, processes=3) == [square(item) for item in ITEMS]
