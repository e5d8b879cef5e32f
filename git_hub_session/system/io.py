"""Write to file descriptors."""

from __future__ import annotations

import os


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
