"""A refresh of the live view reads only what has changed, and scans only within its budget."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from git_hub_session.session.project import Project
from git_hub_session.watch import worktrees
from git_hub_session.watch.collect import Collector
from git_hub_session.watch.facts import Snapshot
from git_hub_session.watch.worktrees import ChangeScanner
from git_hub_session.worktree.status import WorktreeStatus, read_worktree_status
from tests.support.hub import NOW, Hub

AGENTS = 12

_opened: Counter[str] = Counter()
"""The files that this process has opened, by their last two names."""


def count_opened(event: str, arguments: tuple[object, ...]) -> None:
    """Count a file or directory that is opened. An audit hook cannot be removed."""
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        _opened["/".join(arguments[0].split("/")[-2:])] += 1


sys.addaudithook(count_opened)


@pytest.fixture
def watched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """Return a collector that has read a session with many worktrees."""
    hub.session(agents=AGENTS)
    hub.run("update", "-q", "s1", "--state", "running")
    monkeypatch.chdir(hub.top)
    project = Project({**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)})
    collector = Collector(project, None)
    collector.collect()
    collector.collect()
    return collector


def opened_by(call: Callable[[], Snapshot]) -> Counter[str]:
    """Return the files that a call opens, without those of /proc."""
    _opened.clear()
    assert call().error == ""
    names = ("HEAD", "index", "gitdir", "state.json", "config.yaml", "packed-refs")
    return Counter({path: count for path, count in _opened.items() if path.endswith(names)})


def test_a_refresh_without_a_change_opens_no_file_of_a_worktree(watched: Collector) -> None:
    assert opened_by(watched.collect) == {}


def test_a_change_is_read_alone(watched: Collector, hub: Hub) -> None:
    """Two of the files belong to one worktree: the others are not read again."""
    hub.commit(hub.worktree(3), "new", "text")
    opened = opened_by(watched.collect)
    assert {path.split("/")[0] for path in opened} <= {"agent-3"}
    assert opened["agent-3/HEAD"] > 0


def test_scans_stay_within_their_budget(
    watched: Collector, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan of a large worktree takes a second here. Then the scans pause for 20 seconds."""
    clock = 1000.0
    scanned: list[float] = []

    def read_slowly(*arguments: Any) -> WorktreeStatus:
        nonlocal clock
        clock += 1
        scanned.append(clock)
        return read_worktree_status(*arguments)

    monkeypatch.setattr(worktrees, "monotonic", lambda: clock)
    monkeypatch.setattr(worktrees, "read_worktree_status", read_slowly)
    scanner = ChangeScanner()
    monkeypatch.setattr(watched, "_scanner", scanner)
    while len(scanned) < AGENTS:
        watched.collect()
        clock += 2
    first_round = clock
    assert first_round - 1000 <= 3 * AGENTS + 5  # half of a core
    scanned.clear()
    while clock < first_round + 1000:
        watched.collect()
        clock += 2
    assert 0 < len(scanned) <= 0.05 * 1000 + 2
