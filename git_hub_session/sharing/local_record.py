"""Bring a session of this clone and its shared record to the same state.

The session is written before the record. After an interruption the next call merges again. In the
other order, it would take the old values of the session for newer changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.shared_posts import add_post_files, read_post_files
from git_hub_session.errors import Damaged, GitFailed, HubError
from git_hub_session.session.agents import running_agents
from git_hub_session.session.approvals import ensure_id
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, render_config
from git_hub_session.session.evaluation_log import append_log_lines, read_log_lines
from git_hub_session.session.layout import PREVIOUS_FILE
from git_hub_session.session.model import Config
from git_hub_session.session.read import CONFIG_FILE, read_session
from git_hub_session.session.state import AgentStatus
from git_hub_session.session.store import SessionExists
from git_hub_session.sharing.merge_records import check_stamps, merge_records
from git_hub_session.sharing.record import (
    InvalidRecord,
    Record,
    SharedPost,
    copy_name,
    is_shared_post,
    original_name,
)
from git_hub_session.sharing.record_commit import (
    NewCommit,
    adopt_records,
    find_record_commit,
    plan_record,
    read_record,
    write_commits,
)
from git_hub_session.sharing.refused_record import RefusedRecord
from git_hub_session.sharing.session_record import (
    SessionParts,
    merged_config,
    missing_lines,
    own_record,
    with_record,
)
from git_hub_session.system.json_file import MAX_JSON_BYTES, parse_json
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession
    from git_hub_session.system.directory import SafeDirectory

CLONE_FILE = "hub-session-clone"
"""The file of the common dir with the random id of this clone."""
_NO_CLONE = "0" * 32
_GROUP = 500
"""The number of sessions whose records one git process writes."""
_TRIES = 3
"""The number of tries for a session whose record another process changes at the same time."""
_PENDING = (AgentStatus.SPAWNING, AgentStatus.RESTORING)


class SharedState(NamedTuple):
    """A session after it was merged with its record."""

    record: Record
    commit: str
    """The commit of the record, or '' in a dry run that would write it."""
    is_new: bool = False
    """True if the session did not exist in this clone."""
    is_changed: bool = False
    """True if the session in this clone has changed."""


class _Plan(NamedTuple):
    """A session that was merged, and the change of the ref of its record."""

    state: SharedState
    new: NewCommit | None = None
    """The commit to write, or None."""
    adopted: tuple[SessionId, str, str] | None = None
    """The session, the commit of a remote and the commit before, or None."""


def share_session(
    sid: SessionId, project: Project, incoming: str = "", *, dry_run: bool = False
) -> SharedState:
    """Merge one session as share_sessions() does. Raise its error."""
    result = share_sessions({sid: incoming}, project, dry_run=dry_run)[sid]
    if isinstance(result, HubError):
        raise result
    return result


def share_sessions(
    incoming: Mapping[SessionId, str], project: Project, *, dry_run: bool = False
) -> dict[SessionId, SharedState | HubError]:
    """Merge sessions, their last known records and records of a remote. Write what differs.

    One git process writes the records of many sessions, after the locks of the sessions. If another
    process moves the ref of a record in the meantime, merge the session again.

    Args:
        incoming: the commit of the record of a remote, or '', by the session.
        dry_run: write nothing.

    Returns:
        The result of each session, or its error:
        InvalidRecord, OtherSession: nothing was changed. RefusedRecord: because of the remote.
        NoSuchSession: the session is missing, and there is no record of a remote.
    """
    results: dict[SessionId, SharedState | HubError] = {}
    sids = list(incoming)
    for start in range(0, len(sids), _GROUP):
        group = {sid: incoming[sid] for sid in sids[start : start + _GROUP]}
        results |= _share_group(group, project, dry_run=dry_run)
        for sid in group:
            for _ in range(_TRIES):
                if isinstance(results[sid], GitFailed):
                    results |= _share_group({sid: incoming[sid]}, project, dry_run=dry_run)
    return results


def _share_group(
    incoming: Mapping[SessionId, str], project: Project, *, dry_run: bool
) -> dict[SessionId, SharedState | HubError]:
    """Merge sessions. A session whose record cannot be written gets the error GitFailed."""
    results: dict[SessionId, SharedState | HubError] = {}
    plans: dict[SessionId, _Plan] = {}
    for sid, commit in incoming.items():
        try:
            plan = _merge_session(sid, project, commit, dry_run=dry_run)
        except HubError as error:
            results[sid] = error
        else:
            results[sid] = plan.state
            plans[sid] = plan
    written = {sid: plan.new for sid, plan in plans.items() if plan.new is not None}
    adopted = {sid: plan.adopted for sid, plan in plans.items() if plan.adopted is not None}
    try:
        commits = write_commits([*written.values()], project)
        for sid, commit in zip(written, commits, strict=True):
            results[sid] = plans[sid].state._replace(commit=commit)
    except GitFailed as error:
        results |= dict.fromkeys(written, error)
    try:
        adopt_records([*adopted.values()], project)
    except GitFailed as error:
        results |= dict.fromkeys(adopted, error)
    return results


def _merge_session(sid: SessionId, project: Project, incoming: str, *, dry_run: bool) -> _Plan:
    received = _read_received(incoming, sid, project) if incoming else None
    is_new = not project.store.has_session(sid)
    if received is not None and is_new:
        _check_received(None, received)
        if dry_run:
            return _Plan(SharedState(received, "", is_new=True, is_changed=True))
        _create_session(sid, received, project)
    with project.store.lock_session(sid) as locked:
        plan = _merge_locked(sid, project, locked, (incoming, received), dry_run=dry_run)
    return plan._replace(state=plan.state._replace(is_new=is_new))


def _read_received(commit: str, sid: SessionId, project: Project) -> Record:
    try:
        record = read_record(commit, sid, project)
    except InvalidRecord as error:
        raise RefusedRecord(error.message, error.hint) from None
    return record


def _check_received(own: Record | None, received: Record) -> None:
    try:
        check_stamps(own, received)
    except InvalidRecord as error:
        raise RefusedRecord(error.message) from None


def _create_session(sid: SessionId, record: Record, project: Project) -> None:
    """Create an empty session, into which the record is merged next."""
    shared = project.file_setting("core.sharedrepository") or ""
    at = record.created or record.config.get("created") or format_iso(project.now())
    try:
        project.store.create(
            sid, Config(record.config), at=at, previous=record.previous, shared=shared
        )
    except SessionExists:
        pass  # another process has created it in the meantime


def _merge_locked(
    sid: SessionId,
    project: Project,
    locked: LockedSession,
    remote: tuple[str, Record | None],
    *,
    dry_run: bool,
) -> _Plan:
    incoming, received = remote
    commit = find_record_commit(sid, project)
    known = read_record(commit, sid, project) if commit else None
    parts = _read_parts(sid, project, locked.directory)
    clone = _NO_CLONE if dry_run else ensure_id(project.paths.common_dir, CLONE_FILE)
    own = _merge_known(own_record(parts, known, clone), known)
    if received is not None:
        _check_received(own, received)
    merged = own if received is None else merge_records(own, received)
    is_changed = merged != own and _write_parts(parts, merged, project, locked, dry_run=dry_run)
    state = SharedState(merged, "", is_changed=is_changed)
    if merged == received:
        is_adopted = incoming != commit and not dry_run
        adopted = (sid, incoming, commit) if is_adopted else None
        return _Plan(state._replace(commit=incoming), adopted=adopted)
    if merged == known:
        return _Plan(state._replace(commit=commit))
    if dry_run:
        return _Plan(state)
    parents = _without_ancestors(commit, incoming, project)
    return _Plan(state, new=plan_record(merged, sid, parents))


def read_own_record(sid: SessionId, project: Project) -> Record:
    """Return the record that the next push would publish. Write nothing, and take no lock."""
    commit = find_record_commit(sid, project)
    known = read_record(commit, sid, project) if commit else None
    with project.store.open_directory(sid) as directory:
        parts = _read_parts(sid, project, directory)
    return _merge_known(own_record(parts, known, _NO_CLONE), known)


def _merge_known(own: Record, known: Record | None) -> Record:
    return merge_records(own, known) if known else own


def _without_ancestors(known: str, incoming: str, project: Project) -> list[str]:
    if incoming and project.repo.is_ancestor(known, incoming):
        return [known]
    if known and project.repo.is_ancestor(incoming, known):
        return [incoming]
    return list(filter(None, (known, incoming)))


def _read_parts(sid: SessionId, project: Project, directory: SafeDirectory) -> SessionParts:
    posts = (
        SharedPost(channel, original_name(name), data)
        for channel, name, data in read_post_files(project.store.hub, f"session: {sid}".encode())
        if is_shared_post(channel, original_name(name), data, sid)
    )
    return SessionParts(
        read_session(directory, sid),
        read_log_lines(directory),
        tuple(posts),
        _read_previous(directory),
    )


def _read_previous(directory: SafeDirectory) -> bytes:
    """Return previous.json, or b"" if it is missing or damaged."""
    try:
        data = directory.read(PREVIOUS_FILE, limit=MAX_JSON_BYTES)
        parse_json(PREVIOUS_FILE, data)
    except (FileNotFoundError, Damaged):
        return b""
    return data


def _write_parts(
    parts: SessionParts, merged: Record, project: Project, locked: LockedSession, *, dry_run: bool
) -> bool:
    """Write the parts of the session that differ from the record. Return True if one differs."""
    lines = missing_lines(parts, merged)
    posts = [*{*merged.posts} - {*parts.posts}]
    config = merged_config(parts.session.config, merged)
    running = running_agents(parts.session, locked.directory)
    pending = {
        name for name in parts.session.agents if parts.session.agent_record(name).status in _PENDING
    }
    change = partial(
        with_record, record=merged, at=format_iso(project.now()), busy={*running, *pending}
    )
    is_config_changed = config is not parts.session.config
    is_state_changed = change(parts.session) is not parts.session
    if not dry_run:
        if is_config_changed:
            _write_config(config, locked)
        if lines:
            append_log_lines(locked.directory, lines)
        if posts:
            add_post_files(project.store.hub, _named_files(posts, parts.posts))
        if is_state_changed:
            locked.update(change)
    return bool(lines or posts or is_config_changed or is_state_changed)


def _write_config(config: Config, locked: LockedSession) -> None:
    text = render_config(config.values)
    if len(text.encode()) <= MAX_CONFIG_BYTES:
        locked.ensure_text_file(CONFIG_FILE, text)


def _named_files(
    posts: list[SharedPost], present: tuple[SharedPost, ...]
) -> list[tuple[str, str, bytes]]:
    """Return the files of posts. A post whose name another post has gets the name of a copy."""
    taken = {(post.channel, post.name) for post in present}
    files = []
    for channel, name, data in sorted(posts):
        is_taken = (channel, name) in taken
        taken.add((channel, name))
        files.append((channel, copy_name(name, data) if is_taken else name, data))
    return files
