"""The hub and the repository at one moment, read once for all checks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.doctor.session_index import ListedRefs, SessionIndex
from git_hub_session.errors import Damaged, HubError
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_RESCUES,
    ALL_TAGS,
    AgentBranch,
    SessionId,
    is_session_id,
    session_prefixes,
)
from git_hub_session.git.refs import list_files_below, read_consistently
from git_hub_session.git.worktrees import (
    Worktree,
    copied_git_dirs,
    linked_worktrees,
    read_worktree,
    worktree_git_dir,
    worktree_names,
)
from git_hub_session.lineage.parent import parent_attempts
from git_hub_session.session.attempts import SESSION_PREFIXES
from git_hub_session.session.model import Session
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED
from git_hub_session.system import procfs
from git_hub_session.worktree.locks import GIT_ADD_LOCK, RESTORE_LOCK
from git_hub_session.worktree.owner import detached_owner, off_branch_attempts, session_of_worktree

if TYPE_CHECKING:
    from git_hub_session.git.repository import Branch
    from git_hub_session.session.project import Project


class HubSnapshot(NamedTuple):
    """Everything that the checks read.

    A session that another process is changing can look inconsistent. Most checks skip it: it is in
    `locked_sessions`.
    """

    project: Project
    now: float
    """The time of the snapshot, in seconds since the epoch."""
    hub_error: HubError | None
    """The reason why the hub cannot be read, or None."""
    open_error: HubError | None
    """The reason why libgit2 cannot open the repository, so that no ref is listed, or None."""
    sessions: Mapping[SessionId, Session | UnreadableSession]
    invalid_entries: Sequence[UnreadableSession]
    """The entries of the sessions directory whose name is not a session id."""
    locked_sessions: Mapping[SessionId, int]
    """The sessions that other processes are changing, with the pid of the lock's owner or 0."""
    copied_git_dirs: Sequence[Worktree]
    """The git dirs that are copies of the git dir of a sound worktree."""
    worktrees: Sequence[Worktree]
    session_by_git_dir: Mapping[str, SessionId]
    """The session of each worktree, by git dir."""
    off_branch: Mapping[str, AgentBranch]
    """The attempts whose recorded worktree has another branch checked out, by git dir."""
    branches: Sequence[Branch]
    """The branches of all agents."""
    tags: Mapping[str, str]
    """The commit of each archive tag, or ''."""
    archives: Mapping[str, str]
    """The commit of each archive ref, or ''."""
    rescues: Sequence[str]
    """The rescue refs."""
    ref_files: Sequence[str]
    """The files of the sessions' refs and of their locks, relative to the common dir."""
    read_processes: Callable[[], procfs.ProcessList]
    """Return the running processes. They are read at the first call."""
    find_parents: Callable[[], Collection[AgentBranch]]
    """Return the attempts from which other sessions start. They are found at the first call."""

    by_session: SessionIndex
    """The refs and the worktrees of each session."""

    def find_worktree(self, session: str, git_dir: str) -> Worktree:
        """Return the worktree of the session that has this git dir. Raise HubError if it is gone."""
        for worktree in self.by_session.worktrees(SessionId(session)):
            if worktree.git_dir == git_dir:
                return worktree
        raise HubError("the worktree does not exist anymore")

    def owner(self, worktree: Worktree) -> Session | None:
        """Return the session of a worktree, or None if it cannot be read."""
        session = self.sessions.get(self.session_by_git_dir[worktree.git_dir])
        return session if isinstance(session, Session) else None

    def readable_sessions(self) -> list[Session]:
        """Return the readable sessions that no other process is changing."""
        return [
            session
            for sid, session in self.sessions.items()
            if isinstance(session, Session) and sid not in self.locked_sessions
        ]

    def pids_in(self, directory: str) -> list[int]:
        """Return the ids of the processes that use the directory now.

        A git that fills a new worktree counts too.
        """
        return procfs.processes_in(directory)


def take_snapshot(project: Project) -> HubSnapshot:
    """Read the whole hub and the repository."""
    locked_before = _locked_sessions(project)
    entries, hub_error = _read_sessions(project)
    sessions = {SessionId(entry.id): entry for entry in entries if is_session_id(entry.id)}
    worktrees = linked_worktrees(project.paths.common_dir)
    off_branch = off_branch_attempts(_readable(sessions), worktrees)
    refs, open_error = _read_refs(project)
    locked = {**locked_before, **_locked_sessions(project)}
    # A session that was changed in the meantime can differ from the worktrees and refs read here.
    entries_after = {entry.id: entry for entry in _read_sessions(project)[0]}
    locked |= {sid: 0 for sid, session in sessions.items() if entries_after.get(sid) != session}
    owners = _find_owners(worktrees, sessions, off_branch, project)
    ref_files = _list_ref_files(project.paths.common_dir, SESSION_PREFIXES)
    return HubSnapshot(
        project=project,
        now=project.now(),
        hub_error=hub_error,
        open_error=open_error,
        sessions=sessions,
        invalid_entries=_invalid_entries(entries),
        locked_sessions=locked,
        copied_git_dirs=copied_git_dirs(project.paths.common_dir),
        worktrees=worktrees,
        session_by_git_dir=owners,
        off_branch=off_branch,
        branches=refs.branches,
        tags=refs.tags,
        archives=refs.archives,
        rescues=refs.rescues,
        ref_files=ref_files,
        read_processes=cache(procfs.processes),
        find_parents=cache(lambda: parent_attempts(sessions.values())),
        by_session=SessionIndex(refs, ref_files, worktrees, owners),
    )


def take_session_snapshot(
    before: HubSnapshot, sid: SessionId, *, all_worktrees: bool
) -> HubSnapshot:
    """Take a new snapshot of one session, whose lock the caller holds.

    The result contains this session only. But `worktrees` contains all worktrees of the repository:
    those of the session as they are now, the others as in `before`.

    Args:
        before: a snapshot of the whole hub. The time to read it again would grow with the number of
            sessions, so that fixing all sessions would take quadratic time.
        all_worktrees: read the other worktrees again too.
    """
    project = before.project
    session = project.store.find(sid)
    sessions = {} if session is None else {sid: session}
    worktrees, changed = _read_worktrees_again(before, sid, all_worktrees=all_worktrees)
    off_branch = off_branch_attempts(_readable(sessions), worktrees)
    owners = _find_owners(changed, {**before.sessions, **sessions}, off_branch, project)
    owners = {git_dir: owner for git_dir, owner in owners.items() if owner == sid}
    ref_files = _list_ref_files(project.paths.common_dir, session_prefixes(sid))
    refs = _read_existing(_existing_refs(before, sid, ref_files), project)
    return before._replace(
        now=project.now(),
        sessions=sessions,
        invalid_entries=(),
        locked_sessions={},
        worktrees=worktrees,
        session_by_git_dir=owners,
        off_branch=off_branch,
        branches=refs.branches,
        tags=refs.tags,
        archives=refs.archives,
        rescues=refs.rescues,
        ref_files=ref_files,
        read_processes=cache(procfs.processes),
        by_session=SessionIndex(refs, ref_files, worktrees, owners),
    )


def _read_existing(refs: Sequence[str], project: Project) -> ListedRefs:
    """Return these refs of one session with their commits."""
    return ListedRefs(
        [project.repo.branch(ref) for ref in refs if ref.startswith(ALL_BRANCHES)],
        {ref: project.repo.tip(ref) for ref in refs if ref.startswith(ALL_TAGS)},
        {ref: project.repo.tip(ref) for ref in refs if ref.startswith(ALL_ARCHIVES)},
        [ref for ref in refs if ref.startswith(ALL_RESCUES)],
    )


def _read_worktrees_again(
    before: HubSnapshot, sid: SessionId, *, all_worktrees: bool
) -> tuple[list[Worktree], list[Worktree]]:
    """Return all worktrees, and those that may belong to another session than in `before`."""
    common_dir = before.project.paths.common_dir
    if all_worktrees:
        worktrees = linked_worktrees(common_dir)
        return worktrees, worktrees
    known = {
        worktree.name: worktree
        for worktree in before.worktrees
        if before.session_by_git_dir.get(worktree.git_dir) != sid
    }
    worktrees = []
    changed = []
    for name in worktree_names(common_dir):
        worktree = known.get(name) or read_worktree(name, worktree_git_dir(common_dir, name))
        worktrees.append(worktree)
        # The branch of a worktree determines its session. Without such a branch, state.json
        # determines it, and a fix may have changed state.json.
        if name not in known or session_of_worktree(worktree) is None:
            changed.append(worktree)
    return worktrees, changed


def _existing_refs(before: HubSnapshot, sid: SessionId, ref_files: Sequence[str]) -> list[str]:
    """Return the refs of one session that exist now: those of `before` and new `ref_files`.

    Do not list the refs with libgit2, because it reads every ref of the repository.
    """
    if before.open_error is not None:
        return []
    repo = before.project.repo
    candidates = sorted({*before.by_session.refs(sid), *ref_files})
    return read_consistently(
        before.project.paths.common_dir,
        lambda: [ref for ref in candidates if repo.find_ref_target(ref)],
    )


def _read_refs(project: Project) -> tuple[ListedRefs, HubError | None]:
    """Return the refs, or the error of libgit2."""
    try:
        repo = project.repo
        branches, rescues = repo.branches(ALL_BRANCHES), repo.refs(ALL_RESCUES)
        tags, archives = (
            {ref: repo.tip(ref) for ref in repo.refs(prefix)} for prefix in (ALL_TAGS, ALL_ARCHIVES)
        )
        return ListedRefs(branches, tags, archives, rescues), None
    except HubError as error:
        return ListedRefs(), error


def _list_ref_files(common_dir: str, prefixes: Sequence[str]) -> list[str]:
    directories = [prefix.rstrip("/") for prefix in prefixes]
    return [path for directory in directories for path in list_files_below(common_dir, directory)]


def _read_sessions(
    project: Project,
) -> tuple[list[Session | UnreadableSession], HubError | None]:
    try:
        return project.store.read_all(), None
    except Damaged as error:
        return [], error
    except OSError as error:
        return [], HubError(f"cannot read the hub: {error.strerror}")


def _invalid_entries(
    entries: Sequence[Session | UnreadableSession],
) -> list[UnreadableSession]:
    return [
        entry
        for entry in entries
        if isinstance(entry, UnreadableSession) and not is_session_id(entry.id)
    ]


def _locked_sessions(project: Project) -> dict[SessionId, int]:
    """Return {locked session: the pid that took the lock, or 0 if unknown}."""
    try:
        sids = project.store.ids()
    except (Damaged, OSError):
        return {}
    holders = {}
    for sid in sids:
        try:
            if project.store.is_locked(sid):
                path = f"{project.paths.hub}/sessions/{sid}"
                holders[sid] = procfs.lock_holder(path) or 0
        except (HubError, OSError):
            pass  # a link, or a directory that cannot be opened: no process can lock it
    return holders


def _find_owners(
    worktrees: Sequence[Worktree],
    sessions: Mapping[SessionId, Session | UnreadableSession],
    off_branch: Mapping[str, AgentBranch],
    project: Project,
) -> dict[str, SessionId]:
    """Return {git dir: session}. The branch of a worktree decides, or its origin and path.

    Args:
        off_branch: the attempts whose worktree has another branch checked out, by git dir.
    """
    readable = {session.id: session for session in _readable(sessions)}
    owners = {}
    for worktree in worktrees:
        attempt = off_branch.get(worktree.git_dir)
        sid = attempt.session if attempt else session_of_worktree(worktree)
        if sid is None and worktree.path and not worktree.branches:
            candidates = detached_owner(worktree, readable, project)
            sid = _active_session([readable[candidate] for candidate in candidates])
        if sid is not None:
            owners[worktree.git_dir] = sid
    return owners


def _readable(sessions: Mapping[SessionId, Session | UnreadableSession]) -> list[Session]:
    return [session for session in sessions.values() if isinstance(session, Session)]


def _active_session(sessions: Sequence[Session]) -> SessionId | None:
    """Return the only unfinished session, or else the only session, or None.

    A finished session still records the paths of its worktrees. Another session may use them now.
    """
    active = [session for session in sessions if session.state not in FINISHED]
    candidates = active or sessions
    return candidates[0].id if len(candidates) == 1 else None


def is_partial_add(worktree: Worktree) -> bool:
    """Return True if git or `restore` has not finished creating the worktree."""
    return worktree.lock_reason in (GIT_ADD_LOCK, RESTORE_LOCK)
