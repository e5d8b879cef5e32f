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


def read_worktree(hub: Hub, where: Path) -> tuple[WorktreeContent, str]:
    return read_content(hub, where), hub.git("ls-files", "--stage", "-z", cwd=where)


def test_each_kind_of_change(hub: Hub) -> None:
    """Status, bytes, modes and index are equal. Each kind has its own worktree."""
    trees = [create_worktree_with_files(hub)]
    for number in range(2, len(CHANGES) + 1):
        trees.append(hub.spawn("s1", number, base=BRANCH))
    for change, where in zip(CHANGES, trees, strict=True):
        change(hub, where)
    names = [change.__name__ for change in CHANGES]
    before = {name: read_worktree(hub, where) for name, where in zip(names, trees, strict=True)}
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(where.exists() for where in trees)
    assert hub.run(*RESTORE) == Result(0)
    for name, where in zip(names, trees, strict=True):
        assert read_worktree(hub, where) == before[name], name


class RandomChanges:
    """Random uncommitted changes in a worktree."""

    def __init__(self, hub: Hub, where: Path, random: Random) -> None:
        self._hub = hub
        self._top = os.fsencode(where)
        self._random = random

    def make(self, steps: int) -> None:
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
        """Write a file. Change nothing if a directory or a file is in the way."""
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

    def _git(self, *words: str) -> None:
        self._hub.git("--literal-pathspecs", *words, cwd=Path(os.fsdecode(self._top)))


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


TREES = 50 if LONG else 12


def test_random_worktrees(hub: Hub) -> None:
    """Run cleanup, a garbage collection and restore."""
    commit_every_kind(hub)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(TREES))
    assert hub.run("spawn", *RESTORE[1:]) == Result(0)
    trees = [hub.worktrees / "s1" / f"agent-{number}" for number in range(1, TREES + 1)]
    for seed, where in enumerate(trees):
        RandomChanges(hub, where, Random(seed)).make(12)
    before = [read_worktree(hub, where) for where in trees]
    assert sum(content.status != [""] for content, _ in before) == TREES
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(where.exists() for where in trees)
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*RESTORE) == Result(0)
    for seed, (where, content) in enumerate(zip(trees, before, strict=True)):
        assert read_worktree(hub, where) == content, seed


def spawn_session(hub: Hub) -> Path:
    """Spawn a session with one agent, and return its worktree."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", *RESTORE[1:]) == Result(0)
    return hub.worktree(1)


def assert_restored(hub: Hub, where: Path) -> None:
    """Run cleanup, a garbage collection and restore, and compare the worktree."""
    before = read_worktree(hub, where)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (0, ""), result
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*RESTORE) == Result(0)
    assert read_worktree(hub, where) == before


def test_a_filter_like_git_lfs(hub: Hub) -> None:
    """The filter is required. The commit has pointers, and the disk has the contents."""
    clean, smudge = large_file_filters(hub)
    hub.git("config", "filter.large.clean", clean)
    hub.git("config", "filter.large.smudge", smudge)
    hub.git("config", "filter.large.required", "true")
    (hub.top / ".gitattributes").write_text("*.big filter=large -text\n")
    for name in ("a", "b", "c", "d"):
        (hub.top / f"{name}.big").write_bytes(name.encode() * 5000)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "big")
    where = spawn_session(hub)
    assert (where / "a.big").read_bytes() == b"a" * 5000
    (where / "a.big").write_bytes(b"staged" * 1000)
    hub.git("add", "a.big", cwd=where)
    (where / "a.big").write_bytes(b"changed" * 1000)
    (where / "b.big").write_bytes(b"unstaged" * 1000)
    (where / "c.big").unlink()
    (where / "sub" / "new.big").write_bytes(b"new\0" * 1000)
    hub.git("add", "sub", cwd=where)
    (where / "untracked.big").write_bytes(b"untracked\r\n" * 1000)
    assert_restored(hub, where)
    assert hub.git("show", ":a.big", cwd=where).startswith("pointer ")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings(hub: Hub, setting: str) -> None:
    """Combine core.autocrlf with committed and uncommitted attributes."""
    hub.git("config", "core.autocrlf", setting)
    (hub.top / ".gitattributes").write_text("*.txt text\n*.bat text eol=crlf\n*.raw -text\n")
    for name in ("a.txt", "a.bat", "a.raw", "b.bat"):
        (hub.top / name).write_bytes(b"one\r\ntwo\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    where = spawn_session(hub)
    ending = b"\r\n" if setting == "true" else b"\n"
    (where / "a.txt").write_bytes(b"changed" + ending)
    (where / "a.bat").write_bytes(b"changed\r\n")
    (where / "a.raw").write_bytes(b"changed\n\r\n")
    hub.git("add", "a.raw", cwd=where)
    (where / "new.bat").write_bytes(b"new\r\n")
    (where / "new.raw").write_bytes(b"new\r\n\n")
    (where / "sub" / ".gitattributes").write_text("*.dos text eol=crlf\n")
    hub.git("add", "sub", cwd=where)
    (where / "sub" / "x.dos").write_bytes(b"x\r\n")
    assert_restored(hub, where)


def test_untracked_attributes(hub: Hub) -> None:
    """They apply to untracked files beside them, also to files that are restored earlier."""
    where = spawn_session(hub)
    (where / "file").write_text("changed\n")
    (where / "new").mkdir()
    (where / "new" / ".gitattributes").write_text("*.unix text eol=lf\n-x.dos text eol=crlf\n")
    (where / "new" / "-x.dos").write_bytes(b"x\r\n")  # restored before .gitattributes
    (where / "new" / "x.unix").write_bytes(b"x\n")
    assert_restored(hub, where)


def test_line_endings_that_differ_from_a_checkout(hub: Hub) -> None:
    """The attributes require CR LF, but the files have LF. They are restored with LF."""
    (hub.top / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (hub.top / "a.bat").write_bytes(b"one\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    where = spawn_session(hub)
    (where / "a.bat").write_bytes(b"changed\n")
    (where / "new.bat").write_bytes(b"new\n")
    (where / "staged\n.bat").write_bytes(b"staged\n")
    (where / "staged\n.bat").chmod(0o755)
    hub.git("add", "staged\n.bat", cwd=where)
    assert_restored(hub, where)
    # The same content for git, but other bytes.
    (where / "a.bat").write_bytes(b"changed\r\n")
    assert_restored(hub, where)


def test_kept_ignored_files(hub: Hub) -> None:
    hub.commit(hub.top, ".gitignore", "*.o\n.env\n")
    where = spawn_session(hub)
    (where / ".env").write_text("S=1\n")
    assert_restored(hub, where)
    (where / "a.o").write_text("object\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*RESTORE) == Result(0)
    assert ((where / ".env").read_text(), (where / "a.o").exists()) == ("S=1\n", False)


def test_a_sparse_checkout_of_one_worktree(hub: Hub) -> None:
    """The patterns of the worktree are lost, but its changes are restored."""
    commit_every_kind(hub)
    where = spawn_session(hub)
    hub.git("sparse-checkout", "set", "--cone", "dir", cwd=where)
    (where / "dir" / "text-1").write_text("changed\n")
    (where / "other").mkdir()
    (where / "other" / "text-1").write_text("left out, changed\n")
    before = read_content(hub, where)
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*RESTORE) == Result(0)
    after = read_content(hub, where)
    assert (after.status, after.programs) == (before.status, before.programs)
    assert {**after.files, **before.files} == after.files
    assert (where / "other" / "text-2").exists()


@pytest.mark.parametrize("index", ["--no-sparse-index", "--sparse-index"])
@pytest.mark.parametrize("cone", [True, False])
def test_a_sparse_checkout(hub: Hub, *, cone: bool, index: str) -> None:
    """All worktrees are sparse. Files inside and outside of the patterns are changed."""
    commit_every_kind(hub)
    if cone:
        hub.git("sparse-checkout", "set", "--cone", index, "dir/deep")
    else:
        hub.git("sparse-checkout", "set", "--no-cone", "/dir/deep/", "/file")
    where = spawn_session(hub)
    assert not (where / "other").exists()
    assert (where / "dir" / "deep" / "text-1").exists()
    (where / "dir" / "deep" / "text-1").write_text("staged\n")
    hub.git("add", "dir/deep/text-1", cwd=where)
    (where / "dir" / "deep" / "text-1").write_text("changed\n")
    (where / "dir" / "deep" / "text-2").unlink()
    (where / "dir" / "deep" / "new").write_text("new\n")
    (where / "other").mkdir()
    (where / "other" / "text-1").write_text("left out, changed\n")
    (where / "other" / "new").write_text("left out, new\n")
    (where / "other" / "added").write_text("left out, added\n")
    hub.git("add", "--sparse", "other/added", cwd=where)
    hub.git("rm", "-q", "--sparse", "--cached", "other/text-2", cwd=where)
    assert_restored(hub, where)
    assert not (where / "other" / "text-3").exists()
