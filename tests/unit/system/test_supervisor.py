"""Each command has a supervisor, which adopts its orphans and nothing else."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from git_hub_session.system.supervision.leftovers import child_processes
from git_hub_session.system.supervision.supervisor import Command, SupervisedCommand, Supervision
from git_hub_session.system.tasks import Task
from tests.support.hub import PYTHON, is_alive, wait_for


@pytest.fixture
def supervision() -> Iterator[Supervision]:
    """Let this process adopt orphans, and check that it has no new child process at the end."""
    before = {*child_processes(os.getpid())}
    supervision = Supervision()
    supervision.adopt_orphans()
    yield supervision
    supervision.release_orphans()
    assert {*child_processes(os.getpid())} <= before


def start(supervision: Supervision, script: str) -> Command:
    """Start a shell script."""
    task = Task(["sh", "-c", script], "/", dict(os.environ))
    return supervision.start(task, separate_stderr=True)


def read_output(command: Command) -> list[bytes]:
    """Wait for the end of the output, and return it: standard output and standard error."""
    outputs = []
    for pipe in command.output_pipes:
        os.set_blocking(pipe, True)
        with open(pipe, "rb") as file:
            outputs.append(file.read())
    return outputs


@pytest.mark.parametrize("supervised", [True, False])
def test_output_and_exit_status(supervision: Supervision, *, supervised: bool) -> None:
    owner = supervision if supervised else Supervision()  # it adopts no orphans
    command = start(owner, "echo out; echo err >&2; exit 3")
    assert isinstance(command, SupervisedCommand) == supervised
    assert read_output(command) == [b"out\n", b"err\n"]
    wait_for(command.has_ended)
    assert command.wait() == 3


def test_command_that_a_signal_ended(supervision: Supervision) -> None:
    command = start(supervision, "kill -TERM $$")
    assert (read_output(command), command.wait()) == ([b"", b""], -signal.SIGTERM)


@pytest.mark.parametrize(
    ("program", "directory", "code", "name"),
    [
        ("no-such-program", "/", errno.ENOENT, "no-such-program"),
        ("true", "/no/such", errno.ENOENT, "/no/such"),
        ("/", "/", errno.EACCES, "/"),
    ],
)
def test_command_that_cannot_run(
    supervision: Supervision, program: str, directory: str, code: int, name: str
) -> None:
    descriptors = os.listdir("/proc/self/fd")
    task = Task([program], directory, dict(os.environ))
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        supervision.start(task, separate_stderr=False)
    assert (caught.value.errno, caught.value.filename) == (code, name)
    assert os.listdir("/proc/self/fd") == descriptors


def test_orphans_are_found_and_reaped(supervision: Supervision) -> None:
    """Each command has its own orphans, also after its end."""
    script = "sh -c 'setsid true >&- 2>&- & setsid sleep 600 >&- 2>&- & echo $! >&2'"
    commands = [start(supervision, script) for _ in range(2)]
    for command in commands:
        orphan = int(read_output(command)[1])
        wait_for(command.has_ended)
        wait_for(partial(has_descendants, command, [orphan]))
        os.kill(orphan, signal.SIGKILL)
        wait_for(partial(has_descendants, command, []))
        wait_for(partial(is_reaped, orphan))
        assert command.wait() == 0


def has_descendants(command: Command, pids: list[int]) -> bool:
    """Return True if the running processes of a command are these."""
    return command.find_descendants() == pids


def is_reaped(pid: int) -> bool:
    """Return True if no process, and no zombie, has this id."""
    return not Path(f"/proc/{pid}").exists()


def test_supervisor_keeps_no_descriptor_and_no_directory(
    supervision: Supervision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "file").open("w"):
        command = start(supervision, "echo $PPID; exec sleep 600")
    supervisor = int(os.read(wait_until_readable(command.output_pipes[0]), 100))
    assert os.readlink(f"/proc/{supervisor}/cwd") == "/"
    [link] = map(os.readlink, Path(f"/proc/{supervisor}/fd").iterdir())
    assert link.startswith("pipe:")
    os.kill(command.pid, signal.SIGKILL)
    assert (read_output(command), command.wait()) == ([b"", b""], -signal.SIGKILL)


def wait_until_readable(pipe: int) -> int:
    """Let reads wait for the output. Return the pipe."""
    os.set_blocking(pipe, True)
    return pipe


def test_supervisor_ends_with_its_parent() -> None:
    """The command goes on: nothing ends it in place of the killed process."""
    script = (
        "import os, sys, time\n"
        "from git_hub_session.system.supervision.supervisor import Supervision\n"
        "from git_hub_session.system.tasks import Task\n"
        "supervision = Supervision(); supervision.adopt_orphans()\n"
        "task = Task(['sh', '-c', 'echo $PPID $$; exec sleep 600'], '/', {})\n"
        "command = supervision.start(task, separate_stderr=False)\n"
        "os.set_blocking(command.output_pipes[0], True)\n"
        "sys.stdout.write(os.read(command.output_pipes[0], 100).decode()); sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([PYTHON, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        supervisor, command = map(int, process.stdout.readline().split())
        process.kill()
    wait_for(lambda: not is_alive(supervisor))
    assert is_alive(command)
    os.kill(command, signal.SIGKILL)


def test_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command has no supervisor, as on macOS."""
    monkeypatch.setattr("os.path.exists", lambda path: not str(path).startswith("/proc"))
    supervision = Supervision()
    supervision.adopt_orphans()
    command = start(supervision, "echo out")
    assert (type(command), command.find_descendants()) == (Command, [])
    assert (read_output(command), command.wait()) == ([b"out\n", b""], 0)
    supervision.release_orphans()
