"""Append lines to a file of a directory, and read its last lines.

A kill or a power failure can leave a partial last line. The reader skips it, and the next append
ends it with a line feed. Recorded lines are never removed or changed. After a failed append, the
file has its old length.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged
from git_hub_session.system.io import inherit_permissions, read_up_to, write_all
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.system.directory import SafeDirectory

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NOT_REGULAR = (errno.ELOOP, errno.EISDIR, errno.ENXIO)


def append_lines(directory: SafeDirectory, name: str, lines: bytes) -> None:
    """Append whole lines to the file `name`, durably. Create the file if needed.

    Call this function under the lock of the directory.

    Raises:
        Damaged: `name` is not a regular file.
        OSError: the lines cannot be written. The file has its old length.
    """
    is_new = not directory.exists(name)
    sys.audit("git_hub_session.create", name, directory.fd)
    fd = _open_regular(directory, name, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        if is_new:
            inherit_permissions(fd, directory.fd)
        size = os.fstat(fd).st_size
        is_partial = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        try:
            write_all(fd, b"\n" * is_partial + lines)
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
    if is_new:
        directory.fsync()


def read_last_lines(directory: SafeDirectory, name: str, *, limit: int) -> tuple[list[bytes], bool]:
    """Return the complete lines in the last `limit` bytes of the file `name`.

    The second value is True if the file has earlier lines too. A missing file has no lines.

    Raises:
        Damaged: `name` is not a regular file.
        OSError: the file cannot be read.
    """
    try:
        data, has_more = read_end(directory, name, limit=limit)
    except FileNotFoundError:
        return [], False
    lines = data.split(b"\n")[:-1]
    return (lines[1:], True) if has_more else (lines, False)


def read_end(directory: SafeDirectory, name: str, *, limit: int) -> tuple[bytes, bool]:
    """Return the last `limit` bytes of the file `name`, and True if the file is larger.

    Raises:
        Damaged: `name` is not a regular file.
        OSError: the file is missing, or cannot be read.
    """
    fd = _open_regular(directory, name, os.O_RDONLY)
    try:
        start = max(os.fstat(fd).st_size - limit, 0)
        os.lseek(fd, start, os.SEEK_SET)
        return read_up_to(fd, limit), start > 0
    finally:
        os.close(fd)


def _open_regular(directory: SafeDirectory, name: str, flags: int) -> int:
    path = f"{directory.path}/{name}"
    not_regular = Damaged(
        f"'{path}' is not a regular file", hint=f"mv {quote_word(path)} {quote_word(path)}.old"
    )
    try:
        fd = os.open(name, flags | _SAFE, 0o666, dir_fd=directory.fd)
    except OSError as error:
        raise not_regular if error.errno in _NOT_REGULAR else error from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise not_regular
    return fd
