"""Let functions call themselves more often than Python allows by default."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

_CALLS = 200_000
"""More nested calls than a process can have open directories. Each needs about 500 bytes."""


def raise_recursion_limit() -> Callable[[], None]:
    """Allow more nested calls of Python functions. Return a function that restores the limit.

    Python keeps the frames of such calls on the heap, so the stack of the process cannot overflow.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + _CALLS)
    return partial(sys.setrecursionlimit, limit)
