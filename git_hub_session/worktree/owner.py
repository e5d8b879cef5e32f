"""Find the session and the attempt that a worktree belongs to.

A worktree on a branch of a session belongs to that session. A worktree on another branch belongs to
an agent if state.json records it for this agent. A worktree without a branch (detached, or with an
unreadable HEAD) belongs to a session only if it was created for one of its agents and is still at
the agent's path. Otherwise the user has checked out an agent's work somewhere else and moved on.

An agent's worktree that has a branch of another session checked out belongs to the other session. The
agent's own session only reports it: no command of this session changes such a foreign worktree.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    agent_name,
    branch_prefix,
    parse_agent_branch,
    session_of_branch,
)
from git_hub_session.session.attempts import recorded_attempts
from git_hub_session.session.state import FINISHED
from git_hub_session.util.json_values import as_text
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.text import natural_key
from git_hub_session.worktree.off_branch import is_same_agent, original_attempt
from git_hub_session.worktree.paths import default_worktree_path

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def session_of_worktree(worktree: Worktree) -> SessionId | None:
    """Return the session that has a branch in use in the worktree, or None."""
    return next(filter(None, map(session_of_branch, worktree.branches)), None)


class WorktreeIndex:
    """Worktrees by session and by the name of their directory.

    A command that reads many sessions searches for the worktrees of each one.
    """

    def __init__(self, worktrees: Sequence[Worktree]) -> None:
        self.worktrees = worktrees
        self.branches_in_use = {ref for worktree in worktrees for ref in worktree.branches}
        self._by_session: dict[SessionId | None, list[Worktree]] = {}
        self._by_name: dict[str, list[Worktree]] = {}
        for worktree in worktrees:
            self._by_session.setdefault(session_of_worktree(worktree), []).append(worktree)
            if worktree.branches and worktree.path and not worktree.is_missing:
                self._by_name.setdefault(os.path.basename(worktree.path), []).append(worktree)

    def without_foreign_branch(self, sid: SessionId) -> list[Worktree]:
        """Return the worktrees that have a branch of the session or of no session."""
        return [*self._by_session.get(sid, ()), *self._by_session.get(None, ())]

    def candidates_at(self, path: str) -> Sequence[Worktree]:
        """Return the worktrees with a branch that may be at the path: the directory names are equal."""
        named = self._by_name.get(os.path.basename(path), ())
        # realpath() takes time, and most directories of finished sessions are gone.
        return named if os.path.lexists(path) else [each for each in named if each.path == path]


def session_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> list[tuple[Worktree, str]]:
    """Return the worktrees of the session, each with the full ref of its current or last branch.

    A worktree that has another branch checked out comes with the branch of the recorded attempt. They
    are in natural order of the branches: agent-10 comes after agent-2. If several worktrees have one
    branch (`git worktree add -f`), the one that state.json records is the last.
    """
    own = [worktree for worktree in worktrees if session_of_worktree(worktree) in (None, sid)]
    session = _read_or_none(sid, project) if own else None
    return _in_order(_own_worktrees(sid, session, project, own), session)


def reported_worktrees(
    sid: SessionId, project: Project, worktrees: WorktreeIndex
) -> list[tuple[Worktree, str]]:
    """Return the worktrees of the session and its foreign worktrees, each with a full ref.

    Use it to report, and `session_worktrees` to change worktrees.
    """
    session = _read_or_none(sid, project) if worktrees.worktrees else None
    own = _own_worktrees(sid, session, project, worktrees.without_foreign_branch(sid))
    foreign = foreign_worktrees(session, project, worktrees) if session else []
    return _in_order([*own, *foreign], session)


def foreign_worktrees(
    session: Session, project: Project, worktrees: WorktreeIndex
) -> list[tuple[Worktree, str]]:
    """Return the agents' worktrees that have a branch of another session checked out.

    Each comes with the ref of the recorded attempt. Leave out a worktree that the other session
    records too: the path has been used again.
    """
    found = dict(_recorded_elsewhere([session], worktrees, _is_foreign))
    return [
        (worktree, attempt.ref)
        for worktree, attempt in found.items()
        if not _is_recorded_for_its_branch(worktree, project)
    ]


def _is_recorded_for_its_branch(worktree: Worktree, project: Project) -> bool:
    """Return True if the session of the checked-out branch records the worktree."""
    sid = session_of_worktree(worktree)
    session = _read_or_none(sid, project) if sid else None
    return session is not None and _recorded_attempt_at(worktree, session) is not None


def _own_worktrees(
    sid: SessionId, session: Session | None, project: Project, own: Sequence[Worktree]
) -> list[tuple[Worktree, str]]:
    """Return the pairs of `session_worktrees` from the worktrees without a foreign branch."""
    off_branch = off_branch_attempts([session] if session else [], own)
    pairs = [pair for pair in worktrees_on_branches(sid, own) if pair[0].git_dir not in off_branch]
    for worktree in own:
        if worktree.git_dir in off_branch:
            pairs.append((worktree, off_branch[worktree.git_dir].ref))
    without_branch = [worktree for worktree in own if not worktree.branches and worktree.path]
    if without_branch:
        pairs += _detached_worktrees(without_branch, sid, session, project)
    return pairs


def _in_order(
    pairs: list[tuple[Worktree, str]], session: Session | None
) -> list[tuple[Worktree, str]]:
    pairs.sort(key=lambda pair: _is_recorded(pair, session))
    return sorted(pairs, key=_branch_order)


def _is_recorded(pair: tuple[Worktree, str], session: Session | None) -> bool:
    """Return True if state.json records the worktree for the attempt of the branch."""
    worktree, ref = pair
    branch = parse_agent_branch(ref)
    if session is None or branch is None:
        return False
    name = agent_name(branch.agent)
    recorded = as_text(session.attempt_fields(name, branch.attempt).get("worktree"))
    return bool(recorded) and is_same_path(recorded, worktree.path)


def _branch_order(pair: tuple[Worktree, str]) -> tuple[tuple[int, str], ...]:
    return natural_key(pair[1])


def _detached_worktrees(
    worktrees: Iterable[Worktree], sid: SessionId, session: Session | None, project: Project
) -> list[tuple[Worktree, str]]:
    sessions = {sid: session}
    pairs = []
    for worktree in worktrees:
        branch = detached_owner(worktree, sessions, project).get(sid)
        if branch is not None:
            pairs.append((worktree, branch.ref))
    return pairs


def _read_or_none(sid: SessionId, project: Project) -> Session | None:
    try:
        return project.store.read(sid)
    except (HubError, OSError):
        return None  # only the default path can then show that a worktree belongs to the session


def detached_owner(
    worktree: Worktree, sessions: Mapping[SessionId, Session | None], project: Project
) -> dict[SessionId, AgentBranch]:
    """Return the attempts that a worktree without a branch belongs to, by session.

    Args:
        worktree: a worktree with a detached or unreadable HEAD.
        sessions: the sessions to consider; None stands for one that cannot be read.
        project: the project of the sessions.
    """
    original = original_attempt(worktree)
    if original is not None:
        is_owner = original.session in sessions and _is_at_path_of(
            original, worktree, sessions[original.session], project
        )
        return {original.session: original} if is_owner else {}
    if worktree.detached or worktree.previous_branches:
        return {}
    # HEAD is unreadable and the reflog names no branch: only state.json can name the owner.
    recorded = {
        session.id: _recorded_attempt_at(worktree, session)
        for session in sessions.values()
        if session is not None
    }
    return {sid: branch for sid, branch in recorded.items() if branch is not None}


def _is_at_path_of(
    branch: AgentBranch, worktree: Worktree, session: Session | None, project: Project
) -> bool:
    """Return True if the worktree is at the recorded or the default path of the attempt."""
    paths = default_paths(branch, project)
    if session is not None:
        recorded = recorded_attempts(session).items()
        paths += [path for attempt, path in recorded if attempt.agent == branch.agent]
    return any(is_same_path(path, worktree.path) for path in paths)


def _recorded_attempt_at(worktree: Worktree, session: Session) -> AgentBranch | None:
    """Return the attempt that state.json records at the path of the worktree, or None."""
    attempts = recorded_attempts(session).items()
    return next((branch for branch, path in attempts if is_same_path(path, worktree.path)), None)


def default_paths(branch: AgentBranch, project: Project) -> list[str]:
    """Return a list with the path that `spawn` would use now, or [] if the setting is wrong."""
    try:
        return [default_worktree_path(project.settings, project.paths, branch)]
    except HubError:
        return []


def attempt_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> dict[AgentBranch, Worktree]:
    """Return the worktree of each attempt that has one, sorted by agent and attempt.

    Foreign worktrees count. Skip worktrees whose directory is missing. If two worktrees belong to one
    attempt, prefer the worktree that is on the branch, and then the one that state.json records.
    """
    candidates: list[tuple[AgentBranch, bool, Worktree]] = []
    for worktree, ref in reported_worktrees(sid, project, WorktreeIndex(worktrees)):
        branch = parse_agent_branch(ref)
        if branch is not None and not worktree.is_missing:
            candidates.append((branch, ref in worktree.branches, worktree))
    candidates.sort(key=lambda candidate: candidate[:2])
    return {branch: worktree for branch, _, worktree in candidates}


def worktrees_on_branches(
    sid: SessionId, worktrees: Iterable[Worktree]
) -> list[tuple[Worktree, str]]:
    """Return the worktrees that have a branch of the session in use, each with the branch's ref.

    They are in natural order of the branches: agent-10 comes after agent-2.
    """
    prefix = branch_prefix(sid)
    pairs = []
    for worktree in worktrees:
        branch = next((ref for ref in worktree.branches if ref.startswith(prefix)), "")
        if branch:
            pairs.append((worktree, branch))
    return sorted(pairs, key=_branch_order)


def off_branch_attempts(
    sessions: Iterable[Session], worktrees: Sequence[Worktree]
) -> dict[str, AgentBranch]:
    """Return the recorded attempts whose worktree has another branch checked out, by git dir.

    A finished session records paths that another worktree may use now: its attempt counts only if
    the worktree was created for it, and not by `restore`. Leave out an attempt whose branch another
    worktree uses: the user has moved the agent's work.
    """
    found = _recorded_elsewhere(sessions, WorktreeIndex(worktrees), _belongs)
    return {worktree.git_dir: attempt for worktree, attempt in found}


def _recorded_elsewhere(
    sessions: Iterable[Session],
    worktrees: WorktreeIndex,
    belongs: Callable[[Worktree, str, AgentBranch, Session], bool],
) -> Iterator[tuple[Worktree, AgentBranch]]:
    """Yield the worktrees that belong to a recorded attempt whose branch is not in use.

    If a worktree comes with several attempts, the last one counts.
    """
    # An unfinished session has precedence.
    for session in sorted(sessions, key=lambda session: session.state not in FINISHED):
        for attempt, path in recorded_attempts(session).items():
            if attempt.ref not in worktrees.branches_in_use:
                for worktree in worktrees.candidates_at(path):
                    if belongs(worktree, path, attempt, session):
                        yield worktree, attempt


def _belongs(worktree: Worktree, path: str, attempt: AgentBranch, session: Session) -> bool:
    """Return True if the worktree at the recorded path was created for the agent.

    The first branch that HEAD left names the owner. A worktree without such a reflog belongs to the
    agent of an unfinished session if its branch belongs to no other session.
    """
    current = parse_agent_branch(worktree.branches[0])
    if current is not None:
        is_newer = is_same_agent(current, attempt) and current.attempt > attempt.attempt
        if is_newer or current.session != attempt.session:
            return False
    return _is_at_recorded_path(worktree, path, attempt, session)


def _is_foreign(worktree: Worktree, path: str, attempt: AgentBranch, session: Session) -> bool:
    """Return True if the agent's worktree has a branch of another session checked out."""
    if session_of_worktree(worktree) in (None, session.id):
        return False
    return _is_at_recorded_path(worktree, path, attempt, session)


def _is_at_recorded_path(
    worktree: Worktree, path: str, attempt: AgentBranch, session: Session
) -> bool:
    """Return True if the worktree is at the path, and its reflog does not name another owner."""
    if not is_same_path(path, worktree.path):
        return False
    is_known = was_created_for(worktree, attempt)
    if session.state in FINISHED:
        return is_known and not session.agent_record(agent_name(attempt.agent)).is_restored
    return is_known or not worktree.left_branches


def was_created_for(worktree: Worktree, branch: AgentBranch) -> bool:
    """Return True if the first branch that HEAD of the worktree left is a branch of the agent."""
    first = next(map(parse_agent_branch, worktree.left_branches), None)
    return first is not None and is_same_agent(first, branch)


def finished_owner(worktree: Worktree, sessions: Iterable[Session]) -> AgentBranch | None:
    """Return the attempt of a finished session that a worktree was created for, or None.

    The worktree is still at the recorded path, and no branch of an agent is checked out in it.
    """
    if any(map(parse_agent_branch, worktree.branches)):
        return None
    finished = (session for session in sessions if session.state in FINISHED)
    recorded = (pair for session in finished for pair in recorded_attempts(session).items())
    return next(
        (
            attempt
            for attempt, path in recorded
            if was_created_for(worktree, attempt) and is_same_path(path, worktree.path)
        ),
        None,
    )
