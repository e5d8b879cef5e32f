"""Compare paths."""

from __future__ import annotations

import os


def is_same_path(one: str, other: str) -> bool:
    """Whether two paths, the first of which may be '', are those of one directory."""
    # The very name first: to resolve two costs more than all else that is read of a worktree.
    return bool(one) and (one == other or os.path.realpath(one) == os.path.realpath(other))


def is_inside(path: str, top: str) -> bool:
    """Whether `path` is the directory `top` or below it, by their names."""
    return bool(top) and (path == top or path.startswith(top.rstrip("/") + "/"))
