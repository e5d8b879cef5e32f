"""Kill push and fetch at each of their changes. The next call ends in the same state, without rests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clones import add_clone, add_session, post, shared_files
from tests.support.hub import Hub
from tests.support.interrupt import Template, count_changes, kill_at_changes


def _posts(hub: Hub) -> set[bytes]:
    return {path.read_bytes() for path in hub.top.glob(".agenthub/board/*/*.md")}


def _rests(hub: Hub) -> list[str]:
    """Return what a killed call has left in a clone."""
    files = [*hub.top.glob(".git/**/*.lock"), *hub.top.glob(".git/fast_import_crash*")]
    return [*map(str, files), *hub.refs("refs/hub/incoming")]


@pytest.mark.parametrize("case", ["push", "fetch", "first fetch"])
def test_a_killed_call_is_finished_by_the_next_one(hub: Hub, remote: Path, case: str) -> None:
    add_session(hub)
    assert hub.run("push").code == 0
    other = add_clone(hub, "other", str(remote))
    if case != "first fetch":
        other.run("fetch")
        post(other, "bob")
    tip = hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-1", "file", "x")
    post(hub, "ada")
    hub.run("push")
    template = Template(other, [hub.top, hub.top.parent / "project.hub", other.top, remote])
    command = case.removeprefix("first ")
    count = count_changes(other, command, "s1")
    expected = _posts(hub) | _posts(other)
    for number in kill_at_changes(other, template, (command, "s1"), count, short=4):
        result = other.run(command, "s1")
        assert (result.code, result.err) == (0, ""), number
        assert other.run("fetch", "s1").code == 0, number
        assert other.run("push", "s1").code == 0, number
        assert hub.run("fetch", "s1").code == 0, number
        assert shared_files(hub) == shared_files(other), number
        assert _posts(hub) == _posts(other) == expected, number
        assert other.refs("refs/heads/hub")["refs/heads/hub/s1/agent-1/attempt-1"] == tip, number
        assert _rests(other) == [], number
        assert other.json("doctor")["findings"] == [], number
