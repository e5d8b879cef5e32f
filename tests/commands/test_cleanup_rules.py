"""The rules that keep a worktree: conditions and hints that the other tests do not cover."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept, removed
from tests.support.hints import hints
from tests.support.hub import Hub, Result
from tests.support.interrupt import run_with_injected_code

FORCE = "git hub-session cleanup --force s1"


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1."""
    return hub.session("s1", agents=1).worktree(1)


@pytest.fixture
def spawned_worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1 at the path that `spawn` chooses."""
    assert hub.session("s1").run("spawn", "-q", "s1").code == 0
    return Path(hub.run("path", "s1", "1").out.strip())


def worktree_git_dir(hub: Hub) -> Path:
    """Return the git dir of the worktree."""
    return hub.top / ".git" / "worktrees" / "agent-1"


def test_mount_found_by_its_device_number(hub: Hub, worktree: Path) -> None:
    """The table of mounts may be unavailable, as in a container without /proc."""
    mount_point = worktree / "memory"
    mount_point.mkdir()
    mount_result = subprocess.run(
        ["mount", "-t", "tmpfs", "none", mount_point], capture_output=True, text=True
    )
    if mount_result.returncode:
        pytest.skip(f"cannot mount here: {mount_result.stderr.strip()}")
    try:
        (mount_point / "precious").write_text("precious\n")
        before = everything(hub)
        hide = "git_hub_session.system.procfs.mount_points = list"
        head = str(worktree_git_dir(hub) / "HEAD")
        result = run_with_injected_code(
            hub, "cleanup", "--force", "--discard", "s1", code=hide, opened=head
        )
        assert result == kept(worktree, "contains a mount point: 'memory'")
        assert everything(hub) == before
    finally:
        subprocess.run(["umount", mount_point], check=True)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "'pipe-0'"),
        (3, "'pipe-0', 'pipe-1', 'pipe-2'"),
        (4, "'pipe-0', 'pipe-1', 'pipe-2' and 1 more"),
        (6, "'pipe-0', 'pipe-1', 'pipe-2' and 3 more"),
    ],
)
def test_three_paths_are_listed_and_the_others_counted(
    hub: Hub, worktree: Path, count: int, shown: str
) -> None:
    for number in range(count):
        os.mkfifo(worktree / f"pipe-{number}")
    reason = f"git cannot store a special file: {shown}"
    paths = " ".join(str(worktree / f"pipe-{number}") for number in range(count))
    assert hub.run("cleanup", "s1") == kept(worktree, reason, f"rm {paths}")
    assert hub.call("sh", "-c", f"rm {paths}") == Result(0)
    assert hub.run("cleanup", "s1") == removed(worktree)


def test_ignored_pipe_that_matches_keep_ignored(hub: Hub, worktree: Path) -> None:
    """Git cannot save a pipe, and a pipe has no content. The pipe is removed."""
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text(".env\n")
    os.mkfifo(worktree / ".env")
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert hub.refs("refs/hub") == {}


def test_committed_directory_that_looks_like_a_repository(hub: Hub, worktree: Path) -> None:
    """A tracked directory with HEAD, objects and refs is not another repository."""
    for name in ("fixture/HEAD", "fixture/objects/pack", "fixture/refs/heads"):
        path = worktree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a test's\n")
    hub.git("add", ".", cwd=worktree)
    hub.git("commit", "-q", "-m", "fixture", cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert not worktree.exists()


def test_force_comes_first_if_the_worktree_is_missing(hub: Hub, worktree: Path) -> None:
    """An operation cannot be aborted in a missing directory, so the hint starts with --force."""
    (worktree_git_dir(hub) / "MERGE_HEAD").write_text(hub.git("rev-parse", "main") + "\n")
    worktree.rename(hub.top.parent / "away")
    result = hub.run("cleanup", "s1")
    assert hints(result) == [FORCE, "git hub-session doctor s1"]
    assert result.code == 1


def test_force_is_not_offered_if_the_head_is_damaged(hub: Hub, spawned_worktree: Path) -> None:
    """The commits of the worktree are unknown: --force keeps the worktree too."""
    (worktree_git_dir(hub) / "HEAD").write_text("")
    result = hub.run("cleanup", "s1")
    assert "  its HEAD cannot be read\n" in result.out
    assert "--force" not in result.out
    assert hub.run("cleanup", "--force", "s1") == result
    assert spawned_worktree.is_dir()


def test_force_is_offered_and_works_if_the_head_is_detached(
    hub: Hub, spawned_worktree: Path
) -> None:
    hub.git("switch", "-q", "--detach", cwd=spawned_worktree)
    result = hub.run("cleanup", "s1")
    assert result.code == 1
    assert f"  hint: {FORCE}\n" in result.out
    assert hub.call("sh", "-c", FORCE).code == 0
    assert not spawned_worktree.exists()
