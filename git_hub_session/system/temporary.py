"""Temporary directories and files outside the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


def temporary_directory() -> AbstractContextManager[str]:
    """Return a context manager for a temporary directory."""
    from tempfile import TemporaryDirectory  # most commands do not need the module

    return TemporaryDirectory(prefix="git-hub-session-")


@contextmanager
def memory_file() -> Iterator[int]:
    """Yield the descriptor of an empty file without a name, in memory if the system can do it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("git-hub-session")
    else:
        from tempfile import TemporaryFile  # most systems do not need the module

        with TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield fd
    finally:
        os.close(fd)
