"""Worktrees in a lower layer of an overlay file system, as in the image of a container.

The file system renames no directory of a lower layer: rename(2) gives EXDEV.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    everything,
    kept,
    read_content,
    removed,
    run_restore_commands,
    saved,
    shown_path,
)
from tests.support.hub import Hub, Result, snapshot
from tests.support.interrupt import DIE, count_changes, run_with_injected_code, sample
from tests.support.invariants import check_repository


@contextmanager
def lower_layer(hub: Hub, upper: Path) -> Iterator[None]:
    """Make everything beside the repository a lower layer. Changes go to `upper`."""
    layers = [upper / name for name in ("changes", "work")]
    for layer in layers:
        layer.mkdir(parents=True)
    top = hub.top.parent
    options = f"lowerdir={top},upperdir={layers[0]},workdir={layers[1]},redirect_dir=off"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(top)]
    result = subprocess.run(mount, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"cannot mount here: {result.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", top], check=True)


@pytest.fixture
def upper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory outside the lower layer."""
    return tmp_path_factory.mktemp("upper")


def test_cleanup_of_a_clean_worktree(hub: Hub, upper: Path) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    with lower_layer(hub, upper):
        with pytest.raises(OSError, match="cross-device"):
            os.rename(worktree, worktree.with_name("renamed"))
        assert hub.run("cleanup", "s1") == removed(worktree)
        assert not worktree.exists()
        assert not (hub.top / ".git" / "worktrees").exists()
        assert hub.git("worktree", "list").count("\n") == 0
        check_repository(hub)


def test_cleanup_of_uncommitted_work(hub: Hub, upper: Path) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "sub" / "other").write_text("changed\n")
    (worktree / "new").write_text("new\n")
    before = read_content(hub, worktree)
    with lower_layer(hub, upper):
        result = hub.run("cleanup", "s1")
        assert result == saved(worktree)
        assert not worktree.exists()
        run_restore_commands(hub, result)
        assert read_content(hub, worktree) == before


def test_archive_and_merge(hub: Hub, upper: Path) -> None:
    """All commands that remove worktrees work there."""
    for sid in ("s1", "s2"):
        hub.session(sid, agents=2)
        assert hub.run("update", "-q", sid, "--state", "running").code == 0
        hub.commit(hub.worktree(1, sid), f"by-{sid}", "done\n")
    with lower_layer(hub, upper):
        assert hub.run("archive", "-q", "s1") == Result(0)
        assert hub.run("eval", "-q", "s2", "--ranking", "1").code == 0
        assert hub.run("merge", "-q", "--yes", "s2").code == 0
        assert (hub.top / "by-s2").read_text() == "done\n"
        assert [path.name for path in (hub.worktrees / "s2").iterdir()] == []
        check_repository(hub)


def test_process_that_enters_the_worktree(hub: Hub, upper: Path) -> None:
    """The worktree is inspected again before it is deleted, although it is not renamed."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    (worktree / "new").write_text("new\n")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho late >{worktree}/late\n")
    hook.chmod(0o755)
    with lower_layer(hub, upper):
        result = hub.run("cleanup", "s1")
        assert result.code == 1
        assert "  files changed after the inspection\n" in result.out
        assert snapshot(worktree)["late"] == b"late\n"
        assert hub.run("cleanup", "s1").code == 1
        hook.unlink()
        assert hub.run("cleanup", "-q", "s1") == Result(0)


def test_process_that_enters_the_next_worktree(hub: Hub, upper: Path) -> None:
    """It enters after the processes were read for the first worktree: they are read again."""
    first, worktree = hub.session("s1", agents=2).worktree(1), hub.worktree(2)
    pid_file = upper / "pid"
    code = (
        f"assert not os.path.exists('{first}/sub/other');"  # the first worktree is being deleted
        f" p = subprocess.Popen(['sleep', '600'], cwd='{worktree}',"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        f" open('{pid_file}', 'w').write(str(p.pid))"
    )
    before = read_content(hub, worktree)
    with lower_layer(hub, upper):
        try:
            # The cleanup first tries to remove two empty directories.
            result = run_with_injected_code(hub, "cleanup", "s1", code=code, only="os.rmdir", nth=3)
            reason = f"in use by process {pid_file.read_text()} (sleep)"
            kept_lines = f"agent-2: kept {shown_path(worktree)}\n  {reason}\n"
            assert (result.code, kept_lines in result.out) == (1, True), result
            assert not first.exists()
            assert read_content(hub, worktree) == before
        finally:
            if pid_file.exists():
                subprocess.run(["kill", pid_file.read_text()], check=True)


def test_killed_at_each_change(hub: Hub, upper: Path) -> None:
    """The next cleanup undoes or finishes the removal, and nothing is lost."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "sub" / "other").write_text("changed\n")
    (worktree / "new").write_text("new\n")
    before = read_content(hub, worktree)
    with lower_layer(hub, upper / "count"):
        count = count_changes(hub, "cleanup", "s1")
    for nth in sample(count, short=8):
        with lower_layer(hub, upper / str(nth)):
            killed = run_with_injected_code(hub, "cleanup", "s1", code=DIE, nth=nth)
            assert killed.code == -9, (nth, killed)
            result = hub.run("cleanup", "s1")
            assert result.code == 0, (nth, result)
            assert not worktree.exists()
            # A kill directly before the last call leaves an empty git dir, which git prunes.
            hub.git("worktree", "prune")
            assert not (hub.top / ".git" / "worktrees").exists(), nth
            hub.git("worktree", "add", "-q", worktree, BRANCH)
            hub.git("stash", "apply", "-q", "--index", RESCUE, cwd=worktree)
            assert read_content(hub, worktree) == before, nth


def test_file_written_after_a_kill(hub: Hub, upper: Path) -> None:
    """A half-deleted worktree is at its path. The next cleanup deletes only what was inspected."""
    worktree = hub.session("s1", agents=1).worktree(1)
    with lower_layer(hub, upper):
        killed = run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove", nth=2)
        assert killed.code == -9
        assert snapshot(worktree).keys() < {".git", "file", "sub/other"}
        (worktree / "late").write_text("late\n")
        result = hub.run("cleanup", "s1")
        assert result == kept(
            worktree,
            f"files were written during the removal: they are in '{worktree}'",
        )
        assert snapshot(worktree) == {"late": b"late\n"}


def test_dry_run_changes_nothing(hub: Hub, upper: Path) -> None:
    hub.session("s1", agents=1)
    with lower_layer(hub, upper):
        before = everything(hub)
        assert hub.run("cleanup", "-n", "s1").code == 0
        assert everything(hub) == before
