"""Start a supervisor: the parent process of one command and of its orphans (Linux).

If a process ends, its children become children of the nearest ancestor that is a child subreaper
(prctl(2)). A supervisor is a forked process that is one. All descendants of its command belong to the
command, also those with another session, environment and directory.

The command sends its id through a pipe before it starts. Its supervisor sends the error of the start,
or only the end of the line. The supervisor closes the pipe when the command has ended, and then waits
until its parent kills it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from git_hub_session._typing import TYPE_CHECKING, NoReturn
from git_hub_session.system.signals import TERMINATION_SIGNALS
from git_hub_session.system.supervision.leftovers import child_processes
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.system.tasks import Task

SET_CHILD_SUBREAPER = 36
"""An operation of prctl(2)."""
_SET_DEATH_SIGNAL = 1
_MAX_MESSAGE = 100  # bytes
STARTED, NO_DIRECTORY, NO_PROGRAM = "started", "no-directory", "no-program"
"""The first words of the messages. The id of the command or the errno follows."""


def start_process(
    task: Task, stdout: int, stderr: int, before_exec: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        task.command,
        cwd=task.directory,
        env={**task.environ, "PWD": task.directory},  # `make` reads PWD
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=before_exec,  # noqa: PLW1509  # this process has one thread
    )


def _send_id(pipe: int) -> None:
    os.write(pipe, f"{STARTED} {os.getpid()} ".encode())


def fork_supervisor(task: Task, stdout: int, stderr: int, pipe: int) -> int:
    """Start a supervisor, and return its id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        call_prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == parent:
            _supervise(task, stdout, stderr, pipe)
    finally:
        os._exit(1)  # without the exit handlers of the parent


def _supervise(task: Task, stdout: int, stderr: int, pipe: int) -> NoReturn:
    """Start the command, report it through the pipe, and adopt its orphans."""
    call_prctl(SET_CHILD_SUBREAPER, 1)
    signal.set_wakeup_fd(-1)  # the pipe of the parent
    os.setsid()  # The terminal sends no signal to this process.
    try:
        # Popen reaps a process without a reference. The command can kill this process at once.
        process = start_process(task, stdout, stderr, lambda: _send_id(pipe))
        pid, error_message = process.pid, ""
    except OSError as error:
        word = NO_DIRECTORY if error.filename == task.directory else NO_PROGRAM
        pid, error_message = 0, f"{word} {error.errno}"
    # The command has got the old handlers and the old signal mask.
    for number in TERMINATION_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    os.chdir("/")
    # The parent has locks that end with the last descriptor, and pipes of other commands.
    _close_descriptors(pipe)
    os.write(pipe, f"{error_message}\n".encode())
    has_reported = False
    while True:
        for child in child_processes(os.getpid()):
            if child != pid:
                reap(child)
        if not has_reported and pid and has_ended(pid):
            os.close(pipe)
            has_reported = True
        signal.sigwait([signal.SIGCHLD])


def read_line(pipe: int) -> str:
    """Read a line, without its end if the supervisor was killed."""
    data = b""
    while not data.endswith(b"\n") and (part := os.read(pipe, _MAX_MESSAGE)):
        data += part
    return os.fsdecode(data).rstrip("\n")


def _close_descriptors(kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = parse_int(name, MAX_COUNT)
        if fd is not None and fd != kept:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of the listing itself


def has_ended(pid: int) -> bool:
    """Return True if a child process has ended. Do not reap it."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def reap(pid: int) -> None:
    """Reap a child process if it has ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def call_prctl(option: int, value: int) -> int:
    """Return the result of prctl(2): 0, or -1 after an error."""
    import ctypes

    result: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return result
