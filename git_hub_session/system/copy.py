"""Copy files from one directory tree into another, or replace them. Never follow a link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable

from git_hub_session.system.io import write_all
from git_hub_session.system.tree import remove_path

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30  # bytes


def copy_files(source: str, target: str, paths: Iterable[bytes]) -> None:
    """Copy the files and links at `paths`, which are relative to `source` and `target`.

    Skip a path that is missing in `source` or exists in `target`. Also skip it if one of its parent
    directories is a link or a file. Share the data with the source if the file system supports it
    (copy-on-write). Raise OSError with the path.
    """
    for path in paths:
        try:
            _copy_path(source, target, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None


def replace_files(source: str, target: str, paths: Iterable[bytes]) -> list[bytes]:
    """Replace the files at `paths` in `target` that differ from those in `source`.

    Return their paths. Remove a directory in the place of a file, and a file or a link in the place
    of a parent directory. Raise OSError if a file cannot be read, removed or written.
    """
    differing = [path for path in paths if not _is_same(source, target, path)]
    for path in differing:
        remove_path(target, path)
    copy_files(source, target, differing)
    return differing


def _is_same(source: str, target: str, path: bytes) -> bool:
    """Return True if both files or links have the same content and are executable or not."""
    parent, _, name = path.rpartition(b"/")
    opened = [_open_or_create_parent(top, parent, create=False) for top in (source, target)]
    try:
        if min(opened) < 0:
            return False
        statuses = [os.stat(name, dir_fd=fd, follow_symlinks=False) for fd in opened]
        kinds = {
            (stat.S_IFMT(each.st_mode), each.st_mode & 0o111, each.st_size) for each in statuses
        }
        if len(kinds) > 1:
            return False
        if stat.S_ISLNK(statuses[0].st_mode):
            return os.readlink(name, dir_fd=opened[0]) == os.readlink(name, dir_fd=opened[1])
        return stat.S_ISREG(statuses[0].st_mode) and _has_same_bytes(name, *opened)
    except FileNotFoundError:
        return False
    finally:
        for fd in opened:
            if fd >= 0:
                os.close(fd)


def _has_same_bytes(name: bytes, source: int, target: int) -> bool:
    with (
        open(os.open(name, _READ, dir_fd=source), "rb") as first,
        open(os.open(name, _READ, dir_fd=target), "rb") as second,
    ):
        while data := first.read(1 << 20):
            if data != second.read(len(data)):
                return False
        return not second.read(1)


def _copy_path(source: str, target: str, path: bytes) -> None:
    parent, _, name = path.rpartition(b"/")
    source_fd = _open_or_create_parent(source, parent, create=False)
    if source_fd < 0:
        return
    target_fd = -1
    try:
        target_fd = _open_or_create_parent(target, parent, create=True)
        if target_fd >= 0:
            _copy_entry(name, source_fd, target_fd)
    finally:
        os.close(source_fd)
        if target_fd >= 0:
            os.close(target_fd)


def _open_or_create_parent(top: str, path: bytes, *, create: bool) -> int:
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
            _copy_file(name, source, target, stat.S_IMODE(status.st_mode))
    except (FileExistsError, FileNotFoundError):
        pass  # The target exists, or another process has just removed the source.


def _copy_file(name: bytes, source: int, target: int, mode: int) -> None:
    reader = os.open(name, _READ, dir_fd=source)
    try:
        sys.audit("git_hub_session.create", name, target)
        writer = os.open(name, _CREATE, 0o600, dir_fd=target)
        try:
            _copy_bytes(reader, writer)
            os.fchmod(writer, mode & 0o777)
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
