"""A directory is read without following links, changed atomically, and locked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_hub_session.errors import Damaged, LockHeld
from git_hub_session.system.directory import SafeDirectory, write_error
from tests.support.hub import snapshot


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    top.mkdir()
    return top


@pytest.fixture
def directory(top: Path) -> Iterator[SafeDirectory]:
    with SafeDirectory(str(top)) as directory:
        yield directory


def test_a_link_to_a_directory_is_not_opened(top: Path, directory: SafeDirectory) -> None:
    (top / "real").mkdir()
    (top / "link").symlink_to("real")
    directory.open_child("real").close()
    with pytest.raises(Damaged, match="is a symbolic link"):
        directory.open_child("link")
    with pytest.raises(Damaged, match="is a symbolic link"):
        SafeDirectory(str(top / "link"))
    with pytest.raises(FileNotFoundError):
        directory.open_child("missing")
    (top / "file").touch()
    with pytest.raises(NotADirectoryError):
        directory.open_child("file")


def test_names_are_sorted_without_hidden_names(top: Path, directory: SafeDirectory) -> None:
    for name in ("b", "a", ".hidden"):
        (top / name).mkdir()
    (top / "link").symlink_to("missing")
    for name in ("file", ".file.tmp", ".a.tmp", "x.tmp"):
        (top / name).touch()
    assert directory.names() == ["a", "b", "file", "link", "x.tmp"]
    assert directory.temporary_files() == [".a.tmp", ".file.tmp"]
    assert directory.child_directories() == (["a", "b", "link"], frozenset({"link"}))
    assert directory.exists("link")
    assert not directory.exists("missing")


def test_only_regular_files_of_limited_size_are_read(top: Path, directory: SafeDirectory) -> None:
    (top / "file").write_bytes(b"12345")
    (top / "link").symlink_to("file")
    os.mkfifo(top / "pipe")
    assert directory.read("file", limit=5) == b"12345"
    with pytest.raises(Damaged, match="file: larger than 4 bytes"):
        directory.read("file", limit=4)
    with pytest.raises(Damaged, match="is a symbolic link"):
        directory.read("link", limit=5)
    with pytest.raises(Damaged, match="pipe: not a regular file"):
        directory.read("pipe", limit=5)
    with pytest.raises(FileNotFoundError):
        directory.read("missing", limit=5)


def test_a_replaced_file_keeps_its_mode(top: Path, directory: SafeDirectory) -> None:
    (top / "file").write_bytes(b"old")
    (top / "file").chmod(0o640)
    (top / ".file.tmp").write_bytes(b"left by a killed process")
    directory.replace_atomically("file", b"new")
    assert snapshot(top) == {"file": b"new"}
    assert stat.S_IMODE((top / "file").stat().st_mode) == 0o640


def test_a_link_is_replaced_and_not_followed(top: Path, directory: SafeDirectory) -> None:
    (top / "target").write_bytes(b"old")
    (top / "link").symlink_to("target")
    directory.replace_atomically("link", b"new")
    assert snapshot(top) == {"target": b"old", "link": b"new"}


def test_a_failed_replacement_leaves_the_old_file(
    top: Path, directory: SafeDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    (top / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        directory.replace_atomically("file", b"new")
    assert snapshot(top) == {"file": b"old"}


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_a_new_file_does_not_replace_another(
    top: Path, directory: SafeDirectory, monkeypatch: pytest.MonkeyPatch, *, has_hard_links: bool
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise PermissionError

    if not has_hard_links:
        monkeypatch.setattr(os, "link", fail)
    directory.create_atomically("file", b"first")
    with pytest.raises(FileExistsError):
        directory.create_atomically("file", b"second")
    assert snapshot(top) == {"file": b"first"}


def test_a_lock_is_held_until_the_directory_is_closed(top: Path, directory: SafeDirectory) -> None:
    with SafeDirectory(str(top)) as other:
        assert not directory.is_locked()
        other.lock(wait=0)
        assert directory.is_locked()
        with pytest.raises(LockHeld, match="is locked"):
            directory.lock(wait=0.01)
    assert not directory.is_locked()
    directory.lock(wait=0)


def test_pending_directories_of_killed_processes_are_removed(
    top: Path, directory: SafeDirectory
) -> None:
    """A pending directory is kept if it is locked or has unknown files."""
    for name, file in ((".stale.tmp", "known"), (".unknown.tmp", "mine")):
        (top / name).mkdir()
        (top / name / file).touch()
    with directory.create_pending_child("new") as pending:
        directory.remove_stale_pending(["known"])
        names = directory.temporary_files()
    assert len(names) == 2
    assert os.path.basename(pending.path) in names
    assert ".unknown.tmp" in names


def test_a_write_error_says_that_nothing_was_changed() -> None:
    error = write_error("/hub/state.json", OSError(28, "No space left on device"))
    assert (error.message, error.hint) == (
        "cannot write '/hub/state.json': No space left on device",
        "nothing was changed",
    )
