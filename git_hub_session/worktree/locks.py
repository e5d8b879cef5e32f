"""The lock reasons that this program and `git worktree add` write."""

from __future__ import annotations

RESTORE_LOCK = "git hub-session restore is not done with it"
"""The lock reason of a worktree that `restore` has not finished."""

GIT_ADD_LOCK = "initializing"
"""The lock reason of a worktree that `git worktree add` has not finished."""

EVAL_LOCK = "git hub-session eval"
"""The lock reason of a temporary worktree of `eval`."""
