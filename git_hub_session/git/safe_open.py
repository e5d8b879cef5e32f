"""Files of git's that are read here by ourselves, or by git without asking: only where they are files.

A pipe in the place of one would make us, or git, wait for ever; a device has no end. No clone
brings one, but who works in a worktree may write in the repository too.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from git_hub_session.git.ignore import MAX_BYTES

# What git and libgit2 read whatever they are asked; of every worktree that there is, too.
_REPOSITORY_FILES = ("HEAD", "config", "index", "packed-refs", "info/exclude", "info/attributes")
_READ_OF_ENTRIES = ("HEAD", "index", "gitdir", "commondir", "locked", "config.worktree")


def open_regular(path: str, flags: int) -> int:
    """For `open(path, opener=regular)`: raises OSError for what is no regular file."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", path)


def find_special(common_dir: str) -> str:
    """The first pipe, device or socket where git would read a file or a ref; '' where there is none."""
    named = (f"{common_dir}/{name}" for name in _REPOSITORY_FILES)
    return next(
        (path for path in (*named, *_worktree_files(common_dir)) if _is_special(path)), ""
    ) or (next(_special_refs(f"{common_dir}/refs"), ""))


def _worktree_files(common_dir: str) -> Iterator[str]:
    entries = f"{common_dir}/worktrees"
    for name in os.listdir(entries) if os.path.isdir(entries) else ():
        yield from (f"{entries}/{name}/{file}" for file in _READ_OF_ENTRIES)


def _is_special(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False  # git has a word for what is missing
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return False
    # A link to the null device is how people have no file there: git reads nothing, and goes on.
    return not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.stat(os.devnull).st_rdev


def _special_refs(top: str) -> Iterator[str]:
    """The names say what they are: nothing has to be looked at."""
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


_LIMIT, _CHUNK = 1 << 16, 1 << 14  # bytes


def read_text(path: str, *, limit: int = _LIMIT, end: bool = False) -> str:
    """What the file has, its first `limit` bytes, or its last; '' where it cannot be read. Nobody is waited for."""
    # Not open(): of the calls that it makes this needs half, and there are thousands of files.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):  # ValueError: a NUL in a name that another file gave
        return ""
    try:
        data = os.read(fd, _CHUNK)
        if len(data) == _CHUNK:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):  # a device has no end
                return ""
            if end and found.st_size > limit:
                os.lseek(fd, found.st_size - limit, os.SEEK_SET)
                data = b""
            left = min(found.st_size, limit) - len(data)
            while left > 0 and (more := os.read(fd, left)):
                data += more
                left -= len(more)
        return os.fsdecode(data[:limit])
    except OSError:
        return ""
    finally:
        os.close(fd)


def read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb", opener=open_regular) as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return b""
