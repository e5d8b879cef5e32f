"""The contents of Git LFS files in saved work survive `git lfs prune`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import BRANCH
from tests.support.hub import Hub, Result

RESTORE = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")

pytestmark = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of an agent in a repository with LFS files."""
    hub.git("lfs", "install", "--local")
    (hub.top / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    hub.commit(hub.top, "old.bin", "old\n")
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "attributes")
    for name in ("lfs.fetchrecentrefsdays", "lfs.fetchrecentcommitsdays", "lfs.pruneoffsetdays"):
        hub.git("config", name, "0")
    return hub.session("s1", agents=1).worktree(1)


def prune(hub: Hub) -> None:
    """Delete all contents that Git LFS does not need, as `git lfs prune` does for old ones."""
    hub.git("remote", "add", "origin", hub.top)
    hub.git("lfs", "prune")


@pytest.mark.parametrize("storage", ["", "elsewhere"])
def test_contents_after_lfs_prune(hub: Hub, worktree: Path, storage: str) -> None:
    if storage:
        hub.git("config", "lfs.storage", str(hub.top.parent / storage))
        (hub.top / ".git" / "lfs").rename(hub.top.parent / storage)
    (worktree / "staged.bin").write_text("staged\n")
    hub.git("add", "staged.bin", cwd=worktree)
    (worktree / "staged.bin").write_text("changed later\n")
    (worktree / "old.bin").write_text("changed\n")
    (worktree / "new.bin").write_text("untracked\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    prune(hub)
    assert hub.run(*RESTORE) == Result(0)
    assert (worktree / "staged.bin").read_text() == "changed later\n"
    assert (worktree / "old.bin").read_text() == "changed\n"
    assert (worktree / "new.bin").read_text() == "untracked\n"
    hub.git("checkout-index", "-f", "staged.bin", cwd=worktree)
    assert (worktree / "staged.bin").read_text() == "staged\n"


def test_pointers_with_extensions(hub: Hub, worktree: Path) -> None:
    """The pointer has a line for each extension before the id of the content."""
    for command in ("clean", "smudge"):
        hub.git("config", f"lfs.extension.reverse.{command}", "rev")
    hub.git("config", "lfs.extension.reverse.priority", "0")
    (worktree / "new.bin").write_text("untracked\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    prune(hub)
    assert hub.run(*RESTORE) == Result(0)
    assert (worktree / "new.bin").read_text() == "untracked\n"


def test_contents_of_archived_commits(hub: Hub, worktree: Path) -> None:
    """`git fetch` has deleted the tag. A rescue ref has the commit that was amended."""
    amended = hub.commit(worktree, "first.bin", "first\n")
    (worktree / "second.bin").write_text("second\n")
    hub.git("rm", "-q", "first.bin", cwd=worktree)
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "--amend", "-m", "second", cwd=worktree)
    (worktree / "second.bin").write_text("third\n")
    hub.git("commit", "-q", "-a", "-m", "third", cwd=worktree)
    assert hub.run("archive", "-q", "s1").code == 0
    hub.git("tag", "-d", "hub/archive/s1/agent-1")
    prune(hub)
    assert hub.run("restore", "s1", "--path", RESTORE[-1]).code == 0
    assert (worktree / "second.bin").read_text() == "third\n"
    hub.git("checkout", "-q", "HEAD~1", "--", "second.bin", cwd=worktree)
    hub.git("checkout", "-q", amended, "--", "first.bin", cwd=worktree)
    texts = [(worktree / f"{name}.bin").read_text() for name in ("first", "second")]
    assert texts == ["first\n", "second\n"]


def test_contents_of_unreachable_commits(hub: Hub, worktree: Path) -> None:
    """Only the reflog of HEAD has the commits. Another content belongs to the work."""
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    hub.commit(worktree, "first.bin", "first\n")
    hub.git("rm", "-q", "first.bin", cwd=worktree)
    lost = hub.commit(worktree, "second.bin", "second\n")
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    (worktree / "new.bin").write_text("untracked\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    prune(hub)
    result = hub.run("restore", "s1", "--path", RESTORE[-1])
    assert result.code == 0, result
    hub.git("checkout", "-q", f"{lost}~1", "--", "first.bin", cwd=worktree)
    hub.git("checkout", "-q", lost, "--", "second.bin", cwd=worktree)
    texts = [(worktree / f"{name}.bin").read_text() for name in ("first", "second", "new")]
    assert texts == ["first\n", "second\n", "untracked\n"]
