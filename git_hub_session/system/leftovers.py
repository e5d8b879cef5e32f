"""Find and end the processes that a command left running (Linux).

Each process is held by a pidfd, and searched again after the pidfd is opened. Its id cannot
belong to another process then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Container, Iterable, Sequence
from time import monotonic

from git_hub_session.system.procfs import process_name, processes, read_proc
from git_hub_session.util.numbers import MAX_COUNT, parse_int

_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_STATE, _TERMINAL = 0, 4
"""The indexes of fields in /proc/<pid>/stat, after the name of the process."""
_KILL_SECONDS = 2.0  # to wait for the end of killed processes


class Leftovers:
    """The processes of one command that still run after its end."""

    def __init__(self, find: Callable[[], Iterable[int]]) -> None:
        """Hold no process yet. `find` returns the ids of the running processes of the command."""
        self._find = find
        self._processes: dict[int, tuple[int, str]] = {}
        """The id and the name of each process, by its pidfd."""

    def open(self) -> list[int]:
        """Find the processes that are not held yet. Return their pidfds."""
        held = {pid for pid, _ in self._processes.values()}
        opened = {}
        for pid in set(self._find()) - held:
            fd = _open_process(pid)
            if fd >= 0:
                opened[fd] = pid
        # A process that has ended before it was opened is not found again.
        again = set(self._find()) if opened else set()
        for fd, pid in opened.items():
            if pid in again:
                self._processes[fd] = (pid, process_name(pid))
            else:
                os.close(fd)
        return [fd for fd in opened if fd in self._processes]

    @property
    def fds(self) -> tuple[int, ...]:
        """The pidfds of the held processes."""
        return tuple(self._processes)

    @property
    def names(self) -> tuple[str, ...]:
        """The sorted names of the held processes."""
        return tuple(sorted(name for _, name in self._processes.values()))

    def terminate(self) -> None:
        """Send SIGTERM to the held processes."""
        self._send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all processes, with those that they start until then, and wait for their end.

        Afterwards, hold only the processes that cannot be killed.
        """
        deadline = monotonic() + _KILL_SECONDS
        while self.open() or self._processes:
            if monotonic() >= deadline:
                break
            self._send_signal(signal.SIGKILL)
            self._wait(deadline)

    def release(self, fd: int) -> None:
        """Release a process that has ended, by its pidfd."""
        if self._processes.pop(fd, None) is not None:
            os.close(fd)

    def close(self) -> None:
        """Release all processes."""
        for fd in [*self._processes]:
            self.release(fd)

    def _send_signal(self, number: int) -> None:
        for fd in self._processes:
            try:
                signal.pidfd_send_signal(fd, number)
            except (ProcessLookupError, PermissionError):
                pass  # the process has ended, or belongs to another user

    def _wait(self, deadline: float) -> None:
        """Wait until the held processes have ended, and release them."""
        poll = select.poll()
        for fd in self._processes:
            poll.register(fd, select.POLLIN)
        while self._processes and monotonic() < deadline:
            for fd, _ in poll.poll(max(0.0, deadline - monotonic()) * 1000):
                poll.unregister(fd)
                self.release(fd)


def adopt_orphans() -> list[int]:
    """Become the parent of each descendant whose parent ends (Linux). Ignore errors.

    Return the ids of the present descendants.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return descendants(())


def descendants(excluded: Container[int]) -> list[int]:
    """Return the ids of the descendants of this process. Without /proc, return nothing.

    Leave out the processes in `excluded` with their descendants, and those that have ended.
    """
    found = _children(os.getpid(), excluded)
    for pid in found:
        found += _children(pid, excluded)
    return found


def _children(parent: int, excluded: Container[int]) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{parent}/task")
    except OSError:
        return []  # the process has ended
    texts = (read_proc(f"/proc/{parent}/task/{thread}/children") for thread in threads)
    pids = (parse_int(number, MAX_COUNT) for text in texts for number in text.split())
    return [
        pid
        for pid in pids
        if pid is not None and pid not in excluded and _stat_field(pid, _STATE) not in ("", "Z")
    ]


def daemons_in(directory: str) -> list[int]:
    """Return the ids of the processes without a terminal that run in `directory`.

    A server such as PostgreSQL or Redis overwrites its environment. The shell of a user has a
    terminal. Without /proc, return nothing.
    """
    pids = processes(open_files=False).find_users(directory)
    return [pid for pid in pids if _stat_field(pid, _TERMINAL) == "0"]


def _stat_field(pid: int, index: int) -> str:
    """Return a field of /proc/<pid>/stat after the name, or '' if the process has ended."""
    fields = read_proc(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[index] if fields else ""


def describe_leftovers(name: str, left: Sequence[str], remaining: Sequence[str]) -> str:
    """Return a sentence about the processes that the command of an agent left running.

    Args:
        name: the name of the agent.
        left: the names of the processes.
        remaining: the names of those that could not be ended.
    """
    processes = "1 process" if len(left) == 1 else f"{len(left)} processes"
    names = ", ".join(sorted(set(left)))
    end = f"not ended: {', '.join(sorted(set(remaining)))}" if remaining else "ended"
    return f"{name} left {processes} running: {names} ({end})"


def _open_process(pid: int) -> int:
    """Return a pidfd of the process, or -1 if it has ended or the system has no pidfds."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1
