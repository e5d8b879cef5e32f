"""Temporary directories and files outside the repository."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
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


def test_directories_that_killed_processes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those without a process are removed after a day. Directories in use, and others, stay."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    old = time.time() - 25 * 3600
    kept = [f"git-hub-session-{name}" for name in ("1" * 16, "2" * 16, "bench-jg60r_82", "x" * 16)]
    for name in (*kept, f"git-hub-session-{'3' * 16}"):
        (tmp_path / name / "objects").mkdir(parents=True)
        (tmp_path / name / "objects" / "file").write_text("x")
        os.utime(tmp_path / name, (old, old))
    os.utime(tmp_path / kept[1])
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / f"git-hub-session-{'4' * 16}").symlink_to(precious)
    os.utime(tmp_path / f"git-hub-session-{'4' * 16}", (old, old), follow_symlinks=False)
    waits = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), 2); print(flush=True); input()"
    command = [sys.executable, "-c", waits, str(tmp_path / kept[0])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with temporary_directory() as path:
            names = sorted(each.name for each in tmp_path.iterdir())
        expected = [*kept, os.path.basename(path), "precious", f"git-hub-session-{'4' * 16}"]
        assert names == sorted(expected)
        process.communicate(b"\n")
    with temporary_directory():
        assert not (tmp_path / kept[0]).exists()


def test_directory_of_a_process_that_runs_for_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with temporary_directory() as first:
        os.utime(first, (0, 0))
        with temporary_directory():
            assert os.path.isdir(first)
