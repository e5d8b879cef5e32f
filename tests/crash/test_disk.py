"""Commands on a full or read-only disk, with a file size limit, or without a permission.

The kernel causes these errors. In test_killed.py the tracer simulates them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cleanup import everything, shown_path
from tests.support.crash_scenarios import (
    SCENARIOS,
    ScenarioRunner,
    can_trace,
    check_result,
    worktree_path,
)
from tests.support.evaluated_sessions import agent_worktree, create_evaluated_session
from tests.support.hints import follow_hint, types
from tests.support.hub import Hub, Result, new_hub, snapshot
from tests.support.interrupt import LONG
from tests.support.other_user import (
    AS_USER,
    RUN_COMMAND,
    can_run_as_user,
    give_to_user,
    public_hub,
)

_AS_USER = () if os.geteuid() else AS_USER
_NEED_NO_SPACE = ("delete", "prune")  # the scenarios that only delete


def _try_command(*command: str | Path) -> bool:
    """Run a command, and return True if it succeeds."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path, environ: Mapping[str, str]) -> Iterator[Hub]:
    """Create a repository on its own disk of 12 MB."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    if not _try_command("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", mount_point):
        pytest.skip("needs the right to mount a tmpfs")
    yield new_hub(mount_point / "project", environ)
    subprocess.run(["umount", "-l", mount_point], check=True)


def _fill_disk(top: Path, free_bytes: int) -> Path:
    """Create a file that leaves `free_bytes` bytes free on the disk. Return its path."""
    filler = top / "filler"
    with open(filler, "wb") as file:
        stat = os.statvfs(top)
        os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize - free_bytes)
    return filler


@pytest.mark.parametrize("name", SCENARIOS if LONG else ["spawn", "cleanup --archive"])
def test_full_disk(disk: Hub, name: str) -> None:
    """The disk is full at the start or gets full. With free space, the same command finishes."""
    runner = ScenarioRunner(disk, SCENARIOS[name])
    for free_pages in (*range(0, 120, 6 if LONG else 30),):
        runner.restore()
        filler = _fill_disk(disk.top.parent, free_pages * 4096)
        result = runner.call(*SCENARIOS[name].arguments)
        check_result(result, "ENOSPC", f"{free_pages} pages")
        assert free_pages or result.code or name in _NEED_NO_SPACE, result
        runner.check()
        filler.unlink()
        runner.finish()


def _write_error(path: str, hint: str = "nothing was changed") -> str:
    """Return the error message of a command that cannot write."""
    return f"fatal: cannot write '{path}': Read-only file system\nhint: {hint}\n"


@types("mount the file system for writing")
def test_read_only_file_system(disk: Hub) -> None:
    """Each command prints the error and changes nothing. The merge works once the disk is writable."""
    runner = ScenarioRunner(disk, SCENARIOS["merge"])
    before, hub = everything(disk), disk.top / ".agenthub"
    errors = {
        "init --id s9 --task t": _write_error(f"{hub}"),
        "board post results -m text": _write_error(f"{hub}/board/results"),
        "update s0 --state running": _write_error(f"{hub}/sessions/s0/state.json"),
        "merge -q --yes s1": f"fatal: cannot write '{disk.top}/.git/objects/pack': "
        "Read-only file system\n",
    }
    subprocess.run(["mount", "-o", "remount,ro", disk.top.parent], check=True)
    try:
        results = {command: runner.call(*command.split()) for command in errors}
        spawn = runner.call("spawn", "s0")
        cleanup = runner.call("cleanup", "-q", "s1")
        assert everything(disk) == before
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk.top.parent], check=True)
    assert results == {command: Result(128, "", error) for command, error in errors.items()}
    assert spawn.err.startswith("error: cannot create a git dir in ")
    assert ": its file system is read-only\n" in spawn.err
    assert cleanup == Result(
        1,
        "",
        f"agent-1: kept {shown_path(worktree_path(disk, 1))}\n"
        f"  cannot delete '{worktree_path(disk, 1).parent}': its file system is read-only\n"
        "  hint: mount the file system for writing\n"
        f"agent-2: kept {shown_path(worktree_path(disk, 2))}\n"
        f"  cannot delete '{worktree_path(disk, 1).parent}': its file system is read-only\n"
        "  hint: mount the file system for writing\n",
    )
    runner.finish()
    assert runner.call("cleanup", "-q", "s1") == Result(0)
    follow_hint("mount the file system for writing")


@pytest.mark.parametrize("name", SCENARIOS if LONG else ["merge", "archive"])
def test_file_size_limit(hub: Hub, name: str) -> None:
    """The kernel kills a git process that exceeds `ulimit -f`. In Python, the call fails."""
    runner = ScenarioRunner(hub, SCENARIOS[name])
    for blocks in (0, 1, 2) if LONG else (1,):
        runner.restore()
        script = f'ulimit -f {blocks}; exec "$@"'
        command = ("sh", "-c", script, "sh", *RUN_COMMAND)
        result = hub.call(*command, *SCENARIOS[name].arguments)
        check_result(result, "EFBIG", f"{blocks} blocks")
        assert result.code or blocks or name in _NEED_NO_SPACE, result
        runner.check()
        runner.finish()


def test_no_file_can_be_written(hub: Hub, tmp_path: Path) -> None:
    """Each command names the file or the program, and changes nothing."""
    hub.environ["TMPDIR"] = str(tmp_path / "temporary")
    os.mkdir(hub.environ["TMPDIR"])
    create_evaluated_session(hub)
    hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    sessions, before = f"{hub.top}/.agenthub/sessions", everything(hub)
    state = f"cannot write '{sessions}/s1/state.json': File too large"
    killed = "was ended by signal 25 (File size limit exceeded)"
    calls = {
        "init --task t": f"cannot write '{hub.top}/.agenthub': File too large",
        "update s1 --state merged": state,
        "spawn s2": state.replace("s1", "s2"),
        "exec s1 -- true": state.replace("state.json", "prompt-agent-1.txt"),
        "hooks install": f"'git version' {killed}",
        "adopt s1 agent-1 HEAD": f"'git rev-parse' {killed}",
        "report -o report.html s1": f"cannot write '{hub.top}/report.html': File too large",
    }
    for command, message in calls.items():
        words = ("sh", "-c", f"ulimit -f 0; git hub-session {command}")
        result = hub.call(*words)
        assert (result.code, result.err.split("\n")[0]) == (128, f"fatal: {message}"), command
    for command in ("merge --yes s1", "eval s1 --ranking 1,2", "merge -n s1"):
        result = hub.call("sh", "-c", f"ulimit -f 0; git hub-session {command}")
        assert result.code == 128
        assert re.match(r"fatal: cannot write '.*/info/alternates': File too large\n", result.err)
    cleanup = hub.call("sh", "-c", "ulimit -f 0; git hub-session cleanup s1")
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    assert f"  cannot write in '{git_dir}': File too large\n" in cleanup.out
    assert everything(hub) == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.fixture
def public(environ: Mapping[str, str]) -> Iterator[Hub]:
    """Create a repository in a directory that the user `nobody` can read."""
    if _AS_USER and not can_run_as_user():
        pytest.skip("needs setpriv, and a checkout that the user 'nobody' can read")
    with public_hub(environ) as hub:
        yield hub


@pytest.mark.parametrize("read_only", [".git/refs", ".git/worktrees", ".agenthub/sessions/s1"])
def test_directory_without_write_permission(public: Hub, read_only: str) -> None:
    """The command runs as another user than root, because root may write to every directory."""
    hub = public
    runner = ScenarioRunner(hub, SCENARIOS["archive"])
    give_to_user(hub)
    subdirectories = [path for path in (hub.top / read_only).rglob("*") if path.is_dir()]
    for path in (hub.top / read_only, *subdirectories):
        path.chmod(0o555)
    command = [*RUN_COMMAND, *SCENARIOS["archive"].arguments]
    result = hub.call(*_AS_USER, *command)
    assert (result.code, result.out) in ((1, ""), (128, "")), result
    check_result(result, "EACCES", read_only)
    assert "ermission denied" in result.err or "checked out" in result.err, result
    for path in (hub.top / read_only, *subdirectories):
        if path.exists():
            path.chmod(0o755)
    give_to_user(hub, os.geteuid())
    runner.check()
    runner.finish()


def test_merge_into_a_directory_without_write_permission(public: Hub) -> None:
    """git writes `file`, and cannot write `sub/new`. The error names it, and `file` is old again."""
    hub = create_evaluated_session(public)
    hub.commit(agent_worktree(hub, 2), "sub/new", "x\n")
    directory = hub.top / "sub"
    give_to_user(hub)
    directory.chmod(0o555)
    command = [*RUN_COMMAND, "merge", "-q", "--yes", "--unmeasured", "s1"]
    result = hub.call(*_AS_USER, *command)
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        f"error: git cannot update '{hub.top}', where 'main' is checked out",
    )
    assert "sub/new: Permission denied" in result.err
    status = hub.call(*_AS_USER, "git", "status", "--porcelain", "--branch")
    assert status.out == "## main\n"
    directory.chmod(0o755)
    assert hub.call(*_AS_USER, *command) == Result(0)
    assert (directory / "new").read_text() == "x\n"


def test_file_that_cannot_be_deleted(hub: Hub) -> None:
    """An append-only file cannot be deleted, even by root. The worktree is kept as it is."""
    runner = ScenarioRunner(hub, SCENARIOS["cleanup"])
    file = worktree_path(hub, 1) / "sub" / "other"
    if not _try_command("chattr", "+a", file):
        pytest.skip("needs chattr +a, and a file system that has it")
    before = snapshot(worktree_path(hub, 1))
    try:
        result = runner.call(*SCENARIOS["cleanup"].arguments)
    finally:
        subprocess.run(["chattr", "-a", file])
    assert result == Result(
        1,
        "",
        "agent-1: kept ../project.hub/s1/agent-1\n"
        f"  cannot delete '{file}': it is append-only\n"
        f"  hint: chattr -a {file}\n",
    )
    assert snapshot(worktree_path(hub, 1)) == before
    runner.check()


@pytest.mark.skipif(not can_trace(), reason="needs ptrace on Linux on x86-64")
@pytest.mark.parametrize("name", ["merge", "cleanup"])
@pytest.mark.parametrize("checked_out", [True, False])
def test_objects_reach_the_disk_before_their_ref(hub: Hub, name: str, checked_out: bool) -> None:
    """After a power failure no ref may name an object that is empty."""
    runner = ScenarioRunner(hub, SCENARIOS[name])
    if not checked_out:
        hub.git("switch", "-q", "--detach")
    assert runner.run_traced("none", 0).code == 0
    calls = runner.report.read_text().splitlines()
    ref = "/refs/heads/main" if name == "merge" else "/refs/hub/rescue/"
    moved = next(i for i, line in enumerate(calls) if "rename " in line and ref in line)
    synced = [i for i, line in enumerate(calls) if "sync " in line and "/objects/" in line]
    written = [i for i, line in enumerate(calls) if "write " in line and "/objects/pack/" in line]
    assert synced, calls
    assert max(i for i in written if i < moved) < max(i for i in synced if i < moved)
