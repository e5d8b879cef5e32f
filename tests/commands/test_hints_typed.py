"""Hints that a user types, and what they do: the command that failed then succeeds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.hints import follow_hint, hints, type_hint, types
from tests.support.hub import CHECKOUT, PYTHON, Hub, new_hub, snapshot
from tests.support.worktree_changes import create_socket


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("branch", marks=types("git branch -m {} {}")),
        pytest.param("tag", marks=types("git tag {} {} && git tag -d {}")),
    ],
)
def test_a_ref_called_hub(hub: Hub, kind: str) -> None:
    """refs/heads/hub is a file where git needs a directory. The hint renames the ref."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    if kind == "tag":
        hub.run("spawn", "-q", "s1")
        hub.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo >new")
    hub.git(kind, "hub")
    command = ("archive", "s1") if kind == "tag" else ("spawn", "-q", "s1")
    result = hub.run(*command)
    assert result.code in (1, 128)
    assert "\\n" not in result.out + result.err
    type_hint(hub, hints(result)[-1])
    assert hub.run(*command).code == 0
    assert hub.git("rev-parse", "hub-old") == hub.git("rev-parse", "main")


@types("git update-ref {}{} {}{} && git update-ref -d {}{}")
@pytest.mark.parametrize("ref", ["refs/hub", "refs/hub/rescue/s1", "refs/hub/archive/s1"])
def test_a_ref_in_the_way_of_saved_work(hub: Hub, ref: str) -> None:
    """Nothing is removed before the command of the hint has renamed the ref."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "new", "x\n")
    (worktree / "untracked").write_text("x\n")
    hub.git("update-ref", ref, "main")
    result = hub.run("archive", "s1")
    assert result.code == 1
    type_hint(hub, hints(result)[-1])
    assert hub.run("archive", "s1").code == 0
    renamed = f"refs/{ref.removeprefix('refs/').replace('/', '-')}-old"
    assert hub.git("rev-parse", renamed) == hub.git("rev-parse", "main")


def test_third_archive_of_one_attempt(hub: Hub) -> None:
    """Both tags of the attempt exist and point elsewhere. Each archived commit keeps a ref."""
    hub.session(agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    commits = []
    for number in range(4):
        commits.append(hub.commit(hub.worktree(1), "file", f"{number}\n"))
        result = hub.run("cleanup", "--archive", "s1")
        for hint in hints(result):
            type_hint(hub, hint)
            result = hub.run("cleanup", "--archive", "s1")
        assert result.code == 0, result
        hub.git("worktree", "add", "-q", "-B", "hub/s1/agent-1/attempt-1", hub.worktree(1), "main")
    refs = {**hub.refs("refs/tags/hub/archive"), **hub.refs("refs/hub/archive")}
    assert {*commits} <= {*refs.values()}


def test_a_directory_called_like_a_placeholder(tmp_path: Path, hub: Hub) -> None:
    """The name q{n} is not replaced with the number of the agent."""
    other = new_hub(tmp_path / "q{n}", hub.environ)
    other.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    other.run("spawn", "-q", "s1")
    assert sorted(path.name for path in (tmp_path / "q{n}.hub" / "s1").iterdir()) == [
        "agent-1",
        "agent-2",
    ]


@pytest.mark.parametrize("bare", [False, True])
def test_a_neighbor_repository_called_like_the_directory(hub: Hub, bare: bool) -> None:
    """No worktree is created in the other repository."""
    neighbor = hub.top.with_name("project.hub")
    hub.git("init", "-q", *(["--bare"] if bare else []), neighbor)
    before = snapshot(neighbor)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    result = hub.run("spawn", "s1")
    assert result.out.startswith("Spawned agent-1 in ../project.hub-worktrees/s1/agent-1 on ")
    assert snapshot(neighbor) == before
    assert hub.run("path", "s1", "1").out == f"{neighbor}-worktrees/s1/agent-1\n"


def test_several_lines_of_git_in_one_message(hub: Hub) -> None:
    """git prints two lines if it cannot write a file of the new worktree."""
    (hub.top / ".gitattributes").write_text("file filter=broken\n")
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "filter")
    hub.git("config", "filter.broken.smudge", "false")
    hub.git("config", "filter.broken.required", "true")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    result = hub.run("spawn", "s1")
    assert result.code != 0
    assert "\\n" not in result.err
    assert "smudge filter broken failed" in result.err


def test_socket_beside_uncommitted_work(hub: Hub) -> None:
    """The hint deletes the socket. It does not discard the work of the session."""
    path = hub.session("s1", agents=2).worktree(1)
    for agent in (1, 2):
        (hub.worktree(agent) / "work").write_text("precious\n")
    create_socket(path / "it's a socket")
    result = hub.run("cleanup", "s1")
    assert result.code == 1
    [hint] = hints(result)
    assert "--discard" not in hint
    type_hint(hub, hint)
    assert hub.run("cleanup", "s1").code == 0
    assert len(hub.refs("refs/hub/rescue")) == 2


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Make a file or directory immutable."""
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("needs root, and a file system with chattr +i")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path])


@types("{}chattr -{} {}")
@pytest.mark.parametrize("command", ["spawn", "restore"])
def test_parent_directory_that_cannot_be_changed(hub: Hub, command: str) -> None:
    """git would say after its first change that it cannot create leading directories."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    if command == "restore":
        hub.run("spawn", "-q", "s1")
        hub.run("cleanup", "-q", "s1")
        subprocess.run(["rm", "-rf", hub.top.with_name("project.hub")], check=True)
    with immutable(hub.top.parent):
        before = everything(hub)
        result = hub.run(command, "s1")
        assert result.code == 1
        message = f"cannot create a worktree in '{hub.top.parent}': it is immutable\n"
        assert message in result.err
        assert everything(hub) == before
        assert hints(result) == [f"chattr -i {hub.top.parent}"]
        type_hint(hub, hints(result)[0])
        assert hub.run(command, "s1").code == 0


@pytest.mark.parametrize("name", ["file", ".git", "HEAD"])
def test_immutable_file_in_a_worktree(hub: Hub, name: str) -> None:
    path = hub.session("s1", agents=1).worktree(1)
    (path / "file").write_text("work\n")
    if name == "HEAD":
        path = hub.top / ".git" / "worktrees" / "agent-1"
    with immutable(path / name):
        before = everything(hub)
        result = hub.run("cleanup", "s1")
        assert hints(result) == [f"chattr -i {path / name}"]
        assert everything(hub) == before
        type_hint(hub, hints(result)[0])
        assert hub.run("cleanup", "s1").code == 0


_WITHOUT_FLOCK = """
import errno, fcntl, os, sys
sys.path.insert(0, {0!r})
sys.dont_write_bytecode = True
system_flock = fcntl.flock

def flock(fd, operation):
    if ".agenthub" in os.readlink(f"/proc/self/fd/{{fd}}"):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    system_flock(fd, operation)

fcntl.flock = flock
from git_hub_session.main import main
sys.exit(main())
"""


@types("set GIT_HUB_SESSION_DIR to a directory on a file system that supports flock")
@pytest.mark.parametrize("command", [("init", "--task", "t"), ("spawn", "s1"), ("cleanup", "s1")])
def test_file_system_without_flock(hub: Hub, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The hint names the variable that moves the hub to another file system."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    before = snapshot(hub.top)
    result = hub.call(PYTHON, "-c", _WITHOUT_FLOCK.format(str(CHECKOUT)), *command)
    assert result.code == 128
    assert result.err.startswith(f"fatal: cannot lock '{hub.top}/.agenthub/sessions")
    assert result.err.endswith(
        "': No locks available\n"
        "hint: set GIT_HUB_SESSION_DIR to a directory on a file system that supports flock\n"
    )
    assert snapshot(hub.top) == before
    other = {"GIT_HUB_SESSION_DIR": str(tmp_path / "elsewhere")}
    assert hub.run("init", "-q", "--id", "s2", "--task", "t", environ=other).code == 0
    follow_hint(hints(result)[0])
