"""Tables of text that adapt to the width of the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.util.text import display_width, pad, remove_colors, wrap_words

if TYPE_CHECKING:
    from git_hub_session.cli.view import TerminalStyle

_GAP = "  "


class Column(NamedTuple):
    """A column of a table."""

    header: str
    cells: Sequence[str]
    """One cell for each row. An empty cell has no value."""
    right: bool = False
    """True to align the cells to the right."""
    label: str = ""
    """The text before a cell that does not fit into its row."""
    empty: str = "-"
    """The text in the row for a cell without a value."""
    colors: Sequence[str] = ()
    """The color of each cell in its row, or '' for none. Empty if no cell has a color."""

    @property
    def width(self) -> int:
        """The width of the widest cell."""
        return max(map(display_width, (self.header, *self.cells)))


def table_lines(
    columns: Sequence[Column], style: TerminalStyle, indent: str, *, below: str = _GAP
) -> list[str]:
    """Return the header and the rows. Leave out the columns without a value.

    The first columns are in the row, as many as fit. The cells of the other columns are below it.

    Args:
        below: the indentation of a cell below its row, in addition to `indent`.
    """
    used = [column for column in columns if any(column.cells)]
    count = _fitting_count(used, style, len(indent))
    in_row = used[:count]
    lines = [_join(_align(in_row, [column.header for column in in_row]), indent)]
    below = indent + below
    for row, cells in enumerate(zip(*(column.cells for column in used), strict=True)):
        texts = [cell or column.empty for cell, column in zip(cells, in_row, strict=False)]
        lines.append(_join(_paint(in_row, _align(in_row, texts), row, style), indent))
        for column, cell in zip(used[count:], cells[count:], strict=True):
            if cell not in ("", column.empty):
                lines += lines_below(f"{column.label}{cell}", style, below)
    return lines


def row_width(columns: Sequence[Column]) -> int:
    """Return the width of a row with all columns."""
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def lines_below(text: str, style: TerminalStyle, indent: str) -> list[str]:
    """Return the lines of a cell below its row. Indent the later lines more than the first."""
    if style.columns is None or len(indent) + display_width(text) <= style.columns:
        return [f"{indent}{text}"]
    first, *others = wrap_words(text, style.columns - len(indent) - len(_GAP))
    return [f"{indent}{first}", *(f"{indent}{_GAP}{line}" for line in others)]


def part_lines(name: str, parts: Sequence[str], style: TerminalStyle) -> list[str]:
    """Return the parts of a row after its name. Begin an indented line if a part does not fit."""
    lines = [f"{name}: {parts[0]}" if parts else f"{name}:"]
    for part in parts[1:]:
        longer = f"{lines[-1]}, {part}"
        if style.columns is None or display_width(remove_colors(longer)) <= style.columns:
            lines[-1] = longer
        else:
            lines[-1] += ","
            lines.append(f"{_GAP * 2}{part}")
    return lines


def _fitting_count(columns: Sequence[Column], style: TerminalStyle, used: int) -> int:
    """Return the number of columns that fit into a line, at least one."""
    for count, column in enumerate(columns):
        used += column.width
        if count and style.columns is not None and used > style.columns:
            return count
        used += len(_GAP)
    return len(columns)


def _align(columns: Sequence[Column], cells: Sequence[str]) -> list[str]:
    """Return the cells with spaces up to the widths of their columns."""
    return [
        " " * (column.width - display_width(cell)) + cell
        if column.right
        else pad(cell, column.width)
        for column, cell in zip(columns, cells, strict=True)
    ]


def _paint(
    columns: Sequence[Column], cells: Sequence[str], row: int, style: TerminalStyle
) -> list[str]:
    """Return the cells of a row with their colors."""
    return [
        style.paint(cell, column.colors[row]) if column.colors else cell
        for column, cell in zip(columns, cells, strict=True)
    ]


def _join(cells: Sequence[str], indent: str) -> str:
    return f"{indent}{_GAP.join(cells)}".rstrip()
