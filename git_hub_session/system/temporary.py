"""Temporary directories outside the repository."""

from __future__ import annotations

from contextlib import AbstractContextManager


def temporary_directory() -> AbstractContextManager[str]:
    """Return a context manager for a temporary directory."""
    from tempfile import TemporaryDirectory  # most commands do not need the module

    return TemporaryDirectory(prefix="git-hub-session-")
