"""The last lines of the log of a run as a screen of Textual, followed as the log grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Log, Static

from git_hub_session.util.text import truncate


class LogScreen(Screen[None]):
    """The last lines of a log. They are safe for a terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l,enter", "close", show=False),
    ]

    def __init__(self, title: str, read: Callable[[], list[str]], interval: float) -> None:
        """Show the lines that `read` returns, and read them again after each interval."""
        super().__init__()
        self._title = title
        self._read = read
        self._interval = interval
        self._lines: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(truncate(f"{self._title}  (Escape: back)", 200, ""), markup=False, id="head")
        yield Log(highlight=False)

    def on_mount(self) -> None:
        self.action_update()
        self.set_interval(self._interval, self.action_update)
        self.query_one(Log).focus()

    def action_close(self) -> None:
        """Go back to the table."""
        self.dismiss()

    def action_update(self) -> None:
        """Read the lines again. Stay at the end if the user has not moved."""
        lines = self._read()
        if lines == self._lines:
            return
        log = self.query_one(Log)
        follows = not self._lines or log.is_vertical_scroll_end
        self._lines = lines
        log.clear()
        log.write_lines(lines or ["no output"], scroll_end=follows)
