"""Commands on a full or read-only disk, with a file size limit, or without a permission.

The kernel causes these errors. In test_killed.py the tracer simulates them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.crash_scenarios import COMMAND, SCENES, World, check_result, place
from tests.support.hub import PYTHON, Hub, Result, new_hub, snapshot
from tests.support.interrupt import LONG

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_IS_ROOT = os.geteuid() == 0


def _succeeds(*words: str | Path) -> bool:
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path, environ: Mapping[str, str]) -> Iterator[Hub]:
    """A repository on its own disk of 12 MB."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    if not _succeeds("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", mount_point):
        pytest.skip("needs the right to mount a tmpfs")
    yield new_hub(mount_point / "project", environ)
    subprocess.run(["umount", "-l", mount_point], check=True)


def _fill(top: Path, spare: int) -> Path:
    """Create a file that leaves `spare` bytes free on the disk. Return its path."""
    filler = top / "filler"
    with open(filler, "wb") as file:
        stat = os.statvfs(top)
        os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize - spare)
    return filler


@pytest.mark.parametrize("name", SCENES if LONG else ["spawn", "cleanup --archive"])
def test_full_disk(disk: Hub, name: str) -> None:
    """The disk is full at the start or during the work. With free space the command finishes it."""
    world = World(disk, SCENES[name])
    for pages in (*range(0, 120, 6 if LONG else 30),):
        world.restore()
        filler = _fill(disk.top.parent, pages * 4096)
        ended = world.call(*SCENES[name].words)
        check_result(ended, "ENOSPC", f"{pages} pages")
        assert pages or ended.code, ended
        world.check()
        filler.unlink()
        world.finish()


def _cannot(path: str, hint: str = "nothing was changed") -> str:
    return f"fatal: cannot write '{path}': Read-only file system\nhint: {hint}\n"


_GO_ON = "fix the cause, then run the same command again to finish"


def test_read_only_file_system(disk: Hub) -> None:
    """Each command prints the error and changes nothing. On a writable disk it does its work."""
    world = World(disk, SCENES["merge"])
    before, hub = everything(disk), disk.top / ".agenthub"
    answers = {
        "init --id s9 --task t": _cannot(f"{hub}"),
        "board post results -m text": _cannot(f"{hub}/board/results"),
        "update s0 --state running": _cannot(f"{hub}/sessions/s0/state.json"),
        "spawn s0": _cannot(f"{hub}/sessions/s0/state.json", _GO_ON),
        "merge -q --yes s1": "fatal: 'git merge-tree' failed (exit 128)\nhint: error: unable to "
        "create temporary file: Read-only file system\nhint: fatal: failure to merge\n",
    }
    subprocess.run(["mount", "-o", "remount,ro", disk.top.parent], check=True)
    try:
        results = {line: world.call(*line.split()) for line in answers}
        cleaned = world.call("cleanup", "-q", "s1")
        assert everything(disk) == before
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk.top.parent], check=True)
    assert results == {line: Result(128, "", answer) for line, answer in answers.items()}
    entries = f"{disk.top}/.git/worktrees"
    assert cleaned == Result(
        1,
        "",
        f"Kept worktree: {place(disk, 1)}\n"
        f"  cannot save the work: Read-only file system: '{entries}/agent-1/hub-session-index.tmp'\n"
        f"Kept worktree: {place(disk, 2)}\n"
        "  cannot rename the directory: Read-only file system\n  hint: try again\n",
    )
    world.finish()


@pytest.mark.parametrize("name", SCENES if LONG else ["merge", "archive"])
def test_file_size_limit(hub: Hub, name: str) -> None:
    """The kernel kills a git that exceeds `ulimit -f` (SIGXFSZ). Python gets an error."""
    world = World(hub, SCENES[name])
    for blocks in (0, 1, 2) if LONG else (1,):
        world.restore()
        limited = f'ulimit -f {blocks}; exec "$@"'
        words = ("sh", "-c", limited, "sh", PYTHON, "-B", "-I", "-c", COMMAND)
        ended = hub.call(*words, *SCENES[name].words)
        check_result(ended, "EFBIG", f"{blocks} blocks")
        assert ended.code or blocks, ended
        world.check()
        world.finish()


@pytest.fixture
def nobodys(environ: Mapping[str, str]) -> Iterator[Hub]:
    """A repository in a directory that a user other than root can read."""
    if _IS_ROOT and not _succeeds(*_NOBODY, PYTHON, "-I", "-c", COMMAND, "--version"):
        pytest.skip("needs setpriv, and a checkout that nobody may read")
    with tempfile.TemporaryDirectory(prefix="hub-nobody-") as name:
        top = Path(name)
        top.chmod(0o755)
        shutil.copy(Path(environ["HOME"]) / ".gitconfig", top)
        yield new_hub(top / "project", {**environ, "HOME": name})


@pytest.mark.parametrize("forbidden", [".git/refs", ".git/worktrees", ".agenthub/sessions/s1"])
def test_directory_without_write_permission(nobodys: Hub, forbidden: str) -> None:
    """Root may write to every directory, so the command runs with another uid."""
    hub = nobodys
    world = World(hub, SCENES["archive"])
    if _IS_ROOT:
        subprocess.run(["chown", "-R", "65534:65534", hub.top.parent], check=True)
    locked = [path for path in (hub.top / forbidden).rglob("*") if path.is_dir()]
    for path in (hub.top / forbidden, *locked):
        path.chmod(0o555)
    words = [PYTHON, "-B", "-I", "-c", COMMAND, *SCENES["archive"].words]
    ended = hub.call(*(_NOBODY if _IS_ROOT else ()), *words)
    assert (ended.code, ended.out) in ((1, ""), (128, "")), ended
    check_result(ended, "EACCES", forbidden)
    assert "ermission denied" in ended.err or "checked out" in ended.err, ended
    for path in (hub.top / forbidden, *locked):
        if path.exists():
            path.chmod(0o755)
    if _IS_ROOT:
        subprocess.run(["chown", "-R", "0:0", hub.top.parent], check=True)
    world.check()
    world.finish()


def test_file_that_cannot_be_deleted(hub: Hub) -> None:
    """Even root cannot delete an immutable file. The work is saved and the worktree is kept."""
    world = World(hub, SCENES["cleanup"])
    file = place(hub, 1) / "sub" / "other"
    if not _succeeds("chattr", "+i", file):
        pytest.skip("needs chattr +i, and a file system that has it")
    aside = place(hub, 1).parent / ".agent-1.hub-trash"
    try:
        result = world.call(*SCENES["cleanup"].words)
    finally:
        subprocess.run(["chattr", "-i", file if file.exists() else aside / "sub" / "other"])
    assert result == Result(
        1,
        "",
        f"Kept worktree: {place(hub, 1)}\n  cannot delete '{aside}': Operation not permitted\n"
        "  hint: try again\n",
    )
    assert not place(hub, 1).exists()
    world.check()
    # chattr changed the ctime of the file after the inspection, so the file is not deleted.
    assert world.call(*SCENES["cleanup"].words) == Result(
        1,
        "",
        f"Kept worktree: {place(hub, 1)}\n"
        f"  files were written during the removal: they are in '{place(hub, 1)}'\n",
    )
    assert snapshot(place(hub, 1)) == {"sub/other": b"second\n"}
    assert not aside.exists()
