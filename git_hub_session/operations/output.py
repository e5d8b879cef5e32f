"""What a command prints while it runs: kept in a log, and handed on line by line."""

from __future__ import annotations

import os
from collections.abc import Callable

_LONGEST = 1 << 16  # bytes: a line that is longer is handed on in pieces
MAX_LOG_BYTES = 256 << 20  # bytes of a log: who prints without an end must not fill the disk


class OutputLog:
    """What one command prints; `fd`, open for writing, is closed with it."""

    def __init__(
        self, fd: int, show: Callable[[bytes], None] | None = None, *, most: int = MAX_LOG_BYTES
    ) -> None:
        """At most `most` bytes are kept; all of it is handed on."""
        self._fd = fd
        self._left = most
        self._show = show
        self._line = b""
        self.fault = ""
        """Why not all of it is in the log; '' where it is."""

    def write(self, data: bytes) -> None:
        """It printed this. A log that cannot be written ends nobody's work."""
        try:
            rest = memoryview(data)[: self._left]
            self._left -= len(rest)
            if len(rest) < len(data):
                self.fault = self.fault or "it is longer than what is kept of it"
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as fault:
            self.fault = self.fault or str(fault.strerror)
        if self._show is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._show(line)
        if len(self._line) > _LONGEST:
            self._show(self._line)
            self._line = b""

    def close(self) -> None:
        """It is over: hand on the last line, if nothing ended it."""
        if self._show is not None and self._line:
            self._show(self._line)
        self._line = b""
        os.close(self._fd)
