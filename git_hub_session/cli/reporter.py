"""Notes, progress and questions of a running command."""

from __future__ import annotations

from collections.abc import Callable

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.output import (
    OutputOptions,
    ask_yes_no,
    make_progress,
    write_stderr_line,
    write_stdout,
    write_view,
)

if TYPE_CHECKING:
    from git_hub_session.cli.view import View


class Reporter(NamedTuple):
    """How a command speaks with its caller while it still runs; its answer is a view."""

    note: Callable[[str], None]
    """Tells something that is not the answer; `-q` makes it silent."""
    show_view: Callable[[View], None]
    """Shows an answer on the way to the last one, where that is text too; `-q` makes it silent."""
    write_text: Callable[[str], None]
    """Shows text on standard output, where the answer is text too; `-q` makes it silent."""
    progress: Callable[[str, int], Callable[[int], None]]
    """Of what is done, and of how many; what it returns takes how many are done by now."""
    ask: Callable[[str], bool | None]
    """The user's yes or no to a question; None where there is nobody to ask."""


def make_reporter(output: OutputOptions) -> Reporter:
    if output.quiet:
        return Reporter(_unheard, _unshown, _unheard, _unseen, ask_yes_no)
    if output.format != "text":
        return Reporter(write_stderr_line, _unshown, _unheard, make_progress, ask_yes_no)
    return Reporter(
        write_stderr_line,
        lambda view: write_view(view, output),
        write_stdout,
        make_progress,
        ask_yes_no,
    )


def _unheard(_text: str) -> None:
    """What is told with -q."""


def _unshown(_view: View) -> None:
    """What is shown on the way with -q, or to a program."""


def _unseen(_title: str, _total: int) -> Callable[[int], None]:
    """Progress with -q."""
    return lambda _done: None
