"""The rules that keep a worktree: each condition and each hint that a shorter rule would lose."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept, removed
from tests.support.hub import Hub
from tests.support.interrupt import run_with_injected_code

FORCE = "git hub-session cleanup --force s1"


@pytest.fixture
def where(hub: Hub) -> Path:
    """The worktree of session s1's one agent."""
    return hub.session("s1", agents=1).worktree(1)


@pytest.fixture
def spawned(hub: Hub) -> Path:
    """The worktree of session s1's one agent at the path that spawn chooses."""
    assert hub.session("s1").run("spawn", "-q", "s1").code == 0
    return Path(hub.run("path", "s1", "1").out.strip())


def entry(hub: Hub) -> Path:
    return hub.top / ".git" / "worktrees" / "agent-1"


def test_a_mount_that_only_its_device_number_shows(hub: Hub, where: Path) -> None:
    """The system's table of mounts may be hidden: a container without /proc."""
    point = where / "memory"
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "none", point], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        (point / "precious").write_text("precious\n")
        before = everything(hub)
        hide = "git_hub_session.system.procfs.mount_points = list"
        head = str(entry(hub) / "HEAD")
        result = run_with_injected_code(
            hub, "cleanup", "--force", "--discard", "s1", code=hide, opened=head
        )
        assert result == kept(where, "contains a mount point: 'memory'")
        assert everything(hub) == before
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "'pipe-0'"),
        (3, "'pipe-0', 'pipe-1', 'pipe-2'"),
        (4, "'pipe-0', 'pipe-1', 'pipe-2' and 1 more"),
        (6, "'pipe-0', 'pipe-1', 'pipe-2' and 3 more"),
    ],
)
def test_three_paths_are_named_and_the_others_counted(
    hub: Hub, where: Path, count: int, shown: str
) -> None:
    for number in range(count):
        os.mkfifo(where / f"pipe-{number}")
    reason = f"git cannot store a special file: {shown}"
    assert hub.run("cleanup", "s1") == kept(where, reason, "use --discard")


def test_an_ignored_pipe_with_a_name_that_is_kept(hub: Hub, where: Path) -> None:
    """Git cannot save it, and it holds nothing: it goes like any other ignored file."""
    (hub.top / ".git" / "info").mkdir(exist_ok=True)
    (hub.top / ".git" / "info" / "exclude").write_text(".env\n")
    os.mkfifo(where / ".env")
    assert hub.run("cleanup", "s1") == removed(where)
    assert hub.refs("refs/hub") == {}


def test_a_committed_directory_that_looks_like_a_repository(hub: Hub, where: Path) -> None:
    """A fixture with HEAD, objects and refs is the project's own, also after the rename."""
    for name in ("fixture/HEAD", "fixture/objects/pack", "fixture/refs/heads"):
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a test's\n")
    hub.git("add", ".", cwd=where)
    hub.git("commit", "-q", "-m", "fixture", cwd=where)
    assert hub.run("cleanup", "s1") == removed(where)
    assert not where.exists()


def test_force_comes_first_if_the_worktree_is_missing(hub: Hub, where: Path) -> None:
    """Nothing can be aborted in a directory that is gone."""
    (entry(hub) / "MERGE_HEAD").write_text(hub.git("rev-parse", "main") + "\n")
    where.rename(hub.top.parent / "away")
    result = hub.run("cleanup", "s1")
    [hint] = [line for line in result.out.splitlines() if line.startswith("  hint: ")]
    assert hint.startswith(f"  hint: {FORCE}, or: ")
    assert result.code == 1


def test_force_is_not_offered_if_the_head_is_damaged(hub: Hub, spawned: Path) -> None:
    """Nobody knows what is committed there: --force keeps the worktree too."""
    (entry(hub) / "HEAD").write_text("")
    result = hub.run("cleanup", "s1")
    assert "  its HEAD cannot be read\n" in result.out
    assert "--force" not in result.out
    assert hub.run("cleanup", "--force", "s1") == result
    assert spawned.is_dir()


def test_force_is_offered_and_works_if_the_head_is_detached(hub: Hub, spawned: Path) -> None:
    hub.git("switch", "-q", "--detach", cwd=spawned)
    result = hub.run("cleanup", "s1")
    assert result.code == 1
    assert f", or: {FORCE}\n" in result.out
    assert hub.call("sh", "-c", FORCE).code == 0
    assert not spawned.exists()
