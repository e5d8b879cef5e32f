"""What commands print that run for agents: <hub>/sessions/<id>/output/<kind>-<n>/agent-<N>.log.

A run (`exec-3`, `eval-1`) is alive as long as the lock of its directory is held: the kernel
frees it with the process, so that no run seems to go on for ever. Nothing of it is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType

from git_hub_session._typing import Self
from git_hub_session.errors import HubError
from git_hub_session.system.directory import SafeDirectory
from git_hub_session.system.io import write_all
from git_hub_session.util.numbers import MAX_COUNT, parse_int

_OUTPUT = "output"


class CannotWriteLog(HubError):
    """What the commands print cannot be written down; nothing was started."""

    code = "cannot-write"


class Run:
    """One run; `with` keeps it alive."""

    def __init__(self, directory: SafeDirectory, name: str) -> None:
        self._directory = directory
        self.name = name
        self.path = directory.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._directory.close()

    def create_log(self, agent: str) -> int:
        """A new file for what is printed for `agent` ("agent-2"), open for writing; raises CannotKeep."""
        try:
            return self._directory.create_for_append(f"{agent}.log")
        except OSError as fault:
            raise CannotWriteLog(f"cannot write in '{self.path}': {fault.strerror}") from None


def start_run(session: SafeDirectory, kind: str) -> Run:
    """A new run of that kind, in the directory of a session whose lock is held; raises CannotKeep, Damaged."""
    try:
        with session.ensure_child(_OUTPUT) as output:
            name = (
                f"{kind}-{max((_run_number(one, kind) for one in output.names()), default=0) + 1}"
            )
            os.mkdir(name, dir_fd=output.fd)
            directory = output.open_child(name)
    except OSError as fault:
        raise CannotWriteLog(f"cannot write in '{session.path}': {fault.strerror}") from None
    directory.lock(wait=0)
    return Run(directory, name)


def active_runs(session: SafeDirectory, kind: str) -> list[str]:
    """The names of the runs of that kind that go on, oldest first; raises Damaged."""
    try:
        with session.open_child(_OUTPUT) as output:
            names = sorted(
                (name for name in output.names() if _run_number(name, kind)),
                key=lambda name: _run_number(name, kind),
            )
            return [name for name in names if _is_active(output, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_active(output: SafeDirectory, name: str) -> bool:
    try:
        with output.open_child(name) as run:
            return run.is_locked()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _run_number(name: str, kind: str) -> int:
    """The number of a run of that kind, or 0."""
    before, _, number = name.partition(f"{kind}-")
    return 0 if before else parse_int(number, MAX_COUNT) or 0


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
            rest = data[: self._left]
            self._left -= len(rest)
            if len(rest) < len(data):
                self.fault = self.fault or "it is longer than what is kept of it"
            write_all(self._fd, rest)
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
