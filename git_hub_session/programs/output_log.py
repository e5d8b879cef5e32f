"""The log of a command: its size limit, and the lines that the terminal shows."""

from __future__ import annotations

import os
from collections.abc import Callable

from git_hub_session.system.io import write_all

_MAX_LINE_BYTES = 1 << 16
MAX_LOG_BYTES = 256 << 20
"""The size of a log at which writing stops: endless output must not fill the disk."""


class OutputLog:
    """The log of one command."""

    def __init__(
        self,
        open_log: Callable[[], int],
        show: Callable[[bytes], None] | None = None,
        *,
        max_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        """Open the log with `open_log` at the first write, and again at a write after close().

        Args:
            open_log: return a new descriptor that appends to the log.
            show: called with each line, also after the log is full. A long line comes in pieces.
            max_bytes: the size of the log at which writing stops.
        """
        self._open_log = open_log
        self._fd = -1
        self._remaining = max_bytes
        self._show = show
        self._line = b""
        self.error = ""
        """Why the log is incomplete, or ''."""

    def write(self, data: bytes) -> None:
        """Write output of the command. A write error does not stop the command."""
        self._append(data)
        if self._show is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._show(line)
        if len(self._line) > _MAX_LINE_BYTES:
            self._show(self._line)
            self._line = b""

    def write_line(self, text: str) -> None:
        """Write a line of this program. End an unfinished line of the command first."""
        self.write(os.fsencode(f"\n{text}\n" if self._line else f"{text}\n"))

    def _append(self, data: bytes) -> None:
        try:
            rest = data[: self._remaining]
            self._remaining -= len(rest)
            if len(rest) < len(data):
                self.error = self.error or "the output is longer than the limit"
            if self._fd < 0:
                self._fd = self._open_log()
            write_all(self._fd, rest)
        except OSError as error:
            self.error = self.error or str(error.strerror)

    def close(self) -> None:
        """Show a last line without a line feed, and close the log."""
        if self._show is not None and self._line:
            self._show(self._line)
        self._line = b""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
