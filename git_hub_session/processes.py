"""The only place that starts a command which is not git itself: a line of shell, in a directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from signal import SIGPIPE

from git_hub_session.typed import NamedTuple

_BROKEN_PIPE = (-SIGPIPE, 128 + SIGPIPE)


class Done(NamedTuple):
    """How a command ended: its exit code, and what it wrote where that was asked for."""

    status: int
    output: str


class Shell:
    """POSIX sh in one directory, with one environment."""

    def __init__(self, directory: str, environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = dict(environ)

    def run(self, command: str, *, capture: bool = False) -> Done:
        """Run a command line; what it writes, errors too, goes to our standard output unless captured.

        Raises BrokenPipeError where the command had nobody to write to.
        """
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode in _BROKEN_PIPE:
            raise BrokenPipeError
        return Done(done.returncode, os.fsdecode(done.stdout or b""))
