"""Files copied from one directory tree into another: nothing is overwritten, and no link is followed."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable

from git_hub_session.system.io import write_all

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30  # bytes


def copy_files(source: str, target: str, paths: Iterable[bytes]) -> None:
    """Copy the files and links at `paths` (relative to both tops); raises OSError, which names one of them.

    What is there already stays as it is, and so does what a link stands in the way of.
    Copy-on-write where the file system can.
    """
    for path in paths:
        try:
            _copy_path(source, target, path)
        except OSError as fault:
            raise OSError(fault.errno, fault.strerror, os.fsdecode(path)) from None


def _copy_path(source: str, target: str, path: bytes) -> None:
    above, _, name = path.rpartition(b"/")
    here = _open_or_create_parent(source, above, make=False)
    if here < 0:
        return
    there = -1
    try:
        there = _open_or_create_parent(target, above, make=True)
        if there >= 0:
            _copy_entry(name, here, there)
    finally:
        os.close(here)
        if there >= 0:
            os.close(there)


def _open_or_create_parent(top: str, path: bytes, *, make: bool) -> int:
    """The open directory at `path` below `top`, or -1 where something else lies in the way."""
    directory = os.open(top, _DIRECTORY)
    for name in path.split(b"/") if path else []:
        above = directory
        try:
            if make:
                try:
                    os.mkdir(name, dir_fd=above)
                except FileExistsError:
                    pass
            directory = os.open(name, _DIRECTORY, dir_fd=above)
        except OSError as fault:
            if fault.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                return -1
            raise
        finally:
            os.close(above)
    return directory


def _copy_entry(name: bytes, source: int, target: int) -> None:
    try:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, source, target, stat.S_IMODE(found.st_mode))
    except (FileExistsError, FileNotFoundError):
        pass  # it is there already; or it went while we looked


def _copy_file(name: bytes, source: int, target: int, mode: int) -> None:
    read = os.open(name, _READ, dir_fd=source)
    try:
        sys.audit("git_hub_session.create", name, target)
        write = os.open(name, _CREATE, 0o600, dir_fd=target)
        try:
            _copy_bytes(read, write)
            os.fchmod(write, mode & 0o777)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _copy_bytes(read: int, write: int) -> None:
    try:
        while os.copy_file_range(read, write, _CHUNK):
            pass
    except (AttributeError, OSError):  # not on this system, or not between these two
        while data := os.read(read, 1 << 20):
            write_all(write, data)
