"""Find and end the processes that a command left running (Linux).

Each process is held by a pidfd, and searched again after the pidfd is opened. Its id cannot
belong to another process then.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Container, Iterable, Sequence
from time import monotonic

from git_hub_session.system.procfs import process_name, read_proc
from git_hub_session.util.numbers import MAX_COUNT, parse_int

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


def descendants(parent: int, excluded: Container[int] = ()) -> list[int]:
    """Return the ids of the running descendants of a process. Without /proc, return nothing.

    Leave out the processes in `excluded` with their descendants.
    """
    found = _running_children(parent, excluded)
    for pid in found:
        found += _running_children(pid, excluded)
    return found


def _running_children(parent: int, excluded: Container[int]) -> list[int]:
    children = [pid for pid in child_processes(parent) if pid not in excluded]
    return [pid for pid in children if _state(pid) not in ("", "Z")]


def child_processes(parent: int) -> list[int]:
    """Return the ids of the children of a process, also of those that are not yet reaped.

    Without /proc, and if the process has ended, return nothing.
    """
    try:
        threads = os.listdir(f"/proc/{parent}/task")
    except OSError:
        return []
    texts = (read_proc(f"/proc/{parent}/task/{thread}/children") for thread in threads)
    pids = (parse_int(number, MAX_COUNT) for text in texts for number in text.split())
    return [pid for pid in pids if pid is not None]


def _state(pid: int) -> str:
    """Return the letter of the state in /proc/<pid>/stat, or '' if the process has ended."""
    fields = read_proc(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[0] if fields else ""


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
