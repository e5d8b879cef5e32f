"""Directories that are nested deeper than Python nests calls."""

from __future__ import annotations

import os
from pathlib import Path

LEVELS = 700
"""Each level needs an open directory, and 1,024 is the usual limit of a process."""


def nest_directories(top: Path) -> bytes:
    """Create a file in nested directories below `top`, and return its path relative to `top`."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    return b"d/" * LEVELS + b"leaf"
