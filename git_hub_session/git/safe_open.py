"""Open git's files only if they are regular files, and read them with a size limit.

Reading a named pipe would block this program or git forever, and a device has no end. A clone
contains neither, but an agent that works in a worktree can also write into the repository.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

MAX_BYTES = 1 << 20
"""The limit for a configuration file or a file of ignore patterns."""

# git and libgit2 read the first group in every command, and the second group for each worktree.
_REPOSITORY_FILES = ("HEAD", "config", "index", "packed-refs", "info/exclude", "info/attributes")
_WORKTREE_FILES = ("HEAD", "index", "gitdir", "commondir", "locked", "config.worktree")


def open_regular(path: str, flags: int) -> int:
    """Open a regular file, as `open(path, opener=open_regular)`; raise OSError for any other."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", path)


_LIMIT = 1 << 16
_CHUNK = 1 << 14


# The errors of a path that has no file. With another error, it is not known what the file contains.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


def read_text(path: str, *, limit: int = _LIMIT, from_end: bool = False) -> str:
    """Return the first or the last `limit` bytes of a file as text, or '' if it is unreadable."""
    return os.fsdecode(read_bytes(path, limit=limit, from_end=from_end))


def read_existing_text(path: str, *, limit: int = _LIMIT, from_end: bool = False) -> str:
    """Return the same as `read_text`, but raise OSError if a file exists and cannot be read."""
    text = read_text(path, limit=limit, from_end=from_end)
    if not text:
        raise_if_unreadable(path)
    return text


def raise_if_unreadable(path: str) -> None:
    """Raise OSError if there is a file or directory that cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.read(fd, 1)
        finally:
            os.close(fd)
    except BlockingIOError:
        pass  # a pipe
    except OSError as error:
        if error.errno not in _NO_FILE:
            error.filename = path  # os.read() does not know it
            raise
    except ValueError:
        pass  # a NUL in the path


def read_bytes(path: str, *, limit: int = _LIMIT, from_end: bool = False) -> bytes:
    """Return the first or the last `limit` bytes of a file, or b'' if it is unreadable.

    The call never blocks. It returns b'' for a device without an end.
    """
    # Use os.open(): open() makes twice as many system calls, and there are thousands of files.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):  # ValueError: a NUL in a path that was read from another file
        return b""
    try:
        data = os.read(fd, _CHUNK)
        if len(data) == _CHUNK:
            return _read_large(fd, data, limit, from_end=from_end)
        return data[-limit:] if from_end else data[:limit]
    except OSError:
        return b""
    finally:
        os.close(fd)


def _read_large(fd: int, chunk: bytes, limit: int, *, from_end: bool) -> bytes:
    """Read on after the first chunk. Return b'' if the file is not a regular file."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return b""
    data = chunk
    if from_end and status.st_size > limit:
        os.lseek(fd, status.st_size - limit, os.SEEK_SET)
        data = b""
    remaining = min(status.st_size, limit) - len(data)
    while remaining > 0 and (more := os.read(fd, remaining)):
        data += more
        remaining -= len(more)
    return data[:limit]


def find_special(common_dir: str) -> str:
    """Return the path of a pipe, device or socket that git would read as a file, or ''."""
    files = (f"{common_dir}/{name}" for name in _REPOSITORY_FILES)
    for path in (*files, *_worktree_files(common_dir)):
        if _is_special(path):
            return path
    return next(_special_refs(f"{common_dir}/refs"), "")


def _worktree_files(common_dir: str) -> Iterator[str]:
    worktrees = f"{common_dir}/worktrees"
    for name in os.listdir(worktrees) if os.path.isdir(worktrees) else ():
        yield from (f"{worktrees}/{name}/{file}" for file in _WORKTREE_FILES)


def _is_special(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False  # git reports a missing file
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return False
    # Users link a file to /dev/null to disable it. git reads nothing there and continues.
    return not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.stat(os.devnull).st_rdev


def _special_refs(top: str) -> Iterator[str]:
    """Yield the special files below `top`. The listing has the types: no stat is necessary."""
    directories = [top]
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif not entry.is_file() and not entry.is_symlink():
                        yield entry.path
        except OSError:
            pass
