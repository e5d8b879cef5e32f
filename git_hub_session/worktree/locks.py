"""Lock reasons that this program writes."""

from __future__ import annotations

RESTORE_LOCK = "git hub-session restore is not done with it"
"""The reason for which a worktree is locked until it is whole."""

GIT_ADD_LOCK = "initializing"
"""The reason for which git locks an entry until it is whole."""

EVAL_LOCK = "git hub-session eval"
