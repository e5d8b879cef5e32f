"""Kill push and fetch at each of their changes. The next call ends in the same state, without rests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clones import add_clone, bare_remote, connect, shared_files
from tests.support.hub import Hub
from tests.support.interrupt import Template, count_changes, kill_at_changes


def _post(hub: Hub, author: str) -> None:
    words = ("board", "post", "results", "--session", "s1", "--author", author, "-m", "x")
    assert hub.run(*words).code == 0


def _posts(hub: Hub) -> set[bytes]:
    return {path.read_bytes() for path in hub.top.glob(".agenthub/board/*/*.md")}


@pytest.fixture
def remote(hub: Hub) -> Path:
    return bare_remote(hub)


@pytest.fixture
def first(hub: Hub, remote: Path) -> Hub:
    """Return a clone that has published a session of two agents."""
    connect(hub, str(remote))
    hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    hub.run("push")
    return hub


def _rests(hub: Hub) -> list[str]:
    """Return what a killed call has left in a clone."""
    files = [*hub.top.glob(".git/**/*.lock"), *hub.top.glob(".git/fast_import_crash*")]
    return [*map(str, files), *hub.refs("refs/hub/incoming")]


@pytest.mark.parametrize("case", ["push", "fetch", "first fetch"])
def test_a_killed_call_is_finished_by_the_next_one(first: Hub, remote: Path, case: str) -> None:
    other = add_clone(first, "other", str(remote))
    if case != "first fetch":
        other.run("fetch")
        _post(other, "bob")
    tip = first.commit(first.top.parent / "project.hub" / "s1" / "agent-1", "file", "x")
    _post(first, "ada")
    first.run("push")
    template = Template(other, [first.top, first.top.parent / "project.hub", other.top, remote])
    command = case.removeprefix("first ")
    count = count_changes(other, command, "s1")
    expected = _posts(first) | _posts(other)
    for number in kill_at_changes(other, template, (command, "s1"), count, short=4):
        result = other.run(command, "s1")
        assert (result.code, result.err) == (0, ""), number
        assert other.run("fetch", "s1").code == 0, number
        assert other.run("push", "s1").code == 0, number
        assert first.run("fetch", "s1").code == 0, number
        assert shared_files(first) == shared_files(other), number
        assert _posts(first) == _posts(other) == expected, number
        assert other.refs("refs/heads/hub")["refs/heads/hub/s1/agent-1/attempt-1"] == tip, number
        assert _rests(other) == [], number
        assert other.json("doctor")["findings"] == [], number
