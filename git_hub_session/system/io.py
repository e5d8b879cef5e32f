"""Read from file descriptors, and write to them."""

from __future__ import annotations

import os


def read_up_to(fd: int, size: int) -> bytes:
    """Read `size` bytes, or to the end of the file. Some file systems return fewer at a time."""
    data = os.read(fd, size)
    while 0 < len(data) < size and (more := os.read(fd, size - len(data))):
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
