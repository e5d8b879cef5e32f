"""Run one program and return what it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from git_hub_session._typing import NamedTuple


class CapturedRun(NamedTuple):
    """The exit status and the output of a program. The status of a killed one is negative."""

    status: int
    stdout: bytes
    stderr: bytes


def run_captured(
    arguments: Sequence[str],
    directory: str,
    environ: Mapping[str, str],
    stdin: bytes,
    timeout: float | None = None,
) -> CapturedRun:
    """Run a program in a directory, wait for its end, and return its output.

    Raises:
        TimeoutError: the program has not ended after `timeout` seconds. It was killed.
        OSError: the program cannot be started.
    """
    try:
        completed = subprocess.run(
            arguments,
            cwd=directory,
            env=environ,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return CapturedRun(completed.returncode, completed.stdout, completed.stderr)
