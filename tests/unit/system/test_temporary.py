"""Temporary directories and files outside the repository."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from git_hub_session.system.temporary import memory_file, temporary_directory


def test_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is private. At the end nothing is left, and no link was followed."""
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "file").write_text("kept\n")
    monkeypatch.setenv("TMPDIR", str(scratch))
    with temporary_directory() as path:
        directory = Path(path)
        assert directory.parent == scratch
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "a" / "b").mkdir(parents=True)
        (directory / "a" / "file").write_text("read-only\n")
        (directory / "a" / "file").chmod(0o400)
        (directory / "a" / "directory").symlink_to(outside)
        (directory / "a" / "nothing").symlink_to("missing")
        (directory / "a").chmod(0)
    assert list(scratch.iterdir()) == []
    assert (outside / "file").read_text() == "kept\n"


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """Return an empty directory in which every user may create files."""
    with TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_directory_without_permissions(
    public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner removes it. Root could remove it in any case."""
    monkeypatch.setenv("TMPDIR", str(public_directory))
    pid = os.fork()
    if not pid:
        os.setuid(65534)
        try:
            with temporary_directory() as path:
                (Path(path) / "a").mkdir()
                (Path(path) / "a" / "file").touch()
                (Path(path) / "a").chmod(0)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert list(public_directory.iterdir()) == []


def test_temporary_directory_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(ValueError, match="^x$"), temporary_directory() as path:
        raise ValueError("x")
    assert not os.path.lexists(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", "/missing"])
def test_default_of_temporary_directories(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", value)
    with temporary_directory() as path:
        assert os.path.dirname(path) == "/tmp"


def test_relative_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", ".")
    with temporary_directory() as path:
        assert os.path.dirname(path) == str(tmp_path)


def test_memory_file() -> None:
    with memory_file() as fd:
        os.write(fd, b"text")
        assert os.pread(fd, 10, 0) == b"text"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
