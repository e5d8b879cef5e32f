"""Archived attempts and their tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_hub_session.git.ref_names import AgentBranch, SessionId, parse_archive_tag
from git_hub_session.session.agents import recorded_attempt
from git_hub_session.session.model import Session


def archived_attempts(
    sid: SessionId, tags: Sequence[str], last: Callable[[int], int]
) -> dict[AgentBranch, str]:
    """{attempt: its tag} of the session's archived attempts: plan_archive read backwards.

    `last` gives the attempt that an agent was at last, 0 where that is not known. A short tag
    is attempt 1, unless the last attempt, a later one, has no other. A tag that names its
    attempt is the newer one of two.
    """
    found: dict[AgentBranch, str] = {}
    named = {tag: parsed for tag in tags if (parsed := parse_archive_tag(tag)) is not None}
    for tag, (_, agent, attempt) in named.items():
        if attempt:
            found[AgentBranch(sid, agent, attempt)] = tag
    for tag, (_, agent, attempt) in named.items():
        if not attempt:
            known = AgentBranch(sid, agent, max(last(agent), 1))
            found.setdefault(known if known not in found else known._replace(attempt=1), tag)
    return found


def session_archived_attempts(session: Session, tags: Sequence[str]) -> dict[AgentBranch, str]:
    """{attempt: its tag} of what is archived of the session, given the tags that are its own."""
    return archived_attempts(session.id, tags, lambda agent: recorded_attempt(session, agent))
