"""Termination signals wait until a critical section has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from git_hub_session.system.signals import defer_signals, run_uninterrupted


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Return the list of signals that reach the handler of the test."""
    numbers: list[int] = []
    old_handler = signal.signal(signal.SIGTERM, lambda number, _frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, old_handler)


def test_deferred_signals_are_delivered_once(received: list[int]) -> None:
    immediate: list[str] = []
    release = defer_signals(lambda: immediate.append("signal"))
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (received, immediate) == ([], ["signal", "signal"])
    release()
    assert received == [signal.SIGTERM]


def test_uninterrupted_work_is_completed_before_a_signal_is_delivered(received: list[int]) -> None:
    def work(text: str, *, suffix: str) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == []
        return text + suffix

    assert run_uninterrupted(work, "a", suffix="b") == "ab"
    assert received == [signal.SIGTERM]
