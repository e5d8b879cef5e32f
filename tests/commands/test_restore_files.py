"""restore on real trees: whatever was uncommitted comes back, byte for byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.commands.test_cleanup_saved import KINDS, furnished, large_files
from tests.support.cleanup import BRANCH, WorktreeContent, look
from tests.support.hub import Hub, Result

BACK = ("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}")


def whole(hub: Hub, where: Path) -> tuple[WorktreeContent, str]:
    return look(hub, where), hub.git("ls-files", "--stage", "-z", cwd=where)


def test_each_sort_of_work(hub: Hub) -> None:
    """Equal status, equal bytes, equal modes, an equal index: a worktree for each, all at once."""
    trees = [furnished(hub)]
    for number in range(2, len(KINDS) + 1):
        trees.append(hub.spawn("s1", number, base=BRANCH))
    for dirty, where in zip(KINDS, trees, strict=True):
        dirty(hub, where)
    names = [dirty.__name__ for dirty in KINDS]
    before = {name: whole(hub, where) for name, where in zip(names, trees, strict=True)}
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(where.exists() for where in trees)
    assert hub.run(*BACK) == Result(0)
    for name, where in zip(names, trees, strict=True):
        assert whole(hub, where) == before[name], name


class Mess:
    """Random uncommitted work in a worktree."""

    def __init__(self, hub: Hub, where: Path, chance: Random) -> None:
        self._hub = hub
        self._top = os.fsencode(where)
        self._chance = chance

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
            self._chance.choice(kinds)()
            if self._chance.random() < 0.4:
                self._stage()

    def _path(self) -> bytes:
        """Of some file or link that is there."""
        found = []
        for directory, directories, files in os.walk(self._top):
            links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            found += [os.path.join(directory, name) for name in files + links if name != b".git"]
        return self._chance.choice(sorted(found)) if found else self._name()

    def _name(self) -> bytes:
        names = [b"n", b"sp ace", b"\xff\xfe", b"l\nf", b"-d", b"\xc3\xa9", b'q"', b"x.bin"]
        parts = self._chance.sample(names, self._chance.randint(1, 3))
        return os.path.join(self._top, *parts)

    def _content(self) -> bytes:
        kind = self._chance.randrange(4)
        if kind == 0:
            return b""
        if kind == 1:
            return self._chance.randbytes(self._chance.randrange(2000))
        ending = b"\r\n" if kind == 2 else b"\n"
        return ending.join(b"line %d" % self._chance.randrange(9) for _ in range(9))

    def _write(self, path: bytes, content: bytes) -> None:
        """As a file; what is in its way is left alone."""
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
            os.chmod(path, self._chance.choice((0o644, 0o755)))

    def _link(self) -> None:
        path = self._chance.choice((self._path, self._name))()
        if os.path.lexists(path):
            if os.path.isdir(path) and not os.path.islink(path):
                return
            os.unlink(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(self._chance.choice((b"file", b"/none", b"\xff", b"sub")), path)
        except OSError:
            pass

    def _swap(self) -> None:
        """A file becomes a directory, or a directory a file."""
        path = self._path()
        above = os.path.dirname(path)
        if self._chance.random() < 0.5 and above != self._top:
            shutil.rmtree(above)
            self._write(above, self._content())
        elif os.path.lexists(path):
            os.unlink(path)
            self._write(os.path.join(path, b"inside"), self._content())

    def _untrack(self) -> None:
        tracked = self._hub.git("ls-files", "-z", cwd=Path(os.fsdecode(self._top))).split("\0")[:-1]
        if tracked:
            self._git("rm", "-q", "-f", "--cached", "--", self._chance.choice(sorted(tracked)))

    def _stage(self) -> None:
        """One file, or all there is."""
        if self._chance.random() < 0.2:
            self._git("add", "-A")
            return
        path = self._path()
        if os.path.lexists(path):
            self._git("add", "-A", "--", os.fsdecode(os.path.relpath(path, self._top)))

    def _git(self, *words: str) -> None:
        self._hub.git("--literal-pathspecs", *words, cwd=Path(os.fsdecode(self._top)))


def committed(hub: Hub) -> None:
    """A file of each sort on main."""
    chance = Random(0)
    for number in range(6):
        for directory in ("", "dir", "dir/deep", "other"):
            path = hub.top / directory / f"text-{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{directory} {number}\n" * 30)
    for name in (b"b\xff", b"l\nf", b"-d", b"x.bin", b'sub/q"'):
        Path(os.fsdecode(os.fsencode(hub.top) + b"/" + name)).write_bytes(chance.randbytes(999))
    (hub.top / "program").write_text("#!/bin/sh\n")
    (hub.top / "program").chmod(0o755)
    (hub.top / "link").symlink_to("file")
    (hub.top / "dir" / "to-dir").symlink_to("../sub")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "a file of each sort")


TREES = 50


def test_fifty_random_trees(hub: Hub) -> None:
    """Through cleanup, a garbage collection, and restore."""
    committed(hub)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(TREES))
    assert hub.run("spawn", *BACK[1:]) == Result(0)
    trees = [hub.worktrees / "s1" / f"agent-{number}" for number in range(1, TREES + 1)]
    for seed, where in enumerate(trees):
        Mess(hub, where, Random(seed)).make(12)
    before = [whole(hub, where) for where in trees]
    assert sum(seen.status != [""] for seen, _ in before) == TREES
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert not any(where.exists() for where in trees)
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*BACK) == Result(0)
    for seed, (where, was) in enumerate(zip(trees, before, strict=True)):
        assert whole(hub, where) == was, seed


def spawned(hub: Hub) -> Path:
    """The worktree of a session of one agent, made by spawn."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", *BACK[1:]) == Result(0)
    return hub.worktree(1)


def comes_back(hub: Hub, where: Path) -> None:
    """Through cleanup, garbage collection and restore: equal, whatever that is."""
    before = whole(hub, where)
    result = hub.run("cleanup", "s1")
    assert (result.code, result.err) == (0, ""), result
    hub.git("gc", "-q", "--prune=now")
    assert hub.run(*BACK) == Result(0)
    assert whole(hub, where) == before


def test_a_filter_like_that_of_large_files(hub: Hub) -> None:
    """clean and smudge, required: pointers are committed, contents are on disk."""
    clean, smudge = large_files(hub)
    hub.git("config", "filter.large.clean", clean)
    hub.git("config", "filter.large.smudge", smudge)
    hub.git("config", "filter.large.required", "true")
    (hub.top / ".gitattributes").write_text("*.big filter=large -text\n")
    for name in ("a", "b", "c", "d"):
        (hub.top / f"{name}.big").write_bytes(name.encode() * 5000)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "big")
    where = spawned(hub)
    assert (where / "a.big").read_bytes() == b"a" * 5000
    (where / "a.big").write_bytes(b"staged" * 1000)
    hub.git("add", "a.big", cwd=where)
    (where / "a.big").write_bytes(b"changed" * 1000)
    (where / "b.big").write_bytes(b"unstaged" * 1000)
    (where / "c.big").unlink()
    (where / "sub" / "new.big").write_bytes(b"new\0" * 1000)
    hub.git("add", "sub", cwd=where)
    (where / "untracked.big").write_bytes(b"untracked\r\n" * 1000)
    comes_back(hub, where)
    assert hub.git("show", ":a.big", cwd=where).startswith("pointer ")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings(hub: Hub, setting: str) -> None:
    """Attributes, committed and not, and core.autocrlf: what git would make of a file, and what it would not."""
    hub.git("config", "core.autocrlf", setting)
    (hub.top / ".gitattributes").write_text("*.txt text\n*.bat text eol=crlf\n*.raw -text\n")
    for name in ("a.txt", "a.bat", "a.raw", "b.bat"):
        (hub.top / name).write_bytes(b"one\r\ntwo\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    where = spawned(hub)
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
    comes_back(hub, where)


def test_attributes_that_are_untracked_themselves(hub: Hub) -> None:
    """They hold for what is untracked beside them, also what is written before them."""
    where = spawned(hub)
    (where / "file").write_text("changed\n")
    (where / "new").mkdir()
    (where / "new" / ".gitattributes").write_text("*.unix text eol=lf\n-x.dos text eol=crlf\n")
    (where / "new" / "-x.dos").write_bytes(b"x\r\n")  # checked out before the attributes
    (where / "new" / "x.unix").write_bytes(b"x\n")
    comes_back(hub, where)


def test_line_endings_that_git_would_write_otherwise(hub: Hub) -> None:
    """LF where the attributes say CR LF: what was on disk comes back, not what a checkout makes of it."""
    (hub.top / ".gitattributes").write_text("*.bat text eol=crlf\n")
    (hub.top / "a.bat").write_bytes(b"one\r\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "line endings")
    where = spawned(hub)
    (where / "a.bat").write_bytes(b"changed\n")
    (where / "new.bat").write_bytes(b"new\n")
    (where / "staged\n.bat").write_bytes(b"staged\n")
    (where / "staged\n.bat").chmod(0o755)
    hub.git("add", "staged\n.bat", cwd=where)
    comes_back(hub, where)
    # The same to git, and other bytes.
    (where / "a.bat").write_bytes(b"changed\r\n")
    comes_back(hub, where)


def test_ignored_files_that_are_kept(hub: Hub) -> None:
    hub.commit(hub.top, ".gitignore", "*.o\n.env\n")
    where = spawned(hub)
    (where / ".env").write_text("S=1\n")
    comes_back(hub, where)
    (where / "a.o").write_text("object\n")
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*BACK) == Result(0)
    assert ((where / ".env").read_text(), (where / "a.o").exists()) == ("S=1\n", False)


def test_a_sparse_checkout_of_its_own(hub: Hub) -> None:
    """The agent's own patterns go with its worktree; what it changed comes back all the same."""
    committed(hub)
    where = spawned(hub)
    hub.git("sparse-checkout", "set", "--cone", "dir", cwd=where)
    (where / "dir" / "text-1").write_text("changed\n")
    (where / "other").mkdir()
    (where / "other" / "text-1").write_text("left out, changed\n")
    before = look(hub, where)
    hub.run("cleanup", "-q", "s1")
    assert hub.run(*BACK) == Result(0)
    after = look(hub, where)
    assert (after.status, after.programs) == (before.status, before.programs)
    assert {**after.files, **before.files} == after.files
    assert (where / "other" / "text-2").exists()


@pytest.mark.parametrize("index", ["--no-sparse-index", "--sparse-index"])
@pytest.mark.parametrize("cone", [True, False])
def test_a_sparse_checkout(hub: Hub, *, cone: bool, index: str) -> None:
    """The main worktree is sparse, and so are the agents' worktrees; they were worked in on both sides of it."""
    committed(hub)
    if cone:
        hub.git("sparse-checkout", "set", "--cone", index, "dir/deep")
    else:
        hub.git("sparse-checkout", "set", "--no-cone", "/dir/deep/", "/file")
    where = spawned(hub)
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
    comes_back(hub, where)
    assert not (where / "other" / "text-3").exists()
