"""Delete a session that was created by mistake and has no work."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.claims.known import busy_claims
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import (
    ALL_LOGS,
    ALL_RECORDS,
    ALL_TRACKED,
    agent_name,
    claim_prefixes,
    delete_command,
    record_ref,
)
from git_hub_session.git.refs import refs_below
from git_hub_session.session.agents import refuse_if_evaluated
from git_hub_session.session.create import unrecorded_names
from git_hub_session.session.layout import (
    SESSION_FILES,
    discard_session,
    remove_incomplete_sessions,
)
from git_hub_session.session.runs import OUTPUT
from git_hub_session.session.state import FINISHED, State
from git_hub_session.session.store import TASK_FILE
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.system.directory import SafeDirectory

_LOGS = (OUTPUT, TASK_FILE)
"""The names in the directory of a session that a measured baseline adds."""


def delete_session(sid: SessionId, project: Project, *, dry_run: bool) -> None:
    """Delete a session that has no work.

    A killed call has deleted the session or nothing. The next `init` removes the files that are left.

    Raises:
        Refused: the session has a later state than `init`, refs, worktrees or unknown files.
        NoSuchSession, Damaged, LockHeld: nothing was changed.
    """
    with project.store.lock_hub() as sessions, project.store.lock_session(sid) as locked:
        directory = locked.directory
        refuse_if_evaluated(sid, directory)
        _refuse_work(locked.read(), directory, project)
        _refuse_claims(sid, project)
        if dry_run:
            return
        _delete_records(sid, project)
        discard_session(sid, sessions, _LOGS)
    remove_incomplete_sessions(project.store.hub)


def _delete_records(sid: SessionId, project: Project) -> None:
    """Delete the shared record and the logs, and the last known records and claims of remotes."""
    refs = refs_below(project.paths.common_dir, ALL_RECORDS, ALL_TRACKED)
    own = [ref for ref in refs if ref == record_ref(sid) or ref.endswith(f"/{sid}")]
    own += refs_below(project.paths.common_dir, *claim_prefixes(sid), f"{ALL_LOGS}{sid}/")
    if own:
        targets = {ref: project.repo.find_ref_target(ref) for ref in sorted(own)}
        commands = [delete_command(ref, oid) for ref, oid in targets.items() if oid]
        project.git.update_refs("hub-session delete", commands)


def _refuse_claims(sid: SessionId, project: Project) -> None:
    """Raise Refused if a worker of this clone may be about to create an attempt."""
    for agent, seen in busy_claims(sid, project).items():
        raise Refused(
            f"{agent_name(agent)} of session '{sid}' is claimed by a worker of this clone:"
            f" {seen.worker}",
            hint=f"to forget a released claim: git hub-session fetch {sid}",
        )


def _refuse_work(session: Session, directory: SafeDirectory, project: Project) -> None:
    """Raise Refused if the session may have work."""
    sid = session.id
    archive = f"git hub-session archive {sid}"
    if session.state is not State.INIT:
        raise Refused(
            f"session '{sid}' is '{session.state}': only a session in the state 'init' can be deleted",
            hint="" if session.state in FINISHED else archive,
        )
    names = unrecorded_names(sid, project.paths.common_dir)
    if names:
        raise Refused(f"session '{sid}' has refs or worktrees: {quote_list(names)}", hint=archive)
    others = [name for name in directory.names() if name not in (*SESSION_FILES, *_LOGS)]
    if others:
        raise Refused(
            f"'{directory.path}' has other files: {quote_list(others)}",
            hint="move them to another directory",
        )
