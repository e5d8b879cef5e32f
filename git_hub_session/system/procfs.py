"""Processes, mount points and lock holders, read from /proc (Linux).

Other systems have no /proc: there, psutil reads processes and mount points. Without both, every
list is empty, and no process is found.
"""

from __future__ import annotations

import os
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import takewhile

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system.io import read_to_end
from git_hub_session.util.mounts import MountTable, unescape
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.system.psutil_processes import PsutilReader


class Process(NamedTuple):
    """A running process, and the places of the files and directories that it uses.

    These are its current and root directories, its program, its open and mapped files, and, if it
    runs in a container, the directories that are mounted there.
    """

    pid: int
    cwd: str
    """The current directory, or '' if it is not known."""
    places: frozenset[str]


class ProcessList:
    """The running processes at one moment."""

    def __init__(self, processes: Iterable[Process], mounts: MountTable) -> None:
        """Use the `mounts` of this process to find the place of a directory."""
        self._processes = tuple(processes)
        self._mounts = mounts

    @property
    def current_directories(self) -> list[str]:
        """The current directories of the processes, as they see them."""
        return [process.cwd for process in self._processes if process.cwd]

    def find_users(self, directory: str) -> list[int]:
        """Return the sorted ids of the processes that use `directory` or something in it.

        `directory` is a real path. The result for '' is empty.
        """
        if not directory:
            return []
        top = self._mounts.find_place(directory).rstrip("/")
        prefix = f"{top}/"
        following = self._sorted_places[bisect_left(self._sorted_places, prefix) :]
        inside = takewhile(lambda place: place.startswith(prefix), following)
        users = (self._pids_by_place.get(place, set()) for place in (top, *inside))
        return sorted(set().union(*users))

    @cached_property
    def _pids_by_place(self) -> dict[str, set[int]]:
        """The processes that use each place. Most processes use the same libraries."""
        pids: dict[str, set[int]] = {}
        for process in self._processes:
            for place in process.places:
                pids.setdefault(place, set()).add(process.pid)
        return pids

    @cached_property
    def _sorted_places(self) -> list[str]:
        """The used places. Those in a directory follow each other."""
        return sorted(self._pids_by_place)


NO_PROCESSES = ProcessList((), MountTable())

_LINKS_OF_ONE_THREAD = 3  # of /proc/<pid>/task, a directory with one subdirectory for each thread
# The longest wait for the arguments of a process that is starting a program. Measured: 5 ms.
_EXECVE_SECONDS = 0.1
_HAS_PROC = sys.platform in ("linux", "cygwin")


def _find_psutil() -> PsutilReader | None:
    """Return the reader for systems without /proc, or None on Linux, and if it is not installed."""
    if _HAS_PROC:
        return None
    try:
        from git_hub_session.system.psutil_processes import PsutilReader
    except ImportError:
        return None
    return PsutilReader()


def is_unavailable() -> bool:
    """Return True if processes cannot be seen: /proc is not mounted, or psutil is missing."""
    return _find_psutil() is None and not _list_directory("/proc/self")


def processes(*, open_files: bool = True, mapped_files: bool = False) -> ProcessList:
    """Return the processes whose directories are visible.

    Leave out this process, and the git process that started it.

    Args:
        open_files: read the open files too. A browser alone can have thousands.
        mapped_files: read the files in memory too (mmap(2)), which need not be open. This takes
            three times as long as the rest: 70 µs for a process.
    """
    own = [os.getpid()]
    if process_name(os.getppid()) == "git":
        own.append(os.getppid())
    tables = _MountTables()
    pids = [pid for pid in _pids() if pid not in own]
    found = [
        _read_process(pid, tables, open_files=open_files, mapped_files=mapped_files) for pid in pids
    ]
    return ProcessList([process for process in found if process.cwd], tables.own)


class _MountTables:
    """The tables of all mount namespaces, each read once."""

    def __init__(self) -> None:
        # psutil returns paths, not places.
        self.own = MountTable(read_proc("/proc/self/mountinfo") if _find_psutil() is None else "")
        self._tables = {_read_link("/proc/self/ns/mnt"): self.own}

    def find_table(self, top: str) -> MountTable:
        """Return the table of the namespace in which the process with the directory `top` runs."""
        namespace = _read_link(f"{top}/ns/mnt")
        if namespace not in self._tables:
            self._tables[namespace] = MountTable(read_proc(f"{top}/mountinfo"))
        return self._tables[namespace]


def _read_process(
    pid: int, tables: _MountTables, *, open_files: bool, mapped_files: bool
) -> Process:
    """Return a process. It has no directory if it has ended, or if another user owns it."""
    psutil = _find_psutil()
    if psutil:
        files = psutil.files(pid) if open_files else []
        mapped = psutil.mapped_files(pid) if mapped_files else []
        cwd = psutil.cwd(pid)
        return Process(pid, cwd, frozenset([cwd, *files, *mapped]))
    cwds = {top: cwd for top in _thread_directories(pid) if (cwd := _read_link(f"{top}/cwd"))}
    if not cwds:
        return Process(pid, "", frozenset())
    top, cwd = next(iter(cwds.items()))
    links = [f"{top}/root"]
    if open_files:
        links += [f"{top}/exe", *_open_files(cwds)]
    # A pipe or a socket has no path.
    paths = {*cwds.values(), *(path for path in map(_read_link, links) if path.startswith("/"))}
    if mapped_files:  # the path is the last field of a line, and the first one with a slash
        paths.update(map(unescape, {*re.findall("/.*", read_proc(f"{top}/maps"))}))
    table = tables.find_table(top)
    places = frozenset(map(table.find_place, paths))
    if table is not tables.own:
        places |= table.places - tables.own.places
    return Process(pid, cwd, places)


def _thread_directories(pid: int) -> list[str]:
    """Return the directories in /proc of a process and of its other threads.

    A thread can have a current directory of its own (unshare(2) with CLONE_FS). The first thread can
    end before the others: then its directory shows no files.
    """
    top = f"/proc/{pid}"
    try:
        has_threads = os.stat(f"{top}/task").st_nlink > _LINKS_OF_ONE_THREAD
    except OSError:
        return [top]
    tids = _list_directory(f"{top}/task") if has_threads else []
    return [top, *(f"{top}/task/{tid}" for tid in tids)]


def _open_files(threads: Iterable[str]) -> list[str]:
    """Return the links to the open files of a process, from the directories of its threads.

    A thread can have files of its own (unshare(2) with CLONE_FILES).
    """
    numbers = {tuple(_list_directory(f"{top}/fd")): top for top in threads}
    return [f"{top}/fd/{fd}" for fds, top in numbers.items() for fd in fds]


def processes_in(directory: str, snapshot: ProcessList | None = None) -> list[int]:
    """Return the sorted ids of the processes that use `directory` or something in it.

    Args:
        directory: the path of the directory. The result for '' is empty.
        snapshot: the processes to choose from. Without it, read /proc again, and include processes
            with `directory` in GIT_WORK_TREE: `git worktree add` fills it from another directory.
    """
    if not directory:
        return []
    real_path = os.path.realpath(directory)
    if snapshot is not None:
        return snapshot.find_users(real_path)
    pids = set(processes().find_users(real_path))
    for path in {directory, real_path}:
        pids.update(pids_with_environment({"GIT_WORK_TREE": path}))
    return sorted(pids)


def describe_processes(pids: Iterable[int]) -> tuple[str, ...]:
    """Return each process as its id and the name of its command: '1234 (bash)'."""
    return tuple(f"{pid} ({process_name(pid)})" for pid in pids)


def pids_with_environment(variables: Mapping[str, str]) -> list[int]:
    """Return the ids of the other processes that were started with all these variables."""
    return [pid for pid, found in environments(variables) if found == dict(variables)]


def environments(names: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the id of each other process, with those of the variables that it was started with."""
    for pid in _pids():
        if pid != os.getpid():
            text = _read_environment(pid)
            has_names = any(f"{name}=" in text for name in names)  # most processes have none
            pairs = (pair.partition("=") for pair in text.split("\0")) if has_names else ()
            yield pid, {name: value for name, _, value in pairs if name in names}


def _read_environment(pid: int) -> str:
    """Return the variables that a process was started with, separated by NUL.

    Wait while the process is starting its program. A zombie and a thread of the kernel have none.
    """
    psutil = _find_psutil()
    read = psutil.environment if psutil else partial(_read_from_threads, name="environ")
    text = read(pid)
    if not text and (psutil.program(pid) if psutil else _read_link(f"/proc/{pid}/exe")):
        arguments = psutil.arguments if psutil else partial(_read_from_threads, name="cmdline")
        end = time.monotonic() + _EXECVE_SECONDS
        while not arguments(pid) and time.monotonic() < end:
            time.sleep(0.001)
        text = read(pid)
    return text


def _read_from_threads(pid: int, name: str) -> str:
    """Return a file in /proc that all threads share. The first thread may have ended."""
    text = read_proc(f"/proc/{pid}/{name}")
    others = [] if text else _thread_directories(pid)[1:]
    return text or next(filter(None, (read_proc(f"{top}/{name}") for top in others)), "")


def process_name(pid: int) -> str:
    """Return the name of the command that a process runs, or '?' if the process has ended."""
    psutil = _find_psutil()
    name = psutil.name(pid) if psutil else read_proc(f"/proc/{pid}/comm").rstrip("\n")
    return name or "?"


def is_alive(pid: int) -> bool:
    """Return True if a process has this id, or if processes cannot be seen."""
    if psutil := _find_psutil():
        return psutil.is_alive(pid)
    return os.path.exists(f"/proc/{pid}") or not _list_directory("/proc")


def pids_with_open_directory(directory: str) -> list[int]:
    """Return the ids of the other visible processes that have the directory open."""
    pids = set()
    for pid in _pids():
        for fd in _list_directory(f"/proc/{pid}/fd"):
            if _read_link(f"/proc/{pid}/fd/{fd}") == directory:
                pids.add(pid)
    return sorted(pids - {os.getpid()})


def mount_points() -> list[str]:
    """Return the directories on which a file system is mounted, bind mounts included."""
    psutil = _find_psutil()
    return psutil.mount_points() if psutil else MountTable(read_proc("/proc/self/mountinfo")).points


def mounts_in(directory: str, points: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the mount points in `directory`, with `directory` itself.

    Args:
        directory: a real path.
        points: the mount points of the system, if the caller has read them.
    """
    top = directory.rstrip("/")
    points = mount_points() if points is None else points
    return tuple(point for point in points if point == top or point.startswith(f"{top}/"))


def lock_holder(directory: str) -> int | None:
    """Return the id of the process that holds the flock on `directory`, or None if not known."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in read_proc("/proc/locks").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1:2] == ["FLOCK"] and fields[5] == inode:
            return parse_int(fields[4], MAX_COUNT) or None
    return None


def _pids() -> list[int]:
    """Return the ids of all visible processes."""
    psutil = _find_psutil()
    if psutil:
        return psutil.pids()
    pids = (parse_int(name, MAX_COUNT) for name in _list_directory("/proc"))
    return [pid for pid in pids if pid is not None]


def read_proc(path: str) -> str:
    """Return the content of a file in /proc, or '' if the process has ended."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # faster than open(): many are read
        try:
            return os.fsdecode(read_to_end(fd))
        finally:
            os.close(fd)
    except OSError:
        return ""


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _list_directory(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
