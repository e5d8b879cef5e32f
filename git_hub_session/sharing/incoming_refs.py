"""Fetch all refs of sessions from a remote under temporary names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from zlib import crc32

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    ALL_INCOMING,
    REFS,
    SessionId,
    branch_prefix,
    claim_prefixes,
    delete_command,
    record_ref,
    rescue_prefix,
    shared_archive_prefix,
    shared_name,
)
from git_hub_session.git.refs import refs_below
from git_hub_session.sharing.remote import Remote, RemoteFailed
from git_hub_session.sharing.session_refs import list_refs
from git_hub_session.system.procfs import is_alive
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_REASON = "hub-session fetch"
_MISSING = "couldn't find remote ref"


@contextmanager
def incoming_refs(
    sids: Sequence[SessionId],
    claimed: Sequence[SessionId],
    project: Project,
    remote: Remote,
    shared: str,
) -> Iterator[Mapping[str, str]]:
    """Fetch the refs of sessions, and delete the temporary names at the end.

    Args:
        claimed: the sessions of which the claims are fetched.
        shared: the prefix of the shared refs on the remote (hubsession.sharedRefs).

    Yields:
        {ref: object id} of the remote, under the names that the refs have in a clone.

    Raises:
        RemoteFailed: the remote cannot be used.
    """
    host = crc32(os.uname().nodename.encode())
    incoming = f"{ALL_INCOMING}{host:08x}-{os.getpid()}/"
    _delete_leftovers(f"{ALL_INCOMING}{host:08x}-", project)
    try:
        claims = [f"{claim_prefixes(sid)[0]}*" for sid in claimed]
        _fetch_refs(sids, _refspecs(claims, incoming, shared), incoming, (remote, shared))
        refs = list_refs(project.git, incoming)
        yield {REFS + ref.removeprefix(incoming): oid for ref, oid in refs.items()}
    finally:
        leftovers = list_refs(project.git, incoming)
        if leftovers:
            project.git.update_refs(_REASON, [delete_command(*item) for item in leftovers.items()])


def _delete_leftovers(start: str, project: Project) -> None:
    """Delete the refs that killed calls on this host have received."""
    refs = refs_below(project.paths.common_dir, ALL_INCOMING)
    leftovers = []
    for ref in refs:
        pid = parse_int(ref.removeprefix(start).partition("/")[0], MAX_COUNT)
        if ref.startswith(start) and not (pid and is_alive(pid)):
            leftovers.append(ref)
    targets = {ref: project.repo.find_ref_target(ref) for ref in sorted(leftovers)}
    commands = [delete_command(ref, oid) for ref, oid in targets.items() if oid]
    if commands:
        project.git.update_refs(_REASON, commands)


def _fetch_refs(
    sids: Sequence[SessionId], claims: Sequence[str], incoming: str, source: tuple[Remote, str]
) -> None:
    """Fetch all refs of the sessions that the remote has.

    Args:
        claims: the refspecs for claims. git accepts that the remote has none.
    """
    remote, shared = source
    try:
        remote.fetch([*claims, *_refspecs(_names(sids), incoming, shared)])
    except RemoteFailed as error:
        if _MISSING not in error.message:
            raise
        theirs = remote.list_refs(REFS)
        present = [sid for sid in sids if shared_name(record_ref(sid), shared) in theirs]
        refspecs = [*claims, *_refspecs(_names(present), incoming, shared)]
        if refspecs:
            remote.fetch(refspecs)


def _names(sids: Iterable[SessionId]) -> list[str]:
    """Return the patterns of all refs of the sessions. git fails if there is no record."""
    names = []
    for sid in sids:
        prefixes = (branch_prefix(sid), shared_archive_prefix(sid), rescue_prefix(sid))
        names += [f"{prefix}*" for prefix in prefixes] + [record_ref(sid)]
    return names


def _refspecs(names: Iterable[str], incoming: str, shared: str) -> list[str]:
    """Return the refspecs that fetch refs under temporary names."""
    return [f"{shared_name(name, shared)}:{incoming}{name.removeprefix(REFS)}" for name in names]
