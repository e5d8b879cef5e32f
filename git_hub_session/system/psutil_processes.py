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

    def files(self, pid: int) -> list[str]:
        """Return the paths of the program and of the open files of a process."""
        program = _read(lambda: psutil.Process(pid).exe(), "")
        files: list[str] = _read(
            lambda: [file.path for file in psutil.Process(pid).open_files()], []
        )
        return [program, *files]

    def mapped_files(self, pid: int) -> list[str]:
        """Return the paths of the files in the memory of a process. macOS does not name them."""
        if not hasattr(psutil.Process, "memory_maps"):
            return []
        return _read(lambda: [file.path for file in psutil.Process(pid).memory_maps()], [])

    def environment(self, pid: int) -> dict[str, str]:
        """Return the variables that a process was started with."""
        return _read(lambda: psutil.Process(pid).environ(), {})

    def mount_points(self) -> list[str]:
        """Return the directories on which a file system is mounted."""
        return [mount.mountpoint for mount in psutil.disk_partitions(all=True)]


def _read(read: Callable[[], _T], default: _T) -> _T:
    """Return a fact, or the default if the process has ended or belongs to another user."""
    try:
        return read()
    except (psutil.Error, OSError):
        return default
