"""Collect the facts about one worktree that decide if a cleanup removes it.

This module gives no reasons and no advice. The rules of a cleanup turn facts into reasons.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.index import Index, read_index
from git_hub_session.git.worktrees import Worktree, is_pruned, read_worktree
from git_hub_session.removal.journal import (
    JournalEntry,
    is_marked_for_deletion,
    is_trash_blocked,
    read_journal,
)
from git_hub_session.removal.snapshot import SystemSnapshot
from git_hub_session.removal.undeletable import RemovedDirectories, find_undeletable
from git_hub_session.stash.create import IndexCopy
from git_hub_session.system import procfs
from git_hub_session.system.deletable import Undeletable
from git_hub_session.system.tree import EMPTY_DIRECTORY, DirectoryTree, scan_directory
from git_hub_session.util.databases import database_of
from git_hub_session.util.paths import is_inside
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.changes import (
    WorktreeChanges,
    can_git_store,
    head_commit,
    read_changes,
    staged_paths,
)
from git_hub_session.worktree.off_branch import off_branch_reason
from git_hub_session.worktree.relocation import (
    can_repair,
    expected_paths,
    find_moved_with_repository,
    is_parent_missing,
    moved_paths,
)
from git_hub_session.worktree.setup import IncludedFiles, select_paths
from git_hub_session.worktree.tracked_files import FileReader

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.neighbors import Neighbors

_HUB = f"{HUB_DIRECTORY}/".encode()


class WorktreeUsage(NamedTuple):
    """The processes in a worktree, and the paths in it that a removal must keep."""

    is_caller_inside: bool
    """True if this command was called in the worktree."""
    processes: tuple[str, ...]
    """The other processes with their current directory in the worktree: '1234 (bash)'."""
    mounts: tuple[str, ...]
    """The mount points at the worktree or in it."""
    nested: tuple[str, ...]
    """The other worktrees, the repository and the hub, if they are in the worktree."""
    runs: tuple[str, ...] = ()
    """The runs that use the worktree: "exec-1 is running"."""
    worker: str = ""
    """The worker that has claimed the agent, or ''."""


class Location(NamedTuple):
    """The search for the directory of a missing worktree."""

    path: str = ""
    """The current path of a moved directory, or '' if it was not moved or not found."""
    can_repair: bool = False
    """True if `git worktree repair` can safely connect the directory again."""
    is_parent_missing: bool = False
    """True if the parent directory is missing too."""


class WorktreeState(NamedTuple):
    """All facts about one worktree. The facts after `location` need a scan of the directory."""

    worktree: Worktree
    branch: str
    """The full ref of the branch that the worktree belongs to."""
    session: SessionId
    journal: JournalEntry
    """The progress of an interrupted removal."""
    is_marked_for_deletion: bool
    """True if the interrupted removal may only be finished."""
    is_trash_blocked: bool
    """True if the directory is in the trash and its path exists again."""
    usage: WorktreeUsage
    is_index_locked: bool
    head_problem: str
    """The description of a HEAD that is detached, unreadable or on another branch, or ''."""
    location: Location
    error: OSError | HubError | None = None
    """The error that stopped the scan."""
    changes: WorktreeChanges | None = None
    """The contents of the directory; None before the scan, and in a plan."""
    paths_to_save: tuple[bytes, ...] = ()
    """The untracked files, and the ignored files that match hubsession.keepIgnored."""
    rescue_limit: int = 0
    """The setting hubsession.rescueLimit: the largest size of the files to save."""
    own_commits: tuple[str, ...] = ()
    """The commits that the files in the git dir refer to."""
    unreachable_commits: tuple[str, ...] = ()
    """The part of `own_commits` that no ref contains."""
    undeletable: tuple[Undeletable, ...] = ()
    """The paths that prevent the removal."""

    @property
    def scan(self) -> WorktreeChanges:
        """The contents of the directory. Raise ValueError before the scan."""
        if self.changes is None:
            raise ValueError(f"not scanned: {self.worktree.path}")
        return self.changes


def inspect_usage(
    worktree: Worktree, branch: str, sid: SessionId, project: Project, neighbors: Neighbors
) -> WorktreeState:
    """Return the facts about a worktree that need no scan of its directory."""
    journal = read_journal(worktree)
    top = os.path.realpath(worktree.path) if worktree.path else ""
    usage = WorktreeUsage(
        is_inside(neighbors.caller_directory, top),
        _processes_in(top, neighbors.processes),
        procfs.mounts_in(top, neighbors.mounts) if top else (),
        neighbors.inside(top, worktree.git_dir) if top else (),
    )
    return WorktreeState(
        worktree,
        branch,
        sid,
        journal,
        is_marked_for_deletion=is_marked_for_deletion(worktree),
        is_trash_blocked=is_trash_blocked(worktree, journal),
        usage=usage,
        is_index_locked=worktree.is_index_locked,
        head_problem=off_branch_reason(worktree, branch),
        location=_locate_directory(worktree, neighbors.worktrees, project),
    )


def _processes_in(top: str, processes: procfs.ProcessList) -> tuple[str, ...]:
    return procfs.describe_processes(processes.find_users(top))


def _locate_directory(
    worktree: Worktree, worktrees: Sequence[Worktree], project: Project
) -> Location:
    """Look for the directory of a missing worktree."""
    if not worktree.is_missing:
        return Location()
    for path in moved_paths(worktree, worktrees):
        return Location(path)
    path = find_moved_with_repository(worktree, expected_paths(worktree, project))
    if path:
        return Location(path, can_repair(path, worktree, worktrees))
    return Location(is_parent_missing=is_parent_missing(worktree))


def inspect_changes(
    state: WorktreeState, project: Project, selection: IgnoredSelection, rescue_limit: int
) -> WorktreeState:
    """Return the state with the facts that need a scan. An error ends the scan and is recorded."""
    try:
        changes, own = scan_changes(state.worktree, project), state.worktree.own_commits()
        unreachable = project.repo.unreachable(own)
    except (OSError, HubError) as error:
        return state._replace(error=_add_hint(error, state.worktree))
    return state._replace(
        changes=changes,
        paths_to_save=paths_to_save(state.worktree, changes, selection),
        rescue_limit=rescue_limit,
        own_commits=tuple(own),
        unreachable_commits=tuple(unreachable),
        undeletable=find_undeletable(_directories(state.worktree), changes.tree),
    )


def _directories(worktree: Worktree) -> RemovedDirectories:
    return RemovedDirectories(
        worktree.path, worktree.is_missing, worktree.git_dir, worktree.common_dir
    )


def _add_hint(error: OSError | HubError, worktree: Worktree) -> OSError | HubError:
    """Add the command that makes a directory of the user readable, or say that there is none."""
    is_removed = isinstance(error, FileNotFoundError) and not worktree.is_missing
    if is_removed and not os.path.lexists(worktree.path):
        return HubError("its directory was removed", hint="try again")
    path = error.filename if isinstance(error, PermissionError) else ""
    if path and os.path.lexists(path) and os.lstat(path).st_uid == os.geteuid():
        return HubError(to_hub_error(error).message, hint=f"chmod u+rwx {quote_word(path)}")
    return error


def scan_changes(worktree: Worktree, project: Project) -> WorktreeChanges:
    """Return the contents of a worktree. Git completes a split or sparse index.

    Raises:
        Damaged: the index cannot be parsed.
        OSError: a file or directory cannot be read.
        GitFailed: git cannot complete the index.
    """
    index, written = read_index(worktree.git_dir)
    if index.incomplete:
        index = IndexCopy(project.git, worktree).read_full_index()
    if worktree.is_missing:
        return _staged_only(worktree, project.repo, index)
    reader = FileReader(project.repo, lambda: project.git)
    return read_changes(worktree, reader, index, written)


def _staged_only(worktree: Worktree, repo: GitRepo, index: Index) -> WorktreeChanges:
    """Return the staged files, the only contents of a worktree without a directory."""
    head = head_commit(worktree, repo)
    staged = staged_paths(head, repo, index) if index.entries else frozenset()
    return WorktreeChanges(head, EMPTY_DIRECTORY, index, staged, frozenset())


class IgnoredSelection(NamedTuple):
    """The ignored files that must be saved."""

    patterns: Sequence[str]
    """The patterns of hubsession.keepIgnored."""
    included: IncludedFiles
    """The files of .worktreeinclude. Their unchanged copies are not saved."""


def paths_to_save(
    worktree: Worktree, changes: WorktreeChanges, selection: IgnoredSelection
) -> tuple[bytes, ...]:
    """Return the files outside the index that must be saved.

    Files of a hub are always saved: git ignores them, but they may be posts of the agent. So are
    the files that saved links lead to, and the logs of saved and of tracked databases.
    """
    files = changes.tree.files
    databases = {database_of(path) for path in changes.ignored}
    selected = select_paths(changes.ignored, selection.patterns, worktree.path)
    matching = {
        path
        for path in changes.ignored
        if path.startswith(_HUB) or path in selected
        if path in databases or not selection.included.has_copy(worktree.path, path, files[path])
    }
    unsaved = set(changes.ignored) - matching
    # A database is saved with its ignored log, also if git stores the database itself.
    ignored = (
        path
        for path in changes.ignored
        if path in matching or (database_of(path) in files and database_of(path) not in unsaved)
    )
    return changes.untracked + tuple(path for path in ignored if can_git_store(files[path].st_mode))


class GitDirFingerprint(NamedTuple):
    """The facts about a git dir that must not change until it is removed."""

    worktree: Worktree
    """The worktree without the facts about its directory, which the removal itself changes."""
    is_index_locked: bool
    commits: int
    """The hash of the object ids that the files in the git dir refer to."""


class Fingerprint(NamedTuple):
    """The facts that must be equal at the decision and after the rename to the trash."""

    git_dir: GitDirFingerprint
    contents: int | None
    """The digest of the directory tree, or None if it cannot be read."""
    mounts: tuple[str, ...]
    processes: tuple[str, ...] | None
    """None if processes do not matter: --force was given."""
    tracked: frozenset[bytes]
    """The HEAD files in the index. A bare repository with a tracked HEAD is a test fixture."""


def state_fingerprint(state: WorktreeState, *, check_processes: bool) -> Fingerprint:
    """Return the fingerprint of a scanned worktree."""
    paths = state.scan.git_index.entries
    return Fingerprint(
        _git_dir_fingerprint(state.worktree, state.own_commits, state.is_index_locked),
        state.scan.tree.digest(),
        state.usage.mounts,
        state.usage.processes if check_processes else None,
        frozenset(path for path in paths if path.endswith(b"/HEAD")),
    )


def inspect_trash(
    worktree: Worktree, trash: str, checked: Fingerprint, system: SystemSnapshot
) -> tuple[Fingerprint, DirectoryTree]:
    """Return the fingerprint and the files of a directory that was renamed to `trash`."""
    contents = None
    scanned = EMPTY_DIRECTORY
    try:
        scanned = scan_directory(trash, tracked=checked.tracked)
        contents = scanned.digest()
    except OSError:
        pass  # Without contents, the fingerprint differs from the first one.
    top = os.path.realpath(trash)
    mounts = procfs.mounts_in(top, system.mounts)
    processes = None if checked.processes is None else _processes_in(top, system.processes)
    git_dir = inspect_git_dir_in_removal(worktree, checked.git_dir)
    return Fingerprint(git_dir, contents, mounts, processes, checked.tracked), scanned


def inspect_git_dir(worktree: Worktree) -> GitDirFingerprint:
    """Read the git dir of a worktree again. Return its fingerprint."""
    current = read_worktree(worktree.name, worktree.git_dir)
    return _git_dir_fingerprint(current, current.own_commits(), current.is_index_locked)


def inspect_git_dir_in_removal(worktree: Worktree, checked: GitDirFingerprint) -> GitDirFingerprint:
    """Return the fingerprint of the git dir while the directory is in the trash.

    Return `checked` if git has removed the git dir. A `git worktree prune` that started before the
    worktree was locked misses the lock, and then misses the directory.
    """
    try:
        current = inspect_git_dir(worktree)
    except OSError:
        if is_pruned(worktree):
            return checked
        raise
    return checked if current != checked and is_pruned(worktree) else current


def _git_dir_fingerprint(
    worktree: Worktree, commits: Sequence[str], is_index_locked: bool
) -> GitDirFingerprint:
    # hash() of strings is equal in this process and its forks, which compare the fingerprints.
    without_directory = worktree._replace(is_missing=False, link_error="")
    return GitDirFingerprint(without_directory, is_index_locked, hash(tuple(commits)))
