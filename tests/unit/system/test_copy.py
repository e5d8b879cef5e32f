"""Files are copied into another directory without overwriting a file or following a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from git_hub_session.system.copy import copy_files
from tests.support.hub import snapshot


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "file").write_bytes(b"x" * 100_000)
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o750)
    (source / "link").symlink_to("/elsewhere")
    os.mkfifo(source / "pipe")
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "target"
    target.mkdir()
    return target


def copy(source: Path, target: Path, *paths: str) -> None:
    copy_files(str(source), str(target), [os.fsencode(path) for path in paths])


@pytest.mark.parametrize("shares_data", [True, False])
def test_files_and_links_are_copied(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, *, shares_data: bool
) -> None:
    """If copy_file_range(2) fails between two file systems, the bytes are read and written."""

    def fail(*_: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    if not shares_data:
        monkeypatch.setattr(os, "copy_file_range", fail)
    copy(source, target, "a/b/file", "script", "link", "pipe", "missing", "missing/file")
    assert snapshot(target) == {
        "a/b/file": b"x" * 100_000,
        "script": b"#!/bin/sh\n",
        "link": "-> /elsewhere",
    }
    assert stat.S_IMODE((target / "script").stat().st_mode) == 0o750


def test_an_existing_file_is_not_overwritten(source: Path, target: Path) -> None:
    (target / "script").write_text("mine\n")
    copy(source, target, "script")
    assert (target / "script").read_text() == "mine\n"


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_link_in_place_of_a_directory_is_not_followed(
    source: Path, target: Path, side: str
) -> None:
    outside = source.parent / "outside"
    (source / "a" / "b").rename(outside)
    if side == "source":
        (source / "a" / "b").symlink_to(outside)
        copy(source, target, "a/b/file")
        assert snapshot(target) == {}
        return
    (source / "a" / "b").mkdir()
    (source / "a" / "b" / "new").write_text("new\n")
    (target / "a").mkdir()
    (target / "a" / "b").symlink_to(outside)
    copy(source, target, "a/b/new")
    assert sorted(os.listdir(outside)) == ["file"]


def test_an_error_names_the_path(source: Path, target: Path) -> None:
    copy(source, target, "script")
    name = "n" * 300
    with pytest.raises(OSError, match="File name too long") as caught:
        copy(source, target, f"a/{name}")
    assert caught.value.filename == f"a/{name}"
