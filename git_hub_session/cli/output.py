"""The only writer of standard output and standard error, and the only one that asks.

What comes from a repository is shown with control and bidirectional characters made
visible. A failure to write never turns a change that was made into a failure.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, TextIO
from git_hub_session.errors import HubError
from git_hub_session.system.io import write_all
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.view import View


class OutputOptions(NamedTuple):
    """How an answer is to be shown."""

    format: str = "text"
    nul: bool = False
    color: str = "auto"
    quiet: bool = False


class CannotWriteStdout(HubError):
    """Standard output does not take the answer (a full device)."""

    code = "cannot-show"


def write_view(view: View, output: OutputOptions) -> None:
    """Write the answer in the format that was asked for; raises CannotShow, BrokenPipeError."""
    answer: str | bytes
    told = _join_lines(view.diagnostics)
    if output.format == "text":
        from git_hub_session.cli.terminal import detect_style

        style = detect_style(output.color, sys.stdout, os.environ)
        shown = view.lines(style, quiet=output.quiet)
        answer, told = _join_lines(shown.out), told + _join_lines(shown.err)
    else:
        from git_hub_session.cli import formats

        if output.format == "json":
            answer = formats.to_json(view)
        else:
            answer = formats.to_porcelain(view, nul=output.nul)
    try:
        write_stdout(answer)
    except (CannotWriteStdout, BrokenPipeError):
        if not view.changed:
            raise
    finally:
        _write_stderr(told)


def _join_lines(lines: Sequence[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)


def report_error(error: HubError, output: OutputOptions, usage: str = "") -> None:
    """Say what went wrong on standard error, as git does; as one JSON object with --format=json."""
    if output.format == "json":
        from git_hub_session.cli import formats

        told = formats.error_to_json(error)
    else:
        kind = "error" if error.exit_code in (1, 129) else "fatal"
        told = f"{kind}: {escape_control(error.message)}\n"
        for line in error.hint.splitlines():
            told += f"hint: {escape_control(line)}\n"
        told += usage
    _write_stderr(told)


def write_stderr_line(line: str) -> None:
    """One line on standard error that is not the answer."""
    _write_stderr(f"{escape_control(line)}\n")


def make_progress(title: str, total: int) -> Callable[[int], None]:
    """Shows how far something is on a terminal's standard error, git's way, once it takes over a second.

    GIT_PROGRESS_DELAY is after how many seconds instead, as for git itself.
    """
    told = total > 0 and sys.stderr is not None and sys.stderr.isatty()
    delay = parse_int(os.environ.get("GIT_PROGRESS_DELAY", ""), MAX_COUNT)
    begin = time.monotonic() + (1 if delay is None else delay)
    shown: list[int] = []

    def at(done: int) -> None:
        if not told or shown[-1:] == [total] or (not shown and time.monotonic() < begin):
            return
        shown.append(done)
        end = ", done.\n" if done == total else ""
        _write_stderr(f"\r{title}: {100 * done // total:3}% ({done}/{total}){end}")

    return at


def ask_yes_no(question: str) -> bool | None:
    """The user's yes or no, on the terminal; None where there is none. The end of the input is a no."""
    streams = (sys.stdin, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return None
    _write_stderr(f"{escape_control(question)} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report_bug(trace: str) -> None:
    """A bug of ours: the traceback, for the report of it."""
    told = "".join(f"{escape_control(line)}\n" for line in trace.splitlines())
    _write_stderr(f"{told}fatal: this is a bug in git hub-session\n")


def write_stdout(answer: str | bytes) -> None:
    """Write on standard output; raises CannotShow, BrokenPipeError."""
    try:
        _write(sys.stdout, answer)
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise CannotWriteStdout(f"cannot write the answer: {fault.strerror}") from None


def _write_stderr(text: str) -> None:
    try:
        _write(sys.stderr, text)
    except OSError:
        pass  # the exit code says it


def _write(stream: TextIO | None, text: str | bytes) -> None:
    if stream is None or not text:
        return  # closed before we started
    if isinstance(text, str):
        # What the locale cannot say is written as \u2192.
        text = text.encode(stream.encoding or "ascii", "backslashreplace")
    # Not through the stream's buffer: what it could not write it would try again at exit.
    write_all(stream.fileno(), text)
