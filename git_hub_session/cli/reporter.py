"""Reporter: notes, progress and questions of a running command."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.output import (
    OutputOptions,
    ask_yes_no,
    current_style,
    hint_lines,
    open_full_screen,
    prepare_screen,
    write_hints,
    write_lines,
    write_machine_format,
    write_stderr_line,
    write_stdout,
    write_view,
)
from git_hub_session.cli.progress.lines import ElapsedLine, make_progress

if TYPE_CHECKING:
    from git_hub_session.cli.paging.full_screen import FullScreen
    from git_hub_session.cli.view import TerminalStyle, View


class Reporter:
    """The notes, the progress and the questions of a running command.

    The result of the command is a view. The command does not print it with the reporter.
    """

    def __init__(self, output: OutputOptions) -> None:
        self._output = output
        self.last_hints: Sequence[str] = ()
        """The hints that were printed last."""

    def note(self, line: str) -> None:
        """Print a note on standard error."""
        write_stderr_line(line)

    def note_with_hint(self, line: str, hint: str) -> None:
        """Print a note and a hint on standard error. Leave out the hint if the user wants none."""
        write_stderr_line(line)
        write_hints([hint], self._output)

    def warn(self, text: str) -> None:
        """Print a warning on standard error, also with `-q`."""
        write_stderr_line(f"warning: {text}")

    def print_hints(self, lines: Sequence[str]) -> None:
        """Print hints on standard error, also with `-q`: they belong to an error or a signal."""
        self.last_hints = lines
        write_hints(lines, self._output)

    def hint_lines(self, hints: Sequence[str]) -> Sequence[str]:
        """Return the lines of hints, or none if the user does not want hints."""
        return hint_lines(hints, self._output)

    def show_view(self, view: View) -> None:
        """Print an intermediate result. Print nothing if the format is not text."""
        if self._output.format == "text":
            write_view(view, self._output, is_last=False)

    def write_machine_format(self, view: View) -> None:
        """Write the result of a command that a signal ends. Write nothing if the format is text."""
        if self._output.format != "text":
            write_machine_format(view, self._output)

    def write_text(self, text: str) -> None:
        """Write text on standard output. Write nothing if the format is not text."""
        if self._output.format == "text":
            write_stdout(text)

    def write_lines(self, lines: Callable[[TerminalStyle], Sequence[str]]) -> None:
        """Write lines that depend on the terminal. Write nothing if the format is not text."""
        if self._output.format == "text":
            write_lines(lines, self._output)

    def prepare_screen(self) -> bool:
        """Return True if Textual can use the terminal. See `output.prepare_screen`."""
        return prepare_screen(self._output)

    def full_screen(self) -> FullScreen:
        """Return the terminal, to write over it again and again."""
        return open_full_screen(self._output)

    def style(self) -> TerminalStyle:
        """Return the abilities of standard output as they are now."""
        return current_style(self._output)

    def progress(self, title: str, total: int) -> Callable[[int], None]:
        """Start a progress display. Call the result with the number of finished items."""
        return make_progress(title, total)

    def elapsed_line(self) -> ElapsedLine:
        """Return the line that shows how long commands have run."""
        return ElapsedLine(is_enabled=True)

    def ask(self, question: str) -> bool | None:
        """Ask a yes-or-no question. Return None if standard input is not a terminal."""
        return ask_yes_no(question)


class QuietReporter(Reporter):
    """The reporter of the option `-q`: it only asks questions and prints hints."""

    def note(self, line: str) -> None:
        """Print nothing."""

    def note_with_hint(self, line: str, hint: str) -> None:
        """Print nothing."""

    def show_view(self, view: View) -> None:
        """Print nothing."""

    def write_text(self, text: str) -> None:
        """Write nothing."""

    def write_lines(self, lines: Callable[[TerminalStyle], Sequence[str]]) -> None:
        """Write nothing."""

    def progress(self, title: str, total: int) -> Callable[[int], None]:
        """Return a function that does nothing."""
        return lambda _finished: None

    def elapsed_line(self) -> ElapsedLine:
        """Return a line that is never shown."""
        return ElapsedLine(is_enabled=False)


def make_reporter(output: OutputOptions) -> Reporter:
    """Return the reporter for the output options of a command."""
    return QuietReporter(output) if output.quiet else Reporter(output)
