"""The columns of the live view in each width."""

from __future__ import annotations

import pytest

from git_hub_session.util.text import display_width
from git_hub_session.watch.facts import Snapshot, WatchedSession
from git_hub_session.watch.order import order_snapshot
from git_hub_session.watch.plain import snapshot_lines
from git_hub_session.watch.rows import COLUMNS, Key, choose_layout, make_rows
from tests.support.watched import HOSTILE, NOW, POST, SNAPSHOT, agent, style


@pytest.mark.parametrize("width", [1, 10, 39, 40, 60, 80, 100, 160, 400])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Two columns are the smallest width of a name. `fit` keeps ten columns."""
    for line in snapshot_lines(SNAPSHOT, style(width)):
        assert display_width(line) <= max(width, 10), line


@pytest.mark.parametrize(
    ("width", "headers"),
    [
        (40, "AGENT STATE OUTPUT"),
        (80, "AGENT STATE NEXT FILES RANK METRIC OUTPUT"),
        (160, "AGENT STATE NEXT PROC FILES RANK METRIC OUTPUT LAST COMMIT LAST POST"),
    ],
)
def test_columns_by_width(width: int, headers: str) -> None:
    rows = make_rows(order_snapshot(SNAPSHOT, "need"), NOW, style(width))
    layout = choose_layout(rows, width)
    assert " ".join(COLUMNS[index].header for index, _ in layout.columns) == headers
    assert sum(columns for _, columns in layout.columns) + 2 * (len(layout.columns) - 1) == width


HEADER_160 = """\
AGENT            STATE         NEXT    PROC  FILES  RANK  METRIC  OUTPUT                          \
LAST COMMIT                     LAST POST"""
AGENT_160 = """\
  agent-1        done          commit            3     1  141     tests passed                    \
5 minutes: Use a cache          60 seconds: results: p50 is 1…"""


def test_the_table_in_160_columns() -> None:
    lines = snapshot_lines(SNAPSHOT, style(160))
    assert lines == [
        "1 session, 3 agents, 2 need you",
        HEADER_160,
        "20260317-143022  running 2/3                                      Make the 世界 fast",
        "  agent-3        failed (3)    look                               error: no",
        AGENT_160,
        "  agent-2        running 1:15             2                       compiling 世界",
    ]


def test_a_narrow_terminal_truncates_the_id_of_a_session() -> None:
    assert snapshot_lines(SNAPSHOT, style(40))[1:4] == [
        "AGENT         STATE         OUTPUT",
        "20260317-14…  running 2/3   Make the 世…",
        "  agent-3     failed (3)    error: no",
    ]


def test_rows_that_do_not_fit_are_counted() -> None:
    lines = snapshot_lines(SNAPSHOT, style(40), height=4)
    assert lines[-1] == "… 3 more rows"
    assert len(lines) == 4


def test_colors() -> None:
    lines = snapshot_lines(SNAPSHOT, style(80, color=True))
    assert "\x1b[31mfailed (3)" in lines[3]
    assert "\x1b[" not in "".join(snapshot_lines(SNAPSHOT, style(80)))


def test_nothing_to_show() -> None:
    assert snapshot_lines(Snapshot(NOW), style(80)) == ["0 sessions, 0 agents, none needs you"]
    assert snapshot_lines(Snapshot(NOW, error="no\x1b[2J hub"), style(80)) == [
        "error: no\\x1b[2J hub"
    ]


def test_hostile_texts_are_escaped() -> None:
    post = POST._replace(channel=HOSTILE, text=HOSTILE)
    facts = agent(1, "failed", failure=HOSTILE, off_branch=HOSTILE, subject=HOSTILE, commit_time=1)
    session = WatchedSession("s1", "broken", error=HOSTILE, agents=(facts._replace(post=post),))
    text = "\n".join(snapshot_lines(Snapshot(NOW, (session,)), style(400)))
    assert text.replace("\n", "").isprintable()
    assert r"\x1b[2J" in text
    keys: list[Key] = [
        row.key
        for row in make_rows(order_snapshot(Snapshot(NOW, (session,)), "need"), NOW, style(400))
    ]
    assert keys == [("s1", 0), ("s1", 1)]
