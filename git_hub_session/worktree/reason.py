"""The reason why a worktree is kept: a code, a message and a hint."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple


class Reason(NamedTuple):
    """Why a worktree is kept: a stable code, a sentence, and what can be done ('' if nothing)."""

    code: str
    message: str
    hint: str = ""


CONTENTS_CHANGED = Reason("changed", "something was written into it meanwhile", "try again")
DIRECTORY_REMOVED = Reason("changed", "its directory went meanwhile", "try again")
GIT_DIR_CHANGED = Reason("changed", "git was used in it meanwhile", "try again")
