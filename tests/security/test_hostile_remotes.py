"""A hostile remote harms neither a clone nor its user: refs, texts and numbers of a record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.attack_invariants import CONTROL_CHARACTERS
from tests.support.attacks import EVIL_NAME as EVIL
from tests.support.hostile_remote import (
    CONFIG_YAML,
    RECORD,
    make_tree,
    publish,
    record,
    write_blob,
)
from tests.support.hub import Hub, snapshot
from tests.support.shared_records import post_bytes

READING = (
    ("list",),
    ("list", "--format=porcelain"),
    ("status", "s1"),
    ("status", "--short"),
    ("show", "s1", "agent-1"),
    ("log", "s1"),
    ("log", "--frontier", "s1"),
    ("report", "s1", "-o", "-"),
    ("board", "list"),
    ("board", "read", "results"),
    ("doctor",),
    ("cleanup", "-n", "s1"),
    ("restore", "-n", "s1"),
    ("push", "-n"),
    ("fetch", "s1"),
)
"""The commands that show a session."""


def remote_ref(hub: Hub, remote: Path, ref: str, oid: str) -> None:
    """Create or move a ref of the remote."""
    hub.git("-C", remote, "update-ref", ref, oid)


def object_ids(hub: Hub, remote: Path, commit: str) -> dict[str, str]:
    """Return objects of all types by the names of their types."""
    hub.git("-C", remote, "tag", "-a", "-m", "x", "t", commit)
    return {
        "tag": hub.git("-C", remote, "rev-parse", "t"),
        "tree": hub.git("-C", remote, "rev-parse", f"{commit}^{{tree}}"),
        "blob": write_blob(hub, remote, b"x"),
    }


@pytest.mark.parametrize("kind", ["tag", "tree", "blob"])
def test_a_record_of_another_type(hub: Hub, remote: Path, kind: str) -> None:
    oid = object_ids(hub, remote, publish(hub, remote, record()))[kind]
    remote_ref(hub, remote, RECORD, oid)
    message = (
        f"error: the shared record of 's1' is damaged: not a commit: {oid[:12]}\n"
        "hint: git push origin --delete refs/hub/sessions/s1\n"
    )
    assert hub.run("fetch") == (1, "", message)
    assert hub.refs("refs/hub") == {}
    assert not (hub.top / ".agenthub").exists()


def test_archives_that_are_no_commits(hub: Hub, remote: Path) -> None:
    commit = publish(hub, remote, record())
    for number, oid in enumerate(object_ids(hub, remote, commit).values(), 1):
        name = f"s1/agent-1/attempt-{number}/1"
        remote_ref(hub, remote, f"refs/hub/archive/{name}", oid)
    remote_ref(hub, remote, "refs/heads/hub/s1/agent-1/attempt-1", commit)
    result = hub.run("fetch")
    assert (result.code, result.err) == (0, "")
    assert hub.refs("refs/hub/archive") == {}
    assert [*hub.refs("refs/heads/hub").values()] == [commit]


def test_names_that_are_no_sessions(hub: Hub, remote: Path) -> None:
    commit = publish(hub, remote, record())
    hub.git("-C", remote, "update-ref", "-d", RECORD)
    for name in ("a/b", "s1/x", "é", "x;y"):
        remote_ref(hub, remote, f"refs/hub/sessions/{name}", commit)
    assert hub.run("fetch") == (0, "origin: no changes\n", "")
    assert hub.refs("refs/hub") == {}
    assert hub.run("list").code == 0


def test_an_entry_that_would_win_for_ever(hub: Hub, remote: Path) -> None:
    publish(hub, remote, record(agents={"agent-1": {"status": "failed", "attempt": 1}}))
    assert hub.run("fetch").code == 0
    good = hub.refs(RECORD)[RECORD]
    before = hub.state()
    largest = 999_999_999
    for attempt, counter in ((1, largest), (largest, 1)):
        agent = {"status": "done", "attempt": attempt}
        stamps = {"agent-1": [attempt, counter, "f" * 32]}
        publish(hub, remote, record(agents={"agent-1": agent}, stamps=stamps))
        message = (
            "error: the shared record of 's1' is damaged:"
            f" the stamp of 'agent-1' is too large: [{attempt}, {counter}, '{'f' * 32}']\n"
            "hint: git push origin --delete refs/hub/sessions/s1\n"
        )
        assert hub.run("fetch") == (1, "", message)
        assert hub.run("push") == (1, "", message)
    assert (hub.state(), hub.refs(RECORD)) == (before, {RECORD: good})
    # The record of this clone replaces the hostile one.
    hub.git("push", "-q", "--force", "origin", RECORD)
    assert hub.run("push") == (0, "Session s1 is up to date on origin\n", "")


def test_a_post_with_the_last_number(hub: Hub, remote: Path) -> None:
    post = write_blob(hub, remote, post_bytes("x"))
    name = "999999999-agent-1-20260317T143510Z.md"
    channel = make_tree(hub, remote, [("100644", post, name)])
    board = make_tree(hub, remote, [("40000", channel, "results")])
    publish(hub, remote, record(), ("40000", board, "board"))
    assert hub.run("fetch").code == 0
    for number in (1, 2):
        words = ("board", "post", "results", "--session", "s1", "--author", "ada", "-m", "x")
        posted = f"Posted results/{number:03}-ada-20260317T143022Z\n"
        assert hub.run(*words) == (0, posted, "")


def hostile_files(hub: Hub) -> dict[str, bytes]:
    """Return a record with a hostile text in the place of each text."""
    result = {"rank": 1, "metric": 1e300, "reason": EVIL, "guarded": [EVIL]}
    run = {"run": "exec-1", "cut_off": EVIL, "not_committed": EVIL, "exit_code": 1}
    verdict = {"text": EVIL, "by": EVIL, "ranking": [EVIL], "judge": EVIL}
    step = {"at": "2026-03-17T14:30:22Z", "from": "init", "to": "running"}
    state = record(
        base_commit=hub.git("rev-parse", "main"),
        agents={
            "agent-1": {"status": "failed", "attempt": 1, "exec": run, "result": result},
            EVIL: {"status": "failed", "attempt": 1},
        },
        evaluation={
            "at": "2026-03-17T14:30:22Z",
            "direction": "max",
            "verdict": verdict,
            "require": [EVIL],
            "guard": [EVIL],
            **dict.fromkeys(("command", "metric", "unit"), EVIL),
        },
        merge={
            "agent": 1,
            "attempt": 1,
            "tip": "1" * 40,
            "commit": "1" * 40,
            **dict.fromkeys(("into", "kind"), EVIL),
        },
        history=[{**step, "by": EVIL, "verb": EVIL, "reason": EVIL}],
        parent={"session_id": EVIL, "agent": 1, "attempt": 1, "commit": "1" * 40},
    )
    text = json.dumps(EVIL)
    keys = ("eval_cmd", "metric", "strategies", "template", "guard", "require", "direction")
    settings = "".join(f"{key}: {text}\n" for key in keys)
    config = CONFIG_YAML.replace('"Make it fast"', text) + settings
    line = {"at": "2026-03-17T14:30:22Z", "agent": 1, "attempt": 1, "value": 1.0}
    line |= dict.fromkeys(("by", "metric", "unit", "verdict", "reason", "judge"), EVIL)
    return {
        "config.yaml": config.encode(),
        "state.json": state["state.json"],
        "evaluations.jsonl": json.dumps(line).encode(),
        "previous.json": json.dumps({"rounds": [{"task": EVIL}]}).encode(),
    }


def test_no_text_controls_the_terminal(hub: Hub, remote: Path) -> None:
    post = write_blob(hub, remote, post_bytes(EVIL))
    names = ("001-agent-1-20260317T143510Z.md", "002-\x1b[31m-20260317T143510Z.md")
    channel = make_tree(hub, remote, [("100644", post, name) for name in names])
    module = ("160000", "1" * 40, "sub")
    boards = [("40000", channel, name) for name in ("-x", "\x1b[31m", "results")]
    board = make_tree(hub, remote, [*boards, module])
    files = hostile_files(hub)
    publish(hub, remote, files, ("40000", board, "board"), module)
    tip = hub.git("rev-parse", "main")
    hub.git("-C", remote, "update-ref", "refs/heads/hub/s1/agent-1/attempt-1", tip)
    outside = {path for path in snapshot(hub.top.parent) if not path.startswith("project/")}
    assert hub.run("fetch").code == 0
    assert (hub.top / ".agenthub/board/results" / names[0]).exists()
    for words in READING:
        result = hub.run(*words)
        assert result.code in (0, 1, 128), result
        shown = CONTROL_CHARACTERS.findall(result.out + result.err)
        assert shown == [], (words, result)
        forged = [line for line in result.out.splitlines() if line == "worktree /forged"]
        assert "report" in words or "board" in words or not forged, (words, result)
    assert {path for path in snapshot(hub.top.parent) if not path.startswith("project/")} == outside


def test_sessions_that_are_parents_of_each_other(hub: Hub, remote: Path) -> None:
    for sid, other in (("s1", "s2"), ("s2", "s1")):
        parent = {"session_id": other, "agent": 1, "attempt": 1, "commit": "1" * 40}
        files = {
            name: data.replace(b'session_id": "s1"', f'session_id": "{sid}"'.encode(), 1)
            for name, data in record(parent=parent).items()
        }
        config = files["config.yaml"].replace(b"session_id: s1", f"session_id: {sid}".encode())
        oid = publish(hub, remote, {**files, "config.yaml": config})
        remote_ref(hub, remote, f"refs/hub/sessions/{sid}", oid)
        if sid == "s1":
            first = oid
    remote_ref(hub, remote, RECORD, first)
    assert hub.run("fetch").code == 0
    for words in READING:
        assert hub.run(*words).code in (0, 1, 128), words


def test_a_saved_tree_with_a_link_and_a_directory_of_one_name(hub: Hub, remote: Path) -> None:
    tip = hub.git("rev-parse", "main")
    base = hub.git("rev-parse", "main^{tree}")
    hub.git("push", "-q", "origin", "main")
    target = hub.top.parent / "outside"
    target.mkdir()
    link = write_blob(hub, remote, str(target).encode())
    text = write_blob(hub, remote, b"hostile\n")
    child = make_tree(hub, remote, [("100644", text, "b")])
    for order in (0, 1):
        entries = [("40000", child, "a"), ("120000", link, "a")]
        tree = make_tree(hub, remote, entries[::-1] if order else entries)
        index = hub.git("-C", remote, "commit-tree", base, "-p", tip, "-m", "index on main: x")
        message = "saved\n\nFiltered: {}"
        stash = hub.git(*("-C", remote, "commit-tree", tree, "-p", tip, "-p", index, "-m", message))
        ref = f"refs/hub/rescue/s1/agent-{1 + order}/attempt-1/1"
        remote_ref(hub, remote, ref, stash)
        remote_ref(hub, remote, f"refs/heads/hub/s1/agent-{1 + order}/attempt-1", tip)
    publish(hub, remote, record())
    assert hub.run("fetch").code == 0
    result = hub.run("restore", "s1")
    lines = [f"error: agent-{number}: 'git checkout-index' failed (exit 1)\n" for number in (1, 2)]
    assert (result.code, result.err) == (1, "".join(lines))
    assert list(target.iterdir()) == []
