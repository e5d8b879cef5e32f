"""The only writer of standard output and standard error. It also asks the user.

Control and bidirectional characters that come from a repository are escaped. If a command has
changed something, a write error does not change its exit code.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, TextIO
from git_hub_session.cli.view import error_lines
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_false
from git_hub_session.system.io import write_all
from git_hub_session.util.clock import format_clock
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import display_width, escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.paging.full_screen import FullScreen
    from git_hub_session.cli.view import TerminalStyle, View


_HINT = "hint: "


def _no_setting(_name: str) -> None:
    """Return None: no setting is read."""


class OutputOptions(NamedTuple):
    """The common options of the output."""

    format: str = "text"
    nul: bool = False
    color: str = ""
    """The value of --color: auto, always, never, or '' without the option."""
    quiet: bool = False
    setting: Callable[[str], str | None] = _no_setting
    """The function that returns a setting of git by its name in lower case, or None."""


class CannotWriteStdout(HubError):
    """Standard output cannot be written, for example because the device is full."""

    code = "cannot-show"


def write_view(view: View, output: OutputOptions, *, is_last: bool = True) -> None:
    """Write the view in the selected format.

    Args:
        is_last: False if the command continues after this view.

    Raises:
        CannotWriteStdout: standard output cannot be written, and the command changed nothing.
        BrokenPipeError: standard output is a closed pipe, and the command changed nothing.
    """
    answer: str | bytes
    messages = _join_lines(_without_unwanted_hints(view.diagnostics, output))
    if output.format == "text":
        text = view.lines(current_style(output), quiet=output.quiet)
        answer = _join_lines(text.out)
        next_lines = _next_lines(view, output) if is_last else []
        messages += _join_lines(_without_unwanted_hints([*text.err, *next_lines], output))
    else:
        from git_hub_session.cli import formats

        if output.format == "json":
            answer = formats.to_json(view)
        else:
            answer = formats.to_porcelain(view, nul=output.nul)
    try:
        if not (output.format == "text" and view.is_paged and _show_in_pager(answer, output)):
            write_stdout(answer)
    except (CannotWriteStdout, BrokenPipeError):
        if not view.changed:
            raise
    finally:
        _write_stderr(messages)


def _next_lines(view: View, output: OutputOptions) -> list[str]:
    """Return the hint with the next command, for a person at a terminal."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not (is_terminal and view.changed and view.next_command) or output.quiet or view.exit_code:
        return []
    return [f"{_HINT}continue with: git hub-session {view.next_command}"]


def _show_in_pager(text: str | bytes, output: OutputOptions) -> bool:
    """Show a text that is longer than the terminal in a pager. Return False without a pager."""
    if not isinstance(text, str) or sys.stdout is None or not is_stdout_a_terminal():
        return False
    from git_hub_session.cli.paging.pager import find_pager, fits_screen, show_in_pager

    rows = os.get_terminal_size(sys.stdout.fileno()).lines
    pager = find_pager(os.environ, output.setting)
    if not pager or fits_screen(text, current_style(output).columns, rows):
        return False
    return show_in_pager(_encode(text, sys.stdout), pager, os.environ)


def is_stdout_a_terminal() -> bool:
    """Return True if standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def prepare_screen(output: OutputOptions) -> bool:
    """Return True if all streams are a UTF-8 terminal in which the cursor can move.

    Set or remove NO_COLOR, by which Textual and the programs that it starts choose colors.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)
    is_terminal = all(stream is not None and stream.isatty() for stream in streams)
    if not is_terminal or _is_terminal_dumb():
        return False
    style = current_style(output)
    os.environ.pop("NO_COLOR", None)
    if not style.color:
        os.environ["NO_COLOR"] = "1"
    return style.is_unicode


def open_full_screen(output: OutputOptions) -> FullScreen:
    """Return the terminal of standard output, to write over it again and again."""
    from git_hub_session.cli.paging.full_screen import FullScreen

    assert sys.stdout is not None
    return FullScreen(sys.stdout, lambda: current_style(output), is_dumb=_is_terminal_dumb())


def _is_terminal_dumb() -> bool:
    """Return True if the cursor of the terminal cannot move."""
    return os.environ.get("TERM", "dumb") == "dumb"


def is_terminal_lost() -> bool:
    """Return True if the terminal of standard input does not answer any more."""
    from termios import error, tcgetattr

    try:
        tcgetattr(0)
    except (error, OSError):
        return True
    return False


def wait_for_enter(text: str) -> None:
    """Print a text on standard error, and wait for a line of input or for its end."""
    _write_stderr(escape_control(text))
    if sys.stdin is not None:
        sys.stdin.readline()


def write_lines(lines: Callable[[TerminalStyle], Sequence[str]], output: OutputOptions) -> None:
    """Write lines on standard output, in the style of its terminal."""
    write_stdout(_join_lines(lines(current_style(output))))


def current_style(output: OutputOptions) -> TerminalStyle:
    """Return the abilities of standard output as they are now."""
    from git_hub_session.cli.terminal import detect_style

    return detect_style(output.color, sys.stdout, os.environ, output.setting)


def _join_lines(lines: Sequence[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)


def report_error(error: HubError, output: OutputOptions) -> None:
    """Write an error to standard error in git's form, or as JSON with --format=json."""
    if output.format == "json":
        from git_hub_session.cli import formats

        _write_stderr(formats.error_to_json(error))
        return
    _write_stderr(_join_lines(_without_unwanted_hints(error_lines(error), output)))


def write_hints(hints: Sequence[str], output: OutputOptions) -> None:
    """Write hints to standard error, unless the user does not want them."""
    _write_stderr(_join_lines(hint_lines(hints, output)))


def hint_lines(hints: Sequence[str], output: OutputOptions) -> Sequence[str]:
    """Return the lines of hints, or none if the user does not want hints."""
    lines = [f"{_HINT}{escape_control(hint)}" for hint in hints]
    return _without_unwanted_hints(lines, output)


def _without_unwanted_hints(lines: Sequence[str], output: OutputOptions) -> Sequence[str]:
    """Return the lines without hints if hubsession.advice or GIT_ADVICE is false."""
    if not any(line.startswith(_HINT) for line in lines):
        return lines
    from git_hub_session.settings.table import ADVICE

    choices = (os.environ.get("GIT_ADVICE"), output.setting(ADVICE.key))
    if any(choice is not None and is_false(choice) for choice in choices):
        return [line for line in lines if not line.startswith(_HINT)]
    return lines


def write_stderr_line(line: str) -> None:
    """Write one line to standard error."""
    _write_stderr(f"{escape_control(line)}\n")


def make_progress(title: str, total: int) -> Callable[[int], None]:
    """Return a function that shows the number of finished items on standard error.

    It prints git's progress line, and only on a terminal. The line appears after one second, or
    after GIT_PROGRESS_DELAY seconds, as in git.
    """
    is_enabled = total > 0 and sys.stderr is not None and sys.stderr.isatty()
    start = time.monotonic() + _progress_delay()
    last_shown: int | None = None

    def show(finished: int) -> None:
        nonlocal last_shown
        if not is_enabled or last_shown == total:
            return
        if last_shown is None and time.monotonic() < start:
            return
        last_shown = finished
        end = ", done.\n" if finished == total else ""
        _write_stderr(f"\r{title}: {100 * finished // total:3}% ({finished}/{total}){end}")

    return show


def _progress_delay() -> int:
    """Return the seconds before progress is shown."""
    delay = parse_int(os.environ.get("GIT_PROGRESS_DELAY", ""), MAX_COUNT)
    return 1 if delay is None else delay


class ElapsedLine:
    """The line with the elapsed time of each running command, while the commands print nothing.

    Show it on standard error, only on a terminal, and after the delay of `make_progress`.
    """

    def __init__(self, *, is_enabled: bool) -> None:
        self._is_enabled = is_enabled and sys.stderr is not None and sys.stderr.isatty()
        self._delay = _progress_delay()
        self._next_time = time.monotonic() + self._delay
        self._starts: dict[str, float] = {}
        self._width = 0  # the width of the line that is shown

    def start(self, name: str) -> None:
        """Start the clock of a command, unless it runs already."""
        self._starts.setdefault(name, time.monotonic())

    def end(self, name: str) -> None:
        """Remove a command from the line."""
        self._starts.pop(name, None)

    def clear(self) -> None:
        """Remove the line from the terminal, before other output. Show it again after the delay."""
        if self._width:
            _write_stderr(f"\r{' ' * self._width}\r")
            self._width = 0
        self._next_time = time.monotonic() + self._delay

    def update(self) -> float | None:
        """Show the line if it is time. Return the seconds until the next call, or None."""
        if not self._is_enabled:
            return None
        now = time.monotonic()
        if now >= self._next_time:
            self._show(now)
            self._next_time = now + 1
        return self._next_time - now

    def _show(self, now: float) -> None:
        from git_hub_session.cli.terminal import detect_style

        times = [f"{name} {format_clock(now - start)}" for name, start in self._starts.items()]
        style = detect_style("never", sys.stderr, os.environ, _no_setting)
        text = style.fit(f"Running: {', '.join(times)}", 1) if times else ""
        width = display_width(text)
        _write_stderr(f"\r{text}{' ' * (self._width - width)}")
        self._width = width


def ask_yes_no(question: str) -> bool | None:
    """Ask a question on the terminal. Return None without a terminal.

    The end of the input means no.
    """
    streams = (sys.stdin, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        return None
    _write_stderr(f"{escape_control(question)} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report_bug(trace: str) -> None:
    """Write the traceback of a bug to standard error, so that the user can report it."""
    lines = "".join(f"{escape_control(line)}\n" for line in trace.splitlines())
    _write_stderr(f"{lines}fatal: this is a bug in git hub-session\n")


def write_stdout(text: str | bytes) -> None:
    """Write text to standard output.

    Raises:
        CannotWriteStdout: the write failed.
        BrokenPipeError: the reader has closed the pipe.
    """
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWriteStdout(f"cannot write to standard output: {error.strerror}") from None


def _write_stderr(text: str) -> None:
    try:
        _write(sys.stderr, text)
    except OSError:
        pass  # the exit code still reports the error


def _write(stream: TextIO | None, text: str | bytes) -> None:
    # A stream is None if it was closed before Python started.
    if stream is None or not text:
        return
    if isinstance(text, str):
        text = _encode(text, stream)
    # Do not use the buffer of the stream: after an error Python would write it again at exit.
    write_all(stream.fileno(), text)


def _encode(text: str, stream: TextIO) -> bytes:
    # If the encoding lacks a character, write an escape sequence, such as \u2192.
    return text.encode(stream.encoding or "ascii", "backslashreplace")
