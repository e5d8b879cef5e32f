"""Saved work whose objects are missing: `restore` refuses, and the doctor finds the ref."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cleanup import kept
from tests.support.hub import Hub, Result

RESTORE = ("restore", "s1", "--path", "../worktrees/{id}/agent-{n}")
REF = "refs/hub/rescue/s1/agent-1/attempt-1/1"
OBJECTS = {
    "commit": REF,
    "index commit": f"{REF}^2",
    "tree": f"{REF}^{{tree}}",
    "staged tree": f"{REF}^2^{{tree}}",
    "untracked tree": f"{REF}^3^{{tree}}",
    "blob": f"{REF}^3:new",
}


def save_work(hub: Hub) -> None:
    """Save a changed, a staged and an untracked file. Write all objects as loose files."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    (worktree / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=worktree)
    (worktree / "file").write_text("changed\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    packs = hub.top / ".git" / "objects" / "pack"
    for pack in packs.glob("*.pack"):
        moved = hub.top.parent / pack.name
        pack.rename(moved)
        for file in packs.glob(f"{pack.stem}.*"):
            file.unlink()
        assert hub.call("sh", "-c", f"git unpack-objects -q <{moved}").code == 0


def loose_file(hub: Hub, oid: str) -> Path:
    return hub.top / ".git" / "objects" / oid[:2] / oid[2:]


@pytest.mark.parametrize("name", OBJECTS)
def test_missing_object(hub: Hub, name: str) -> None:
    """The work is not forgotten: it comes back when the object is there again."""
    save_work(hub)
    oid = hub.git("rev-parse", OBJECTS[name])
    data = loose_file(hub, oid).read_bytes()
    loose_file(hub, oid).unlink()
    result = hub.run(*RESTORE)
    assert result.code == 1, result
    assert not hub.worktree(1).exists()
    if name != "blob":  # git names the missing blob when it writes the files
        reason = f"cannot read the saved work '{REF}': an object is missing"
        assert reason in result.out + result.err
    [finding] = [
        finding
        for finding in hub.json("doctor", "s1", code=1)["findings"]
        if finding["code"] == "ref-broken"
    ]
    assert finding["subject"] == REF
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    loose_file(hub, oid).write_bytes(data)
    assert hub.run("doctor", "s1").code == 0
    assert hub.run(*RESTORE).code == 0
    assert (hub.worktree(1) / "new").read_text() == "new\n"
    assert (hub.worktree(1) / "file").read_text() == "changed\n"


def test_truncated_rescue_ref(hub: Hub) -> None:
    """git does not list a ref with an empty file."""
    save_work(hub)
    path = hub.top / ".git" / REF
    text = path.read_text()
    path.write_text("")
    assert hub.run(*RESTORE).code == 1
    assert not hub.worktree(1).exists()
    path.write_text(text)
    assert hub.run(*RESTORE).code == 0
    assert (hub.worktree(1) / "new").read_text() == "new\n"


def test_archive_tag_with_a_missing_object(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "work", "work\n")
    assert hub.run("archive", "-q", "s1").code == 0
    loose_file(hub, hub.git("rev-parse", "hub/archive/s1/agent-1:work")).unlink()
    findings = hub.json("doctor", "s1", code=1)["findings"]
    assert [(finding["code"], finding["subject"]) for finding in findings] == [
        ("ref-broken", "hub/archive/s1/agent-1"),
        ("ref-broken", "refs/hub/archive/s1/agent-1/attempt-1/1"),
    ]


def test_checked_out_branch_without_its_commit(hub: Hub) -> None:
    """The hint of `cleanup` leads to the doctor, whose command finds the commit before it."""
    worktree = hub.session("s1", agents=1).worktree(1)
    before = hub.commit(worktree, "first", "first\n")
    lost = hub.commit(worktree, "second", "second\n")
    loose_file(hub, lost).unlink()
    result = hub.run("cleanup", "s1")
    message, hint = "HEAD points to no commit", "git hub-session doctor s1"
    assert result == kept(worktree, message, hint)
    [finding] = hub.json("doctor", "s1", code=1)["findings"]
    branch = "refs/heads/hub/s1/agent-1/attempt-1"
    assert finding["advice"] == f"git update-ref --no-deref {branch} {before}"
    assert hub.call("sh", "-c", finding["advice"]) == Result(0)
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert hub.run("restore", "-q", *RESTORE[1:]).code == 0
    assert (worktree / "second").read_text() == "second\n"
