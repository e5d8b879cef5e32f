"""The tables of a report. A cell is text as it was read: each format escapes it once."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.cli.view import DEFAULT_DIGITS, TerminalStyle
from git_hub_session.util.clock import MAX_TIME, format_iso_seconds, parse_iso
from git_hub_session.util.numbers import format_values

STYLE = TerminalStyle(columns=None, color=False, arrow="→", ellipsis="…", minus="−")
"""The characters of a report."""
_MAX_VALUES = 12


class Column(NamedTuple):
    """The header of a column, and the alignment of its cells."""

    header: str
    is_number: bool = False
    is_code: bool = False
    """True if the cells are names or texts from the repository."""
    has_code_header: bool = False
    wraps: bool = False
    """True if a cell may have several lines."""


class Table(NamedTuple):
    """A table with at least one column. It may have no rows."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    has_newest_last: bool = False
    """True if a report shows the last rows, and not the first ones, of a long table."""

    def without_empty_columns(self) -> Table:
        """Return the table without the columns in which all cells are empty."""
        used = [index for index in range(len(self.columns)) if any(row[index] for row in self.rows)]
        return Table(
            tuple(self.columns[index] for index in used),
            tuple(tuple(row[index] for index in used) for row in self.rows),
            self.has_newest_last,
        )


def shorten(text: str, most: int = 500) -> str:
    """Return the first `most` characters. A commit may have a subject of megabytes."""
    return text if len(text) <= most else f"{text[:most]}…"


def short_id(oid: str) -> str:
    """Return the first digits of an object id."""
    return oid[:DEFAULT_DIGITS]


def format_time(seconds: float) -> str:
    """Return a time as "2026-03-17 14:30:22Z"."""
    return format_iso_seconds(min(max(seconds, 0), MAX_TIME)).replace("T", " ")


def format_iso_time(text: str) -> str:
    """Return an ISO 8601 time in the same form, or the text itself if it is not a time."""
    seconds = parse_iso(text)
    return text if seconds is None else format_time(seconds)


def join_values(values: Sequence[float]) -> str:
    """Return the first values, and the number of the others."""
    texts = format_values(*values[:_MAX_VALUES])
    more = [f"and {len(values) - _MAX_VALUES} more"] if len(values) > _MAX_VALUES else []
    return ", ".join([*texts, *more])
