"""The only writer of standard output and standard error. It also asks the user.

Control and bidirectional characters that come from a repository are escaped. If a command has
changed something, a write error does not change its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, TextIO
from git_hub_session.cli.view import error_lines
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_false
from git_hub_session.system.io import write_all
from git_hub_session.util.text import display_width, escape_control, wrap_line

if TYPE_CHECKING:
    from git_hub_session.cli.paging.full_screen import FullScreen
    from git_hub_session.cli.view import TerminalStyle, View


_HINT = "hint: "
_open_lines: list[str] = []
"""The last line of standard error, if `write_open_line` wrote it and nothing ended it."""


def no_setting(_name: str) -> None:
    """Return None: no setting is read."""


class OutputOptions(NamedTuple):
    """The common options of the output."""

    format: str = "text"
    nul: bool = False
    color: str = ""
    """The value of --color: auto, always, never, or '' without the option."""
    quiet: bool = False
    setting: Callable[[str], str | None] = no_setting
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
        style = current_style(output)
        text = view.lines(style, quiet=output.quiet)
        answer = _join_lines(_wrapped_lines(text.out, style) if view.wraps else text.out)
        next_lines = _next_lines(view, output) if is_last else []
        messages += _join_lines(_without_unwanted_hints([*text.err, *next_lines], output))
    else:
        answer = _format_for_machine(view, output)
    try:
        if not (output.format == "text" and view.is_paged and _show_in_pager(answer, output)):
            write_stdout(answer)
    except (CannotWriteStdout, BrokenPipeError):
        if not view.changed:
            raise
    finally:
        _write_stderr(messages)


def _wrapped_lines(lines: Sequence[str], style: TerminalStyle) -> list[str]:
    if style.columns is None:
        return [*lines]
    return [part for line in lines for part in wrap_line(line, style.columns)]


def write_machine_format(view: View, output: OutputOptions) -> None:
    """Write a view as JSON or porcelain. A reader that has gone is no error.

    The view has changed the repository.
    """
    try:
        write_stdout(_format_for_machine(view, output))
    except (CannotWriteStdout, BrokenPipeError):
        pass  # a signal ends the command anyway


def _format_for_machine(view: View, output: OutputOptions) -> str | bytes:
    from git_hub_session.cli import formats

    if output.format == "json":
        return formats.to_json(view)
    return formats.to_porcelain(view, nul=output.nul)


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


def write_open_line(text: str) -> None:
    """Write over the open line of standard error. Other output starts below the line.

    A newline at the end of the text ends the line. '' removes the line.
    """
    shown = _open_lines.pop() if _open_lines else ""
    padding = " " * (display_width(shown) - display_width(text))
    if text:
        _write_stderr(f"\r{text}{padding}")
    elif shown:
        _write_stderr(f"\r{padding}\r")
    if text and not text.endswith("\n"):
        _open_lines.append(text)


def _end_open_line() -> None:
    if _open_lines:
        _open_lines.clear()
        _write_stderr("\n")


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
    if text and is_stdout_a_terminal():
        _end_open_line()
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWriteStdout(f"cannot write to standard output: {error.strerror}") from None


def _write_stderr(text: str) -> None:
    if text:
        _end_open_line()
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
