"""The live view without Textual: the same table, written again at each refresh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.text import display_width, escape_control
from git_hub_session.watch.order import NEED, order_snapshot
from git_hub_session.watch.rows import (
    AGENT,
    GAP,
    STATE,
    choose_layout,
    header_cells,
    make_rows,
    row_cells,
    summary_line,
)

if TYPE_CHECKING:
    from git_hub_session.cli.paging.full_screen import FullScreen
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.watch.facts import Snapshot
    from git_hub_session.watch.rows import Layout, Row

_DEFAULT_WIDTH = 120  # the width of a table that is not for a terminal


def snapshot_lines(
    snapshot: Snapshot, style: TerminalStyle, *, height: int | None = None
) -> list[str]:
    """Return the table as text, with a summary in its first line.

    Args:
        height: the largest number of lines. The last line says how many rows are left out.
    """
    if snapshot.error:
        return [style.fit(f"error: {escape_control(snapshot.error)}", 0)]
    groups = order_snapshot(snapshot, NEED)
    rows = make_rows(groups, snapshot.now, style)
    layout = choose_layout(rows, style.columns or _DEFAULT_WIDTH)
    lines = [style.fit(summary_line(groups), 0)]
    if not rows:
        return lines
    lines.append(style.paint(_join(header_cells(layout)), "bold"))
    lines += [_row_line(row, layout, style) for row in rows]
    if height is not None and len(lines) > height:
        hidden = len(lines) - height + 1
        lines[max(height - 1, 0) :] = [style.fit(f"{style.ellipsis} {hidden} more rows", 0)]
    return lines


def _row_line(row: Row, layout: Layout, style: TerminalStyle) -> str:
    cells = row_cells(row, layout, style.ellipsis)
    for position, (index, _) in enumerate(layout.columns):
        if index == STATE:
            cells[position] = style.paint(cells[position], row.color)
        elif index == AGENT and row.is_session:
            cells[position] = style.paint(cells[position], "bold")
    return _join(cells)


def _join(cells: Sequence[str]) -> str:
    return (" " * GAP).join(cells).rstrip()


def refresh_plainly(
    collect: Callable[[], Snapshot],
    screen: FullScreen,
    interval: float,
    notes: Sequence[str],
) -> None:
    """Show the table until a signal ends the process, or until the terminal is lost.

    Args:
        collect: reads the facts.
        interval: the seconds between two refreshes.
        notes: lines below the table. The last one may be a command.
    """
    with screen:
        while True:
            snapshot = collect()
            style, rows = screen.style(), screen.rows()
            shown = _fit_notes(notes, style, rows)
            height = None if rows is None else max(rows - 1 - _count_rows(shown, style), 1)
            screen.draw([*snapshot_lines(snapshot, style, height=height), *shown])
            sleep(interval)


def _fit_notes(notes: Sequence[str], style: TerminalStyle, rows: int | None) -> list[str]:
    """Return the notes in the width of the terminal. The last one stays whole if there is room.

    The terminal wraps a long command, so that the user can copy all of it.
    """
    fitted = [style.fit(text, 0) for text in notes]
    if rows is None or _count_rows(notes[-1:], style) <= rows // 4:
        fitted[-1:] = notes[-1:]
    return fitted


def _count_rows(lines: Sequence[str], style: TerminalStyle) -> int:
    """Return the number of rows that the lines take in the terminal."""
    if not style.columns:
        return len(lines)
    return sum(max(-(-display_width(line) // style.columns), 1) for line in lines)
