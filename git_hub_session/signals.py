"""The signals that ask us to end, and how they are made to wait for what must not be cut in two."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def hold() -> Callable[[], None]:
    """Make those that have a handler wait for a call of what is returned."""
    came: list[int] = []
    held: dict[int, Callable[[int, FrameType | None], object]] = {}
    for number in ENDING:
        handler = signal.getsignal(number)
        if callable(handler):
            held[number] = handler
            signal.signal(number, lambda number, _: came.append(number))

    def release() -> None:
        for number, handler in held.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)

    return release


def block() -> Callable[[], None]:
    """Make them wait as `hold` does, in what is started meanwhile too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    return release
