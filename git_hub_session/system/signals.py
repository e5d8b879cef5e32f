"""The signals that ask us to end, and how they are made to wait for what must not be cut in two."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar

    Outcome = TypeVar("Outcome")

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def defer_signals(meanwhile: Callable[[], object] | None = None) -> Callable[[], None]:
    """Make those that have a handler wait for a call of what is returned; each calls `meanwhile` at once."""
    came: list[int] = []

    def heard(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if meanwhile is not None:
            meanwhile()

    held: dict[int, Callable[[int, FrameType | None], object]] = {}
    for number in TERMINATION_SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            held[number] = handler
            signal.signal(number, heard)

    def release() -> None:
        for number, handler in held.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)

    return release


def run_uninterrupted(work: Callable[..., Outcome], *given: object, **named: object) -> Outcome:
    """What `work` returns of what is given, whatever signal comes meanwhile: it waits."""
    release = defer_signals()
    try:
        return work(*given, **named)
    finally:
        release()
