"""Read processes with psutil, on systems without /proc.

psutil uses the calls of each system. It is a dependency only there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil

_T = TypeVar("_T")


class PsutilReader:
    """Reads facts about processes. The facts about a process of another user are empty."""

    def pids(self) -> list[int]:
        """Return the ids of all processes."""
        return psutil.pids()

    def is_alive(self, pid: int) -> bool:
        """Return True if a process has this id."""
        return psutil.pid_exists(pid)

    def name(self, pid: int) -> str:
        """Return the name of the command that a process runs, or ''."""
        return _read(lambda: psutil.Process(pid).name(), "")

    def cwd(self, pid: int) -> str:
        """Return the current directory of a process, or ''."""
        return _read(lambda: psutil.Process(pid).cwd(), "")

    def program(self, pid: int) -> str:
        """Return the path of the program of a process, or ''."""
        return _read(lambda: psutil.Process(pid).exe(), "")

    def files(self, pid: int) -> list[str]:
        """Return the paths of the program and of the open files of a process."""
        files: list[str] = _read(
            lambda: [file.path for file in psutil.Process(pid).open_files()], []
        )
        return [self.program(pid), *files]

    def mapped_files(self, pid: int) -> list[str]:
        """Return the paths of the files in the memory of a process. macOS does not name them."""
        if not hasattr(psutil.Process, "memory_maps"):
            return []
        return _read(lambda: [file.path for file in psutil.Process(pid).memory_maps()], [])

    def arguments(self, pid: int) -> str:
        """Return the arguments that a process was started with, separated by NUL as in /proc."""
        return _read(lambda: "\0".join(psutil.Process(pid).cmdline()), "")

    def environment(self, pid: int) -> str:
        """Return the variables that a process was started with, separated by NUL as in /proc."""
        variables: dict[str, str] = _read(lambda: psutil.Process(pid).environ(), {})
        return "\0".join(f"{name}={value}" for name, value in variables.items())

    def mount_points(self) -> list[str]:
        """Return the directories on which a file system is mounted."""
        return [mount.mountpoint for mount in psutil.disk_partitions(all=True)]


def _read(read: Callable[[], _T], default: _T) -> _T:
    """Return a fact, or the default if the process has ended or belongs to another user."""
    try:
        return read()
    except (psutil.Error, OSError):
        return default
