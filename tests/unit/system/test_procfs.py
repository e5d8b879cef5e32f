"""The processes that use a directory are found, with real processes."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from git_hub_session.system import procfs
from tests.support.hub import CHECKOUT, process_in, wait_for


@pytest.fixture(params=["/proc", "psutil"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read processes from /proc, and as on systems without it."""
    name = str(request.param)
    monkeypatch.setattr(procfs, "_HAS_PROC", name == "/proc")
    return name


@pytest.mark.usefixtures("reader")
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
        assert procfs.processes_in(directory, procfs.NO_PROCESSES) == []
        assert procfs.processes_in(str(tmp_path / "real-2" / "none")) == []
        assert pid in procfs.processes_in(str(tmp_path))
        assert pid in procfs.processes_in("/")
        assert procfs.describe_processes([pid]) == (f"{pid} (sleep)",)


@pytest.mark.usefixtures("reader")
def test_no_process_uses_an_unknown_path() -> None:
    """The real path of '' is the current directory, in which a process runs."""
    with process_in(Path.cwd()):
        assert procfs.processes_in("") == []


@pytest.mark.usefixtures("reader")
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


@pytest.mark.usefixtures("reader")
def test_a_process_that_starts_a_program_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Popen returns while execve(2) has not yet made the environment and the arguments visible.

    On a machine with two CPUs, 2 of 100 processes were found with an empty environment.
    """
    for number in range(300):
        environ = {**os.environ, "HUB_RUN": f"{os.getpid()}-{number}"}
        with subprocess.Popen(["sleep", "600"], env=environ) as process:
            monkeypatch.setattr(procfs, "_pids", partial(list, [process.pid]))  # find it at once
            try:
                found = procfs.pids_with_environment({"HUB_RUN": environ["HUB_RUN"]})
                assert found == [process.pid], number
            finally:
                process.kill()


def test_a_process_with_an_empty_environment_is_not_waited_for() -> None:
    reads: list[str] = []
    with (
        subprocess.Popen(["sleep", "600"], env={}) as process,
        pytest.MonkeyPatch.context() as patch,
    ):
        try:
            wait_for(lambda: procfs.process_name(process.pid) == "sleep")
            patch.setattr("time.sleep", lambda _: reads.append("wait"))
            assert dict(procfs.environments(("HUB_RUN",)))[process.pid] == {}
        finally:
            process.kill()
    assert reads == []


@contextmanager
def process_with_mount(source: Path, point: Path, script: str) -> Iterator[int]:
    """Run a script in a mount namespace in which `source` is mounted at `point` too."""
    setup = 'mount --bind "$1" "$2" && exec sh -c "$3"'
    command = ["unshare", "--mount", "sh", "-c", setup, "sh", str(source), str(point), script]
    with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                pytest.skip("nothing may be mounted here")
            yield process.pid
        finally:
            process.kill()


SLEEP = "echo ready; exec sleep 600"


@pytest.mark.parametrize("script", [f"cd point/sub; {SLEEP}", f"cd point; {SLEEP}", SLEEP])
def test_process_in_a_container(tmp_path: Path, script: str) -> None:
    """The directory has another path there. A container may also use it from another directory."""
    for name in ("real/sub", "real-2/sub", "point"):
        (tmp_path / name).mkdir(parents=True)
    script = script.replace("point", str(tmp_path / "point"))
    with process_with_mount(tmp_path / "real", tmp_path / "point", script) as pid:
        assert procfs.processes_in(str(tmp_path / "real")) == [pid]
        assert procfs.processes_in(str(tmp_path / "real-2")) == []
        assert procfs.processes_in(str(tmp_path / "point")) == []
        (tmp_path / "real").rename(tmp_path / "renamed")
        assert procfs.processes_in(str(tmp_path / "renamed")) == [pid]


def test_container_with_a_part_of_the_directory(tmp_path: Path) -> None:
    for name in ("real/sub", "real/other", "point"):
        (tmp_path / name).mkdir(parents=True)
    script = f"cd {tmp_path}/point; {SLEEP}"
    with process_with_mount(tmp_path / "real" / "sub", tmp_path / "point", script) as pid:
        assert procfs.processes_in(str(tmp_path / "real")) == [pid]
        assert procfs.processes_in(str(tmp_path / "real" / "other")) == []


def test_container_with_a_parent_of_the_directory(tmp_path: Path) -> None:
    """The container may not use the directory at all. Its processes in the directory count."""
    for name in ("real/sub/below", "real/other", "point"):
        (tmp_path / name).mkdir(parents=True)
    files = f"exec <{tmp_path}/point/sub/file; {SLEEP}"
    (tmp_path / "real" / "sub" / "file").write_text("")
    for script, is_found in (
        (SLEEP, False),
        (f"cd {tmp_path}/point/sub; {SLEEP}", True),
        (files, True),
    ):
        with process_with_mount(tmp_path / "real", tmp_path / "point", script) as pid:
            expected = [pid] if is_found else []
            assert procfs.processes_in(str(tmp_path / "real" / "sub")) == expected
            assert procfs.processes_in(str(tmp_path / "real" / "other")) == []


def test_mount_in_the_same_namespace(tmp_path: Path) -> None:
    for name in ("real/sub", "point"):
        (tmp_path / name).mkdir(parents=True)
    mount = ["mount", "--bind", str(tmp_path / "real"), str(tmp_path / "point")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        with process_in(tmp_path / "point" / "sub") as pid:
            assert procfs.processes_in(str(tmp_path / "real")) == [pid]
    finally:
        subprocess.run(["umount", "--lazy", tmp_path / "point"], check=True)


@pytest.mark.usefixtures("reader")
def test_open_files_and_programs(tmp_path: Path) -> None:
    """A process that stands elsewhere can write to an open file, or run from the directory."""
    (tmp_path / "used").mkdir()
    shutil.copy("/bin/sleep", tmp_path / "used" / "program")
    with (tmp_path / "used" / "log").open("w") as log:
        writer = subprocess.Popen(["sleep", "600"], cwd="/", stdout=log)
    program = subprocess.Popen([tmp_path / "used" / "program", "600"], cwd="/")
    try:
        pids = sorted([writer.pid, program.pid])
        wait_for(lambda: procfs.processes_in(str(tmp_path / "used")) == pids)
        directories = procfs.processes(open_files=False)
        assert procfs.processes_in(str(tmp_path / "used"), directories) == []
    finally:
        for process in (writer, program):
            process.kill()
            process.wait()


@pytest.mark.usefixtures("reader")
def test_mapped_files(tmp_path: Path) -> None:
    """A process can use a file that it has closed. It is found only on request."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "data").write_text("data\n")
    with (tmp_path / "used" / "data").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    pid = os.fork()
    if not pid:
        os.closerange(3, 4096)  # Python keeps a copy of the descriptor
        signal.pause()
    try:
        mapped.close()
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= 3)
        snapshot = procfs.processes(mapped_files=True)
        assert procfs.processes_in(str(tmp_path / "used"), snapshot) == [pid]
        assert procfs.processes_in(str(tmp_path / "used"), procfs.processes()) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.usefixtures("reader")
def test_facts_about_a_process(tmp_path: Path) -> None:
    environ = {**os.environ, "HUB_RUN": str(tmp_path), "HUB_AGENT": "agent-1"}
    with subprocess.Popen(["sleep", "600"], env=environ, cwd=tmp_path) as process:
        try:
            pid = process.pid
            wait_for(lambda: procfs.process_name(pid) == "sleep")
            assert procfs.pids_with_environment({"HUB_RUN": str(tmp_path)}) == [pid]
            assert procfs.pids_with_environment({"HUB_RUN": f"{tmp_path}0"}) == []
            assert dict(procfs.environments(("HUB_AGENT",)))[pid] == {"HUB_AGENT": "agent-1"}
            assert procfs.is_alive(pid)
            assert str(tmp_path) in procfs.processes().current_directories
        finally:
            process.kill()
    assert not procfs.is_alive(pid)
    assert procfs.process_name(pid) == "?"
    assert not procfs.is_unavailable()


def test_both_readers_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Linux, psutil finds the same processes and mount points as /proc."""
    with process_in(tmp_path) as pid, (tmp_path / "file").open("w") as file:
        writer = subprocess.Popen(["sleep", "600"], cwd="/", stdout=file)
        try:
            found = []
            for has_proc in (True, False):
                monkeypatch.setattr(procfs, "_HAS_PROC", has_proc)
                wait_for(lambda: procfs.process_name(writer.pid) == "sleep")
                snapshot = procfs.processes()
                found.append((procfs.processes_in(str(tmp_path), snapshot), procfs.mounts_in("/")))
        finally:
            writer.kill()
            writer.wait()
    assert found[0][0] == found[1][0] == sorted([pid, writer.pid])
    assert {*found[1][1]} <= {*found[0][1]}


def test_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without /proc and psutil sees no process, and says so."""
    monkeypatch.setattr(procfs, "_HAS_PROC", False)
    monkeypatch.setitem(sys.modules, "git_hub_session.system.psutil_processes", None)
    monkeypatch.setattr(procfs, "_list_directory", lambda _path: [])
    assert procfs.is_unavailable()
    assert procfs.processes().current_directories == []


def test_psutil_is_a_dependency_of_systems_without_proc_only() -> None:
    """pip installs it neither on Linux nor on Cygwin, which have /proc."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    [psutil] = [line for line in project["dependencies"] if line.startswith("psutil")]
    marker = psutil.partition("; ")[2]
    systems = {"linux": False, "cygwin": False, "darwin": True, "freebsd14": True}
    for system, is_needed in systems.items():
        assert eval(marker, {"sys_platform": system}) is is_needed
