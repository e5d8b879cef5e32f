"""Commit the changes that an agent left uncommitted in its worktree.

The user's identity, signing key and hooks apply, as if the agent had made the commit. The files of a
hub in the worktree are left out.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.ref_names import agent_name, short_name
from git_hub_session.git.worktrees import Worktree, read_worktree
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project

_HUB = f":(top){HUB_DIRECTORY}"
_ALL_BUT_HUB = (":(top)", f":(top,exclude){HUB_DIRECTORY}")


class CommitResult(NamedTuple):
    """The result of an attempt to commit the changes of an agent. Both are '' without changes."""

    commit: str = ""
    """The object id of the new commit."""
    reason: str = ""
    """The reason that the changes are still uncommitted."""
    hint: str = ""
    """The command to type before the changes can be committed, or ''."""


def commit_changes(branch: AgentBranch, git_dir: str, title: str, project: Project) -> CommitResult:
    """Commit all changes in the worktree of an agent on its branch.

    Do not commit in a worktree that is locked, is in the middle of an operation, or has another
    branch checked out.

    Args:
        git_dir: the git dir of the worktree.
        title: the end of the subject. The agent's name is the start.
    """
    worktree = read_worktree(os.path.basename(git_dir), git_dir)
    if worktree.link_error or worktree.is_missing:
        return CommitResult(reason=worktree.link_error or "its worktree is missing")
    git = project.git.at(git_dir, worktree.path)
    try:
        if not git.run(["status", "--porcelain", "-z", "--", *_ALL_BUT_HUB]):
            return CommitResult()
        reason = _blocking_reason(worktree, branch, project.repo)
        if reason:
            return CommitResult(reason=reason, hint=_unblock_command(worktree, branch))
        subject = f"{agent_name(branch.agent)}: {title}"
        return CommitResult(commit=_commit(git, branch, subject, project))
    except GitFailed as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        return CommitResult(reason=escape_control(lines[-1]) if lines else error.message)


def _blocking_reason(worktree: Worktree, branch: AgentBranch, repo: GitRepo) -> str:
    """Return the reason that nothing may be committed in the worktree, or ''."""
    if worktree.lock_reason is not None:
        return "its worktree is locked"
    if worktree.operation:
        return f"its worktree is in the middle of a {worktree.operation}"
    if not worktree.head:
        return "its HEAD is detached"
    if worktree.head != branch.ref:
        return f"'{short_name(worktree.head)}' is checked out in its worktree"
    if not repo.find_ref_target(branch.ref):
        return "its branch does not exist"
    if worktree.is_index_locked:
        return "the index is locked: a git command is running or was killed"
    return ""


def _unblock_command(worktree: Worktree, branch: AgentBranch) -> str:
    """Return the command to type before the next `exec --commit`, or '' if `exec` prints it."""
    if worktree.lock_reason is not None:
        return f"git worktree unlock {quote_word(worktree.path)}"
    if worktree.operation:
        return f"git -C {quote_word(worktree.path)} status"
    return f"git hub-session doctor {branch.session}" if worktree.is_index_locked else ""


def _commit(git: GitAt, branch: AgentBranch, subject: str, project: Project) -> str:
    """Stage and commit all changes. Return the commit, or '' if nothing differs from HEAD.

    Raises:
        GitFailed: git or a hook refused. The changes stay in the worktree, staged.
    """
    # git refuses to add with a pathspec that excludes an ignored directory.
    git.run(["add", "--all"])
    git.run(["reset", "--quiet", "--", _HUB])
    if not git.run(["diff-index", "--cached", "--name-only", "HEAD"]):
        return ""
    git.run(["commit", "--quiet", "--file=-"], stdin=os.fsencode(f"{subject}\n"))
    return project.repo.tip(branch.ref)
