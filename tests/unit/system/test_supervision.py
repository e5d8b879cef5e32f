"""Each command has a supervisor, which adopts its orphans and nothing else, or is the only one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from git_hub_session.system.supervision.commands import (
    Command,
    OnlyCommand,
    SupervisedCommand,
    Supervision,
)
from git_hub_session.system.supervision.leftovers import child_processes
from git_hub_session.system.tasks import Task
from tests.support.hub import PYTHON, is_alive, wait_for


@contextmanager
def adopting(supervision: Supervision) -> Iterator[Supervision]:
    """Let this process adopt orphans, and check that it has no new child process at the end."""
    before = {*child_processes(os.getpid())}
    supervision.adopt_orphans()
    yield supervision
    supervision.release_orphans()
    assert {*child_processes(os.getpid())} <= before


@pytest.fixture
def supervision() -> Iterator[Supervision]:
    with adopting(Supervision()) as supervision:
        yield supervision


@pytest.fixture(params=[False, True], ids=["many", "one"])
def any_supervision(request: pytest.FixtureRequest) -> Iterator[Supervision]:
    """Start supervisors, or let this process adopt the orphans of one command at a time."""
    with adopting(Supervision(one_process=request.param)) as supervision:
        yield supervision


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


@pytest.mark.parametrize("kind", [Command, OnlyCommand, SupervisedCommand])
def test_output_and_exit_status(kind: type[Command]) -> None:
    owner = Supervision(one_process=kind is OnlyCommand)
    if kind is not Command:
        owner.adopt_orphans()
    command = start(owner, "echo out; echo err >&2; exit 3")
    assert type(command) is kind
    assert read_output(command) == [b"out\n", b"err\n"]
    wait_for(command.has_ended)
    assert command.wait() == 3
    owner.release_orphans()


def test_command_that_a_signal_ended(any_supervision: Supervision) -> None:
    command = start(any_supervision, "kill -TERM $$")
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
    any_supervision: Supervision, program: str, directory: str, code: int, name: str
) -> None:
    descriptors = os.listdir("/proc/self/fd")
    task = Task([program], directory, dict(os.environ))
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        any_supervision.start(task, separate_stderr=False)
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


def test_orphans_of_one_command_at_a_time(any_supervision: Supervision) -> None:
    """They are found and reaped while the command runs, and after its end."""
    sleep = "setsid sleep 600 >&- 2>&- &"
    script = f"sh -c 'setsid true >&- 2>&- & echo $!; {sleep} echo $!'; exec sleep 600"
    for _ in range(2):
        command = start(any_supervision, script)
        with open(wait_until_readable(command.output_pipes[0]), "rb") as file:
            ended, orphan = (int(file.readline()) for _ in range(2))
        wait_for(partial(is_reaped_after, ended, command))
        wait_for(partial(has_descendants, command, [command.pid, orphan]))
        os.kill(command.pid, signal.SIGKILL)
        wait_for(command.has_ended)
        wait_for(partial(has_descendants, command, [orphan]))
        os.kill(orphan, signal.SIGKILL)
        wait_for(partial(has_descendants, command, []))
        assert command.wait() == -signal.SIGKILL
        wait_for(partial(is_reaped, orphan))
        os.close(command.output_pipes[1])


def is_reaped_after(pid: int, command: Command) -> bool:
    """Return True if the process is reaped after the state of a running command was read."""
    return not command.has_ended() and is_reaped(pid)


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
        "from git_hub_session.system.supervision.commands import Supervision\n"
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
