"""Runs of `exec` and `eval`, and the logs of their commands.

The log of a command is <hub>/sessions/<id>/output/<kind>-<n>/agent-<N>.log. A run such as `exec-3`
is active while its process holds the lock of the run's directory. The kernel releases the lock when
the process ends, so an interrupted run is never taken for an active one. No log is ever deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.system.io import write_all
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session._typing import Self
    from git_hub_session.system.directory import SafeDirectory

EXEC = "exec"
EVAL = "eval"
"""The kinds of runs."""

_OUTPUT = "output"


class CannotWriteLog(HubError):
    """A log cannot be created. No command was started."""

    code = "cannot-write"


class Run:
    """One run. It is active inside its `with` block."""

    def __init__(self, directory: SafeDirectory, name: str) -> None:
        self._directory = directory
        self.name = name
        self.path = directory.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._directory.close()

    def create_log(self, agent: str) -> int:
        """Create the log of `agent` ("agent-2") and return its descriptor, or raise CannotWriteLog."""
        try:
            return self._directory.create_for_append(f"{agent}.log")
        except OSError as error:
            raise CannotWriteLog(f"cannot write in '{self.path}': {error.strerror}") from None


def start_run(session: SafeDirectory, kind: str) -> Run:
    """Start a run of `kind` (EXEC or EVAL) in the directory of a locked session.

    Raises:
        CannotWriteLog: the directory of the run cannot be created.
        Damaged: a symbolic link is in the place of a directory.
    """
    try:
        with session.ensure_child(_OUTPUT) as output:
            last = max((_run_number(name, kind) for name in output.names()), default=0)
            name = f"{kind}-{last + 1}"
            os.mkdir(name, dir_fd=output.fd)
            directory = output.open_child(name)
    except OSError as error:
        raise CannotWriteLog(f"cannot write in '{session.path}': {error.strerror}") from None
    directory.lock(wait=0)
    return Run(directory, name)


def active_runs(session: SafeDirectory, kind: str) -> list[str]:
    """Return the names of the active runs of `kind`, oldest first, or raise Damaged."""
    try:
        with session.open_child(_OUTPUT) as output:
            runs = [name for name in output.names() if _run_number(name, kind)]
            runs.sort(key=lambda name: _run_number(name, kind))
            return [name for name in runs if _is_active(output, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_active(output: SafeDirectory, name: str) -> bool:
    try:
        with output.open_child(name) as run:
            return run.is_locked()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _run_number(name: str, kind: str) -> int:
    """Return the number in the name of a run of `kind`, or 0 for any other name."""
    before, _, number = name.partition(f"{kind}-")
    return 0 if before else parse_int(number, MAX_COUNT) or 0


_MAX_LINE_BYTES = 1 << 16
MAX_LOG_BYTES = 256 << 20
"""The size of a log at which writing stops: endless output must not fill the disk."""


class OutputLog:
    """The log of one command."""

    def __init__(
        self,
        fd: int,
        show: Callable[[bytes], None] | None = None,
        *,
        max_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        """Write into `fd`, which close() closes.

        Args:
            show: called with each line, also after the log is full. A long line comes in pieces.
            max_bytes: the size of the log at which writing stops.
        """
        self._fd = fd
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

    def _append(self, data: bytes) -> None:
        try:
            rest = data[: self._remaining]
            self._remaining -= len(rest)
            if len(rest) < len(data):
                self.error = self.error or "the output is longer than the limit"
            write_all(self._fd, rest)
        except OSError as error:
            self.error = self.error or str(error.strerror)

    def close(self) -> None:
        """Show a last line without a line feed, and close the log."""
        if self._show is not None and self._line:
            self._show(self._line)
        self._line = b""
        os.close(self._fd)
