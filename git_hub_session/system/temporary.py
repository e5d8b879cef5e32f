"""Temporary directories and files outside the repository."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_DEFAULT_PARENT = "/tmp"
_PREFIX = "git-hub-session-"
_RANDOM_BYTES = 8
_HEX = "0123456789abcdef"
_STALE_AGE = 24 * 3600  # seconds: a git of a killed process may still use the directory


@contextmanager
def temporary_directory() -> Iterator[str]:
    """Create a temporary directory in $TMPDIR or /tmp, and remove it at the end of the block.

    The directory is locked, so that a later call removes it if this process is killed.
    The module `tempfile` does the same, but it loads 12 more modules. `merge` would take 2 % longer.
    """
    parent = os.path.abspath(os.environ.get("TMPDIR") or _DEFAULT_PARENT)
    if not os.access(parent, os.W_OK):
        parent = _DEFAULT_PARENT
    path = os.path.join(parent, f"{_PREFIX}{os.urandom(_RANDOM_BYTES).hex()}")
    os.mkdir(path, 0o700)
    lock = _lock_directory(path)
    try:
        _remove_stale_directories(parent, os.stat(path).st_mtime - _STALE_AGE)
        yield path
    finally:
        _remove_directory(path)
        if lock is not None:
            os.close(lock)


def _lock_directory(path: str) -> int | None:
    """Lock a directory until the returned descriptor is closed. Return None if it is locked."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # or the file system has no flock
        os.close(fd)
        return None
    return fd


def _remove_stale_directories(parent: str, oldest: float) -> None:
    """Remove the temporary directories of this user that killed processes left before `oldest`."""
    with suppress(OSError), os.scandir(parent) as scan:
        for entry in scan:
            if _is_directory_before(entry, oldest):
                with suppress(OSError):
                    lock = _lock_directory(entry.path)
                    if lock is not None:
                        _remove_directory(entry.path)
                        os.close(lock)


def _is_directory_before(entry: os.DirEntry[str], oldest: float) -> bool:
    random = entry.name.removeprefix(_PREFIX)
    if random == entry.name or len(random) != 2 * _RANDOM_BYTES or set(random) - set(_HEX):
        return False
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    is_own = entry.is_dir(follow_symlinks=False) and status.st_uid == os.geteuid()
    return is_own and status.st_mtime < oldest


def _remove_directory(path: str) -> None:
    """Remove a directory of this process. Follow no link."""
    os.chmod(path, 0o700)
    with os.scandir(path) as scan:
        entries = list(scan)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _remove_directory(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


@contextmanager
def memory_file() -> Iterator[int]:
    """Yield the descriptor of an empty file without a name, in memory if the system can do it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("git-hub-session")
    else:
        from tempfile import TemporaryFile  # most systems do not need the module

        with TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield fd
    finally:
        os.close(fd)
