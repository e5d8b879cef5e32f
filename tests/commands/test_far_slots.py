"""Two calls of exec --on for one worker at the far end, and hosts that share a home directory."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from select import select

import pytest

from tests.support.clones import add_clone, connect
from tests.support.hub import Hub, Result, wait_for
from tests.support.remotes import ServedRepository
from tests.support.workers import (
    define_executor,
    finish,
    is_cut,
    published_attempts,
    script_with_a_long_log,
    start_exec,
)

pytestmark = pytest.mark.slow
COMMIT = "echo x >work && git add work && git commit -qm work"


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone with a session of one agent and the executor `box`."""
    connect(hub, served.url)
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    assert created == Result(0, "s1\n")
    assert hub.run("push", "-q", "s1").code == 0
    define_executor(hub, "box", command="env FAR=box")
    return hub


def has_written(process: subprocess.Popen[str]) -> bool:
    """Return True if there is a line on standard error of a process."""
    assert process.stderr is not None
    return bool(select([process.stderr], [], [], 0)[0])


def read_line(process: subprocess.Popen[str]) -> str:
    """Wait for the next line on standard error of a process."""
    assert process.stderr is not None
    return process.stderr.readline().rstrip("\n")


@pytest.mark.parametrize("without", ["", "flock", "flock perl"])
def test_two_calls_start_one_worker(
    first: Hub, served: ServedRepository, tmp_path: Path, without: str
) -> None:
    """They run in two clones. Without flock and perl, nothing can lock: both workers end."""
    if without:
        programs = hide_programs(first, tmp_path, without.split())
        define_executor(first, "box", command=f"env FAR=box PATH={programs}")
    second = add_clone(first, "second", served.url)
    second.run("fetch", "-q", "s1")
    setups, go, end = tmp_path / "setups", tmp_path / "go", tmp_path / "end"
    setup = f"echo x >>{setups}; until test -e {go}; do sleep 0.05; done"
    define_executor(first, "box", setup=setup)
    words = ("--on", "box", "s1", "--", "sh", "-c")
    script = f"until test -e {end}; do sleep 0.05; done; {COMMIT}"
    one = start_exec(first, *words, script)
    wait_for(setups.exists, one)
    two = start_exec(second, *words, script)
    wait_for(lambda: has_written(two) or setups.read_text() == "x\nx\n", two)
    go.touch()
    if without != "flock perl":
        assert setups.read_text() == "x\n"
        assert read_line(two) == "box: waiting for another call that starts worker 1"
        assert read_line(two) == "box: worker 1 was running already"
    end.touch()
    results = [finish(one), finish(two)]
    assert [result.code for result in results] == [0, 0], results
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert served.refs("refs/hub/claims/") == {}


def hide_programs(hub: Hub, tmp_path: Path, hidden: list[str]) -> Path:
    """Return a directory with all programs of the PATH except for the hidden ones."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for directory in hub.environ["PATH"].split(":"):
        for program in Path(directory).glob("*"):
            link = programs / program.name
            if program.name not in hidden and not link.is_symlink():
                link.symlink_to(program)
    return programs


def test_the_lock_ends_with_its_call(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """The setup starts a process that goes on, and the first call is killed during the setup."""
    setups, go = tmp_path / "setups", tmp_path / "go"
    setup = (
        f"sleep 600 >/dev/null 2>&1 & echo $! >>{setups}; until test -e {go}; do sleep 0.05; done"
    )
    define_executor(first, "box", setup=setup)
    words = ("--on", "box", "s1", "--", "sh", "-c", COMMIT)
    one = start_exec(first, *words)
    wait_for(setups.exists, one)
    os.killpg(one.pid, signal.SIGKILL)
    finish(one)
    go.touch()
    result = finish(start_exec(first, *words))
    for pid in setups.read_text().split():
        subprocess.run(["kill", pid])
    assert (result.code, result.err) == (0, "")
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


def test_hosts_that_share_a_home_directory(
    first: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    """They use one clone. Each host has its own first worker, and --cancel ends that of one host."""
    unshare = "unshare --uts --pid --fork --kill-child --mount-proc"
    if shutil.which("unshare") is None or first.call("sh", "-c", f"{unshare} true").code:
        pytest.skip("cannot create hosts with names of their own")
    first.run("init", "-q", "--id", "s2", "--task", "Make it fast", "--agents", "2")
    for name in ("gpu1", "gpu2"):
        command = f"{unshare} sh -c 'hostname {name} && exec \"$@\"' sh"
        define_executor(first, name, command=command)
    running = f"touch {tmp_path}/$(uname -n); until test -e {tmp_path}/end; do sleep 0.05; done"
    script = f"{running}; uname -n; {COMMIT}"
    process = start_exec(first, "--on", "gpu1,gpu2", "s2", "--", "sh", "-c", script)
    wait_for(lambda: all((tmp_path / name).exists() for name in ("gpu1", "gpu2")), process)
    (tmp_path / "end").touch()
    result = finish(process)
    assert (result.code, result.err) == (0, ""), result
    lines = [line.split(": ", 1) for line in result.out.splitlines() if " | gpu" in line]
    assert sorted(host for host, _ in lines) == ["gpu1", "gpu2"]
    assert all(text.endswith(f" | {host}") for host, text in lines)
    assert len(served.refs("refs/heads/hub/s2/")) == 2


def test_a_worker_that_runs_another_command(first: Hub, tmp_path: Path) -> None:
    """A call with another command shows the worker, and says which command does not run."""
    started, go = tmp_path / "started", tmp_path / "go"
    script = f"touch {started}; until test -e {go}; do sleep 0.05; done; printf 'first\\n'"
    words = ("--on", "box", "s1", "--", "sh", "-c")
    one = start_exec(first, *words, script)
    wait_for(started.exists, one)
    two = start_exec(first, *words, "echo second")
    same = start_exec(first, *words, script)
    lines = [read_line(two) for _ in range(4)]
    go.touch()
    command = f"git hub-session work s1 -- sh -c {shlex.quote(script)}"
    assert lines == [
        "box: worker 1 was running already",
        f"box: warning: worker 1 runs another command: {command}",
        "box: not started: git hub-session work s1 -- sh -c 'echo second'",
        "box: to end it: git hub-session exec --on box --cancel s1",
    ]
    shown = [finish(process) for process in (one, two, same)]
    assert [result.code for result in shown] == [0, 0, 0]
    assert "box: agent-1 | first" in shown[1].out.splitlines()
    assert "warning" not in shown[2].err


def test_a_log_that_is_too_long(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """The log is cut while the worker runs. The lines after that are shown."""
    go = tmp_path / "go"
    define_executor(first, "box", setup="log_limit=5000 log_pause=0.1")
    script = f"{script_with_a_long_log(go)}; {COMMIT}"
    process = start_exec(first, "--on", "box", "s1", "--", "sh", "-c", script)
    home = Path(first.environ["HOME"])
    pattern = f".cache/git-hub-session/*/.git/hub-session-workers/s1/{os.uname().nodename}/1.log"
    wait_for(lambda: any(map(is_cut, home.glob(pattern))), process)
    [log] = home.glob(pattern)
    go.touch()
    result = finish(process)
    assert (result.code, result.err) == (0, ""), result
    assert "box: agent-1 | later" in result.out.splitlines()
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert is_cut(log)
    assert log.read_text().splitlines()[0] == (
        "(the output before this line was deleted: the log had more than 5000 bytes)"
    )


def test_the_limit_of_the_log_ends_with_its_shell(first: Hub, tmp_path: Path) -> None:
    """The shell that starts the worker is killed, and the worker ends. No process is left."""
    define_executor(first, "box", setup="log_pause=0.1")
    pid_file = tmp_path / "pid"
    script = f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600"
    process = start_exec(first, "--on", "box", "s1", "--", "sh", "-c", script)
    try:
        wait_for(pid_file.exists, process)
        pattern = ".cache/git-hub-session/*/.git/hub-session-workers/s1/*/1.pid"
        [file] = Path(first.environ["HOME"]).glob(pattern)
        shell = int(file.read_text().split()[0])
        assert len(processes_of_group(shell)) > 2
        os.kill(shell, signal.SIGKILL)
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        finish(process)
        wait_for(lambda: not processes_of_group(shell))
    finally:
        process.kill()


def processes_of_group(group: int) -> list[str]:
    """Return the stat lines of the running processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # the process has ended
        if int(number) == group and state != "Z":
            found.append(str(path))
    return found


def test_sandboxes_with_one_clone(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """The processes of a sandbox cannot be seen in another one. They keep their claims."""
    prefix = "bwrap --bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent"
    if first.call("sh", "-c", f"{prefix} true").code:
        pytest.skip("bwrap cannot create a sandbox here")
    define_executor(first, "box", command=prefix)
    first.run("init", "-q", "--id", "s2", "--task", "Make it fast", "--agents", "2")
    running, end = tmp_path / "running", tmp_path / "end"
    script = f"echo x >>{running}; until test -e {end}; do sleep 0.05; done; {COMMIT}"
    process = start_exec(first, "--on", "box*3", "s2", "--", "sh", "-c", script)
    wait_for(lambda: running.exists() and len(running.read_text().split()) == 2, process)
    seen = served.refs("refs/hub/claims/s2/")
    end.touch()
    result = finish(process)
    assert (len(seen), running.read_text()) == (2, "x\nx\n")
    assert (result.code, result.err) == (0, ""), result.out.splitlines()
    assert "taken over" not in result.out
