"""The files of a restored worktree: all uncommitted changes are restored byte for byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.cleanup import BRANCH, WorktreeContent, read_content
from tests.support.hub import Hub, Result
from tests.support.interrupt import LONG
from tests.support.worktree_changes import CHANGES, create_worktree_with_files, large_file_filters

RESTORE = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")


def read_worktree(hub: Hub, worktree: Path) -> tuple[WorktreeContent, str]:
    """Return the content of a worktree, and its index."""
    return read_content(hub, worktree), hub.git("ls-files", "--stage", "-z", cwd=worktree)


@pytest.mark.slow
def test_each_kind_of_change(hub: Hub) -> None:
    """Status, bytes, modes and index are equal. Each kind has its own worktree."""
    worktrees = [create_worktree_with_files(hub)]
    for number in range(2, len(CHANGES) + 1):
        worktrees.append(hub.spawn("s1", number, base=BRANCH))
    for change, worktree in zip(CHANGES, worktrees, strict=True):
        change(hub, worktree)
    names = [change.__name__ for change in CHANGES]
    before = {
        name: read_worktree(hub, worktree) for name, worktree in zip(names, worktrees, strict=True)
    }
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(worktree.exists() for worktree in worktrees)
    assert hub.run(*RESTORE) == Result(0)
    for name, worktree in zip(names, worktrees, strict=True):
        assert read_worktree(hub, worktree) == before[name], name


class RandomChanges:
    """Random uncommitted changes in a worktree."""

    def __init__(self, hub: Hub, worktree: Path, random: Random) -> None:
        self._hub = hub
        self._top = os.fsencode(worktree)
        self._random = random

    def make_changes(self, steps: int) -> None:
        """Make a number of random changes, and stage some of them."""
        kinds: list[Callable[[], object]] = [
            self._edit,
            self._edit,
            self._new,
            self._delete,
            self._rename,
            self._chmod,
            self._link,
            self._swap,
            self._untrack,
        ]
        for _ in range(steps):
            self._random.choice(kinds)()
            if self._random.random() < 0.4:
                self._stage()

    def _path(self) -> bytes:
        """Return the path of a random file or link."""
        paths = []
        for directory, directories, files in os.walk(self._top):
            links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            paths += [os.path.join(directory, name) for name in files + links if name != b".git"]
        return self._random.choice(sorted(paths)) if paths else self._name()

    def _name(self) -> bytes:
        names = [b"n", b"sp ace", b"\xff\xfe", b"l\nf", b"-d", b"\xc3\xa9", b'q"', b"x.bin"]
        parts = self._random.sample(names, self._random.randint(1, 3))
        return os.path.join(self._top, *parts)

    def _content(self) -> bytes:
        kind = self._random.randrange(4)
        if kind == 0:
            return b""
        if kind == 1:
            return self._random.randbytes(self._random.randrange(2000))
        ending = b"\r\n" if kind == 2 else b"\n"
        return ending.join(b"line %d" % self._random.randrange(9) for _ in range(9))

    def _write(self, path: bytes, content: bytes) -> None:
        """Write a file. Change nothing if another file or directory prevents this."""
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.islink(path):
                os.unlink(path)
            with open(path, "wb") as file:
                file.write(content)
        except OSError:
            pass

    def _edit(self) -> None:
        self._write(self._path(), self._content())

    def _new(self) -> None:
        self._write(self._name(), self._content())

    def _delete(self) -> None:
        path = self._path()
        if os.path.lexists(path):
            os.unlink(path)

    def _rename(self) -> None:
        old, new = self._path(), self._name()
        if os.path.lexists(old) and not os.path.lexists(new):
            try:
                os.makedirs(os.path.dirname(new), exist_ok=True)
                os.rename(old, new)
            except OSError:
                pass

    def _chmod(self) -> None:
        path = self._path()
        if os.path.isfile(path) and not os.path.islink(path):
            os.chmod(path, self._random.choice((0o644, 0o755)))

    def _link(self) -> None:
        path = self._random.choice((self._path, self._name))()
        if os.path.lexists(path):
            if os.path.isdir(path) and not os.path.islink(path):
                return
            os.unlink(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(self._random.choice((b"file", b"/none", b"\xff", b"sub")), path)
        except OSError:
            pass

    def _swap(self) -> None:
        """Replace a file with a directory, or a directory with a file."""
        path = self._path()
        parent = os.path.dirname(path)
        if self._random.random() < 0.5 and parent != self._top:
            shutil.rmtree(parent)
            self._write(parent, self._content())
        elif os.path.lexists(path):
            os.unlink(path)
            self._write(os.path.join(path, b"inside"), self._content())

    def _untrack(self) -> None:
        tracked = self._hub.git("ls-files", "-z", cwd=Path(os.fsdecode(self._top))).split("\0")[:-1]
        if tracked:
            self._git("rm", "-q", "-f", "--cached", "--", self._random.choice(sorted(tracked)))

    def _stage(self) -> None:
        """Stage one file or all files."""
        if self._random.random() < 0.2:
            self._git("add", "-A")
            return
        path = self._path()
        if os.path.lexists(path):
            self._git("add", "-A", "--", os.fsdecode(os.path.relpath(path, self._top)))

    def _git(self, *arguments: str) -> None:
        self._hub.git("--literal-pathspecs", *arguments, cwd=Path(os.fsdecode(self._top)))


def commit_every_kind(hub: Hub) -> None:
    """Commit a file of each kind on main."""
    random = Random(0)
    for number in range(6):
        for directory in ("", "dir", "dir/deep", "other"):
            path = hub.top / directory / f"text-{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{directory} {number}\n" * 30)
    for name in (b"b\xff", b"l\nf", b"-d", b"x.bin", b'sub/q"'):
        Path(os.fsdecode(os.fsencode(hub.top) + b"/" + name)).write_bytes(random.randbytes(999))
    (hub.top / "program").write_text("#!/bin/sh\n")
    (hub.top / "program").chmod(0o755)
    (hub.top / "link").symlink_to("file")
    (hub.top / "dir" / "to-dir").symlink_to("../sub")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "a file of each kind")


WORKTREES = 50 if LONG else 12


@pytest.mark.slow
def test_random_worktrees(hub: Hub) -> None:
    """The worktrees are equal after a cleanup, a garbage collection and a restore."""
    commit_every_kind(hub)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(WORKTREES))
    assert hub.run("spawn", *RESTORE[1:]) == Result(0)
    worktrees = [hub.worktrees / "s1" / f"agent-{number}" for number in range(1, WORKTREES + 1)]
    for seed, worktree in enumerate(worktrees):
        RandomChanges(hub, worktree, Random(seed)).make_changes(12)
    before = [read_worktree(hub, worktree) for worktree in worktrees]
    assert sum(content.status != [""] for content, _ in before) == WORKTREES
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(worktree.exists() for worktree in worktrees)
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*RESTORE) == Result(0)
    for seed, (worktree, content) in enumerate(zip(worktrees, before, strict=True)):
        assert read_worktree(hub, worktree) == content, seed


def spawn_session(hub: Hub) -> Path:
    """Spawn a session with one agent, and return its worktree."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", *RESTORE[1:]) == Result(0)
    return hub.worktree(1)


def assert_restored(hub: Hub, worktree: Path) -> None:
    """Run cleanup, a garbage collection and restore, and compare the worktree."""
    before = read_worktree(hub, worktree)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (0, ""), result
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*RESTORE) == Result(0)
    assert read_worktree(hub, worktree) == before


def test_filter_like_git_lfs(hub: Hub) -> None:
    """The filter is required. The commit has pointers, and the worktree has the contents."""
    clean, smudge = large_file_filters(hub)
    hub.git("config", "filter.large.clean", clean)
    hub.git("config", "filter.large.smudge", smudge)
    hub.git("config", "filter.large.required", "true")
    (hub.top / ".gitattributes").write_text("*.big filter=large -text\n")
    for name in ("a", "b", "c", "d"):
        (hub.top / f"{name}.big").write_bytes(name.encode() * 5000)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "big")
    worktree = spawn_session(hub)
    assert (worktree / "a.big").read_bytes() == b"a" * 5000
    (worktree / "a.big").write_bytes(b"staged" * 1000)
    hub.git("add", "a.big", cwd=worktree)
    (worktree / "a.big").write_bytes(b"changed" * 1000)
    (worktree / "b.big").write_bytes(b"unstaged" * 1000)
    (worktree / "c.big").unlink()
    (worktree / "sub" / "new.big").write_bytes(b"new\0" * 1000)
    hub.git("add", "sub", cwd=worktree)
    (worktree / "untracked.big").write_bytes(b"untracked\r\n" * 1000)
    assert_restored(hub, worktree)
    assert hub.git("show", ":a.big", cwd=worktree).startswith("pointer ")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings(hub: Hub, setting: str) -> None:
    """core.autocrlf is combined with committed and uncommitted attributes."""
    hub.git("config", "core.autocrlf", setting)
    (hub.top / ".gitattributes").write_text("*.txt text\n*.bat text eol=crlf\n*.raw -text\n")
    for name in ("a.txt", "a.bat", "a.raw", "b.bat"):
        (hub.top / name).write_bytes(b"one\r\ntwo\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    worktree = spawn_session(hub)
    ending = b"\r\n" if setting == "true" else b"\n"
    (worktree / "a.txt").write_bytes(b"changed" + ending)
    (worktree / "a.bat").write_bytes(b"changed\r\n")
    (worktree / "a.raw").write_bytes(b"changed\n\r\n")
    hub.git("add", "a.raw", cwd=worktree)
    (worktree / "new.bat").write_bytes(b"new\r\n")
    (worktree / "new.raw").write_bytes(b"new\r\n\n")
    (worktree / "sub" / ".gitattributes").write_text("*.dos text eol=crlf\n")
    hub.git("add", "sub", cwd=worktree)
    (worktree / "sub" / "x.dos").write_bytes(b"x\r\n")
    assert_restored(hub, worktree)


def test_untracked_attributes(hub: Hub) -> None:
    """The attributes apply to the untracked files beside them, even if these are restored first."""
    worktree = spawn_session(hub)
    (worktree / "file").write_text("changed\n")
    (worktree / "new").mkdir()
    (worktree / "new" / ".gitattributes").write_text("*.unix text eol=lf\n-x.dos text eol=crlf\n")
    (worktree / "new" / "-x.dos").write_bytes(b"x\r\n")  # restored before .gitattributes
    (worktree / "new" / "x.unix").write_bytes(b"x\n")
    assert_restored(hub, worktree)


def test_line_endings_that_differ_from_a_checkout(hub: Hub) -> None:
    """The attributes require CR LF, but the files have LF. The files are restored with LF."""
    (hub.top / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (hub.top / "a.bat").write_bytes(b"one\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    worktree = spawn_session(hub)
    (worktree / "a.bat").write_bytes(b"changed\n")
    (worktree / "new.bat").write_bytes(b"new\n")
    (worktree / "staged\n.bat").write_bytes(b"staged\n")
    (worktree / "staged\n.bat").chmod(0o755)
    hub.git("add", "staged\n.bat", cwd=worktree)
    assert_restored(hub, worktree)
    # Git considers the file unchanged, but its bytes differ.
    (worktree / "a.bat").write_bytes(b"changed\r\n")
    assert_restored(hub, worktree)


def test_kept_ignored_files(hub: Hub) -> None:
    hub.commit(hub.top, ".gitignore", "*.o\n.env\n")
    worktree = spawn_session(hub)
    (worktree / ".env").write_text("S=1\n")
    assert_restored(hub, worktree)
    (worktree / "a.o").write_text("object\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*RESTORE) == Result(0)
    assert ((worktree / ".env").read_text(), (worktree / "a.o").exists()) == ("S=1\n", False)


def test_sparse_checkout_of_one_worktree(hub: Hub) -> None:
    """The patterns of the worktree are lost, but its changes are restored."""
    commit_every_kind(hub)
    worktree = spawn_session(hub)
    hub.git("sparse-checkout", "set", "--cone", "dir", cwd=worktree)
    (worktree / "dir" / "text-1").write_text("changed\n")
    (worktree / "other").mkdir()
    (worktree / "other" / "text-1").write_text("left out, changed\n")
    before = read_content(hub, worktree)
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*RESTORE) == Result(0)
    after = read_content(hub, worktree)
    assert (after.status, after.programs) == (before.status, before.programs)
    assert {**after.files, **before.files} == after.files
    assert (worktree / "other" / "text-2").exists()


@pytest.mark.parametrize("index", ["--no-sparse-index", "--sparse-index"])
@pytest.mark.parametrize("cone", [True, False])
def test_sparse_checkout(hub: Hub, *, cone: bool, index: str) -> None:
    """All worktrees are sparse. Files inside and outside of the patterns are changed."""
    commit_every_kind(hub)
    if cone:
        hub.git("sparse-checkout", "set", "--cone", index, "dir/deep")
    else:
        hub.git("sparse-checkout", "set", "--no-cone", "/dir/deep/", "/file")
    worktree = spawn_session(hub)
    assert not (worktree / "other").exists()
    assert (worktree / "dir" / "deep" / "text-1").exists()
    (worktree / "dir" / "deep" / "text-1").write_text("staged\n")
    hub.git("add", "dir/deep/text-1", cwd=worktree)
    (worktree / "dir" / "deep" / "text-1").write_text("changed\n")
    (worktree / "dir" / "deep" / "text-2").unlink()
    (worktree / "dir" / "deep" / "new").write_text("new\n")
    (worktree / "other").mkdir()
    (worktree / "other" / "text-1").write_text("left out, changed\n")
    (worktree / "other" / "new").write_text("left out, new\n")
    (worktree / "other" / "added").write_text("left out, added\n")
    hub.git("add", "--sparse", "other/added", cwd=worktree)
    hub.git("rm", "-q", "--sparse", "--cached", "other/text-2", cwd=worktree)
    assert_restored(hub, worktree)
    assert not (worktree / "other" / "text-3").exists()
