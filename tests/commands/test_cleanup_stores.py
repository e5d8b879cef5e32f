"""Directories of a worktree from which the repository, or Git LFS, reads contents of commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub, Result


def assert_kept(hub: Hub, path: Path, reason: str, hint: str) -> None:
    """Assert that `cleanup` keeps the worktree, and type the hint. Then it is removed."""
    before = everything(hub)
    result = hub.run("cleanup", "--force", "--discard", "s1")
    assert result.code == 1
    assert f"  cannot delete '{path}': {reason}\n" in result.out
    assert everything(hub) == before
    type_hint(hub, find_hint(result, hint))
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not hub.worktree(1).exists()


def ignore_cache(hub: Hub) -> None:
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text("cache/\n")


@types("git --git-dir {} repack -adq && rm {}")
@pytest.mark.parametrize("relative", [False, True])
def test_borrowed_objects(hub: Hub, relative: bool) -> None:
    """Objects of the branch are in an ignored directory of the worktree."""
    ignore_cache(hub)
    worktree = hub.session("s1", agents=1).worktree(1)
    objects = worktree / "cache" / "objects"
    objects.mkdir(parents=True)
    own = hub.top / ".git" / "objects"
    path = Path("../../..") / objects.relative_to(hub.top.parent) if relative else objects
    (own / "info" / "alternates").write_text(f"# borrowed\n{path}\n")
    environ = {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(own)}
    (worktree / "new").write_text("new\n")
    for command in (["add", "new"], ["commit", "-q", "-m", "new"]):
        assert hub.call("git", *command, cwd=worktree, environ=environ).code == 0
    branch = "hub/s1/agent-1/attempt-1"
    assert hub.git("show", f"{branch}:new") == "new"
    hint = "git --git-dir {} repack -adq && rm {}"
    assert_kept(hub, objects, "git reads objects from it", hint)
    assert hub.git("show", f"{branch}:new") == "new"
    assert hub.call("git", "fsck", "--strict").code == 0


@types("cp -R {}/. {} && git config -f {} --unset lfs.storage")
def test_contents_of_git_lfs_for_all_worktrees(hub: Hub) -> None:
    ignore_cache(hub)
    worktree = hub.session("s1", agents=1).worktree(1)
    storage = worktree / "cache" / "lfs"
    hub.git("config", "lfs.storage", str(storage))
    (storage / "objects").mkdir(parents=True)
    (storage / "objects" / "content").write_text("content\n")
    hint = "cp -R {}/. {} && git config -f {} --unset lfs.storage"
    assert_kept(hub, storage, "Git LFS stores contents in it", hint)
    assert (hub.top / ".git" / "lfs" / "objects" / "content").read_text() == "content\n"
    assert hub.call("git", "config", "lfs.storage").code == 1


@types("cp -R {}/. {} && rm -r {}")
@pytest.mark.parametrize("place", ["git dir", "worktree"])
def test_contents_of_git_lfs_for_one_worktree(hub: Hub, place: str) -> None:
    """The storage is in the git dir of the worktree, which is removed too."""
    ignore_cache(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    worktree = hub.session("s1", agents=1).worktree(1)
    git_dir = hub.git("rev-parse", "--absolute-git-dir", cwd=worktree)
    storage = (worktree / "cache" if place == "worktree" else Path(git_dir)) / "own lfs"
    hub.git("config", "--worktree", "lfs.storage", str(storage), cwd=worktree)
    (storage / "objects").mkdir(parents=True)
    (storage / "objects" / "content").write_text("content\n")
    hint = "cp -R {}/. {} && rm -r {}"
    assert_kept(hub, storage, "Git LFS stores contents in it", hint)
    assert (hub.top / ".git" / "lfs" / "objects" / "content").read_text() == "content\n"


def test_storage_elsewhere_keeps_no_worktree(hub: Hub, tmp_path: Path) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (tmp_path / "lfs").mkdir()
    (tmp_path / "lfs" / "content").write_text("content\n")
    hub.git("config", "lfs.storage", str(tmp_path / "lfs"))
    alternates = hub.top / ".git" / "objects" / "info" / "alternates"
    alternates.write_text(f"{worktree}/missing\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not worktree.exists()
