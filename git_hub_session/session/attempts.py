"""The attempts of an agent: the archived ones with their tags, and the one that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    agent_name,
    attempt_name,
    parse_archive_tag,
)

if TYPE_CHECKING:
    from git_hub_session.session.model import Session


def archived_attempts(
    sid: SessionId, tags: Sequence[str], last: Callable[[int], int]
) -> dict[AgentBranch, str]:
    """Return the tag of each archived attempt. This is the inverse of plan_archive().

    A tag whose name has an attempt number belongs to that attempt. A tag without a number belongs to
    the last attempt of the agent, or to attempt 1 if the last attempt has a tag with its number.
    If attempt 1 has such a tag too, ignore the tag without a number: it is the older one.

    Args:
        tags: the archive tags of the session.
        last: returns the last attempt of an agent, or 0 if it is unknown.
    """
    attempts: dict[AgentBranch, str] = {}
    parsed = {tag: parse_archive_tag(tag) for tag in tags}
    archived = {tag: name for tag, name in parsed.items() if name is not None}
    for tag, (_, agent, attempt) in archived.items():
        if attempt:
            attempts[AgentBranch(sid, agent, attempt)] = tag
    for tag, (_, agent, attempt) in archived.items():
        if not attempt:
            branch = AgentBranch(sid, agent, max(last(agent), 1))
            if branch in attempts:
                branch = branch._replace(attempt=1)
            attempts.setdefault(branch, tag)
    return attempts


def session_archived_attempts(session: Session, tags: Sequence[str]) -> dict[AgentBranch, str]:
    """Return the tag of each archived attempt of the session, given its archive tags."""
    return archived_attempts(
        session.id, tags, lambda agent: session.agent_record(agent_name(agent)).attempt
    )


def find_counting_attempt(session: Session, agent: int, attempts: Sequence[int]) -> int:
    """Return the attempt of an agent that the last evaluation ranked, or else the last attempt.

    The evaluation no longer counts if the agent has made another attempt since.

    Args:
        attempts: the attempts that have a branch, at least one.
    """
    last = max(attempts)
    for result in session.results:
        is_current = last <= max(result.attempt, result.last_attempt)
        if result.agent == agent and result.attempt in attempts and is_current:
            return result.attempt
    return last


def is_earlier_attempt(session: Session, branch: AgentBranch) -> bool:
    """Return True if state.json records a later attempt of the agent."""
    return branch.attempt < session.agent_record(agent_name(branch.agent)).attempt


def describe_attempt(session: Session, branch: AgentBranch) -> str:
    """Return the name of the agent, or "agent-2/attempt-1" for an earlier attempt."""
    is_earlier = is_earlier_attempt(session, branch)
    return attempt_name(branch) if is_earlier else agent_name(branch.agent)
