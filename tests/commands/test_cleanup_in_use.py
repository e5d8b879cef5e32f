"""Worktrees that a process uses, although its current directory seems to be outside of them."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cleanup import everything, kept, removed, saved
from tests.support.hub import CHECKOUT, PYTHON, Hub, process_in, wait_until_started

HINT = "end the process\ngit hub-session cleanup --force s1"


def assert_in_use(hub: Hub, worktree: Path, process: str) -> None:
    """Assert that `cleanup` and `archive` keep the worktree and name the process."""
    before = everything(hub)
    assert hub.run("cleanup", "-n", "s1").code == 1
    assert hub.run("cleanup", "s1") == kept(worktree, f"in use by process {process}", HINT)
    assert everything(hub) == before
    result = hub.run("archive", "s1")
    assert result.code == 1
    assert f"  in use by process {process}\n" in result.out + result.err
    assert worktree.exists()


@pytest.mark.parametrize("directory", ["/container", "/container/sub", "/"])
def test_container(hub: Hub, tmp_path: Path, directory: str) -> None:
    """A container has mounted the worktree. Its process may have any current directory."""
    worktree = hub.session("s1", agents=1).worktree(1)
    point = tmp_path / "container"
    point.mkdir()
    script = f"mount --bind {worktree} {point} && cd {directory.replace('/container', str(point))}"
    command = ["unshare", "--mount", "sh", "-c", f"{script} && echo ready && exec sleep 600"]
    with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                pytest.skip("nothing may be mounted here")
            assert_in_use(hub, worktree, f"{process.pid} (sleep)")
            assert hub.run("cleanup", "--force", "s1") == removed(worktree)
        finally:
            process.kill()


def test_open_file(hub: Hub) -> None:
    """A process in another directory still writes a file."""
    worktree = hub.session("s1", agents=1).worktree(1)
    with (worktree / "log").open("w") as log:
        process = subprocess.Popen(["sleep", "600"], cwd="/", stdout=log)
    wait_until_started(process)
    try:
        assert_in_use(hub, worktree, f"{process.pid} (sleep)")
    finally:
        process.kill()
        process.wait()
    assert hub.run("cleanup", "-q", "s1").code == 0


THREAD = """
import ctypes, os, sys, threading, time

def work():
    if sys.argv[2] == "files":
        assert ctypes.CDLL(None).unshare(CLONE_FILES) == 0
        os.open(sys.argv[1], os.O_RDONLY)
    else:
        assert ctypes.CDLL(None).unshare(CLONE_FS) == 0
        os.chdir(sys.argv[1])
    print("ready", flush=True)
    time.sleep(600)

CLONE_FS, CLONE_FILES, SYS_exit = 0x200, 0x400, 60
if sys.argv[2] != "first":
    threading.Thread(target=work).start()
else:
    os.chdir(sys.argv[1])
    # The first thread ends, but the process continues.
    threading.Thread(target=lambda: (print("ready", flush=True), time.sleep(600))).start()
    ctypes.CDLL(None).syscall(SYS_exit, 0)
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="needs Linux on x86-64"
)
@pytest.mark.parametrize("kind", ["directory", "files", "first"])
def test_thread(hub: Hub, kind: str) -> None:
    """A thread has its own directory or open files, or the first thread of the process has ended."""
    worktree = hub.session("s1", agents=1).worktree(1)
    with subprocess.Popen(
        [PYTHON, "-c", THREAD, worktree, kind], cwd="/", stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
            assert_in_use(hub, worktree, f"{process.pid} ({name})")
        finally:
            process.kill()
    assert hub.run("cleanup", "-q", "s1").code == 0


MAP_AND_CLOSE = """
import mmap, os, sys
with open(sys.argv[1], "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
os.closerange(3, 100)  # Python keeps a copy of the descriptor
print("ready", flush=True)
sys.stdin.read()
mapped[:4] = b"late"
"""


def test_mapped_file(hub: Hub) -> None:
    """A process in another directory still writes a file that it has mapped and closed."""
    worktree = hub.session("s1", agents=1).worktree(1)
    data = worktree / "a file\nin memory"
    data.write_text("data\n")
    command = [PYTHON, "-c", MAP_AND_CLOSE, str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd="/", stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        assert_in_use(hub, worktree, f"{process.pid} ({name})")
        process.communicate()
    assert data.read_text() == "late\n"
    assert hub.run("cleanup", "s1") == saved(worktree)


def test_process_in_a_directory_with_a_longer_name(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    longer = worktree.with_name("agent-1-notes")
    longer.mkdir()
    with process_in(longer):
        assert hub.run("cleanup", "s1") == removed(worktree)


def test_system_without_proc(hub: Hub) -> None:
    """psutil finds the processes: those in the worktree, and those of a killed `exec`."""
    hub.session("s1", agents=2)
    code = (
        "import sys; from git_hub_session.system import procfs; procfs._HAS_PROC = False;"
        "procfs._list_directory = lambda path: [];"
        "from git_hub_session.main import run_and_exit; run_and_exit()"
    )
    command = [PYTHON, "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); {code}"]
    environ = {
        **hub.environ,
        "HUB_RUN": f"{hub.directory()}/output/exec-1",
        "HUB_AGENT": "agent-2",
    }
    sleep = ["sleep", "600"]
    with process_in(hub.worktree(1)) as pid, subprocess.Popen(sleep, cwd="/", env=environ) as left:
        wait_until_started(left)
        result = hub.call(*command, "cleanup", "s1")
        left.kill()
    assert (result.code, result.err) == (1, "")
    assert f"  in use by process {pid} (sleep)\n" in result.out
    assert f"  in use by process {left.pid} (sleep) of exec-1, which has ended\n" in result.out
