"""Run one program that uses a network, and end it if it writes nothing for too long.

A limit for the whole run would end a large transfer over a slow network. git writes its progress,
so a git that writes nothing waits for its remote.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from time import monotonic

from git_hub_session.system.signals import defer_signals
from git_hub_session.system.supervision.leftovers import Leftovers, descendants

_POLL_SECONDS = 0.5  # between two looks at the size of the output
_GRACE_SECONDS = 3.0  # between SIGTERM and SIGKILL


class Silent(Exception):
    """A program that was ended because it wrote nothing for too long."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def run_watched(
    arguments: Sequence[str],
    directory: str | None,
    environ: Mapping[str, str],
    files: Sequence[int],
    limit: float,
) -> int:
    """Run a program without input and return its exit status.

    A signal that ends this process ends the program too, which may remove its own files first.

    Args:
        directory: the directory in which the program starts, or None for the current one.
        files: the files for standard output and standard error.
        limit: the seconds without output after which the program is ended.

    Raises:
        Silent: the program wrote nothing for too long.
        OSError: the program cannot be started.
    """
    signals: list[None] = []
    release_signals = defer_signals(lambda: signals.append(None))
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=files[0],
            stderr=files[1],
            env=environ,
            cwd=directory,
        )
        if _is_silent(process, files, limit, signals):
            _end_with_children(process)
            raise Silent(process.returncode)
    finally:
        release_signals()
    return process.returncode


def _is_silent(
    process: subprocess.Popen[bytes], files: Sequence[int], limit: float, signals: Sequence[None]
) -> bool:
    """Return True if a program writes nothing for `limit` seconds before its end.

    Terminate the program if a signal was received.
    """
    size, deadline = 0, monotonic() + limit
    while not _wait_briefly(process, min(_POLL_SECONDS, limit)):
        if signals:
            process.terminate()
        written = sum(os.fstat(fd).st_size for fd in files)
        if written != size:
            size, deadline = written, monotonic() + limit
        elif monotonic() >= deadline:
            return True
    return False


def _wait_briefly(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return True if a program ends within `seconds`."""
    if not hasattr(os, "pidfd_open"):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
    from select import POLLIN, poll  # Popen.wait() with a time limit sleeps up to 50 ms too long

    pidfd = os.pidfd_open(process.pid)
    try:
        poller = poll()
        poller.register(pidfd, POLLIN)
        poller.poll(seconds * 1000)
    finally:
        os.close(pidfd)
    return process.poll() is not None


def _end_with_children(process: subprocess.Popen[bytes]) -> None:
    """End a program and the programs that it has started, such as git and its ssh."""
    has_ended = False
    children = Leftovers(lambda: [] if has_ended else descendants(process.pid))
    children.open()
    process.terminate()
    children.terminate()
    if not _wait_briefly(process, _GRACE_SECONDS):
        process.kill()
        process.wait()
    has_ended = True  # another process may get the id
    children.kill()
    children.close()
