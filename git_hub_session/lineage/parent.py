"""The parent of a session: the winner of another session, from which its agents start.

`init --after` records the parent in state.json. The sessions from the first one to the parent are
the line of descent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    agent_name,
    is_object_id,
    is_session_id,
)
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.read import UnreadableSession
from git_hub_session.util.json_values import as_count, as_mapping, as_text

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_KEY = "parent"
_MAX_ANCESTORS = 1000
_MAX_NAMED = 20


class Parent(NamedTuple):
    """The winner of another session. The names of the fields are the keys."""

    session_id: SessionId
    agent: int
    attempt: int
    commit: str
    """The object id of the winner's commit."""

    @property
    def text(self) -> str:
        """The winner as text, such as "agent-2 of session s1"."""
        return f"{agent_name(self.agent)} of session {self.session_id}"


def read_parent(session: Session) -> Parent | None:
    """Return the parent of a session, or None if it has no valid one."""
    fields = as_mapping(session.document.get(_KEY))
    sid, commit = as_text(fields.get("session_id")), as_text(fields.get("commit"))
    agent, attempt = as_count(fields.get("agent")), as_count(fields.get("attempt"))
    if not (is_session_id(sid) and agent and attempt and is_object_id(commit)):
        return None
    return Parent(SessionId(sid), agent, attempt, commit)


def parent_state(parent: Parent) -> dict[str, Any]:
    """Return the keys of state.json for a new session whose agents start from `parent`."""
    return {"base_commit": parent.commit, _KEY: parent._asdict()}


def parent_fields(parent: Parent | None) -> dict[str, Any]:
    """Return the fields of a parent for JSON and porcelain."""
    return {
        "parent": parent.session_id if parent else None,
        "parent_agent": parent.agent if parent else None,
        "parent_attempt": parent.attempt if parent else None,
        "parent_commit": parent.commit if parent else None,
    }


def find_ancestors(
    session: Session, read: Callable[[SessionId], Session]
) -> list[tuple[Parent, Session | None]]:
    """Return the earlier sessions of a session, each with its winner, the oldest first.

    The first session is None if it is missing or damaged: its own parent is then unknown.

    Args:
        read: the function that returns a session. For many sessions, keep its results: each line of
            descent can contain all others.
    """
    line: list[tuple[Parent, Session | None]] = []
    seen = {session.id}
    parent = read_parent(session)
    while parent is not None and parent.session_id not in seen and len(line) < _MAX_ANCESTORS:
        seen.add(parent.session_id)
        try:
            ancestor = read(parent.session_id)
        except (HubError, OSError):
            line.append((parent, None))
            break
        line.append((parent, ancestor))
        parent = read_parent(ancestor)
    return line[::-1]


def parent_attempts(sessions: Iterable[Session | UnreadableSession]) -> frozenset[AgentBranch]:
    """Return the attempts from which the agents of other sessions start."""
    parents = [
        None if isinstance(session, UnreadableSession) else read_parent(session)
        for session in sessions
    ]
    return frozenset(AgentBranch(*parent[:3]) for parent in parents if parent)


def merged_ancestors(
    session: Session, tip: str, project: Project
) -> list[tuple[Parent, Session | None]]:
    """Return the earlier sessions whose winners a merge of the commit `tip` contains.

    An agent may have started from another commit (`spawn --base`), and state.json may name any
    session. So `tip` must contain the winner, and the start of the winner's session must not.
    """
    repo = project.repo
    return [
        (parent, ancestor)
        for parent, ancestor in find_ancestors(session, project.store.read)
        if repo.is_ancestor(tip, parent.commit)
        and (ancestor is None or not repo.is_ancestor(ancestor.base_commit, parent.commit))
    ]


def first_baseline(
    session: Session, ancestors: Sequence[tuple[Parent, Session | None]]
) -> float | None:
    """Return the metric of the base branch before the first of the merged rounds, or None.

    If the first round has another metric or another unit, or was measured in another way, return
    the baseline of `session`.
    """
    evaluation = last_evaluation(session)
    first = ancestors[0][1] if ancestors else None
    if first is not None:
        earlier = last_evaluation(first)
        keys = (evaluation.metric, evaluation.unit, evaluation.in_place)
        is_comparable = (earlier.metric, earlier.unit, earlier.in_place) == keys
        if is_comparable and earlier.baseline is not None:
            return earlier.baseline
    return evaluation.baseline


def describe_rounds(winners: Sequence[Parent]) -> str:
    """Return the winners of earlier rounds, such as "agent-2 of s1, agent-1 of s1-r2"."""
    named = winners[-_MAX_NAMED:]
    texts = [f"{agent_name(winner.agent)} of {winner.session_id}" for winner in named]
    return ", ".join(texts if named == winners else ["...", *texts])
