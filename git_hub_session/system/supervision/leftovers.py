"""Find and end the processes that a command left running.

On Linux each process is held by a pidfd, and searched again after the pidfd is opened. Its id
cannot belong to another process then. Other systems have no pidfds: there, a process is searched
again just before it gets a signal.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Container, Iterable, Sequence
from errno import ENOSYS
from time import monotonic, sleep

from git_hub_session.system.procfs import process_name, read_proc
from git_hub_session.util.numbers import MAX_COUNT, parse_int

_POLL_SECONDS = 0.01
_KILL_SECONDS = 2.0  # to wait for the end of killed processes


class Leftovers:
    """The processes of one command that still run after its end."""

    def __init__(self, find: Callable[[], Iterable[int]]) -> None:
        """Hold no process yet. `find` returns the ids of the running processes of the command."""
        self._find = find
        self._processes: dict[int, tuple[int, str]] = {}
        """The id and the name of each process, by its pidfd, or by -id without pidfds."""

    def open(self) -> list[int]:
        """Find the processes that are not held yet, and return their pidfds, if there are any."""
        held = {pid for pid, _ in self._processes.values()}
        opened = {}
        for pid in set(self._find()) - held:
            fd = _open_process(pid)
            if fd is not None:
                opened[fd] = pid
        # A process that has ended before it was opened is not found again.
        again = set(self._find()) if opened else set()
        for fd, pid in opened.items():
            if pid in again:
                self._processes[fd] = (pid, process_name(pid))
            else:
                _close_process(fd)
        return [fd for fd in opened if fd >= 0 and fd in self._processes]

    @property
    def fds(self) -> tuple[int, ...]:
        """The pidfds of the held processes."""
        return tuple(fd for fd in self._processes if fd >= 0)

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
        """Release a process that has ended, by its key."""
        if self._processes.pop(fd, None) is not None:
            _close_process(fd)

    def close(self) -> None:
        """Release all processes."""
        for fd in [*self._processes]:
            self.release(fd)

    def _send_signal(self, number: int) -> None:
        self._release_ended()
        for fd in self._processes:
            try:
                if fd >= 0:
                    signal.pidfd_send_signal(fd, number)
                else:
                    os.kill(-fd, number)
            except (ProcessLookupError, PermissionError):
                pass  # the process has ended, or belongs to another user

    def _wait(self, deadline: float) -> None:
        """Wait until the held processes have ended, and release them."""
        while min(self._processes, default=0) < 0 and monotonic() < deadline:
            sleep(_POLL_SECONDS)
            self._release_ended()
        poll = select.poll()
        for fd in self.fds:
            poll.register(fd, select.POLLIN)
        while self.fds and monotonic() < deadline:
            for fd, _ in poll.poll(max(0.0, deadline - monotonic()) * 1000):
                poll.unregister(fd)
                self.release(fd)

    def _release_ended(self) -> None:
        """Release the processes that are not found any more, if the system has no pidfds."""
        ids = {-fd for fd in self._processes if fd < 0}
        for pid in ids - set(self._find()) if ids else ():
            self.release(-pid)


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


def _open_process(pid: int) -> int | None:
    """Return a pidfd of the process, None if it has ended, or -pid if the system has no pidfds."""
    if not hasattr(os, "pidfd_open"):
        return -pid
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        return -pid if error.errno == ENOSYS else None


def _close_process(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
