"""Which worktrees are a session's: those that have a branch of it in use, and those that left one where an agent's lies.

Off its branch (HEAD detached, or cut off) a worktree counts only if it was made for an agent's, and in an agent's
place, where spawn or restore would make it, or has. Else somebody has looked at an agent's work, and gone on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    agent_name,
    agent_number,
    branch_prefix,
    parse_agent_branch,
    session_of_branch,
)
from git_hub_session.git.worktrees import Worktree
from git_hub_session.session.agents import recorded_attempt
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.text import natural_key
from git_hub_session.worktree.paths import worktree_path, worktree_template


def session_of_worktree(worktree: Worktree) -> SessionId | None:
    """The session that has a branch in use in it, or None."""
    return next(filter(None, map(session_of_branch, worktree.branches)), None)


def session_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> list[tuple[Worktree, str]]:
    """Of the repository's `worktrees` the session's, each with the full ref of the branch that it is on, or was.

    In natural order of the branches: agent-10 after agent-2.
    """
    found = worktrees_on_branches(sid, worktrees)
    off = [one for one in worktrees if not one.branches and one.path]
    if off:
        session = _read_or_none(sid, project)
        found += [
            (one, branch.ref) for one, branch in _detached_worktrees(off, sid, session, project)
        ]
        found.sort(key=lambda pair: natural_key(pair[1]))
    return found


def _read_or_none(sid: SessionId, project: Project) -> Session | None:
    try:
        return project.store.read(sid)
    except (HubError, OSError):
        return None  # then the place alone has to tell


def _detached_worktrees(
    worktrees: Iterable[Worktree], sid: SessionId, session: Session | None, project: Project
) -> Iterator[tuple[Worktree, AgentBranch]]:
    for worktree in worktrees:
        branch = detached_owner(worktree, {sid: session}, project).get(sid)
        if branch is not None:
            yield worktree, branch


def detached_owner(
    worktree: Worktree, sessions: Mapping[SessionId, Session | None], project: Project
) -> dict[SessionId, AgentBranch]:
    """{session: its attempt that a worktree which is on no branch belongs to}; a session that cannot be read is None."""
    was = original_attempt(worktree)
    if was is not None:
        sid, session = was.session, sessions.get(was.session)
        told = recorded_paths(session).get(agent_name(was.agent), "") if session is not None else ""
        paths = [told, *default_paths(was, project)] if sid in sessions else []
        return {sid: was} if any(is_same_path(path, worktree.path) for path in paths) else {}
    if worktree.detached or worktree.previous_branches:
        return {}
    # Its HEAD was cut off, and never had been on another branch: a session may say whose it is.
    told_of = {
        session.id: _recorded_attempt_at(worktree, session)
        for session in sessions.values()
        if session
    }
    return {sid: branch for sid, branch in told_of.items() if branch is not None}


def _recorded_attempt_at(worktree: Worktree, session: Session) -> AgentBranch | None:
    """The attempt of which the session says that it is there."""
    told = recorded_paths(session)
    name = next((name for name, path in told.items() if is_same_path(path, worktree.path)), "")
    number = agent_number(name)
    return (
        AgentBranch(session.id, number, recorded_attempt(session, number) or 1) if number else None
    )


def original_attempt(worktree: Worktree) -> AgentBranch | None:
    """The attempt that a worktree which is on no branch was made for, or the agent's last one that was in it; or None."""
    left = list(map(parse_agent_branch, worktree.previous_branches))
    first = left[0] if left else None
    own = [one for one in left if one is not None and first is not None and one[:2] == first[:2]]
    return own[-1] if own else None


def recorded_paths(session: Session) -> dict[str, str]:
    """{agent: where the session says that its worktree is}: to look there, and for nothing else."""
    told = {name: session.agent_record(name).worktree for name in session.agents}
    return {name: path for name, path in told.items() if _is_path(path)}


def _is_path(text: str) -> bool:
    try:
        return os.path.isabs(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def default_paths(branch: AgentBranch, project: Project) -> list[str]:
    """Where spawn would make its worktree today; nothing where that cannot be said."""
    try:
        return [worktree_path(worktree_template(project), project.paths, branch)]
    except HubError:
        return []  # the setting is wrong


def agent_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> dict[int, tuple[AgentBranch, Worktree]]:
    """{agent: its last attempt that has a worktree, and that worktree}, by number.

    Of two that belong to one attempt the one that is on its branch.
    """
    found: list[tuple[AgentBranch, bool, Worktree]] = []
    for worktree, ref in session_worktrees(sid, project, worktrees):
        branch = parse_agent_branch(ref)
        if branch is not None and not worktree.is_missing:
            found.append((branch, bool(worktree.branches), worktree))
    found.sort(key=lambda one: one[:2])
    return {branch.agent: (branch, worktree) for branch, _, worktree in found}


def worktrees_on_branches(
    sid: SessionId, worktrees: Iterable[Worktree]
) -> list[tuple[Worktree, str]]:
    """Of `worktrees`, those that have a branch of the session in use, each with that branch's ref.

    In natural order of the branches: agent-10 after agent-2.
    """
    prefix = branch_prefix(sid)
    found = []
    for worktree in worktrees:
        branch = next((ref for ref in worktree.branches if ref.startswith(prefix)), "")
        if branch:
            found.append((worktree, branch))
    return sorted(found, key=lambda pair: natural_key(pair[1]))
