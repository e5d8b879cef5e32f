"""Bring a session of this clone and its shared record to the same state.

The session is written before the record. After an interruption the next call merges again. In the
other order, it would take the old values of the session for newer changes.
"""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.shared_posts import add_post_files, read_post_files
from git_hub_session.errors import Damaged
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
    adopt_record,
    find_record_commit,
    read_record,
    write_record,
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


def share_session(
    sid: SessionId, project: Project, incoming: str = "", *, dry_run: bool = False
) -> SharedState:
    """Merge the session, its last known record and a record of a remote. Write what differs.

    Args:
        incoming: the commit of the record of a remote, or ''.
        dry_run: write nothing.

    Raises:
        InvalidRecord, OtherSession: nothing was changed. RefusedRecord: because of `incoming`.
        NoSuchSession: the session is missing, and there is no record of a remote.
    """
    received = _read_received(incoming, sid, project) if incoming else None
    is_new = not project.store.has_session(sid)
    if received is not None and is_new:
        _check_received(None, received)
        if dry_run:
            return SharedState(received, "", is_new=True, is_changed=True)
        _create_session(sid, received, project)
    with project.store.lock_session(sid) as locked:
        return _share_locked(sid, project, locked, (incoming, received), dry_run=dry_run)._replace(
            is_new=is_new
        )


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


def _share_locked(
    sid: SessionId,
    project: Project,
    locked: LockedSession,
    remote: tuple[str, Record | None],
    *,
    dry_run: bool,
) -> SharedState:
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
    if merged == received:
        if incoming != commit and not dry_run:
            adopt_record(sid, incoming, commit, project)
        return SharedState(merged, incoming, is_changed=is_changed)
    if merged == known:
        return SharedState(merged, commit, is_changed=is_changed)
    if not dry_run:
        parents = _without_ancestors(commit, incoming, project)
        commit = write_record(merged, sid, parents, project)
    return SharedState(merged, "" if dry_run else commit, is_changed=is_changed)


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
