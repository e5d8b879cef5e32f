"""Checks of the refs that killed fetches and workers left."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.claims.known import held_claims
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.git.ref_names import (
    ALL_CLAIMS,
    ALL_INCOMING,
    ALL_OWN_CLAIMS,
    SessionId,
    agent_number,
    delete_command,
    is_session_id,
)
from git_hub_session.git.refs import refs_below
from git_hub_session.session.model import Session
from git_hub_session.session.state import FINISHED
from git_hub_session.sharing.incoming_refs import delete_incoming, find_leftovers
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot

_DAY = 86_400.0
_REASON = "hub-session doctor"


def sharing_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Run the checks of this module."""
    if hub.hub_error is None and hub.open_error is None:
        yield from check_incoming_refs(hub)
        yield from check_claims(hub)


def delete_incoming_refs(finding: Finding, hub: HubSnapshot) -> list[str]:
    """Delete the refs of a killed fetch. The remote has their commits."""
    refs = [ref for ref in _leftovers(hub) if ref.startswith(finding.subject)]
    delete_incoming(refs, hub.project)
    return []


def _leftovers(hub: HubSnapshot) -> list[str]:
    return find_leftovers(hub.project, older_than=hub.now - _DAY)


@check("fetch-cut-off", "refs that a killed fetch has received", fix=delete_incoming_refs)
def check_incoming_refs(hub: HubSnapshot) -> Iterator[Problem]:
    names = [ref.removeprefix(ALL_INCOMING).partition("/")[0] for ref in _leftovers(hub)]
    for name in dict.fromkeys(names):
        evidence = f"{count_noun(names.count(name), 'ref')} of a fetch that was killed"
        yield Problem(f"{ALL_INCOMING}{name}/", evidence, fix="delete them")


def delete_claim(finding: Finding, hub: HubSnapshot) -> list[str]:
    """Delete the local copy of a claim. The remote keeps its claim."""
    oid = hub.project.repo.find_ref_target(finding.subject)
    hub.project.git.update_refs(_REASON, [delete_command(finding.subject, oid)])
    return []


@check("claim-left", "a claim of this clone that no worker needs", fix=delete_claim)
def check_claims(hub: HubSnapshot) -> Iterator[Problem]:
    """Find claims of missing sessions, and claims that workers of this clone no longer hold."""
    for ref in sorted(refs_below(hub.project.paths.common_dir, ALL_CLAIMS, ALL_OWN_CLAIMS)):
        prefix = ALL_CLAIMS if ref.startswith(ALL_CLAIMS) else ALL_OWN_CLAIMS
        sid, _, agent = ref.removeprefix(prefix).partition("/")
        evidence = _describe_claim(sid, agent, hub, is_own=prefix == ALL_OWN_CLAIMS)
        if evidence and hub.project.repo.find_ref_target(ref):
            yield Problem(ref, evidence, fix="delete it")


def _describe_claim(sid: str, agent: str, hub: HubSnapshot, *, is_own: bool) -> str:
    """Return why no worker needs a claim, or ''."""
    if not is_session_id(sid) or sid not in hub.sessions:
        return f"session '{sid}' does not exist"
    if not is_own:
        return ""
    known = held_claims(SessionId(sid), hub.project).get(agent_number(agent))
    if known is None:
        return "another worker has taken over the claim"
    session = hub.sessions[SessionId(sid)]
    is_finished = isinstance(session, Session) and session.state in FINISHED
    return (
        f"the worker has ended, and session '{sid}' is finished"
        if (known.has_ended and is_finished)
        else ""
    )
