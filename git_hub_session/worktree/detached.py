"""Worktrees without a branch: HEAD is detached, cannot be read, or names a deleted branch."""

from __future__ import annotations

from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import HEADS, AgentBranch, parse_agent_branch, short_name

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree


def detached_reason(worktree: Worktree) -> str:
    """Return why a commit in the worktree would be on no branch, or ''."""
    if not (worktree.head or worktree.detached):
        return "its HEAD cannot be read"
    if worktree.branches:
        return ""
    attempt = original_attempt(worktree)
    if attempt is None:
        return "its HEAD is detached"
    return f"its HEAD is detached from '{short_name(attempt.ref)}'"


def restore_branch_command(worktree: Worktree) -> str:
    """Return the command that recreates the deleted branch that is checked out in the worktree.

    Return '' if git recorded no commit of the branch.
    """
    tip = worktree.head_reflog_tip
    if worktree.head.startswith(HEADS) and tip:
        return f"git branch {quote(short_name(worktree.head))} {tip}"
    return ""


def original_attempt(worktree: Worktree) -> AgentBranch | None:
    """Return the attempt that a worktree without a branch belonged to, or None.

    The first branch that HEAD left names the agent. If HEAD left several attempts of this agent,
    the last of them counts.
    """
    branches = list(map(parse_agent_branch, worktree.previous_branches))
    first = branches[0] if branches else None
    if first is None:
        return None
    same_agent = [branch for branch in branches if branch is not None and branch[:2] == first[:2]]
    return same_agent[-1]
