"""The table of the live view as a widget of Textual. It draws only the lines on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.watch.rows import (
    AGENT,
    COLUMNS,
    GAP,
    NEXT,
    STATE,
    Layout,
    choose_layout,
    header_cells,
    row_cells,
)

if TYPE_CHECKING:
    from git_hub_session.watch.rows import Key as RowKey
    from git_hub_session.watch.rows import Row

_PLAIN = Style()
_HEADER = Style(bold=True, underline=True)
_SELECTED = Style(reverse=True)


class AgentTable(ScrollView, can_focus=True):
    """Rows for sessions and agents, of which one is selected.

    The first line of the widget has the headers of the columns.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("escape", "clear_filter", show=False),
    ]

    class Selected(Message):
        """Another row is selected."""

    class Filtered(Message):
        """The filter has changed, or the user begins or ends to type it."""

    def __init__(self, ellipsis: str) -> None:
        super().__init__()
        self._ellipsis = ellipsis
        self._rows: Sequence[Row] = ()
        self._layout = Layout(())
        self._cursor = 0
        self.pattern = ""
        """The text that the shown rows contain, or ''."""
        self.is_typing = False
        """True while the user types the pattern."""

    @property
    def selected(self) -> RowKey | None:
        """The session and the agent of the selected row, or None without rows."""
        return self._rows[self._cursor].key if self._rows else None

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Replace the rows. Keep the selected session or agent selected."""
        keys = [row.key for row in rows]
        selected = self.selected
        if selected in keys:
            self._cursor = keys.index(selected)
        self._cursor = max(min(self._cursor, len(rows) - 1), 0)
        self._rows = rows
        self._update_layout()
        if self.selected != selected:
            self.post_message(self.Selected())

    def _update_layout(self) -> None:
        self.virtual_size = Size(0, len(self._rows) + 1)
        self._layout = choose_layout(self._rows, self._width)
        self.refresh()

    def action_clear_filter(self) -> None:
        """Show all rows."""
        self.pattern = ""
        self.post_message(self.Filtered())

    def on_key(self, event: Key) -> None:
        """Change the pattern: `/` begins it, Enter completes it, and Escape removes it.

        A binding would be too late: Textual runs it after the keys that arrived with the first one.
        """
        if self.is_typing:
            self._type(event)
        elif event.character == "/":
            self.is_typing = True
        else:
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Filtered())

    def _type(self, event: Key) -> None:
        if event.key in ("enter", "escape"):
            self.is_typing = False
            self.pattern = self.pattern if event.key == "enter" else ""
        elif event.key == "backspace":
            self.pattern = self.pattern[:-1]
        elif event.character is not None and event.is_printable:
            self.pattern += event.character

    @property
    def _width(self) -> int:
        """The width without the scrollbar."""
        return self.scrollable_content_region.width

    def on_resize(self) -> None:
        """Choose the columns for the new width."""
        self._update_layout()
        self._scroll_to_cursor()

    def action_move(self, count: int) -> None:
        """Select the row that is `count` rows below."""
        if not self._rows:
            return
        cursor = max(min(self._cursor + count, len(self._rows) - 1), 0)
        if cursor != self._cursor:
            self._cursor = cursor
            self.refresh()
            self._scroll_to_cursor()
            self.post_message(self.Selected())

    def action_move_page(self, count: int) -> None:
        """Select the row that is `count` screens below."""
        self.action_move(count * max(self.size.height - 2, 1))

    def _scroll_to_cursor(self) -> None:
        # One line above belongs to the headers.
        region = Region(0, self._cursor, 1, 2)
        self.scroll_to_region(region, animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Return one line of the widget."""
        if y == 0:
            return self._strip(header_cells(self._layout), [_HEADER] * len(COLUMNS), _HEADER)
        index = y - 1 + int(self.scroll_offset.y)
        if index >= len(self._rows):
            return Strip.blank(self._width)
        row = self._rows[index]
        cells = row_cells(row, self._layout, self._ellipsis)
        if index == self._cursor:
            return self._strip(cells, [_SELECTED] * len(cells), _SELECTED)
        styles = [self._cell_style(row, column) for column, _ in self._layout.columns]
        return self._strip(cells, styles, _PLAIN)

    def _cell_style(self, row: Row, column: int) -> Style:
        color = row.color if row.color != "bold" else ""
        if column == AGENT:
            return Style(bold=row.is_session)
        # NEXT has the color of the state too.
        return Style(color=color or None) if column in (STATE, NEXT) else _PLAIN

    def _strip(self, cells: Sequence[str], styles: Sequence[Style], base: Style) -> Strip:
        segments: list[Segment] = []
        for cell, style in zip(cells, styles, strict=False):
            segments += [Segment(cell, style), Segment(" " * GAP, base)]
        strip = Strip(segments[:-1])
        return strip.adjust_cell_length(self._width, base)
