"""Worktrees that are not on the branch of their attempt.

HEAD is detached, cannot be read, or names a deleted branch or another branch.

An agent is known by its branch, and by the worktree that state.json records. An agent may leave its
branch with `git switch -c fix`, or rename it with `git branch -m mine`. The recorded worktree then
still belongs to the agent.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    agent_name,
    is_object_id,
    parse_agent_branch,
    short_name,
)
from git_hub_session.git.refs import read_ref, ref_exists
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project


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

    Return '' if git recorded no commit of the branch. Also return '' if the branch exists, but not
    its commit: the doctor finds an older one.
    """
    tip = worktree.head_reflog_tip
    is_branch = worktree.head.startswith(HEADS)
    if is_branch and tip and not ref_exists(worktree.common_dir, worktree.head):
        return f"git branch {quote_word(short_name(worktree.head))} {tip}"
    return ""


def missing_branch(worktree: Worktree, ref: str, project: Project) -> tuple[str, str] | None:
    """Return the reason that the branch of the worktree does not exist, with a hint, or None.

    Return None too if the directory is missing: the user has discarded the attempt. Load pygit2 only
    if the files of git do not have the branch.

    Args:
        ref: the full ref of the branch of the attempt. HEAD may name another branch.
    """
    if worktree.is_missing or worktree.head != ref:
        return None
    if is_object_id(read_ref(worktree.common_dir, ref)) or project.repo.find_ref_target(ref):
        return None
    hint = restore_branch_command(worktree) or "git hub-session doctor"
    return "its branch does not exist", hint


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


def has_other_branch(worktree: Worktree, ref: str) -> bool:
    """Return True if the worktree uses branches, but not the branch `ref` (a full ref)."""
    return bool(worktree.branches) and ref not in worktree.branches


def has_detached_commits(worktree: Worktree, ref: str, project: Project) -> bool:
    """Return True if HEAD is detached at a commit that the branch `ref` does not contain.

    A rebase or a bisect of the branch detaches HEAD at other commits. Then only a commit that no ref
    reaches counts. Load pygit2 only if the commit is not the tip of the branch.
    """
    if not worktree.detached or has_other_branch(worktree, ref):
        return False
    if worktree.detached == read_ref(worktree.common_dir, ref):
        return False
    repo = project.repo
    if repo.is_ancestor(repo.tip(ref), worktree.detached):
        return False
    return not worktree.branches or bool(repo.unreachable([worktree.detached]))


def operation_reason(worktree: Worktree) -> str:
    """Return why the commits at HEAD are on no branch in the middle of a rebase or a bisect."""
    return f"in the middle of a {worktree.operation}, with commits on no branch"


def off_branch_reason(worktree: Worktree, ref: str) -> str:
    """Return why a commit in the worktree would not be on the branch `ref` (a full ref), or ''."""
    reason = detached_reason(worktree)
    if reason or not has_other_branch(worktree, ref):
        return reason
    return f"another branch is checked out: '{short_name(worktree.branches[0])}'"


def off_branch_command(worktree: Worktree, branch: AgentBranch) -> str:
    """Return the command that records what is checked out as the next attempt of the agent.

    If another agent's branch is checked out, return the command that leaves this branch.
    """
    git = f"git -C {quote_word(worktree.path)}"
    adopt = f"git hub-session adopt {branch.session} {agent_name(branch.agent)}"
    if worktree.operation == "bisect" and branch.ref in worktree.branches:
        return f"{adopt} {worktree.detached}"  # `git bisect reset` would leave the commits behind
    if worktree.operation:
        return f"{git} status"
    other = parse_agent_branch(worktree.head)
    if other is not None and not is_same_agent(other, branch):
        create = "" if ref_exists(worktree.common_dir, branch.ref) else "-c "
        return f"{git} switch {create}{short_name(branch.ref)}"
    return adopt


def wrong_branch_reason(
    worktree: Worktree, branch: AgentBranch, project: Project
) -> tuple[str, str] | None:
    """Return why the commits of the agent are not on the branch of its attempt, or None.

    Another branch is checked out in the worktree, HEAD is detached at other commits, or the branch
    was deleted. The hint is the command that adopts the work, or recreates the deleted branch.
    """
    if has_other_branch(worktree, branch.ref) or has_detached_commits(
        worktree, branch.ref, project
    ):
        reason = off_branch_reason(worktree, branch.ref) or operation_reason(worktree)
        return reason, off_branch_command(worktree, branch)
    return missing_branch(worktree, branch.ref, project)


def is_same_agent(branch: AgentBranch, other: AgentBranch) -> bool:
    """Return True if both are attempts of one agent."""
    return branch[:2] == other[:2]
