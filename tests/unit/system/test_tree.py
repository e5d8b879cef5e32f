"""A directory is scanned and deleted without following links, and new files are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from git_hub_session.system import tree
from tests.support.hub import snapshot
from tests.support.nested_directories import nest_directories


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Create a directory with files, directories, a pipe, and a link to a directory outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious\n")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "void").mkdir()
    (top / ".git").write_text("gitdir: elsewhere\n")
    (top / "file").write_text("file\n")
    (top / "a" / "b" / "deep").write_text("deep\n")
    (top / "link").symlink_to(outside)
    os.mkfifo(top / "a" / "pipe")
    return top


def test_scan_directory(top: Path) -> None:
    scanned = tree.scan_directory(str(top))
    assert sorted(scanned.files) == [b"a/b/deep", b"a/pipe", b"file", b"link"]
    assert scanned.directories == {b"a", b"a/b", b"void"}
    assert (scanned.repositories, scanned.devices) == ([], [])


def test_names_are_bytes(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for name in (b"\xff", b"new\nline", b"\xc3\xbc"):
        (top / os.fsdecode(name)).write_text("x")
    assert sorted(tree.scan_directory(str(top)).files) == [b"new\nline", b"\xc3\xbc", b"\xff"]


def test_a_link_is_not_scanned(top: Path) -> None:
    (top.parent / "link-to-top").symlink_to(top)
    with pytest.raises(OSError, match="Not a directory|Too many levels"):
        tree.scan_directory(str(top.parent / "link-to-top"))


def test_nested_repositories_are_not_scanned(top: Path) -> None:
    """A bare repository whose HEAD is tracked belongs to the project, and is scanned."""
    (top / "a" / ".git").write_text("gitdir: nowhere\n")
    for bare in ("bare", "fixture"):
        for name in ("objects", "refs"):
            (top / bare / name).mkdir(parents=True)
        (top / bare / "HEAD").write_text("ref: refs/heads/main\n")
    scanned = tree.scan_directory(str(top), tracked={b"fixture/HEAD"})
    assert sorted(scanned.repositories) == [b"a", b"bare"]
    assert sorted(scanned.files) == [b"file", b"fixture/HEAD", b"link"]


def test_a_bare_repository_at_the_top(top: Path) -> None:
    """The top is always scanned. It is listed as a repository unless its HEAD is tracked."""
    for name in ("objects", "refs"):
        (top / name).mkdir()
    (top / "HEAD").write_text("ref: refs/heads/main\n")
    scanned = tree.scan_directory(str(top))
    assert scanned.repositories == [b"."]
    assert scanned.files.keys() == {b"HEAD", b"a/b/deep", b"a/pipe", b"file", b"link"}
    assert tree.scan_directory(str(top), tracked={b"HEAD"}).repositories == []


@pytest.mark.parametrize("change", ["write", "touch", "chmod", "create", "delete", "mkdir", "swap"])
def test_the_digest_differs_after_each_change(top: Path, change: str) -> None:
    before = tree.scan_directory(str(top)).digest()
    assert tree.scan_directory(str(top)).digest() == before
    file = top / "file"
    mtime = file.stat().st_mtime_ns
    match change:
        case "write":
            file.write_text("FILE\n")
            os.utime(file, ns=(mtime, mtime))
        case "touch":
            os.utime(file, ns=(mtime, mtime + 1))
        case "chmod":
            file.chmod(0o600)
        case "create":
            (top / "void" / "new").touch()
        case "delete":
            (top / "a" / "b" / "deep").unlink()
        case "mkdir":
            (top / "void" / "void").mkdir()
        case "swap":
            file.rename(top / "aside")
            (top / "link").rename(file)
            (top / "aside").rename(top / "link")
    assert tree.scan_directory(str(top)).digest() != before


def test_remove_a_scanned_directory(top: Path) -> None:
    assert tree.remove_if_unchanged(str(top), tree.scan_directory(str(top))) == []
    assert snapshot(top.parent) == {"outside/precious": b"precious\n"}


def test_remove_keeps_new_files_and_directories(top: Path) -> None:
    """New files and directories and their parent directories are kept. The rest is deleted."""
    scanned = tree.scan_directory(str(top))
    (top / "a" / "b" / "new").write_text("new\n")
    (top / "a" / "fresh").mkdir()
    remaining = tree.remove_if_unchanged(str(top), scanned)
    assert {b"a/b/new", b"a/fresh"} <= {*remaining}
    assert snapshot(top) == {"a/b/new": b"new\n"}
    assert (top / "a" / "fresh").is_dir()


def test_remove_keeps_a_directory_that_replaced_a_file(top: Path) -> None:
    """A file that replaced a directory is also kept."""
    scanned = tree.scan_directory(str(top))
    (top / "file").unlink()
    (top / "file").mkdir()
    (top / "file" / "inside").write_text("inside\n")
    (top / "void").rmdir()
    (top / "void").write_text("a file\n")
    tree.remove_if_unchanged(str(top), scanned)
    assert snapshot(top) == {"file/inside": b"inside\n", "void": b"a file\n"}


def test_remove_finishes_an_interrupted_removal(top: Path) -> None:
    scanned = tree.scan_directory(str(top))
    (top / "a" / "b" / "deep").unlink()
    (top / "a" / "b").rmdir()
    (top / ".git").unlink()
    assert tree.remove_if_unchanged(str(top), scanned) == []
    assert not top.exists()


def test_remove_does_not_follow_a_link_that_replaced_a_directory(top: Path) -> None:
    scanned = tree.scan_directory(str(top))
    (top / "void").rmdir()
    (top / "void").symlink_to(top.parent / "outside")
    assert tree.remove_if_unchanged(str(top), scanned) == [b"void", b""]
    assert (top.parent / "outside" / "precious").exists()


def test_remove_deletes_read_only_directories(top: Path) -> None:
    (top / "a" / "b").chmod(0o555)
    assert tree.remove_if_unchanged(str(top), tree.scan_directory(str(top))) == []
    assert not top.exists()


@pytest.mark.parametrize("remove", ["if_unchanged", "path"])
def test_deeply_nested_directories(top: Path, remove: str) -> None:
    file = nest_directories(top)
    scanned = tree.scan_directory(str(top))
    assert file in scanned.files
    if remove == "path":
        tree.remove_path(str(top.parent), b"top")
    else:
        assert tree.remove_if_unchanged(str(top), scanned) == []
    assert not top.exists()
    assert sys.getrecursionlimit() < 10_000
