"""Objects of the repository that a power failure or a bad disk has damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub, Result

RESTORE = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")


def damage(hub: Hub, revision: str, data: bytes = b"") -> Path:
    """Overwrite the file of a loose object."""
    oid = hub.git("rev-parse", revision)
    path = hub.top / ".git" / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(data)
    return path


@types("mv {} {}")
@pytest.mark.parametrize("data", [b"", b"x", b"x\x9cK\xca\xc9OR0d\xc8"])
def test_blob_of_head_with_the_contents_of_a_renamed_file(hub: Hub, data: bytes) -> None:
    """git writes no object that exists, so only the worktree has the contents."""
    hub.commit(hub.top, "file", "unique contents\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    damaged = damage(hub, "HEAD:file", data)
    (worktree / "file").rename(worktree / "renamed")
    result = hub.run("cleanup", "s1")
    assert result.code == 1
    text = f"'renamed' (git has a damaged object for its contents: {damaged.parent.name}"
    assert text in result.out
    assert (worktree / "renamed").read_text() == "unique contents\n"
    type_hint(hub, find_hint(result, "mv {} {}"))
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run(*RESTORE) == Result(0)
    assert (worktree / "renamed").read_text() == "unique contents\n"
    assert not (worktree / "file").exists()
    assert hub.call("git", "fsck", "--connectivity-only").code == 0


def test_damaged_stash(hub: Hub) -> None:
    """`restore` and the doctor say that the saved work cannot be read."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    [(ref, oid)] = hub.refs("refs/hub/rescue").items()
    for pack in (hub.top / ".git/objects/pack").glob("*.pack"):
        moved = hub.top.parent / pack.name
        pack.rename(moved)
        pack.with_suffix(".idx").unlink()
        assert hub.call("sh", "-c", f"git unpack-objects -q <{moved}").code == 0
    damage(hub, f"{oid}^2")
    result = hub.run(*RESTORE)
    assert result.code == 1
    assert f"cannot read the saved work '{ref}'" in result.err
    codes = [finding["code"] for finding in hub.json("doctor", "s1", code=1)["findings"]]
    assert codes == ["ref-broken"]


def test_contents_of_a_blob_that_a_partial_clone_does_not_have(hub: Hub) -> None:
    """A new file has the contents of a file of HEAD that was never fetched, and the remote is gone."""
    remote = hub.top.parent / "remote.git"
    hub.commit(hub.top, "absent", "unique contents\n")
    oid = hub.git("rev-parse", "HEAD:absent")
    hub.git("clone", "-q", "--bare", hub.top, remote)
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "remote.origin.url", remote)
    hub.git("config", "remote.origin.promisor", "true")
    hub.git("sparse-checkout", "set", "--no-cone", "/file", cwd=worktree)
    (hub.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    (worktree / "new").write_text("unique contents\n")
    remote.rename(remote.with_name("away.git"))
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    [ref] = hub.refs("refs/hub/rescue")
    assert hub.git("show", f"{ref}^3:new") == "unique contents"
