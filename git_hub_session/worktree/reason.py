"""The reason to keep a worktree: a code, a message and a hint."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple


class Reason(NamedTuple):
    """The reason to keep a worktree."""

    code: str
    """One of the public codes that the man page lists."""
    message: str
    hint: str = ""
    """A command or an instruction that removes the reason, or ''."""


CONTENTS_CHANGED = Reason("changed", "files changed after the inspection", "try again")
DIRECTORY_REMOVED = Reason("changed", "the directory was removed after the inspection", "try again")
GIT_DIR_CHANGED = Reason(
    "changed", "the administrative files changed after the inspection", "try again"
)
