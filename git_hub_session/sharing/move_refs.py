"""Create and fast-forward the refs of fetched sessions. Keep a branch that a worktree uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.ref_names import create_command, parse_agent_branch, update_command
from git_hub_session.sharing.session_refs import (
    SessionRefs,
    read_refs_by_session,
    with_free_numbers,
)
from git_hub_session.worktree.branches_in_use import branches_in_use

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_REASON = "hub-session fetch"
_TRIES = 3
"""The number of tries for a session whose refs another process moves at the same time."""
CREATED, UPDATED, KEPT = "created", "updated", "kept"
IN_USE, DIVERGED, ARCHIVED = "in-use", "diverged", "archived"
"""The reasons to keep a branch at its commit."""


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


def plan_refs(
    theirs: Mapping[SessionId, SessionRefs], project: Project
) -> dict[SessionId, list[FetchedRef]]:
    """Return the changes of the refs of each session."""
    ours = read_refs_by_session([*theirs], project.git)
    in_use = branches_in_use(project.paths) if theirs else set()
    return {
        sid: list(_plan_session(refs, ours[sid], project, in_use)) for sid, refs in theirs.items()
    }


def _plan_session(
    theirs: SessionRefs, ours: SessionRefs, project: Project, in_use: set[str]
) -> Iterator[FetchedRef]:
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


def move_refs(
    theirs: Mapping[SessionId, SessionRefs],
    refs: Mapping[SessionId, list[FetchedRef]],
    project: Project,
) -> tuple[dict[SessionId, list[FetchedRef]], dict[SessionId, HubError]]:
    """Create and move the refs of sessions. Return them, and the errors of sessions.

    One transaction creates the refs of all sessions that have no other changes. If git refuses it,
    each session gets a transaction of its own.
    """
    moved = dict(refs)
    errors: dict[SessionId, HubError] = {}
    created = [sid for sid in refs if not _has_updates(refs[sid])]
    try:
        apply_refs([each for sid in created for each in refs[sid]], project)
    except HubError:
        alone = list(refs)
    else:
        alone = [sid for sid in refs if sid not in {*created}]
    for sid in alone:
        try:
            moved[sid] = _move_session(sid, theirs[sid], project)
        except HubError as error:
            errors[sid] = error
    return moved, errors


def _has_updates(refs: Iterable[FetchedRef]) -> bool:
    return any(fetched.action == UPDATED for fetched in refs)


def _move_session(sid: SessionId, theirs: SessionRefs, project: Project) -> list[FetchedRef]:
    """Create and move the refs of a session, and return them.

    Plan them again: in the meantime another process may have fetched the session, or created a
    worktree for a branch. If git refuses the refs, try again.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with _lock_if_exists(sid, project):
                refs = plan_refs({sid: theirs}, project)[sid]
                apply_refs(refs, project)
        except GitFailed:
            if not tries_left:
                raise
        else:
            break
    return refs


def _lock_if_exists(sid: SessionId, project: Project) -> AbstractContextManager[object]:
    return project.store.lock_session(sid) if project.store.has_session(sid) else nullcontext()


def apply_refs(refs: Iterable[FetchedRef], project: Project) -> None:
    """Create and move the refs in one transaction."""
    commands = []
    for fetched in refs:
        if fetched.action == CREATED:
            commands.append(create_command(fetched.ref, fetched.oid))
        elif fetched.action == UPDATED:
            commands.append(update_command(fetched.ref, fetched.oid, fetched.old))
    if commands:
        project.git.update_refs(_REASON, commands)
