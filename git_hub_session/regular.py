"""Files of git's that are read here by ourselves: opened only where they are files.

A pipe in the place of one would make us wait for ever, a device has no end.
"""

from __future__ import annotations

import errno
import os
import stat


def regular(path: str, flags: int) -> int:
    """For `open(path, opener=regular)`: raises OSError for what is no regular file."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", path)
