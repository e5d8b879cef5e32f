"""Read from file descriptors, write to them, and set the permissions of their files."""

from __future__ import annotations

import errno
import os
import stat

_CHUNK = 1 << 16  # bytes


def read_up_to(fd: int, size: int) -> bytes:
    """Read `size` bytes, or to the end of the file. Some file systems return fewer at a time."""
    data = os.read(fd, size)
    while 0 < len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def read_to_end(fd: int) -> bytes:
    """Read to the end of the file. A read of a file in /proc can return a part of it."""
    data = os.read(fd, _CHUNK)
    while data and (more := os.read(fd, _CHUNK)):
        data += more
    return data


def read_from_start(fd: int) -> bytes:
    """Return the whole content of a file. Do not move the offset: a process may be writing."""
    data = bytearray()
    while part := os.pread(fd, 1 << 20, len(data)):
        data += part
    return bytes(data)


def write_all(fd: int, data: bytes) -> None:
    """Write `data` completely: one call of `os.write` may write only a part of it.

    Wait while a non-blocking pipe is full, as git does. The process at the other end of the pipe
    may have made it non-blocking.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            from select import select  # most commands never wait

            select([], [fd], [])


_ACL = "system.posix_acl_access"
_ACL_GROUP, _ACL_MASK = 0x04, 0x10  # from Linux's posix_acl.h


def own_permissions(path: int | bytes, mode: int) -> int:
    """Return the mode of a file or directory without the permissions of its access control list.

    A copy has no list. In the mode of a file with a list, the bits of the group are the mask, which
    is the most that any user in the list gets (acl(5)).
    """
    try:
        text = os.getxattr(path, _ACL, follow_symlinks=isinstance(path, int))
    except (AttributeError, OSError):  # not Linux, or no list
        return mode
    # Each entry of the list is a tag, the permissions and the id of a user or group.
    entries = (text[start : start + 8] for start in range(4, len(text), 8))
    permissions = {entry[0]: entry[2] for entry in entries}
    group = permissions.get(_ACL_GROUP, 0) & permissions.get(_ACL_MASK, 0o7)
    return mode & ~0o070 | group << 3


def is_closed_pipe(fd: int) -> bool:
    """Return True if the descriptor is a pipe or socket whose other end is closed."""
    from select import POLLERR, poll  # most commands never ask

    poller = poll()
    poller.register(fd, 0)
    return any(events & POLLERR for _, events in poller.poll(0))


def inherit_permissions(fd: int, directory: int) -> None:
    """Give a new file or directory the permissions of an open directory that a group shares.

    The set-group-ID bit marks such a directory, as in a repository with core.sharedRepository.
    """
    shared = os.fstat(directory).st_mode
    if shared & stat.S_ISGID:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        os.fchmod(fd, stat.S_IMODE(shared) & (0o7777 if is_directory else 0o666))


def restore_owner(fd: int, like: os.stat_result) -> None:
    """Give a new file the owner of the old one, so that root does not take over a user's file.

    Ignore errors: only root can change the owner.
    """
    for uid, gid in ((like.st_uid, like.st_gid), (-1, like.st_gid)):
        try:
            os.fchown(fd, uid, gid)
            return
        except OSError:
            pass


def open_for_append(name: str, directory: int) -> int:
    """Open a regular file for appending. Raise OSError if it does not exist or is another file."""
    # Another process may have replaced the file: do not wait for the reader of a pipe.
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=directory)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
