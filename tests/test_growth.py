"""The plot of growth: it shows the table of the document, and its script measures each command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.growth import DOCUMENT, HEADER, PICTURE, SESSIONS, draw, measure, read_table


def test_the_picture_shows_the_table_of_the_document() -> None:
    text = DOCUMENT.read_text()
    assert HEADER in text
    times = read_table(text)
    assert tuple(times) == SESSIONS
    assert PICTURE.read_text() == draw(times), "draw the table: python -m tests.growth --draw"


def test_a_point_is_at_its_value() -> None:
    """The first point of `push` is in the left bottom corner, and each line ends on the right."""
    drawn = draw({10: [1.0, 2.0, 3.0, 4.0, 5.0], 1_000: [1_000.0, 2.0, 3.0, 4.0, 5.0]})
    assert '<path d="M90.0 340.0L710.0 20.0" class="mark c0">' in drawn
    assert drawn.count(">push</text>") == 1


@pytest.mark.slow
def test_a_row_has_the_time_of_each_command(tmp_path: Path) -> None:
    row = measure(3, tmp_path / "growth", runs=1)
    assert list(read_table(f"{row}\n")) == [3], row
    assert all(time > 0 for time in read_table(row)[3])
