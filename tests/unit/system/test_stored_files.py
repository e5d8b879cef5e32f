"""Stored files replace the files of a directory, whatever happened to their sources."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from git_hub_session.system.stored_files import StoredFiles
from tests.support.hub import snapshot


def test_files_are_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "large").write_bytes(os.urandom(3 << 20))
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o755)
    (source / "link").symlink_to("script")
    os.mkfifo(source / "pipe")
    paths = [b"a/b/large", b"script", b"link"]
    stored = StoredFiles.create_in(str(tmp_path))
    stored.add(str(source), [*paths, b"pipe", b"missing", b"link/below"])
    expected, digest = snapshot(source), stored.digest()
    del expected["pipe"]
    shutil.copytree(source, tmp_path / "copy", symlinks=True, ignore=lambda *_: ["pipe"])
    shutil.rmtree(source)
    assert sorted(stored.paths) == sorted(paths)
    target.mkdir()
    assert stored.replace(str(target)) == paths
    assert (snapshot(target), stored.replace(str(target))) == (expected, [])
    assert stat.S_IMODE((target / "script").stat().st_mode) == 0o755
    (target / "script").chmod(0o644)
    (target / "link").unlink()
    (target / "link").mkdir()
    (target / "link" / "file").write_text("x")
    shutil.rmtree(target / "a")
    (target / "a").symlink_to(tmp_path / "copy" / "a")
    assert stored.replace(str(target)) == paths
    assert (snapshot(target), os.path.islink(target / "a")) == (expected, False)
    other = StoredFiles.create_in(str(tmp_path))
    (tmp_path / "copy" / "script").chmod(0o644)
    other.add(str(tmp_path / "copy"), paths)
    assert other.digest() != digest
    (tmp_path / "copy" / "script").chmod(0o755)
    again = StoredFiles.create_in(str(tmp_path))
    again.add(str(tmp_path / "copy"), reversed(paths))
    assert again.digest() == digest
    for files in (stored, other, again):
        files.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        stored.digest()
