"""Find and delete the archive refs and rescue refs of sessions that ended long ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_RESCUES,
    ALL_TAGS,
    REFS,
    delete_command,
    is_object_id,
)
from git_hub_session.session.attempts import group_by_session
from git_hub_session.session.model import Session
from git_hub_session.session.state import FINISHED
from git_hub_session.util.clock import parse_iso
from git_hub_session.util.json_values import as_mapping

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project
    from git_hub_session.session.read import UnreadableSession

ARCHIVED, RESCUED = "archived", "rescued"
_PREFIXES = {ARCHIVED: (ALL_TAGS, ALL_ARCHIVES), RESCUED: (ALL_RESCUES,)}
_REASON = "hub-session prune"


class ExpiredRef(NamedTuple):
    """An archive tag, an archive ref or a rescue ref of a session that ended long ago."""

    session: SessionId
    kind: str
    """ARCHIVED or RESCUED."""
    ref: str
    oid: str
    """The object id in the ref. For an annotated tag, this is the id of the tag object."""
    subject: str
    commits: int
    """The number of commits that no ref reaches after all expired refs are deleted."""


class Expiry(NamedTuple):
    """The expired refs, and the commits that only they reach."""

    refs: tuple[ExpiredRef, ...] = ()
    unreachable: int = 0


def finished_sessions(project: Project, min_age: float | None) -> list[Session]:
    """Return the finished sessions, or only those that were not updated for `min_age`.

    Args:
        min_age: the time in seconds, or None for sessions of any age.
    """
    limit = None if min_age is None else project.now() - min_age
    return _select_finished(project.store.read_all(), limit)


def _select_finished(
    sessions: Iterable[Session | UnreadableSession], limit: float | None
) -> list[Session]:
    """Return the finished sessions, or only those that were not updated after the time `limit`."""
    found = []
    for session in sessions:
        if isinstance(session, Session) and session.state in FINISHED:
            updated = parse_iso(session.updated)
            if limit is None or (updated is not None and updated <= limit):
                found.append(session)
    return found


def find_expired(project: Project, min_age: float, kinds: Sequence[str]) -> Expiry:
    """Return the expired refs of some kinds.

    A rescue ref is expired if its commit is old too: a later cleanup may have saved more work. The
    start of an unfinished session is kept.
    """
    repo, limit = project.repo, project.now() - min_age
    sessions = project.store.read_all()
    kept = _starts_of_unfinished(sessions)
    names = {kind: group_by_session(repo.refs(*_PREFIXES[kind])) for kind in kinds}
    refs: dict[str, tuple[SessionId, str]] = {}
    for session in _select_finished(sessions, limit):
        for kind in kinds:
            for branch in map(repo.branch, names[kind].get(session.id, ())):
                is_recent = kind == RESCUED and branch.time > limit
                if branch.oid and not (branch.symbolic or is_recent or branch.oid in kept):
                    refs[branch.ref] = (session.id, kind)
    return _describe(refs, repo)


def _starts_of_unfinished(sessions: Iterable[Session | UnreadableSession]) -> set[str]:
    """Return the commits from which the agents of unfinished sessions start."""
    commits: list[object] = []
    for session in sessions:
        if isinstance(session, Session) and session.state not in FINISHED:
            commits.append(session.document.get("base_commit"))
            for name in session.agents:
                commits += as_mapping(session.agent_fields(name).get("starts")).values()
    return {commit for commit in commits if isinstance(commit, str)}


def _describe(refs: Mapping[str, tuple[SessionId, str]], repo: GitRepo) -> Expiry:
    if not refs:
        return Expiry()
    remaining = {repo.tip(ref) for ref in repo.refs(REFS) if ref not in refs} - {""}
    parents = repo.commit_parents({repo.tip(ref) for ref in refs} - {""}, remaining)
    expired = []
    reached: set[str] = set()
    for ref, (sid, kind) in refs.items():
        branch, target = repo.branch(ref), repo.find_ref_target(ref)
        if is_object_id(target):
            commits = _reach(branch.oid, parents)
            expired.append(ExpiredRef(sid, kind, ref, target, branch.subject, len(commits)))
            reached |= commits
    return Expiry(tuple(expired), len(reached))


def _reach(tip: str, parents: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the keys of `parents` that `tip` reaches."""
    reached: set[str] = set()
    pending = [tip]
    while pending:
        oid = pending.pop()
        if oid in parents and oid not in reached:
            reached.add(oid)
            pending += parents[oid]
    return reached


def delete_expired(expiry: Expiry, project: Project) -> dict[SessionId, HubError]:
    """Delete the refs of each session in one transaction, while the session is locked.

    Return the error of each session whose refs are kept, because a ref moved or the session is no
    longer finished.
    """
    groups: dict[SessionId, list[ExpiredRef]] = {}
    for each in expiry.refs:
        groups.setdefault(each.session, []).append(each)
    errors: dict[SessionId, HubError] = {}
    for sid, refs in groups.items():
        try:
            with project.store.lock_session(sid) as locked:
                _delete_refs(locked.read(), refs, project)
        except HubError as error:
            errors[sid] = error
    return errors


def _delete_refs(session: Session, refs: Sequence[ExpiredRef], project: Project) -> None:
    if session.state not in FINISHED:
        raise HubError(f"session '{session.id}' is '{session.state}' again")
    project.git.update_refs(_REASON, [delete_command(each.ref, each.oid) for each in refs])
