"""Check that the benchmark runs, prints each row, and marks skipped rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench import Row
from tests.support.hub import CHECKOUT, PYTHON, Hub, peer

pytestmark = pytest.mark.skipif(
    not (Path(PYTHON).parent / "git-hub-session").exists(), reason="measures the installed command"
)

WORK = [
    "`list`, 3 sessions",
    "`list`, 50 sessions",
    "memory of `list`, 50 sessions",
    "`update`",
    "`status`, 2 agents, worktrees of 100 files",
    "`status`, 12 dirty worktrees of 100 files",
    "`status`, 20 branches of 3 commits",
    "completion of an id, 200 sessions",
    "`status --short`, 3 sessions",
    "the hook `reference-transaction`, another branch",
    "`watch`, 12 worktrees, processor time of a refresh",
    "`cleanup`, 3 clean worktrees of 10 files",
    "`spawn`, 2 worktrees of 10 files",
    "`archive`, 3 branches, worktrees of 10 files",
    "`push` of one of 50 sessions, 500 refs",
    "`fetch` of one of 50 sessions, 500 refs",
    "`exec --on` of 2 agents, ssh",
    "`eval`, 2 agents, time added for each agent",
    "`eval --in-place`, 2 agents, time added for each agent",
    "the ranking of 16 agents with 40 values each, in one process",
    "`merge` of a winner, 100 files",
    "`cleanup --finished -n`, 2 sessions, 20 worktrees",
    "`doctor --fix`, 2 sessions with one leftover file each",
]


def test_a_ratio_equal_to_the_goal_is_ok() -> None:
    row = Row("`list`", "AgentHub", 0.5, 9, 50.0, 100.0)
    assert str(row) == "| `list` | AgentHub | 0.5 | 0.50 | ok | 50.0 / 100.0 ms | 9 |"
    slower = row._replace(ours=501.0, theirs=1000.0)
    assert str(slower) == "| `list` | AgentHub | 0.5 | 0.50 | MISSED | 501 / 1000 ms | 9 |"


def rows(hub: Hub, *words: str | Path) -> list[list[str]]:
    """Run the benchmark, and return the cells of each row without the heading."""
    result = hub.call(PYTHON, "tests/bench.py", "--quick", *words, cwd=CHECKOUT)
    assert (result.code, result.err) == (0, "")
    machine, empty, _head, _rule, *table = result.out.splitlines()
    assert re.fullmatch(
        r"\S+ \S+, \d+ CPUs; Python .*; git version .*; pygit2 .*; PyYAML .*", machine
    )
    assert empty == ""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.slow
def test_every_row_is_measured(hub: Hub) -> None:
    script = peer()
    if script is None:
        pytest.skip("AgentHub's script is not here")
    table = rows(hub, "--peer", script)
    assert [row[0] for row in table] == WORK
    for _, _, _, ratio, verdict, times, pairs in table:
        assert float(ratio) > 0
        assert verdict in ("ok", "MISSED")
        assert re.fullmatch(r"[0-9.]+ / [0-9.]+ (ms|MB)", times)
        assert int(pairs) > 0


def test_without_the_peer(hub: Hub) -> None:
    table = rows(hub, "--only", "list", "--only", "update", "--only", "cleanup")
    assert [row[0] for row in table] == [*WORK[:4], WORK[11]]
    assert {row[3] for row in table} == {"skipped"}


def test_an_earlier_version(hub: Hub) -> None:
    table = rows(hub, "--only", "status_of_branches", "--before", CHECKOUT / "bin/git-hub-session")
    assert [row[:3] for row in table] == [
        [WORK[6], "`git rev-list --left-right --count` for each", "0.5"],
        [WORK[6], "the earlier version", "1.05"],
    ]
    assert float(table[1][3]) > 0
