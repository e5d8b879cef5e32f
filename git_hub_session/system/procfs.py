"""What the running system says (Linux, /proc): who stands where, what is mounted, who holds a lock.

Where there is no /proc every answer is 'nobody', 'nothing'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.util.numbers import MAX_COUNT, parse_int

# A string: compiled when it is first used, for most commands never use it.
_OCTAL = r"\\([0-7]{3})"


class Process(NamedTuple):
    """A live process: its number, and where it stands."""

    pid: int
    cwd: str


def is_unavailable() -> bool:
    """Whether the system tells nothing of its processes here: no /proc, or none that is mounted."""
    return not _list_directory("/proc/self")


def processes() -> list[Process]:
    """Every process whose current directory we may see, but for this one and the git that called it."""
    own = [os.getpid()]
    if process_name(os.getppid()) == "git":
        own.append(os.getppid())
    found = []
    for pid in _pids():
        if pid in own:
            continue
        try:
            directory = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue  # gone, a kernel thread, or not ours to see
        found.append(Process(pid, directory))
    return sorted(found)


def processes_in(directory: str, snapshot: Sequence[Process] | None = None) -> list[int]:
    """Return the ids of the processes whose current directory is `directory` or below it.

    Symbolic links in `directory` are resolved: /proc names each current directory by its real path.

    Args:
        directory: any path of the directory; nothing uses the directory ''.
        snapshot: the processes to choose from. Without it, /proc is read again, and a process with
            `directory` in GIT_WORK_TREE counts too: a git that fills a new worktree starts elsewhere.
    """
    if not directory:
        return []
    real = os.path.realpath(directory)
    below = real.rstrip("/") + "/"
    candidates = processes() if snapshot is None else snapshot
    pids = {one.pid for one in candidates if f"{one.cwd}/".startswith(below)}
    if snapshot is None:
        pids.update(*(pids_with_environment({"GIT_WORK_TREE": path}) for path in {directory, real}))
    return sorted(pids)


def describe_processes(pids: Iterable[int]) -> tuple[str, ...]:
    """Return each process as its id and the name of its command: '1234 (bash)'."""
    return tuple(f"{pid} ({process_name(pid)})" for pid in pids)


def pids_with_environment(variables: Mapping[str, str]) -> list[int]:
    """The processes, but for this one, that were started with all these variables in their environment."""
    wanted = {os.fsencode(f"{name}={value}") for name, value in variables.items()}
    return [
        pid
        for pid in _pids()
        if pid != os.getpid()
        and wanted.issubset(os.fsencode(_read(f"/proc/{pid}/environ")).split(b"\0"))
    ]


def process_name(pid: int) -> str:
    """The name of the command that process `pid` runs, '?' where it is gone."""
    return _read(f"/proc/{pid}/comm").rstrip("\n") or "?"


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number; where the system does not say, there is."""
    return os.path.exists(f"/proc/{pid}") or not _list_directory("/proc")


def pids_with_open_directory(directory: str) -> list[int]:
    """The processes that have the directory open, as far as we may see."""
    found = set()
    for pid in _pids():
        for fd in _list_directory(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") == directory:
                    found.add(pid)
            except OSError:
                pass  # closed meanwhile
    return sorted(found - {os.getpid()})


def mount_points() -> list[str]:
    """The directories on which a file system, or a part of one (a bind mount), is mounted."""
    points = []
    for line in _read("/proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) > 4:
            points.append(re.sub(_OCTAL, lambda match: chr(int(match[1], 8)), fields[4]))
    return points


def lock_holder(directory: str) -> int | None:
    """The process that holds the flock on `directory`, where the system tells."""
    try:
        found = os.stat(directory)
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in _read("/proc/locks").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1:2] == ["FLOCK"] and fields[5] == device:
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
