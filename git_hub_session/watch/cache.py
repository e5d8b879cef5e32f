"""Compute a value again only if the files that it comes from have changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

Value = TypeVar("Value")

Stamp = tuple[int, ...]
"""A value that differs after each change of a file. It is () if the file is missing."""


def read_stamp(path: str) -> Stamp:
    """Return the stamp of a file or a directory: its inode, its size and its modification time.

    A directory changes if a file in it is created, removed or renamed. git and this program replace
    their files with a rename, so that the inode differs.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


class Cache(Generic[Value]):
    """Values by key. Each is valid as long as its stamp does not change."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[object, Value]] = {}

    def get(self, key: Hashable, stamp: object, compute: Callable[[], Value]) -> Value:
        """Return the value of the key. Compute the value if it is missing, or has another stamp."""
        cached = self._values.get(key)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        value = compute()
        self._values[key] = stamp, value
        return value

    def keep_only(self, keys: Iterable[Hashable]) -> None:
        """Remove the values of all other keys."""
        kept = set(keys)
        self._values = {key: value for key, value in self._values.items() if key in kept}
