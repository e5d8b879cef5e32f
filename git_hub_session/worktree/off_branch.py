"""Worktrees that are not on the branch of their attempt.

HEAD is detached, cannot be read, or names a deleted branch or another branch.

An agent is known by its branch, and by the worktree that state.json records. An agent may leave its
branch with `git switch -c fix`, or rename it with `git branch -m mine`. The recorded worktree then
still belongs to the agent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    agent_name,
    agent_number,
    parse_agent_branch,
    short_name,
)
from git_hub_session.git.refs import ref_exists
from git_hub_session.session.state import FINISHED
from git_hub_session.util.paths import is_encodable, is_same_path

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session


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


def missing_branch(worktree: Worktree, ref: str, repo: GitRepo) -> tuple[str, str] | None:
    """Return the reason that the branch of the worktree does not exist, with a hint, or None.

    Return None too if the directory is missing: the user has discarded the attempt.

    Args:
        ref: the full ref of the branch of the attempt. HEAD may name another branch.
    """
    if worktree.is_missing or worktree.head != ref or repo.find_ref_target(ref):
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
    git = f"git -C {quote(worktree.path)}"
    if worktree.operation:
        return f"{git} status"
    other = parse_agent_branch(worktree.head)
    if other is not None and not _is_same_agent(other, branch):
        create = "" if ref_exists(worktree.common_dir, branch.ref) else "-c "
        return f"{git} switch {create}{short_name(branch.ref)}"
    return f"git hub-session adopt {branch.session} {agent_name(branch.agent)}"


def off_branch_attempts(
    sessions: Iterable[Session], worktrees: Sequence[Worktree]
) -> dict[str, AgentBranch]:
    """Return the recorded attempts whose worktree has another branch checked out, by git dir.

    Leave out finished sessions: they record paths that another worktree may use now. Leave out an
    attempt whose branch another worktree uses: the user has moved the agent's work.
    """
    in_use = {ref for worktree in worktrees for ref in worktree.branches}
    by_name: dict[str, list[Worktree]] = {}
    for worktree in worktrees:
        if worktree.branches and worktree.path and not worktree.is_missing:
            by_name.setdefault(os.path.basename(worktree.path), []).append(worktree)
    attempts: dict[str, AgentBranch] = {}
    for session in sessions:
        if session.state in FINISHED:
            continue
        for attempt, path in recorded_attempts(session).items():
            if attempt.ref not in in_use:
                candidates = by_name.get(os.path.basename(path), ())
                found = (worktree for worktree in candidates if _belongs(worktree, path, attempt))
                attempts |= {worktree.git_dir: attempt for worktree in found}
    return attempts


def recorded_attempts(session: Session) -> dict[AgentBranch, str]:
    """Return the attempt of each agent for which state.json records a worktree, with its path."""
    paths = recorded_paths(session)
    records = {name: session.agent_record(name) for name in paths if agent_number(name)}
    return {
        AgentBranch(session.id, agent_number(name), record.attempt or 1): paths[name]
        for name, record in records.items()
    }


def recorded_paths(session: Session) -> dict[str, str]:
    """Return the absolute path that state.json records for the worktree of each agent.

    state.json may be wrong: only look at these paths, and change nothing there.
    """
    recorded = {name: session.agent_record(name).worktree for name in session.agents}
    return {name: path for name, path in recorded.items() if _is_path(path)}


def _is_path(text: str) -> bool:
    return os.path.isabs(text) and "\0" not in text and is_encodable(text)


def _belongs(worktree: Worktree, path: str, attempt: AgentBranch) -> bool:
    """Return True if the worktree at the recorded path was created for the agent.

    The first branch that HEAD left names the owner. A worktree without such a reflog belongs to the
    agent if its branch belongs to no other session.
    """
    current = parse_agent_branch(worktree.branches[0])
    if current is not None:
        is_newer = _is_same_agent(current, attempt) and current.attempt > attempt.attempt
        if is_newer or current.session != attempt.session:
            return False
    if not is_same_path(path, worktree.path):
        return False
    return was_created_for(worktree, attempt) or not worktree.left_branches


def was_created_for(worktree: Worktree, branch: AgentBranch) -> bool:
    """Return True if the first branch that HEAD of the worktree left is a branch of the agent."""
    first = next(map(parse_agent_branch, worktree.left_branches), None)
    return first is not None and _is_same_agent(first, branch)


def _is_same_agent(branch: AgentBranch, other: AgentBranch) -> bool:
    return branch[:2] == other[:2]
