"""Copy files from one directory tree into another. Never follow a link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable

from git_hub_session.system.io import own_permissions, write_all
from git_hub_session.system.tree import path_and_parents

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30  # bytes


def copy_files(source: str, target: str, paths: Iterable[bytes]) -> None:
    """Copy the files and links at `paths`, which are relative to `source` and `target`.

    Skip a path that is missing in `source` or exists in `target`. Also skip it if one of its parent
    directories is a link or a file. Share the data with the source if the file system supports it
    (copy-on-write). A new directory gets the permissions of the source. Raise OSError with the path.
    """
    created: set[bytes] = set()
    for path in paths:
        try:
            created.update(_missing_parents(target, path))
            _copy_path(source, target, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None
    # Set the permissions last: a directory of the source may not be writable.
    for path in sorted(created, reverse=True):
        _copy_mode(source, target, path)


def _missing_parents(top: str, path: bytes) -> list[bytes]:
    """Return the parents of `path` that do not exist below `top`."""
    parents = path_and_parents(path)[1:]
    return [parent for parent in parents if not os.path.lexists(os.fsencode(top) + b"/" + parent)]


def _copy_mode(source: str, target: str, path: bytes) -> None:
    """Give the directory at `path` below `target` the permissions of the one below `source`."""
    source_fd = open_parent(source, path, create=False)
    target_fd = open_parent(target, path, create=False)
    try:
        if source_fd >= 0 and target_fd >= 0:
            mode = own_permissions(source_fd, os.fstat(source_fd).st_mode)
            os.fchmod(target_fd, mode & 0o777)
    finally:
        for fd in (source_fd, target_fd):
            if fd >= 0:
                os.close(fd)


def _copy_path(source: str, target: str, path: bytes) -> None:
    parent, _, name = path.rpartition(b"/")
    source_fd = open_parent(source, parent, create=False)
    if source_fd < 0:
        return
    target_fd = -1
    try:
        target_fd = open_parent(target, parent, create=True)
        if target_fd >= 0:
            _copy_entry(name, source_fd, target_fd)
    finally:
        os.close(source_fd)
        if target_fd >= 0:
            os.close(target_fd)


def open_parent(top: str, path: bytes, *, create: bool) -> int:
    """Open the directory `path` below `top`. With `create`, create missing directories.

    Return -1 if it or one of its parents is missing, a link or a file.
    """
    directory = os.open(top, _DIRECTORY)
    for name in path.split(b"/") if path else []:
        parent = directory
        try:
            if create:
                try:
                    os.mkdir(name, dir_fd=parent)
                except FileExistsError:
                    pass
            directory = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                return -1
            raise
        finally:
            os.close(parent)
    return directory


def _copy_entry(name: bytes, source: int, target: int) -> None:
    try:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(name, source, target, status.st_mode)
    except (FileExistsError, FileNotFoundError):
        pass  # The target exists, or another process has just removed the source.


def _copy_file(name: bytes, source: int, target: int, mode: int) -> None:
    reader = os.open(name, READ, dir_fd=source)
    try:
        sys.audit("git_hub_session.create", name, target)
        writer = os.open(name, CREATE, 0o600, dir_fd=target)
        try:
            _copy_bytes(reader, writer)
            os.fchmod(writer, own_permissions(reader, mode) & 0o777)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_bytes(reader: int, writer: int) -> None:
    try:
        while os.copy_file_range(reader, writer, _CHUNK):
            pass
    except (AttributeError, OSError):  # not on this system, or not between these file systems
        while data := os.read(reader, 1 << 20):
            write_all(writer, data)
