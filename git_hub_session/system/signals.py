"""Defer the signals that end the process, and limit the time of a function with a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar

    Outcome = TypeVar("Outcome")

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def defer_signals(on_signal: Callable[[], object] | None = None) -> Callable[[], None]:
    """Defer the termination signals that have a handler, until the returned function is called.

    The returned function restores the handlers and then delivers the first deferred signal. With
    `on_signal`, each signal also calls that function at once.
    """
    deferred: list[int] = []

    def defer(number: int, _frame: FrameType | None) -> None:
        deferred.append(number)
        if on_signal is not None:
            on_signal()

    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
    for number in TERMINATION_SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
            signal.signal(number, defer)

    def release() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in deferred[:1]:
            signal.raise_signal(number)

    return release


def run_uninterrupted(work: Callable[..., Outcome], *args: object, **kwargs: object) -> Outcome:
    """Return `work(*args, **kwargs)`, and defer termination signals until it has returned."""
    release = defer_signals()
    try:
        return work(*args, **kwargs)
    finally:
        release()


class TimeLimitExceeded(Exception):
    """The function did not return within its time limit."""


def run_with_time_limit(seconds: float, work: Callable[[], Outcome]) -> Outcome:
    """Return `work()`, or raise TimeLimitExceeded after `seconds`. Python's `re` can be stopped."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeLimitExceeded

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
