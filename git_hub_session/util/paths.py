"""Compare paths, and find free names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count


def is_same_path(path: str, other: str) -> bool:
    """Return True if two paths lead to the same file or directory, also through symbolic links.

    The result is False if `path` is '', or if one of them is text that no path can have.
    """
    # Compare the spelling first: realpath() of two paths takes longer than reading a worktree.
    try:
        return bool(path) and (path == other or os.path.realpath(path) == os.path.realpath(other))
    except ValueError:  # a NUL, or half of a surrogate pair
        return False


def is_inside(path: str, top: str) -> bool:
    """Return True if `path` is `top` or is below it. Compare only the spelling of the paths.

    The result is False if `top` is ''.
    """
    return bool(top) and (path == top or path.startswith(top.rstrip("/") + "/"))


def is_encodable(text: str) -> bool:
    """Return True if a path or a variable can have the text. Half of a surrogate pair cannot."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def normalize_relative(path: str) -> str:
    """Return the relative path in its shortest spelling, or '' if it is not below a directory.

    An absolute path, a path with "..", and text that no path can have are not.
    """
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        return ""
    if not is_encodable(path):
        return ""
    normal = os.path.normpath(path)
    return "" if normal == "." else normal


def free_names(
    name: str, is_taken: Callable[[str], bool], *, always_numbered: bool = False
) -> Iterator[str]:
    """Yield the names `name`, `name`-2, `name`-3, ... that are not taken.

    With `always_numbered`, the names are `name`-1, `name`-2, ...
    """
    if not (always_numbered or is_taken(name)):
        yield name
    for number in count(1 if always_numbered else 2):
        candidate = f"{name}-{number}"
        if not is_taken(candidate):
            yield candidate


def first_free(name: str, is_taken: Callable[[str], bool], *, always_numbered: bool = False) -> str:
    """Return the first of `free_names`. For a path, pass `os.path.lexists` as `is_taken`."""
    return next(free_names(name, is_taken, always_numbered=always_numbered))
