"""The only writer of standard output and standard error, and the only one that asks.

What comes from a repository is shown with control and bidirectional characters made
visible. A failure to write never turns a change that was made into a failure.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from git_hub_session.errors import HubError
from git_hub_session.escape import visible
from git_hub_session.typed import TYPE_CHECKING, NamedTuple, TextIO
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.views.view import View


class Output(NamedTuple):
    """How an answer is to be shown."""

    format: str = "text"
    nul: bool = False
    color: str = "auto"
    quiet: bool = False


class CannotShow(HubError):
    """Standard output does not take the answer (a full device)."""

    code = "cannot-show"


def show(view: View, output: Output) -> None:
    """Write the answer in the format that was asked for; raises CannotShow, BrokenPipeError."""
    answer: str | bytes
    told = _text(view.faults)
    if output.format == "text":
        from git_hub_session.render.style import style_of

        style = style_of(output.color, sys.stdout, os.environ)
        shown = view.lines(style, quiet=output.quiet)
        answer, told = _text(shown.out), told + _text(shown.err)
    else:
        from git_hub_session.render import machine

        if output.format == "json":
            answer = machine.as_json(view)
        else:
            answer = machine.as_porcelain(view, nul=output.nul)
    try:
        say(answer)
    except (CannotShow, BrokenPipeError):
        if not view.changed:
            raise
    finally:
        _try_to_tell(told)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)


def fail(error: HubError, output: Output, usage: str = "") -> None:
    """Say what went wrong on standard error, as git does; as one JSON object with --format=json."""
    if output.format == "json":
        from git_hub_session.render import machine

        told = machine.error_as_json(error)
    else:
        kind = "error" if error.exit_code in (1, 129) else "fatal"
        told = f"{kind}: {visible(error.message)}\n"
        for line in error.hint.splitlines():
            told += f"hint: {visible(line)}\n"
        told += usage
    _try_to_tell(told)


def tell(line: str) -> None:
    """One line on standard error that is not the answer."""
    _try_to_tell(f"{visible(line)}\n")


def progress(title: str, total: int) -> Callable[[int], None]:
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
        _try_to_tell(f"\r{title}: {100 * done // total:3}% ({done}/{total}){end}")

    return at


def ask(question: str) -> bool | None:
    """The user's yes or no, on the terminal; None where there is none. The end of the input is a no."""
    streams = (sys.stdin, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return None
    _try_to_tell(f"{visible(question)} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def complain(trace: str) -> None:
    """A bug of ours: the traceback, for the report of it."""
    told = "".join(f"{visible(line)}\n" for line in trace.splitlines())
    _try_to_tell(f"{told}fatal: this is a bug in git hub-session\n")


def say(answer: str | bytes) -> None:
    """Write on standard output; raises CannotShow, BrokenPipeError."""
    try:
        _write(sys.stdout, answer)
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise CannotShow(f"cannot write the answer: {fault.strerror}") from None


def _try_to_tell(text: str) -> None:
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
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(stream.fileno(), rest) :]
        except BlockingIOError:  # the other end of a pipe made it so: wait, as git does
            from select import select

            select([], [stream.fileno()], [])
