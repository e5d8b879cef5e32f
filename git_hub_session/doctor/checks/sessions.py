"""Checks of the lock, the directory and the files of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.doctor.checks.hub import hub_damaged, not_a_session
from git_hub_session.doctor.checks.progress import progress_findings
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import Damaged, HubError, describe_read_error
from git_hub_session.git.head import reflog_commits
from git_hub_session.git.ref_names import HEADS, SessionId
from git_hub_session.session.history import find_contradiction, read_history, with_correction
from git_hub_session.session.model import Session
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import State, new_state_document
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_iso
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.repository import Branch
    from git_hub_session.session.store import LockedSession

_STATES = list(State)
_MAX_STATE_LENGTH = 60


class StateFile(NamedTuple):
    """The content of state.json."""

    document: Mapping[str, Any] | None
    """None if the file cannot be read."""
    error: str
    """The reason why it cannot be read, or ''."""


def session_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check each session. Check only the lock of a session that another process is changing."""
    for sid, session in hub.sessions.items():
        if sid in hub.locked_sessions:
            yield from check_orphaned_lock(sid, hub)
        elif isinstance(session, UnreadableSession):
            yield from _unreadable_session_findings(sid, session, hub)
            yield from check_temporary_files(sid, hub)
        else:
            yield from _readable_session_findings(session, hub)


def _unreadable_session_findings(
    sid: SessionId, session: UnreadableSession, hub: HubSnapshot
) -> Iterator[Finding]:
    if not _can_open_directory(sid, hub):
        yield from check_session_directory(sid, session, hub)
        return
    state_file = _read_state_file(sid, hub)
    if session.config is None and state_file.document is None and _is_empty(sid, hub):
        yield from check_empty_directory(sid, hub)
        return
    yield from check_config(sid, session, hub)
    yield from check_state_file(sid, state_file, hub)
    yield from check_state(sid, state_file, hub)


def _readable_session_findings(session: Session, hub: HubSnapshot) -> Iterator[Finding]:
    yield from check_history(session)
    yield from check_temporary_files(session.id, hub)
    yield from progress_findings(session, hub)


def _session_path(sid: SessionId, hub: HubSnapshot) -> str:
    return f"{hub.project.paths.hub}/sessions/{sid}"


@check("lock-orphaned", "the process that locked the session has ended, but the lock is held")
def check_orphaned_lock(sid: SessionId, hub: HubSnapshot) -> Iterator[Problem]:
    """Find a lock that was inherited: the kernel keeps an flock until its last holder ends."""
    holder = hub.locked_sessions[sid]
    if not holder or procfs.is_alive(holder):
        return
    heirs = procfs.pids_with_open_directory(_session_path(sid, hub))
    if heirs:
        names = ", ".join(f"{pid} ({procfs.process_name(pid)})" for pid in heirs)
        yield Problem(
            sid,
            f"process {holder} locked it and has ended; the lock is held by {names}",
            sid,
            advice=f"wait for it; if it hangs: kill {' '.join(map(str, heirs))}",
        )


def _can_open_directory(sid: SessionId, hub: HubSnapshot) -> bool:
    """Return True if the directory of the session is no link and this user may open it."""
    try:
        hub.project.store.open_directory(sid).close()
    except (HubError, OSError):
        return False
    return True


def _is_empty(sid: SessionId, hub: HubSnapshot) -> bool:
    with hub.project.store.open_directory(sid) as directory:
        return not directory.names()


def _read_state_file(sid: SessionId, hub: HubSnapshot) -> StateFile:
    try:
        return StateFile(hub.project.store.read_state_document(sid), "")
    except (Damaged, OSError) as error:
        return StateFile(None, describe_read_error(error))


@hub_damaged
def check_session_directory(
    sid: SessionId, session: UnreadableSession, hub: HubSnapshot
) -> Iterator[Problem]:
    path = _session_path(sid, hub)
    advice = f"inspect its target, then: mv {quote_word(path)} somewhere else"
    yield Problem(path, session.reason, sid, advice=advice)


@not_a_session
def check_empty_directory(sid: SessionId, hub: HubSnapshot) -> Iterator[Problem]:
    path = _session_path(sid, hub)
    yield Problem(path, "the directory is empty", sid, advice=f"rmdir {quote_word(path)}")


@check("config-damaged", "config.yaml cannot be parsed")
def check_config(sid: SessionId, session: UnreadableSession, hub: HubSnapshot) -> Iterator[Problem]:
    if session.config is None:
        path = f"{_session_path(sid, hub)}/config.yaml"
        advice = f"restore {path}; it needs at least the lines task: and base_branch:"
        yield Problem(sid, session.reason, sid, advice=advice)


def guess_state(sid: SessionId, document: Mapping[str, Any], hub: HubSnapshot) -> State:
    """Return the last state in the history, or else the state that the refs and worktrees show."""
    history = document.get("history")
    last = history[-1] if isinstance(history, list) and history else None
    target = last.get("to") if isinstance(last, dict) else None
    if target in _STATES:
        return State(target)
    branches, is_archived = hub.by_session.branches(sid), bool(hub.by_session.archived(sid))
    if hub.by_session.worktrees(sid):
        return State.RUNNING
    if branches:
        is_merged = is_archived and _has_branch_with_all(branches, sid, hub)
        return State.MERGED if is_merged else State.RUNNING
    return State.ARCHIVED if is_archived else State.INIT


def _has_branch_with_all(branches: Sequence[Branch], sid: SessionId, hub: HubSnapshot) -> bool:
    """Return True if the base branch of a session has all commits of some branches.

    `merge` leaves only the branch of the winner, and archives the others.
    """
    config = hub.sessions[sid].config
    tip = hub.project.repo.tip(HEADS + config.base_branch) if config else ""
    return all(hub.project.repo.is_ancestor(tip, branch.oid) for branch in branches)


def rewrite_state(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Move a state.json that cannot be parsed aside, and write a new one."""
    sid = SessionId(finding.session)
    config = hub.sessions[sid].config
    created = config.get("created") if config else ""
    backup = locked.move_damaged_state_aside()
    document = new_state_document(sid, at=created or format_iso(hub.now))
    base_commit = _guess_base_commit(sid, hub)
    if base_commit:
        document["base_commit"] = base_commit
    reason = (
        f"state.json could not be read; it is now {backup}" if backup else "state.json was missing"
    )
    state = guess_state(sid, {}, hub)
    locked.replace_document(_corrected(document, state, "unknown", reason, hub))
    return []


def _guess_base_commit(sid: SessionId, hub: HubSnapshot) -> str:
    """Return the commit at which the reflogs of all branches of the session start, or ''."""
    refs = [branch.ref for branch in hub.by_session.branches(sid)]
    reflogs = [reflog_commits(hub.project.paths.common_dir, ref) for ref in refs]
    first_commits = {commits[0] for commits in reflogs if commits}
    return first_commits.pop() if len(first_commits) == 1 else ""


def _corrected(
    document: Mapping[str, Any], state: State, source: str, reason: str, hub: HubSnapshot
) -> dict[str, object]:
    """Return a copy of the document with the state, and with a transition from `source` to it."""
    return with_correction(
        document,
        state,
        source=source,
        at=format_iso(hub.now),
        by=hub.project.identity,
        reason=reason,
    )


@check("state-damaged", "state.json cannot be parsed", fix=rewrite_state)
def check_state_file(sid: SessionId, state_file: StateFile, hub: HubSnapshot) -> Iterator[Problem]:
    if state_file.document is None:
        state = guess_state(sid, {}, hub)
        fix = f"rename it and write a new one with the state '{state}'"
        yield Problem(sid, state_file.error, sid, fix=fix)


def fix_unknown_state(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Replace the unknown state with the state that `guess_state` returns."""
    sid = SessionId(finding.session)
    document = hub.project.store.read_state_document(sid)
    unknown = str(document.get("state", ""))[:_MAX_STATE_LENGTH]
    state = guess_state(sid, document, hub)
    reason = f"unknown state: '{unknown}'"
    locked.replace_document(_corrected(document, state, unknown, reason, hub))
    return []


@check("state-unknown", "state.json has an unknown state", fix=fix_unknown_state)
def check_state(sid: SessionId, state_file: StateFile, hub: HubSnapshot) -> Iterator[Problem]:
    document = state_file.document
    if document is not None and document.get("state") not in _STATES:
        unknown = str(document.get("state", ""))[:_MAX_STATE_LENGTH]
        fix = f"set the state to '{guess_state(sid, document, hub)}'"
        yield Problem(sid, f"state.json has an unknown state: '{unknown}'", sid, fix=fix)


def confirm_state(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Add a transition to the history that leads to the current state."""
    session = locked.read()
    history = read_history(session)
    source = history[-1].target if history else str(session.state)
    document = _corrected(session.document, session.state, source, finding.evidence, hub)
    locked.replace_document(document)
    return []


@check("history-contradicts", "the history does not lead to the state", fix=confirm_state)
def check_history(session: Session) -> Iterator[Problem]:
    entries = session.document.get("history", [])
    history = read_history(session)
    if not isinstance(entries, list) or len(entries) != len(history):
        contradiction = "the history is not a list of transitions"
    else:
        contradiction = find_contradiction(history, session.state)
    if contradiction:
        fix = f"add an entry that confirms the state '{session.state}'"
        yield Problem(session.id, contradiction, session.id, fix=fix)


def delete_leftover_file(finding: Finding, _hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Delete a temporary file in the directory of the session or in the git dir of its worktree."""
    directory, name = os.path.split(finding.subject)
    if directory == locked.directory.path:
        locked.directory.unlink_if_exists(name)
    else:
        # Only a cleanup creates this file in a git dir, and it needs the session lock for that.
        os.unlink(finding.subject)
    return []


leftover_file = check(
    "leftover-file", "a process was killed while it wrote the file", fix=delete_leftover_file
)


@leftover_file
def check_temporary_files(sid: SessionId, hub: HubSnapshot) -> Iterator[Problem]:
    try:
        with hub.project.store.open_directory(sid) as directory:
            names = directory.temporary_files()
    except (Damaged, OSError):
        return  # check_session_directory reports it
    for name in names:
        path = f"{_session_path(sid, hub)}/{name}"
        evidence = "the process that wrote it was killed"
        yield Problem(path, evidence, sid, fix="delete it")
