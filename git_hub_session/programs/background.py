"""Run a shell command beside this process, with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from time import monotonic

from git_hub_session.system.io import write_all
from git_hub_session.system.temporary import memory_file

_STANDARD_ERROR = 2
_GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL


class BackgroundCommand:
    """A running shell command. Its output goes to the standard error of this process.

    As with git's hooks, a process that the command leaves running is not waited for, and not ended.
    """

    def __init__(
        self, command: str, directory: str, environ: Mapping[str, str], stdin: bytes
    ) -> None:
        """Start the command in its own setsid(2) session. Raise OSError if that is impossible.

        Args:
            stdin: the input of the command. The command may end before it has read everything.
        """
        self._start = monotonic()
        with memory_file() as source:
            write_all(source, stdin)
            os.lseek(source, 0, os.SEEK_SET)
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=directory,
                env={**environ, "PWD": directory},
                stdin=source,
                stdout=_STANDARD_ERROR,
                start_new_session=True,
            )

    def wait(self, time_limit: float) -> int | None:
        """Wait for the end of the command, and return its exit status.

        The time limit counts from the start of the command. At the time limit, or if a signal ends
        this wait, end the process group of the command. Return None after the time limit.
        """
        process = self._process
        try:
            status: int | None = process.wait(max(0.0, self._start + time_limit - monotonic()))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.returncode is None:
                self._end()
        seconds = monotonic() - self._start
        sys.audit("git_hub_session.end", process.args, process.returncode, seconds)
        return 128 - status if status is not None and status < 0 else status

    def _end(self) -> None:
        """End the process group, and wait for the command."""
        self._send_signal(signal.SIGTERM)
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        self._send_signal(signal.SIGKILL)
        self._process.wait()

    def _send_signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # all processes of the group have ended
