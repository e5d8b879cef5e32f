"""Start commands, and find all processes of each of them.

On Linux, each command has a supervisor of its own, or this process is the supervisor of the only
command. If a command kills its supervisor, this process adopts the descendants. Other systems have no
supervisors.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.supervision.leftovers import child_processes, descendants
from git_hub_session.system.supervision.supervisor import (
    NO_DIRECTORY,
    SET_CHILD_SUBREAPER,
    STARTED,
    call_prctl,
    fork_supervisor,
    has_ended,
    read_line,
    reap,
    start_process,
)
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.system.tasks import Task


class Command:
    """A running command in its own setsid(2) session. Its pid is the id of its process group."""

    output_pipes: Sequence[int] = ()
    """The pipe of standard output, and the pipe of standard error if it is separate."""
    end_pipe = -1
    """The pipe that is readable after the end of the command, or -1: SIGCHLD reports the end."""
    pid = 0
    finds_all = False
    """True if `find_descendants` finds each process of the command."""

    def start(self, task: Task, stdout: int, stderr: int) -> None:
        """Start the command. Raise OSError if it cannot run."""
        self._process = start_process(task, stdout, stderr)
        self.pid = self._process.pid

    def has_ended(self) -> bool:
        """Return True if the command itself has ended.

        The process is not reaped, so no other process group can get its id.
        """
        if not hasattr(os, "waitid"):  # Python before 3.13 has none on macOS
            return self._process.poll() is not None
        return has_ended(self.pid)

    def find_descendants(self) -> list[int]:
        """Return the ids of the running processes of the command, if its supervisor knows them."""
        return []

    def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended the command."""
        return self._process.wait()


class OnlyCommand(Command):
    """A running command that is the only child of this process, which adopts its orphans."""

    finds_all = True

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision

    def start(self, task: Task, stdout: int, stderr: int) -> None:
        """Start the command. Raise OSError if it cannot run."""
        super().start(task, stdout, stderr)
        self._supervision.commands.add(self.pid)

    def has_ended(self) -> bool:
        """Return True if the command itself has ended. Reap its orphans that have ended."""
        self._supervision.reap_orphans()
        return super().has_ended()

    def find_descendants(self) -> list[int]:
        """Return the ids of the running processes of the command."""
        return self._supervision.find_orphans()

    def wait(self) -> int:
        """Return the exit status, or the negative number of the signal that ended the command."""
        status = super().wait()
        self._supervision.forget(self.pid)
        return status


class SupervisedCommand(Command):
    """A running command with a supervisor."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._supervisor = 0

    def start(self, task: Task, stdout: int, stderr: int) -> None:
        """Start the supervisor and the command. Raise OSError if one of them cannot run."""
        self.end_pipe, writer = os.pipe()
        try:
            self._supervisor = fork_supervisor(task, stdout, stderr, writer)
        except OSError:
            os.close(self.end_pipe)
            raise
        finally:
            os.close(writer)
        self._supervision.supervisors.add(self._supervisor)
        word, number = (read_line(self.end_pipe).split() or ["", ""])[-2:]
        value = parse_int(number, MAX_COUNT)
        if word != STARTED or value is None:
            self._end_supervisor()
            code = value or errno.EAGAIN  # without a message, the supervisor was killed
            name = task.directory if word == NO_DIRECTORY else task.command[0]
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
        if has_ended(self._supervisor):
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

    def __init__(self, *, one_process: bool = False) -> None:
        """Start no command yet.

        Args:
            one_process: True if one command runs at a time, and if this process starts no other
                process meanwhile. Then no supervisor is necessary, which saves 4 ms.
        """
        self._one_process = one_process
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
            and not call_prctl(SET_CHILD_SUBREAPER, 1)
        )
        self._earlier = {*child_processes(os.getpid()), *descendants(os.getpid())}

    def release_orphans(self) -> None:
        """Let this process adopt no orphans any more."""
        if self._adopts_orphans:
            call_prctl(SET_CHILD_SUBREAPER, 0)

    def start(self, task: Task, *, separate_stderr: bool) -> Command:
        """Start a command. If this process adopts orphans, start a supervisor, if it is necessary.

        Raise OSError if the command cannot run.

        Args:
            task: the command.
            separate_stderr: True to have two pipes for the output, or False to have one.
        """
        command = self._new_command()
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

    def _new_command(self) -> Command:
        if not self._adopts_orphans:
            return Command()
        return OnlyCommand(self) if self._one_process else SupervisedCommand(self)

    def forget(self, command: int) -> None:
        """Forget a command that was reaped, and reap the orphans that have ended."""
        self.commands.remove(command)
        self.reap_orphans()

    def reap_orphans(self) -> None:
        """Reap the adopted processes that have ended."""
        known = {*self._earlier, *self.supervisors, *self.commands}
        for child in child_processes(os.getpid()):
            if child not in known:
                reap(child)

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
