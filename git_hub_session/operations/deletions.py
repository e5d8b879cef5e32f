"""Directories deleted side by side: unlinking waits for the kernel, not for Python."""

from __future__ import annotations

import os
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from git_hub_session.operations.removal import Aside, delete

_MOST_THREADS = 4


class Deletions:
    """`with` starts the threads and, at its end, waits for all that was added."""

    def __init__(self, expected: int) -> None:
        self._queue: SimpleQueue[tuple[str, Aside] | None] = SimpleQueue()
        self._faults: dict[str, Exception] = {}
        count = min(expected, os.cpu_count() or 1, _MOST_THREADS)
        self._threads = [Thread(target=self._work) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def add(self, name: str, aside: Aside) -> None:
        """Delete `aside` soon; `name` is how to ask for its outcome."""
        self._queue.put((name, aside))

    def outcome(self, name: str) -> None:
        """After `with`: raise what went wrong with `name` (Stuck), if anything did."""
        if name in self._faults:
            raise self._faults[name]

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            name, aside = task
            try:
                delete(aside)
            except Exception as fault:  # noqa: BLE001  handed to the caller, who asks for it
                self._faults[name] = fault
