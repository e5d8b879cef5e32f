"""A worktree of a session as JSON fields, and as a path with its conditions."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.view import relative_path
from git_hub_session.git.ref_names import short_name
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.off_branch import operation_reason
from git_hub_session.worktree.uncommitted import uncommitted_text

if TYPE_CHECKING:
    from git_hub_session.worktree.status import WorktreeStatus

_OPERATION_WORDS = {
    "rebase": "rebasing",
    "merge": "merging",
    "am": "applying patches",
    "bisect": "bisecting",
    "cherry-pick": "cherry-picking",
    "revert": "reverting",
}


def worktree_fields(status: WorktreeStatus) -> dict[str, Any]:
    """Return the JSON of a worktree."""
    worktree = status.worktree
    return {
        "worktree": worktree.path,
        "branch": short_name(status.branch),
        "changed": status.changed,
        "untracked": status.untracked,
        "locked": worktree.lock_reason,
        "missing": worktree.is_missing,
        "detached": not worktree.branches,
        "fault": worktree.link_error or None,
        "operation": worktree.operation or None,
        "processes": list(status.pids),
        "off_branch": status.off_branch or None,
        "hint": status.hint or None,
    }


def describe_worktree(status: WorktreeStatus, cwd: str) -> str:
    """Return the path of a worktree, with its changes and other conditions in parentheses."""
    worktree = status.worktree
    flags = [uncommitted_text(status.uncommitted)] if status.uncommitted else []
    if worktree.is_missing:
        flags.append("missing")
    if worktree.link_error:
        flags.append(escape_control(worktree.link_error))
    if not worktree.branches:
        flags.append("detached" if worktree.detached else "no HEAD")
    elif status.off_branch:
        flags.append(escape_control(status.off_branch))
    if worktree.operation and status.off_branch != operation_reason(worktree):
        flags.append(_OPERATION_WORDS[worktree.operation])
    if worktree.lock_reason:
        flags.append(f"locked: {escape_control(worktree.lock_reason)}")
    elif worktree.lock_reason is not None:
        flags.append("locked")
    if status.pids:
        flags.append(f"in use by process {', '.join(map(str, status.pids))}")
    path = escape_control(relative_path(worktree.path, cwd)) or "?"
    return f"{path} ({', '.join(flags)})" if flags else path
