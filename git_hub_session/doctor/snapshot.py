"""The hub and the repository, looked at once, for all questions that are asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged, HubError
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_RESCUES,
    SessionId,
    archive_prefix,
    branch_prefix,
    is_session_id,
    rescue_prefix,
)
from git_hub_session.git.refs import read_consistently
from git_hub_session.git.worktrees import (
    Worktree,
    linked_worktrees,
    list_files_below,
    read_worktree,
    worktree_git_dir,
    worktree_names,
)
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED
from git_hub_session.system import procfs
from git_hub_session.worktree.locks import GIT_ADD_LOCK, RESTORE_LOCK
from git_hub_session.worktree.owner import detached_owner, session_of_worktree

if TYPE_CHECKING:
    from git_hub_session.git.repository import Branch


_HALF_ADDED = (GIT_ADD_LOCK, RESTORE_LOCK)
"""What git or restore locks a worktree for until it is whole."""


class HubSnapshot(NamedTuple):
    """All that is known. What is being changed at the moment is in `busy`, and nobody's fault."""

    project: Project
    now: float
    hub_error: HubError | None
    """Why the hub cannot be read."""
    open_error: HubError | None
    """Why libgit2 does not open the repository: then there are neither branches nor refs here."""
    sessions: Mapping[SessionId, Session | UnreadableSession]
    invalid_entries: Sequence[UnreadableSession]
    """What lies among the sessions and has no id."""
    locked_sessions: Mapping[SessionId, int]
    """Sessions that somebody has locked, and the process that took the lock (0: the system does not say)."""
    worktrees: Sequence[Worktree]
    session_by_git_dir: Mapping[str, SessionId]
    """{the entry of a worktree: the session that it belongs to}"""
    branches: Sequence[Branch]
    tags: Mapping[str, str]
    """{archive tag: the commit that it leads to}"""
    rescues: Sequence[str]
    ref_files: Sequence[str]
    """The files in which git keeps the sessions' refs, and its locks beside them: their paths below the common
    directory, which for a ref is its name."""
    processes: Sequence[procfs.Process]

    def worktrees_of(self, sid: SessionId) -> list[Worktree]:
        """The session's worktrees."""
        return [one for one in self.worktrees if self.session_by_git_dir.get(one.git_dir) == sid]

    def archive_tags(self, sid: SessionId) -> dict[str, str]:
        """The session's archive tags, and the commits that they lead to."""
        return {tag: oid for tag, oid in self.tags.items() if tag.startswith(archive_prefix(sid))}

    def readable_sessions(self) -> list[Session]:
        """The sessions that can be read and that nobody has locked."""
        return [
            one
            for sid, one in self.sessions.items()
            if isinstance(one, Session) and sid not in self.locked_sessions
        ]

    def pids_in(self, top: str) -> list[int]:
        """The processes that use the directory `top` now; a git that works there counts too."""
        return procfs.processes_in(top)


def take_snapshot(project: Project) -> HubSnapshot:
    """Look at everything."""
    before = _busy(project)
    found, refusal = _read(project)
    sessions = {SessionId(one.id): one for one in found if is_session_id(one.id)}
    worktrees = linked_worktrees(project.paths.common_dir)
    branches, tags, rescues, closed = _refs(project)
    busy = {**before, **_busy(project)}
    # What was begun and done while we looked does not fit together here, and nobody is to blame.
    later = {one.id: one for one in _read(project)[0]}
    busy |= {sid: 0 for sid, one in sessions.items() if later.get(sid) != one}
    return HubSnapshot(
        project,
        project.now(),
        refusal,
        closed,
        sessions,
        [one for one in found if isinstance(one, UnreadableSession) and not is_session_id(one.id)],
        busy,
        worktrees,
        _owners(worktrees, sessions, project),
        branches,
        tags,
        rescues,
        _loose(project.paths.common_dir, (ALL_BRANCHES, ALL_ARCHIVES, ALL_RESCUES)),
        procfs.processes(),
    )


def gather_session(before: HubSnapshot, sid: SessionId, *, others: bool) -> HubSnapshot:
    """Take a new snapshot of one session, whose lock the caller holds.

    The result contains this session only, except for `worktrees`. It contains all worktrees of the
    repository: those of the session as they are now, the others as in `before`.

    Args:
        before: a snapshot of the whole hub. The time to read it again would grow with the number of
            sessions, so that fixing all sessions would take quadratic time.
        others: read the other worktrees again too.
    """
    project = before.project
    common_dir = project.paths.common_dir
    found = project.store.find(sid)
    sessions = {} if found is None else {sid: found}
    worktrees, changed = _read_worktrees_again(before, sid, others=others)
    owners = _owners(changed, {**before.sessions, **sessions}, project)
    loose = _loose(common_dir, [branch_prefix(sid), archive_prefix(sid), rescue_prefix(sid)])
    refs = _existing_refs(before, sid, loose)
    return before._replace(
        now=project.now(),
        sessions=sessions,
        invalid_entries=(),
        locked_sessions={},
        worktrees=worktrees,
        session_by_git_dir={entry: owner for entry, owner in owners.items() if owner == sid},
        branches=[project.repo.branch(ref) for ref in refs if ref.startswith(ALL_BRANCHES)],
        tags={ref: project.repo.tip(ref) for ref in refs if ref.startswith(ALL_ARCHIVES)},
        rescues=[ref for ref in refs if ref.startswith(ALL_RESCUES)],
        ref_files=loose,
        processes=procfs.processes(),
    )


def _read_worktrees_again(
    before: HubSnapshot, sid: SessionId, *, others: bool
) -> tuple[list[Worktree], list[Worktree]]:
    """Return all worktrees, and those that may belong to another session than in `before`."""
    common_dir = before.project.paths.common_dir
    if others:
        worktrees = linked_worktrees(common_dir)
        return worktrees, worktrees
    known = {
        one.name: one
        for one in before.worktrees
        if before.session_by_git_dir.get(one.git_dir) != sid
    }
    worktrees, changed = [], []
    for name in worktree_names(common_dir):
        worktree = known.get(name) or read_worktree(name, worktree_git_dir(common_dir, name))
        worktrees.append(worktree)
        # A worktree on a branch belongs to the session of that branch. To whom another one belongs
        # depends on state.json, which a fix may have changed.
        if name not in known or not worktree.branches:
            changed.append(worktree)
    return worktrees, changed


def _existing_refs(before: HubSnapshot, sid: SessionId, loose: Sequence[str]) -> list[str]:
    """Return the refs of one session that exist now: those in `before`, and new ones among `loose`.

    A listing by libgit2 reads every ref of the repository.
    """
    if before.open_error is not None:
        return []
    repo = before.project.repo
    prefixes = (branch_prefix(sid), archive_prefix(sid), rescue_prefix(sid))
    listed = [*(one.ref for one in before.branches), *before.tags, *before.rescues]
    known = {ref for ref in listed if ref.startswith(prefixes)}
    candidates = sorted({*known, *loose})
    common_dir = before.project.paths.common_dir
    return read_consistently(
        common_dir, lambda: [ref for ref in candidates if repo.find_ref_target(ref)]
    )


def _refs(project: Project) -> tuple[list[Branch], dict[str, str], list[str], HubError | None]:
    try:
        repo = project.repo
        tags = {ref: repo.tip(ref) for ref in repo.refs(ALL_ARCHIVES)}
        return repo.branches(ALL_BRANCHES), tags, repo.refs(ALL_RESCUES), None
    except HubError as fault:
        return [], {}, [], fault


def _loose(common_dir: str, prefixes: Sequence[str]) -> list[str]:
    tops = [prefix.rstrip("/") for prefix in prefixes]
    return [path for top in tops for path in list_files_below(common_dir, top)]


def _read(project: Project) -> tuple[list[Session | UnreadableSession], HubError | None]:
    try:
        return project.store.read_all(), None
    except Damaged as fault:
        return [], fault
    except OSError as fault:
        return [], HubError(f"cannot be read: {fault.strerror}")


def _busy(project: Project) -> dict[SessionId, int]:
    found = {}
    try:
        ids = project.store.ids()
    except (Damaged, OSError):
        return {}
    for sid in ids:
        try:
            if project.store.is_locked(sid):
                path = f"{project.paths.hub}/sessions/{sid}"
                found[sid] = procfs.lock_holder(path) or 0
        except (HubError, OSError):
            pass  # a link, or it may not be opened: nobody can have locked it
    return found


def _owners(
    worktrees: Sequence[Worktree],
    sessions: Mapping[SessionId, Session | UnreadableSession],
    project: Project,
) -> dict[str, SessionId]:
    """By the branches that are worked on; where there is none, by what it was made for, and where it lies."""
    known = {sid: one for sid, one in sessions.items() if isinstance(one, Session)}
    owners = {}
    for worktree in worktrees:
        named = session_of_worktree(worktree)
        if named is None and worktree.path and not worktree.branches:
            named = _active_session(
                [known[sid] for sid in detached_owner(worktree, known, project)]
            )
        if named is not None:
            owners[worktree.git_dir] = named
    return owners


def _active_session(sessions: Sequence[Session]) -> SessionId | None:
    """The one that is at work, or the only one: what a session was told stays there."""
    at_work = [one for one in sessions if one.state not in FINISHED]
    found = at_work or sessions
    return found[0].id if len(found) == 1 else None


def is_partial_add(worktree: Worktree) -> bool:
    """Whether git, or a restore, was not done with it."""
    return worktree.lock_reason in _HALF_ADDED
