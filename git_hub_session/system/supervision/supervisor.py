"""Start commands, each below a supervisor of its own (Linux).

If a process ends, its children become children of the nearest ancestor that is a child subreaper
(prctl(2)). A supervisor is a forked process that is one, and the parent of a single command. All
its descendants belong to the command, also those with another session, environment and directory.

The command sends its id through a pipe before it starts. Its supervisor sends the error of the start,
or only the end of the line. The supervisor closes the pipe when the command has ended, and then waits
until this process kills it. If a command kills its supervisor, this process adopts the descendants.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NoReturn
from git_hub_session.system.signals import TERMINATION_SIGNALS
from git_hub_session.system.supervision.leftovers import child_processes, descendants
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.system.tasks import Task

_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
_MAX_MESSAGE = 100  # bytes
_STARTED, _NO_DIRECTORY, _NO_PROGRAM = "started", "no-directory", "no-program"
"""The first words of the messages. The id of the command or the errno follows."""


class Command:
    """A running command in its own setsid(2) session. Its pid is the id of its process group."""

    output_pipes: Sequence[int] = ()
    """The pipe of standard output, and the pipe of standard error if it is separate."""
    end_pipe = -1
    """The pipe that is readable after the end of the command, or -1: SIGCHLD reports the end."""
    pid = 0

    def start(self, task: Task, stdout: int, stderr: int) -> None:
        """Start the command. Raise OSError if it cannot run."""
        self._process = _start_process(task, stdout, stderr)
        self.pid = self._process.pid

    def has_ended(self) -> bool:
        """Return True if the command itself has ended.

        The process is not reaped, so no other process group can get its id.
        """
        if not hasattr(os, "waitid"):  # Python before 3.13 has none on macOS
            return self._process.poll() is not None
        return _has_ended(self.pid)

    def find_descendants(self) -> list[int]:
        """Return the ids of the running processes of the command, if its supervisor knows them."""
        return []

    def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended the command."""
        return self._process.wait()


class SupervisedCommand(Command):
    """A running command with a supervisor."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._supervisor = 0

    def start(self, task: Task, stdout: int, stderr: int) -> None:
        """Start the supervisor and the command. Raise OSError if one of them cannot run."""
        self.end_pipe, writer = os.pipe()
        try:
            self._supervisor = _fork_supervisor(task, stdout, stderr, writer)
        except OSError:
            os.close(self.end_pipe)
            raise
        finally:
            os.close(writer)
        self._supervision.supervisors.add(self._supervisor)
        word, number = (_read_line(self.end_pipe).split() or ["", ""])[-2:]
        value = parse_int(number, MAX_COUNT)
        if word != _STARTED or value is None:
            self._end_supervisor()
            code = value or errno.EAGAIN  # without a message, the supervisor was killed
            name = task.directory if word == _NO_DIRECTORY else task.command[0]
            raise OSError(code, os.strerror(code), name)
        self.pid = value
        self._supervision.commands.add(self.pid)
        os.set_blocking(self.end_pipe, False)

    def has_ended(self) -> bool:
        """Return True if the command itself has ended, or if its supervisor was killed."""
        try:
            os.read(self.end_pipe, 1)
        except BlockingIOError:
            return False
        return True

    def find_descendants(self) -> list[int]:
        """Return the ids of the running processes of the command.

        If the supervisor was killed, include the processes of other commands without a supervisor.
        """
        if _has_ended(self._supervisor):
            return self._supervision.find_orphans()
        return descendants(self._supervisor)

    def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended the command."""
        self._end_supervisor()
        # This process is now the parent of the children of the supervisor.
        _, status = os.waitpid(self.pid, 0)
        self._supervision.forget(self.pid)
        return os.waitstatus_to_exitcode(status)

    def _end_supervisor(self) -> None:
        os.close(self.end_pipe)
        os.kill(self._supervisor, signal.SIGKILL)
        self._supervision.supervisors.remove(self._supervisor)
        os.waitpid(self._supervisor, 0)


class Supervision:
    """Starts commands, and is the parent of the orphans whose supervisor was killed."""

    def __init__(self) -> None:
        self.supervisors: set[int] = set()
        """The ids of the supervisors that are not reaped."""
        self.commands: set[int] = set()
        """The ids of their commands."""
        self._earlier: set[int] = set()
        """The ids of the descendants that this process had before."""
        self._adopts_orphans = False

    def adopt_orphans(self) -> None:
        """Make this process adopt orphans, if the system can do that."""
        self._adopts_orphans = (
            sys.platform == "linux"
            and os.path.exists("/proc/thread-self/children")
            and not _call_prctl(_SET_CHILD_SUBREAPER, 1)
        )
        self._earlier = {*child_processes(os.getpid()), *descendants(os.getpid())}

    def release_orphans(self) -> None:
        """Let this process adopt no orphans any more."""
        if self._adopts_orphans:
            _call_prctl(_SET_CHILD_SUBREAPER, 0)

    def start(self, task: Task, *, separate_stderr: bool) -> Command:
        """Start a command, with a supervisor if this process adopts orphans.

        Raise OSError if the command cannot run.

        Args:
            task: the command.
            separate_stderr: True to have two pipes for the output, or False to have one.
        """
        command = SupervisedCommand(self) if self._adopts_orphans else Command()
        readers, writers = _open_pipes(2 if separate_stderr else 1)
        try:
            command.start(task, writers[0], writers[-1])
        except BaseException:
            _close_all(readers)
            raise
        finally:
            _close_all(writers)
        command.output_pipes = readers
        return command

    def forget(self, command: int) -> None:
        """Forget a command that was reaped, and reap the orphans that have ended."""
        self.commands.remove(command)
        known = {*self._earlier, *self.supervisors, *self.commands}
        for child in child_processes(os.getpid()):
            if child not in known:
                _reap(child)

    def find_orphans(self) -> list[int]:
        """Return the ids of the descendants of this process that no supervisor has."""
        return descendants(os.getpid(), {*self._earlier, *self.supervisors})


def _open_pipes(count: int) -> tuple[list[int], list[int]]:
    """Return the ends of pipes to read from, which do not block, and those to write to."""
    readers: list[int] = []
    writers: list[int] = []
    try:
        for _ in range(count):
            reader, writer = os.pipe()
            readers.append(reader)
            writers.append(writer)
            os.set_blocking(reader, False)
    except OSError:
        _close_all([*readers, *writers])
        raise
    return readers, writers


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _start_process(
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
    os.write(pipe, f"{_STARTED} {os.getpid()} ".encode())


def _fork_supervisor(task: Task, stdout: int, stderr: int, pipe: int) -> int:
    """Start a supervisor, and return its id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _call_prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == parent:
            _supervise(task, stdout, stderr, pipe)
    finally:
        os._exit(1)  # without the exit handlers of the parent


def _supervise(task: Task, stdout: int, stderr: int, pipe: int) -> NoReturn:
    """Start the command, report it through the pipe, and adopt its orphans."""
    _call_prctl(_SET_CHILD_SUBREAPER, 1)
    signal.set_wakeup_fd(-1)  # the pipe of the parent
    os.setsid()  # The terminal sends no signal to this process.
    try:
        # Popen reaps a process without a reference. The command can kill this process at once.
        process = _start_process(task, stdout, stderr, lambda: _send_id(pipe))
        pid, error_message = process.pid, ""
    except OSError as error:
        word = _NO_DIRECTORY if error.filename == task.directory else _NO_PROGRAM
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
                _reap(child)
        if not has_reported and pid and _has_ended(pid):
            os.close(pipe)
            has_reported = True
        signal.sigwait([signal.SIGCHLD])


def _read_line(pipe: int) -> str:
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


def _has_ended(pid: int) -> bool:
    """Return True if a child process has ended. Do not reap it."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def _reap(pid: int) -> None:
    """Reap a child process if it has ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _call_prctl(option: int, value: int) -> int:
    """Return the result of prctl(2): 0, or -1 after an error."""
    import ctypes

    result: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return result
