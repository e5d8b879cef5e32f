"""Publish the results that earlier workers of this clone could not publish."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.sharing.claims import left_claims
from git_hub_session.sharing.push import PushOptions, push_sessions

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.remote import Remote


def publish_left_results(sid: SessionId, project: Project, remote: Remote, shared: str) -> str:
    """Publish the results and release their claims. Return the reason of a refusal, or ''.

    Args:
        shared: the prefix of the shared refs on the remote.
    """
    agents = tuple(held.agent for held in left_claims(sid, project))
    if not agents:
        return ""
    [pushed] = push_sessions([sid], project, remote, PushOptions(shared, agents=agents))
    return pushed.error.message if pushed.error is not None else ""
