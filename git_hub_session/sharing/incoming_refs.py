"""Fetch all refs of sessions from a remote under temporary names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from zlib import crc32

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.claims.known import read_pid_namespace
from git_hub_session.git.ref_names import (
    ALL_CLAIMS,
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
_MANY = 20  # sessions
_MISSING = "couldn't find remote ref"
_MAX_SESSIONS = 200  # of one `git fetch`: the length of a command line is limited


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
    incoming = f"{_start_of_host()}{os.getpid()}/"
    delete_incoming(find_leftovers(project), project)
    try:
        claims = [f"{claim_prefixes(sid)[0]}*" for sid in claimed]
        if len(claims) > _MANY:  # the length of a command line is limited
            claims = [f"{ALL_CLAIMS}*"]
        _fetch_refs(sids, _refspecs(claims, incoming, shared), incoming, (remote, shared))
        refs = list_refs(project.git, incoming)
        yield {REFS + ref.removeprefix(incoming): oid for ref, oid in refs.items()}
    finally:
        leftovers = list_refs(project.git, incoming)
        if leftovers:
            project.git.update_refs(_REASON, [delete_command(*item) for item in leftovers.items()])


def _start_of_host() -> str:
    """Return the start of the temporary names of this host. The id of a process follows it.

    A sandbox with its own process ids is a host of its own.
    """
    name = os.uname().nodename + read_pid_namespace()
    return f"{ALL_INCOMING}{crc32(name.encode()):08x}-"


def find_leftovers(project: Project, *, older_than: float = 0.0) -> list[str]:
    """Return the sorted refs that killed calls on this host have received.

    Args:
        older_than: a time in seconds since the epoch. Refs of other hosts that are older count too.
    """
    common_dir = project.paths.common_dir
    start = _start_of_host()
    leftovers = []
    for ref in refs_below(common_dir, ALL_INCOMING):
        pid = parse_int(ref.removeprefix(start).partition("/")[0], MAX_COUNT)
        if not ref.startswith(start):
            is_left = _last_change(common_dir, ref) < older_than
        else:
            is_left = not (pid and is_alive(pid))
        leftovers += [ref] if is_left else []
    return sorted(leftovers)


def _last_change(common_dir: str, ref: str) -> float:
    """Return the time at which a ref, or the file of packed refs, has changed."""
    for name in (ref, "packed-refs"):
        try:
            return os.lstat(os.path.join(common_dir, name)).st_mtime
        except OSError:
            continue
    return 0.0


def delete_incoming(refs: Sequence[str], project: Project) -> None:
    """Delete refs that were received under temporary names."""
    targets = {ref: project.repo.find_ref_target(ref) for ref in refs}
    commands = [delete_command(ref, oid) for ref, oid in targets.items() if oid]
    if commands:
        project.git.update_refs(_REASON, commands)


def _fetch_refs(
    sids: Sequence[SessionId], claims: Sequence[str], incoming: str, source: tuple[Remote, str]
) -> None:
    """Fetch all refs of the sessions that the remote has, for a group of sessions at a time.

    Args:
        claims: the refspecs for claims. git accepts that the remote has none.
    """
    for start in range(0, max(len(sids), 1), _MAX_SESSIONS):
        group = sids[start : start + _MAX_SESSIONS]
        _fetch_group(group, () if start else claims, incoming, source)


def _fetch_group(
    sids: Sequence[SessionId], claims: Sequence[str], incoming: str, source: tuple[Remote, str]
) -> None:
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
