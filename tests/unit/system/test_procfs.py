"""The processes that use a directory are found, with real processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from git_hub_session.system import procfs
from tests.support.hub import process_in


@pytest.mark.parametrize("path", ["real", "link", "real/../link/."])
def test_processes_are_found_by_any_path_of_the_directory(tmp_path: Path, path: str) -> None:
    """A process in a subdirectory is found, a process in a sibling with a longer name is not."""
    for name in ("real/sub", "real-2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    with process_in(tmp_path / "real" / "sub") as pid, process_in(tmp_path / "real-2"):
        directory = f"{tmp_path}/{path}"
        assert procfs.processes_in(directory) == [pid]
        assert procfs.processes_in(directory, procfs.processes()) == [pid]
        assert procfs.processes_in(directory, []) == []
        assert procfs.describe_processes([pid]) == (f"{pid} (sleep)",)


def test_no_process_uses_an_unknown_path() -> None:
    """The real path of '' is the current directory, in which a process runs."""
    with process_in(Path.cwd()):
        assert procfs.processes_in("") == []


def test_a_git_process_is_found_before_it_enters_the_worktree(tmp_path: Path) -> None:
    """The environment of git has the path of the worktree, also if the path has a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("real", "link"):
        environ = {**os.environ, "GIT_WORK_TREE": str(tmp_path / name)}
        with subprocess.Popen(["sleep", "600"], env=environ, cwd="/") as process:
            try:
                assert procfs.processes_in(str(tmp_path / "link")) == [process.pid]
            finally:
                process.kill()
