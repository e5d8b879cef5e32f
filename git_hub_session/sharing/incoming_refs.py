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
    sids: Sequence[SessionId], project: Project, remote: Remote, shared: str
) -> Iterator[Mapping[str, str]]:
    """Fetch the refs of sessions, and delete the temporary names at the end.

    Args:
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
        _fetch_refs(sids, incoming, shared, remote)
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


def _fetch_refs(sids: Sequence[SessionId], incoming: str, shared: str, remote: Remote) -> None:
    """Fetch all refs of the sessions that the remote has."""
    try:
        remote.fetch(_refspecs(sids, incoming, shared))
    except RemoteFailed as error:
        if _MISSING not in error.message:
            raise
        theirs = remote.list_refs(REFS)
        present = [sid for sid in sids if shared_name(record_ref(sid), shared) in theirs]
        if present:
            remote.fetch(_refspecs(present, incoming, shared))


def _refspecs(sids: Iterable[SessionId], incoming: str, shared: str) -> list[str]:
    """Return the refspecs for all refs of the sessions. git fails if there is no record."""
    refspecs = []
    for sid in sids:
        prefixes = (branch_prefix(sid), shared_archive_prefix(sid), rescue_prefix(sid))
        names = [f"{prefix}*" for prefix in prefixes] + [record_ref(sid)]
        refspecs += [
            f"{shared_name(name, shared)}:{incoming}{name.removeprefix(REFS)}" for name in names
        ]
    return refspecs
