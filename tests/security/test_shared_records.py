"""A record of a remote is hostile input: it changes nothing outside of its session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hostile_remote import (
    CONFIG_YAML,
    make_tree,
    publish,
    publish_tree,
    record,
    write_blob,
)
from tests.support.hub import Hub, snapshot
from tests.support.shared_records import post_bytes

POST = "001-agent-1-20260317T143510Z.md"


def test_links_and_strange_paths_are_not_written(hub: Hub, remote: Path) -> None:
    post = write_blob(hub, remote, post_bytes("x"))
    link = write_blob(hub, remote, b"/etc/passwd")
    channel = make_tree(hub, remote, [("100644", post, POST), ("120000", link, "002-a-b.md")])
    board = make_tree(
        hub,
        remote,
        [
            ("40000", channel, ".."),
            ("40000", channel, ".git"),
            ("40000", channel, "results"),
            ("120000", link, "dispatch"),
        ],
    )
    before = snapshot(hub.top.parent)
    publish(hub, remote, record(), ("40000", board, "board"), ("120000", link, "previous.json"))
    result = hub.run("fetch")
    assert result.code == 0, result
    created = {
        path
        for path in snapshot(hub.top.parent)
        if path not in before and ".git/" not in path and not path.startswith("shared.git")
    }
    hub_files = {"project/.agenthub/" + name for name in (".gitignore", "board/_index.json")}
    session = {f"project/.agenthub/sessions/s1/{name}" for name in ("config.yaml", "state.json")}
    assert created == {*hub_files, *session, f"project/.agenthub/board/results/{POST}"}


def test_a_tree_that_stands_for_billions_of_files(hub: Hub, remote: Path) -> None:
    blob = write_blob(hub, remote, b"x")
    tree = make_tree(hub, remote, [("100644", blob, f"{n:03}") for n in range(200)])
    for _ in range(8):
        tree = make_tree(hub, remote, [("40000", tree, f"{n:03}") for n in range(200)])
    publish_tree(hub, remote, tree)
    result = hub.run("fetch")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "error: the shared record of 's1' is too large\n"
        "hint: git push origin --delete refs/hub/sessions/s1\n"
    )
    assert not (hub.top / ".agenthub").exists()


HOSTILE = {
    "worktree": "/etc",
    "status": "running",
    "attempt": 1,
    "rescue": ["refs/heads/main"],
    "work": {"attempt-1": "refs/heads/main"},
    "exec": {"run": "../../x", "command": "rm -rf /"},
}


def test_a_record_sets_no_value_of_this_machine(hub: Hub, remote: Path) -> None:
    state = record(agents={"agent-1": HOSTILE, "../x": HOSTILE}, git_config={"core.pager": ["x"]})
    config = CONFIG_YAML + f"eval_cmd: touch {hub.top.parent}/ran\nholdout: /etc\n"
    publish(hub, remote, {**state, "config.yaml": config.encode()})
    assert hub.run("fetch").code == 0
    assert hub.state()["agents"] == {"agent-1": {"status": "ready", "attempt": 1}}
    assert "git_config" not in hub.state()
    assert "holdout" not in (hub.directory() / "config.yaml").read_text()
    # The eval command needs the approval of this user.
    result = hub.run("eval", "s1")
    assert result.code == 1
    assert not (hub.top.parent / "ran").exists()


@pytest.mark.parametrize("content", [b"{", b"[" * 10**5, b"\xff", b'{"format": 1}'])
def test_a_damaged_record_leaves_no_trace(hub: Hub, remote: Path, content: bytes) -> None:
    tip = hub.git("rev-parse", "main")
    hub.git("-C", remote, "update-ref", "refs/heads/hub/s1/agent-1/attempt-1", tip)
    publish(hub, remote, {**record(), "state.json": content})
    before = hub.refs()
    result = hub.run("fetch")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: the shared record of 's1' ")
    assert hub.refs() == before
    assert not (hub.top / ".agenthub").exists()


def test_another_session_with_the_same_id_is_not_mixed_in(hub: Hub, remote: Path) -> None:
    hub.session("s1", task="Another task")
    before = hub.state()
    publish(hub, remote, record(state="merged"))
    message = "error: 's1' is another session on the remote: 'task' differs in config.yaml\n"
    for command in ("fetch", "push"):
        assert hub.run(command, "s1").err == message
    assert hub.state() == before


def test_a_record_that_is_not_a_commit(hub: Hub, remote: Path) -> None:
    blob = write_blob(hub, remote, b"x")
    hub.git("-C", remote, "update-ref", "refs/hub/sessions/s1", blob)
    result = hub.run("fetch", "s1")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: the shared record of 's1' is damaged")
    assert hub.refs("refs/hub") == {}


def test_foreign_refs_of_a_remote_are_ignored(hub: Hub, remote: Path) -> None:
    tip = hub.git("rev-parse", "main")
    names = ("heads/hub/s1/agent-1/attempt-1", "heads/hub/s1/agent-0/attempt-1", "heads/hub/s1/x")
    for name in (*names, "hub/archive/s1/x", "hub/rescue/s1/agent-1/attempt-1/x"):
        hub.git("-C", remote, "update-ref", f"refs/{name}", tip)
    publish(hub, remote, record())
    assert hub.run("fetch").code == 0
    assert sorted(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-1/attempt-1"]
    assert sorted(hub.refs("refs/hub")) == ["refs/hub/remotes/origin/s1", "refs/hub/sessions/s1"]
