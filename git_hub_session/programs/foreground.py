"""Run one program with the terminal of this process, and wait for its end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import monotonic
from types import FrameType

# Ctrl-C and Ctrl-\ reach the program too. The program decides if it ends.
_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)


def run_in_foreground(
    arguments: Sequence[str], directory: str | None, environ: Mapping[str, str], stdin: bytes = b""
) -> int:
    """Run a program with the standard streams of this process, and return its exit status.

    If a signal ends the program, the status is 128 plus its number, as in a shell. A signal that
    ends this process ends the program too.

    Args:
        directory: the directory in which the program starts, or None for the current one.
        stdin: the input of the program, or b"" for the input of this process. The program may end
            before it has read everything.

    Raises:
        OSError: the program cannot be started.
    """
    handlers = {number: signal.getsignal(number) for number in _TERMINAL_SIGNALS}
    start = monotonic()
    try:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, _ignore)  # the program would inherit SIG_IGN
        with subprocess.Popen(
            arguments, cwd=directory, env=environ, stdin=subprocess.PIPE if stdin else None
        ) as process:
            try:
                process.communicate(stdin or None)
            except BaseException:
                process.terminate()
                process.send_signal(signal.SIGHUP)  # an interactive shell ignores SIGTERM
                raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    status = process.returncode
    sys.audit("git_hub_session.end", arguments, status, monotonic() - start)
    return status if status >= 0 else 128 - status


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing."""
