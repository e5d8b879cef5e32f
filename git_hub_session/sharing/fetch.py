"""Fetch sessions from a remote, and merge them into this clone.

git fetches all refs of a session under temporary names. Then branches, archives and rescue refs are
created or fast-forwarded, and the record is merged. A branch that a worktree uses is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_context import make_archive_context, read_archive_context
from git_hub_session.cleanup.missing_tags import missing_tags
from git_hub_session.errors import HubError, Refused
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_RECORDS,
    REFS,
    SessionId,
    archive_prefixes,
    branch_of_rescue,
    branch_prefix,
    is_session_id,
    parse_agent_branch,
    record_ref,
    rescue_prefix,
    shared_name,
    tracked_record,
    update_command,
)
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.model import Config, Session
from git_hub_session.session.record import with_rescues
from git_hub_session.session.state import State
from git_hub_session.sharing.choose_remote import remote_names
from git_hub_session.sharing.fetched_claims import (
    forget_lost_claims,
    read_unseen_claims,
    sessions_with_other_claims,
    store_claims,
)
from git_hub_session.sharing.incoming_refs import incoming_refs
from git_hub_session.sharing.local_record import SharedState, share_sessions
from git_hub_session.sharing.move_refs import (
    CREATED,
    FetchedRef,
    apply_refs,
    move_refs,
    plan_refs,
)
from git_hub_session.sharing.refused_record import RefusedRecord, with_hint
from git_hub_session.sharing.remote import Remote
from git_hub_session.sharing.session_record import with_record
from git_hub_session.sharing.session_refs import SessionRefs, group_refs, list_refs
from git_hub_session.util.clock import format_iso
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_branches import ArchiveContext
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.record import Record

_REASON = "hub-session fetch"
_MISSING = "couldn't find remote ref"


class NotShared(Refused):
    """The remote has no record of the session."""

    code = "not-shared"


class FetchedSession(NamedTuple):
    """A session that was fetched, or the error."""

    sid: SessionId
    shared: SharedState | None
    refs: tuple[FetchedRef, ...] = ()
    error: HubError | None = None
    record: str = ""
    """The commit of the remote's record that was merged, or ''."""


def fetch_sessions(
    sids: Sequence[SessionId], project: Project, remote: Remote, *, shared: str, dry_run: bool
) -> list[FetchedSession]:
    """Fetch sessions, by default all that have changed on the remote, and merge them.

    Args:
        shared: the prefix of the shared refs on the remote (hubsession.sharedRefs).

    Raises:
        RemoteFailed: the remote cannot be used.
    """
    wanted, claimed = list(sids), list(sids)
    if not sids:
        theirs = remote.list_refs(REFS)
        wanted = _changed_sessions(project, theirs, shared)
        others = sessions_with_other_claims(theirs, project, shared)
        claimed = [sid for sid in others if sid in wanted or project.store.has_session(sid)]
    if not wanted and not claimed:
        return []
    held = read_unseen_claims(claimed, project)
    with incoming_refs(wanted, claimed, project, remote, shared) as received:
        if not dry_run:
            store_claims(claimed, received, project)
            forget_lost_claims(held, project)
        return _fetch_all(wanted, received, project, (remote, shared), dry_run=dry_run)


def _changed_sessions(project: Project, refs: Mapping[str, str], shared: str) -> list[SessionId]:
    """Return the sessions with a record or a branch on the remote that this clone does not know.

    Args:
        refs: {ref: object id} of the remote.
    """
    names = {shared_name(ALL_RECORDS, shared): ALL_RECORDS, ALL_BRANCHES: ALL_BRANCHES}
    theirs = {
        own + ref.removeprefix(prefix): oid
        for ref, oid in refs.items()
        for prefix, own in names.items()
        if ref.startswith(prefix)
    }
    ours = list_refs(project.git, ALL_RECORDS, ALL_BRANCHES, ALL_ARCHIVES)
    known = {*ours.values()}  # a branch that was archived here is missing
    sids = [ref.removeprefix(ALL_RECORDS) for ref in theirs if ref.startswith(ALL_RECORDS)]
    changed = {
        _session_of(ref)
        for ref, oid in theirs.items()
        if oid not in known and not _is_contained(oid, ours.get(ref, ""), project)
    }
    # A mirror clone has all refs, but no session.
    return [
        sid
        for sid in map(SessionId, filter(is_session_id, sids))
        if sid in changed or not project.store.has_session(sid)
    ]


def _session_of(ref: str) -> str:
    branch = parse_agent_branch(ref)
    return branch.session if branch else ref.removeprefix(ALL_RECORDS)


def _is_contained(oid: str, tip: str, project: Project) -> bool:
    return bool(tip) and project.repo.is_ancestor(tip, oid)


def _fetch_all(
    sids: Sequence[SessionId],
    received: Mapping[str, str],
    project: Project,
    source: tuple[Remote, str],
    *,
    dry_run: bool,
) -> list[FetchedSession]:
    """Take over the refs of sessions, then merge their records. Return errors as values."""
    records = {sid: received.get(record_ref(sid), "") for sid in sids}
    errors: dict[SessionId, HubError] = {
        sid: _missing_error(sid, project, source[0]) for sid in sids if not records[sid]
    }
    # Check the records before any ref is created: a hostile record leaves no trace.
    shared = _share_records(records, errors, project, source, dry_run=True)
    theirs = {sid: refs for sid, refs in group_refs(sids, received).items() if sid in shared}
    refs = plan_refs(theirs, project)
    if not dry_run:
        refs, failed = move_refs(theirs, refs, project)
        errors |= failed
        shared = _share_records(records, errors, project, source, dry_run=False)
        track_records({sid: records[sid] for sid in shared}, project, source[0])
    for sid, state in shared.items():
        try:
            refs[sid] += _add_refs(sid, theirs[sid], refs[sid], (state, project), dry_run=dry_run)
        except HubError as error:
            errors[sid] = error
    return [
        FetchedSession(sid, None, error=errors[sid])
        if sid in errors
        else FetchedSession(sid, shared[sid], tuple(refs[sid]), record=records[sid])
        for sid in sids
    ]


def _share_records(
    records: Mapping[SessionId, str],
    errors: dict[SessionId, HubError],
    project: Project,
    source: tuple[Remote, str],
    *,
    dry_run: bool,
) -> dict[SessionId, SharedState]:
    """Merge the records of the sessions without an error, and add the new errors."""
    incoming = {sid: oid for sid, oid in records.items() if sid not in errors}
    results = share_sessions(incoming, project, dry_run=dry_run)
    for sid, result in results.items():
        if isinstance(result, RefusedRecord):
            errors[sid] = with_hint(result, sid, *source)
        elif isinstance(result, HubError):
            errors[sid] = result
    return {sid: each for sid, each in results.items() if isinstance(each, SharedState)}


def _missing_error(sid: SessionId, project: Project, remote: Remote) -> NotShared:
    hint = f"git hub-session push {quote_word(remote.label)} {sid}"
    is_here = project.store.has_session(sid)
    return NotShared(f"'{remote.label}' has no session '{sid}'", hint=hint if is_here else "")


def _add_refs(
    sid: SessionId,
    theirs: SessionRefs,
    refs: Sequence[FetchedRef],
    shared: tuple[SharedState, Project],
    *,
    dry_run: bool,
) -> list[FetchedRef]:
    """Record the rescue refs, and create the tags of archives. Return the tags."""
    state, project = shared
    if not dry_run:
        _record_rescues(sid, refs, project)
    if not theirs.archives:
        return []
    if dry_run:
        return _preview_tags(sid, state.record, refs, project)
    return _create_tags(sid, project)


def _record_rescues(sid: SessionId, refs: Iterable[FetchedRef], project: Project) -> None:
    """Record the new rescue refs in state.json, so that `prune` and `doctor` know them."""
    saved = [fetched.ref for fetched in refs if fetched.ref.startswith(rescue_prefix(sid))]
    if saved:
        rescues = group_by_agent(sid, [(branch_of_rescue(ref), [ref]) for ref in saved])
        at = format_iso(project.now())
        project.store.update(sid, lambda session: with_rescues(session, rescues, at=at))


def _create_tags(sid: SessionId, project: Project) -> list[FetchedRef]:
    """Create the tags of archives, as `archive` does. Clones share no tags.

    If git refuses the tags, create none: `doctor` reports them.
    """
    try:
        with project.store.lock_session(sid):
            tags = _plan_tags(read_archive_context(sid, project), (), project)
            apply_refs(tags, project)
    except HubError:
        return []
    return tags


def _preview_tags(
    sid: SessionId, record: Record, planned: Iterable[FetchedRef], project: Project
) -> list[FetchedRef]:
    """Return the tags that _create_tags() would create after the planned changes of refs.

    Args:
        record: the record of the session after the fetch.
    """
    session = Session(sid, Config(record.config), State(record.state), {})
    try:
        if project.store.has_session(sid):
            session = project.store.read(sid)
        session = with_record(session, record, at="", busy=())
        return _plan_tags(make_archive_context(sid, session, project), planned, project)
    except HubError:
        return []


def _plan_tags(
    context: ArchiveContext, planned: Iterable[FetchedRef], project: Project
) -> list[FetchedRef]:
    sid = context.sid
    new = {fetched.ref: fetched.oid for fetched in planned if fetched.action == CREATED}
    names = list_refs(project.git, *archive_prefixes(sid))
    refs = {ref: project.repo.tip(ref) for ref in names}
    refs |= {ref: oid for ref, oid in new.items() if ref.startswith(archive_prefixes(sid))}
    branches = {*list_refs(project.git, branch_prefix(sid)), *new}
    missing = missing_tags(context, refs, branches)
    return [FetchedRef(tag, CREATED, oid) for tag, oid in missing.values()]


def track_records(commits: Mapping[SessionId, str], project: Project, remote: Remote) -> None:
    """Remember the records of a remote that has a name."""
    if remote.name in remote_names(project):
        targets = {tracked_record(sid, remote.name): oid for sid, oid in commits.items()}
        commands = [
            update_command(ref, oid, "")
            for ref, oid in targets.items()
            if project.repo.tip(ref) != oid
        ]
        if commands:
            project.git.update_refs(_REASON, commands)
