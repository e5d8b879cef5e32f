"""Fetch sessions from a remote, and merge them into this clone.

git fetches all refs of a session under temporary names. Then branches, archives and rescue refs are
created or fast-forwarded, and the record is merged. A branch that a worktree uses is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    create_command,
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
from git_hub_session.sharing.local_record import SharedState, share_session
from git_hub_session.sharing.refused_record import RefusedRecord, with_hint
from git_hub_session.sharing.remote import Remote
from git_hub_session.sharing.session_record import with_record
from git_hub_session.sharing.session_refs import (
    SessionRefs,
    list_refs,
    read_session_refs,
    sort_refs,
    with_free_numbers,
)
from git_hub_session.util.clock import format_iso
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.branches_in_use import branches_in_use

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_branches import ArchiveContext
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.record import Record

_REASON = "hub-session fetch"
_MISSING = "couldn't find remote ref"
CREATED, UPDATED, KEPT = "created", "updated", "kept"
IN_USE, DIVERGED, ARCHIVED = "in-use", "diverged", "archived"
"""The reasons to keep a branch at its commit."""


class NotShared(Refused):
    """The remote has no record of the session."""

    code = "not-shared"


class FetchedRef(NamedTuple):
    """A ref of a remote, and what was done with it."""

    ref: str
    action: str
    """CREATED, UPDATED or KEPT."""
    oid: str
    """The object id on the remote."""
    old: str = ""
    """The object id of the ref here, or ''."""
    reason: str = ""
    """The reason to keep the ref: IN_USE, DIVERGED or ARCHIVED, or ''."""


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
        in_use = branches_in_use(project.paths)
        return [
            _fetch_session(sid, received, project, (remote, shared), in_use, dry_run=dry_run)
            for sid in wanted
        ]


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


def _fetch_session(
    sid: SessionId,
    received: Mapping[str, str],
    project: Project,
    source: tuple[Remote, str],
    in_use: set[str],
    *,
    dry_run: bool,
) -> FetchedSession:
    """Take over the refs of one session, then merge its record. Return an error as a value."""
    remote = source[0]
    record = received.get(record_ref(sid), "")
    if not record:
        hint = f"git hub-session push {quote_word(remote.label)} {sid}"
        is_here = project.store.has_session(sid)
        error = NotShared(f"'{remote.label}' has no session '{sid}'", hint=hint if is_here else "")
        return FetchedSession(sid, None, error=error)
    try:
        theirs = sort_refs(sid, received)
        refs = list(_plan_refs(sid, theirs, project, in_use))
        # Check the record before any ref is created: a hostile record leaves no trace.
        shared = share_session(sid, project, record, dry_run=True)
        if not dry_run:
            refs = _move_refs(sid, theirs, refs, project)
            shared = share_session(sid, project, record)
            _record_rescues(sid, refs, project)
            if theirs.archives:
                refs += _create_tags(sid, project)
            track_records({sid: record}, project, remote)
        elif theirs.archives:
            refs += _preview_tags(sid, shared.record, refs, project)
    except RefusedRecord as error:
        return FetchedSession(sid, None, error=with_hint(error, sid, *source))
    except HubError as error:
        return FetchedSession(sid, None, error=error)
    return FetchedSession(sid, shared, tuple(refs), record=record)


def _plan_refs(
    sid: SessionId, theirs: SessionRefs, project: Project, in_use: set[str]
) -> Iterator[FetchedRef]:
    ours = read_session_refs(sid, project.git)
    commits = {ref: oid for ref, oid in theirs.archives.items() if project.repo.has_commit(oid)}
    theirs = theirs._replace(archives=commits)  # a remote may archive a blob
    archives = {**theirs.archives, **ours.archives}
    for ref, oid in theirs.branches.items():
        if project.repo.has_commit(oid) and oid != ours.branches.get(ref):
            old = ours.branches.get(ref, "")
            is_archived = not old and _is_archived(ref, oid, archives, project)
            planned = _plan_branch(ref, oid, old, project, is_in_use=ref in in_use)
            if planned is not None and not is_archived:
                yield planned
    for new, present in ((theirs.archives, ours.archives), (theirs.rescues, ours.rescues)):
        for ref, oid in with_free_numbers(new, present).items():
            yield FetchedRef(ref, CREATED, oid)


def _is_archived(ref: str, oid: str, archives: Mapping[str, str], project: Project) -> bool:
    """Return True if an archive of the attempt has all commits of a branch on the remote."""
    branch = parse_agent_branch(ref)
    tips = [
        tip for name, tip in archives.items() if branch and name.startswith(branch.archive_prefix)
    ]
    return any(project.repo.is_ancestor(tip, oid) for tip in tips)


def _plan_branch(
    ref: str, oid: str, old: str, project: Project, *, is_in_use: bool
) -> FetchedRef | None:
    """Return the change of a branch, or None if this clone has its commits already.

    Args:
        old: the tip of the branch here, or ''.
    """
    if not old:
        if is_in_use:  # the HEAD of a worktree names the branch, which has no commit
            return FetchedRef(ref, KEPT, oid, reason=IN_USE)
        return FetchedRef(ref, CREATED, oid)
    if project.repo.is_ancestor(old, oid):
        return None
    if not project.repo.is_ancestor(oid, old):
        return FetchedRef(ref, KEPT, oid, old, DIVERGED)
    if is_in_use:
        return FetchedRef(ref, KEPT, oid, old, IN_USE)
    return FetchedRef(ref, UPDATED, oid, old)


def _move_refs(
    sid: SessionId, theirs: SessionRefs, refs: list[FetchedRef], project: Project
) -> list[FetchedRef]:
    """Create and move the refs, and return them.

    Plan the moves of branches again under the lock of the session: in the meantime another command
    may have created a worktree for a branch.
    """
    has_updates = any(fetched.action == UPDATED for fetched in refs)
    if not has_updates or not project.store.has_session(sid):
        _apply_refs(refs, project)
        return refs
    with project.store.lock_session(sid):
        refs = list(_plan_refs(sid, theirs, project, branches_in_use(project.paths)))
        _apply_refs(refs, project)
    return refs


def _apply_refs(refs: Iterable[FetchedRef], project: Project) -> None:
    """Create and move the refs in one transaction."""
    commands = []
    for fetched in refs:
        if fetched.action == CREATED:
            commands.append(create_command(fetched.ref, fetched.oid))
        elif fetched.action == UPDATED:
            commands.append(update_command(fetched.ref, fetched.oid, fetched.old))
    if commands:
        project.git.update_refs(_REASON, commands)


def _create_tags(sid: SessionId, project: Project) -> list[FetchedRef]:
    """Create the tags of archives, as `archive` does. Clones share no tags.

    If git refuses the tags, create none: `doctor` reports them.
    """
    try:
        with project.store.lock_session(sid):
            tags = _plan_tags(read_archive_context(sid, project), (), project)
            _apply_refs(tags, project)
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


def _record_rescues(sid: SessionId, refs: Iterable[FetchedRef], project: Project) -> None:
    """Record the new rescue refs in state.json, so that `prune` and `doctor` know them."""
    saved = [fetched.ref for fetched in refs if fetched.ref.startswith(rescue_prefix(sid))]
    if saved:
        rescues = group_by_agent(sid, [(branch_of_rescue(ref), [ref]) for ref in saved])
        at = format_iso(project.now())
        project.store.update(sid, lambda session: with_rescues(session, rescues, at=at))


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
