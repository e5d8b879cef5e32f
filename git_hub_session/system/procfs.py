"""Processes, mount points and lock holders, read from /proc (Linux).

Without /proc every list is empty, and no process is found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import is_inside

# A string, not a compiled pattern: most commands never use it.
_OCTAL = r"\\([0-7]{3})"


class Process(NamedTuple):
    """A running process: its id and its current directory."""

    pid: int
    cwd: str


def is_unavailable() -> bool:
    """Return True if /proc is missing or not mounted, so that processes cannot be seen."""
    return not _list_directory("/proc/self")


def processes() -> list[Process]:
    """Return the processes with a visible current directory, sorted by id.

    This process, and the git process that started it, are left out.
    """
    own = [os.getpid()]
    if process_name(os.getppid()) == "git":
        own.append(os.getppid())
    visible = []
    for pid in _pids():
        if pid in own:
            continue
        try:
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue  # a finished process, a kernel thread, or one of another user
        visible.append(Process(pid, cwd))
    return sorted(visible)


def processes_in(directory: str, snapshot: Sequence[Process] | None = None) -> list[int]:
    """Return the ids of the processes whose current directory is `directory` or below it.

    Symbolic links in `directory` are resolved: /proc names each current directory by its real path.

    Args:
        directory: the path of the directory. The result for '' is empty.
        snapshot: the processes to choose from. Without it, read /proc again, and include processes
            with `directory` in GIT_WORK_TREE: `git worktree add` fills it from another directory.
    """
    if not directory:
        return []
    real = os.path.realpath(directory)
    prefix = real.rstrip("/") + "/"  # is_inside would compute it again for each process
    candidates = processes() if snapshot is None else snapshot
    pids = {process.pid for process in candidates if f"{process.cwd}/".startswith(prefix)}
    if snapshot is None:
        for path in {directory, real}:
            pids.update(pids_with_environment({"GIT_WORK_TREE": path}))
    return sorted(pids)


def describe_processes(pids: Iterable[int]) -> tuple[str, ...]:
    """Return each process as its id and the name of its command: '1234 (bash)'."""
    return tuple(f"{pid} ({process_name(pid)})" for pid in pids)


def pids_with_environment(variables: Mapping[str, str]) -> list[int]:
    """Return the ids of the other processes that were started with all these variables."""
    wanted = {os.fsencode(f"{name}={value}") for name, value in variables.items()}
    return [pid for pid in _pids() if pid != os.getpid() and wanted.issubset(_environment(pid))]


def _environment(pid: int) -> list[bytes]:
    return os.fsencode(_read(f"/proc/{pid}/environ")).split(b"\0")


def process_name(pid: int) -> str:
    """Return the name of the command that a process runs, or '?' if the process has ended."""
    return _read(f"/proc/{pid}/comm").rstrip("\n") or "?"


def is_alive(pid: int) -> bool:
    """Return True if a process has this id, or if /proc is not available."""
    return os.path.exists(f"/proc/{pid}") or not _list_directory("/proc")


def pids_with_open_directory(directory: str) -> list[int]:
    """Return the ids of the other visible processes that have the directory open."""
    pids = set()
    for pid in _pids():
        for fd in _list_directory(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") == directory:
                    pids.add(pid)
            except OSError:
                pass  # the process has just closed it
    return sorted(pids - {os.getpid()})


def mount_points() -> list[str]:
    """Return the directories on which a file system is mounted, bind mounts included."""
    points = []
    for line in _read("/proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) > 4:
            points.append(re.sub(_OCTAL, lambda match: chr(int(match[1], 8)), fields[4]))
    return points


def mounts_in(directory: str, points: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the mount points in `directory`, with `directory` itself.

    Args:
        points: the mount points of the system, if the caller has read them.
    """
    top = os.path.realpath(directory)
    points = mount_points() if points is None else points
    return tuple(point for point in points if is_inside(point, top))


def lock_holder(directory: str) -> int | None:
    """Return the id of the process that holds the flock on `directory`, or None if not known."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in _read("/proc/locks").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1:2] == ["FLOCK"] and fields[5] == inode:
            return parse_int(fields[4], MAX_COUNT) or None
    return None


def _pids() -> list[int]:
    """Return the ids of all processes that /proc shows."""
    pids = (parse_int(name, MAX_COUNT) for name in _list_directory("/proc"))
    return [pid for pid in pids if pid is not None]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read())
    except OSError:
        return ""


def _list_directory(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
