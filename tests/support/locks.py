"""Lock a session in another process, and find the processes that wait for the lock."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.hub import PYTHON, wait_for

_HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def lock_directory(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Lock a directory in another process during the `with` block."""
    with subprocess.Popen(
        [PYTHON, "-I", "-c", _HOLDER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def unlock(holder: subprocess.Popen[str]) -> None:
    """End the process of lock_directory(), which releases the lock."""
    assert holder.stdin
    holder.stdin.close()
    holder.wait()


def wait_for_lock_waiter(directory: Path) -> int:
    """Wait until a process waits for the lock on a directory, and return the id of the process.

    The process has the directory open and sleeps between two attempts to lock it.
    """
    found: list[int] = []

    def find() -> bool:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _sleeps_with(entry, str(directory)):
                found.append(int(entry.name))
        return bool(found)

    wait_for(find)
    return found[0]


def _sleeps_with(process: Path, directory: str) -> bool:
    """Return True if a process is in nanosleep and has the directory open."""
    try:
        if "nanosleep" not in (process / "wchan").read_text():
            return False
        return directory in [os.readlink(fd) for fd in (process / "fd").iterdir()]
    except OSError:
        return False  # the process has ended, or has closed a file
