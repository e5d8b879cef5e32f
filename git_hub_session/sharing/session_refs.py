"""The refs of a session that clones share, here and on a remote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_RESCUES,
    AgentBranch,
    branch_prefix,
    parse_agent_branch,
    parse_archive_ref,
    rescue_number,
    rescue_prefix,
    session_of_rescue,
    shared_archive_prefix,
)
from git_hub_session.util.numbers import MAX_COUNT

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.ref_names import SessionId


_MANY = 20  # sessions


class SessionRefs(NamedTuple):
    """The refs of one session: {full ref: object id}."""

    branches: Mapping[str, str]
    archives: Mapping[str, str]
    rescues: Mapping[str, str]


def list_refs(git: Git, *prefixes: str) -> dict[str, str]:
    """Return the object ids of the refs with a prefix. The time does not depend on other refs."""
    command = ["for-each-ref", "--format=%(objectname) %(refname)", *prefixes]
    lines = os.fsdecode(git.run(command)).splitlines()
    return {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}


def read_session_refs(sid: SessionId, git: Git) -> SessionRefs:
    """Return the refs of a session in this clone."""
    return read_refs_by_session([sid], git)[sid]


def read_refs_by_session(sids: Sequence[SessionId], git: Git) -> dict[SessionId, SessionRefs]:
    """Return the refs of sessions in this clone. One git process lists them."""
    prefixes = [
        prefix
        for sid in sids
        for prefix in (branch_prefix(sid), shared_archive_prefix(sid), rescue_prefix(sid))
    ]
    if len(sids) > _MANY:  # the length of a command line is limited
        prefixes = [ALL_BRANCHES, ALL_ARCHIVES, ALL_RESCUES]
    return group_refs(sids, list_refs(git, *prefixes) if sids else {})


def group_refs(sids: Sequence[SessionId], refs: Mapping[str, str]) -> dict[SessionId, SessionRefs]:
    """Return the valid refs of each session by their kinds."""
    groups: dict[SessionId, dict[str, str]] = {sid: {} for sid in sids}
    for ref, oid in refs.items():
        sid = _find_session(ref)
        if sid in groups:
            groups[sid][ref] = oid
    return {sid: sort_refs(sid, group) for sid, group in groups.items()}


def _find_session(ref: str) -> SessionId | None:
    """Return the session to which a branch, an archive or a rescue ref belongs."""
    archived = parse_archive_ref(ref)
    branch = archived.branch if archived is not None else parse_agent_branch(ref)
    return branch.session if branch is not None else session_of_rescue(ref)


def sort_refs(sid: SessionId, refs: Mapping[str, str]) -> SessionRefs:
    """Return the valid refs of a session by their kinds. Leave out all others."""
    branches = {
        ref: oid for ref, oid in refs.items() if _session_of(parse_agent_branch(ref)) == sid
    }
    archives = {}
    for ref, oid in refs.items():
        archived = parse_archive_ref(ref)
        if archived is not None and archived.branch.session == sid:
            archives[ref] = oid
    rescues = {
        ref: oid for ref, oid in refs.items() if session_of_rescue(ref) == sid and _number(ref)
    }
    return SessionRefs(branches, archives, rescues)


def _session_of(branch: AgentBranch | None) -> SessionId | None:
    return branch.session if branch is not None else None


def _number(ref: str) -> int:
    """Return the number at the end of an archive ref or a rescue ref, or 0."""
    number = rescue_number(ref, f"{ref.rpartition('/')[0]}/") or 0
    return number if number <= MAX_COUNT else 0


def with_free_numbers(new: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Return the numbered refs that are missing in `present`, with numbers that are free there.

    Two clones give the same number to different commits. A commit that has a ref already gets no
    second one.
    """
    known = {(_start(ref), oid) for ref, oid in present.items()}
    taken = dict.fromkeys(present)
    added: dict[str, str] = {}
    for ref, oid in sorted(new.items(), key=lambda item: (_start(item[0]), _number(item[0]))):
        if (_start(ref), oid) in known:
            continue
        known.add((_start(ref), oid))
        name = ref if ref not in taken else _next_name(_start(ref), taken)
        taken[name] = None
        added[name] = oid
    return added


def group_numbered_refs(refs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the refs in groups, by their names without the number at the end."""
    groups: dict[str, dict[str, str]] = {}
    for ref, oid in refs.items():
        groups.setdefault(_start(ref), {})[ref] = oid
    return groups


def _start(ref: str) -> str:
    return f"{ref.rpartition('/')[0]}/"


def _next_name(start: str, taken: Iterable[str]) -> str:
    numbers = [_number(ref) for ref in taken if _start(ref) == start]
    return f"{start}{max(numbers, default=0) + 1}"
