"""Keep copies of the claims that a remote has, to show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.claims.known import read_claims, sessions_with_own_claims, unseen_claims
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    ALL_CLAIMS,
    SessionId,
    agent_name,
    agent_number,
    claim_prefixes,
    delete_command,
    is_session_id,
    shared_name,
    update_command,
)
from git_hub_session.git.refs import refs_below

if TYPE_CHECKING:
    from git_hub_session.claims.claim import SeenClaim
    from git_hub_session.session.project import Project

_REASON = "hub-session fetch"


def sessions_with_other_claims(
    theirs: Mapping[str, str], project: Project, shared: str
) -> list[SessionId]:
    """Return the sorted sessions whose claims on a remote can differ from the copies here.

    Args:
        theirs: {ref: object id} of the remote.
        shared: the prefix of the shared refs on the remote (hubsession.sharedRefs).
    """
    prefix = shared_name(ALL_CLAIMS, shared)
    claims = {
        ALL_CLAIMS + ref.removeprefix(prefix): oid
        for ref, oid in theirs.items()
        if ref.startswith(prefix)
    }
    ours = _read_copies(project)
    differing = [ref for ref in {*claims, *ours} if claims.get(ref) != ours.get(ref)]
    names = {_session_name(ref) for ref in differing} | sessions_with_own_claims(project)
    return [SessionId(name) for name in sorted(names) if is_session_id(name)]


def read_unseen_claims(
    sids: Iterable[SessionId], project: Project
) -> dict[SessionId, Mapping[int, SeenClaim]]:
    """Return the result of unseen_claims() for each session of which this clone holds claims."""
    names = sessions_with_own_claims(project)
    return {sid: unseen_claims(sid, project) for sid in sids if sid in names}


def _session_name(ref: str) -> str:
    """Return the name of the session in the ref of a claim."""
    return ref.removeprefix(ALL_CLAIMS).partition("/")[0]


def store_claims(sids: Sequence[SessionId], received: Mapping[str, str], project: Project) -> None:
    """Make the copies of the claims of sessions equal to those of the remote.

    Args:
        received: the refs that were fetched, with all claims of the sessions.
    """
    names = {*map(str, sids)}
    theirs = {
        ref: oid
        for ref, oid in received.items()
        if ref.startswith(ALL_CLAIMS)
        and _session_name(ref) in names
        and agent_number(ref.rpartition("/")[2])
    }
    ours = {ref: oid for ref, oid in _read_copies(project).items() if _session_name(ref) in names}
    # Another process can store the same claims at the same time, so no old value is expected.
    old = [delete_command(ref, "") for ref in ours if ref not in theirs]
    new = [update_command(ref, oid, "") for ref, oid in theirs.items() if ours.get(ref) != oid]
    # git does not create `a/b` in the transaction that deletes `a`.
    for commands in filter(None, (old, new)):
        project.git.update_refs(_REASON, commands)


def forget_lost_claims(held: Mapping[SessionId, Mapping[int, SeenClaim]], project: Project) -> None:
    """Forget the claims of ended or unseen workers of this clone that the remote no longer has.

    A worker of this host that lives forgets its claim itself.

    Args:
        held: the result of read_unseen_claims() before the fetch.
    """
    commands = []
    for sid, claims in held.items():
        present = read_claims(sid, project)
        for agent, seen in claims.items():
            other = present.get(agent)
            if other is None or other.generation != seen.generation:
                ref = f"{claim_prefixes(sid)[1]}{agent_name(agent)}"
                commands.append(delete_command(ref, seen.oid))
    if not commands:
        return
    try:
        project.git.update_refs(_REASON, commands)
    except HubError:
        pass  # a worker has changed its claim in the meantime


def _read_copies(project: Project) -> dict[str, str]:
    refs = refs_below(project.paths.common_dir, ALL_CLAIMS)
    return {ref: project.repo.find_ref_target(ref) for ref in sorted(refs)}
