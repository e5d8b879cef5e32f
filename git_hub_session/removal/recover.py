"""Undo or finish interrupted removals."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.worktrees import LOCK_FILE, Worktree, linked_worktrees, read_worktree
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.journal import (
    STEP_TRASH,
    clear_journal,
    is_marked_for_deletion,
    is_trash_blocked,
    read_journal,
    started_at_ns,
)
from git_hub_session.removal.trash import empty_trash
from git_hub_session.system import tree
from git_hub_session.util.move_aside import move_aside_command
from git_hub_session.worktree.owner import session_worktrees

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project


class TrashedDirectory(NamedTuple):
    """The directory of a worktree in the trash, and the files that may be deleted."""

    path: str
    tree: tree.DirectoryTree


def recover_interrupted(sid: SessionId, project: Project) -> list[Worktree]:
    """Undo the interrupted removals of a session and return the worktrees of the repository.

    A removal that is marked for deletion is not undone. The cleanup finishes it.
    """
    common_dir = project.paths.common_dir
    empty_trash(common_dir)
    worktrees = linked_worktrees(common_dir)
    own = [worktree for worktree, _ in session_worktrees(sid, project, worktrees)]
    for worktree in own:
        if has_stale_lock(worktree):
            with suppress(OSError):
                remove_stale_lock(worktree)
    interrupted = [
        worktree
        for worktree in own
        if read_journal(worktree).step and not is_marked_for_deletion(worktree)
    ]
    for worktree in interrupted:
        # A failure is no error here: the plan of the worktree reports it.
        with suppress(RemovalFailed):
            recover_removal(worktree)
    return linked_worktrees(common_dir) if interrupted else worktrees


def recover_removal(worktree: Worktree) -> TrashedDirectory | None:
    """Undo an interrupted removal, or return the files that are left to delete.

    Raise RemovalFailed if the directory cannot be renamed back, also if its path is in use.
    """
    journal = read_journal(worktree)
    if is_marked_for_deletion(worktree):
        return remaining_files(worktree, journal.trash)
    if is_trash_blocked(worktree, journal):
        raise RemovalFailed(
            f"an interrupted removal moved the directory to '{journal.trash}',"
            f" and '{worktree.path}' exists again",
            hint=move_aside_command(worktree.path),
        )
    if journal.step == STEP_TRASH and os.path.lexists(journal.trash):
        restore_directory(worktree, journal.trash)
    elif journal.step and os.path.lexists(worktree.path):
        clear_journal(worktree)
    return None


def restore_directory(worktree: Worktree, trash: str) -> None:
    """Rename the directory back from the trash, and remove the journal. Raise RemovalFailed.

    `trash` is the path of the worktree if its directory could not be renamed.
    """
    try:
        if trash != worktree.path:
            os.rename(trash, worktree.path)
    except OSError as error:
        is_occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
        path = worktree.path
        raise RemovalFailed(
            f"the directory is in '{trash}' and cannot be renamed back: {error.strerror}",
            move_aside_command(path) if is_occupied else "",
        ) from None
    clear_journal(worktree)


def remaining_files(worktree: Worktree, trash: str) -> TrashedDirectory:
    """Return the files that an interrupted deletion left and may still delete."""
    if trash != worktree.path and os.path.lexists(worktree.path):
        # New files were renamed back. Keep them all.
        return TrashedDirectory(worktree.path, tree.EMPTY_DIRECTORY)
    try:
        started_at = started_at_ns(worktree)
        scanned = tree.scan_directory(trash, tracked=ANY_PATH)
        # Keep the files that changed later: they were never inspected. Keep a file with the same
        # time too: the clock of a file system advances in steps of up to two seconds.
        files = {
            path: file for path, file in scanned.files.items() if file.st_ctime_ns < started_at
        }
        return TrashedDirectory(trash, scanned._replace(files=files))
    except FileNotFoundError:
        return TrashedDirectory(trash, tree.EMPTY_DIRECTORY)
    except OSError as error:
        raise RemovalFailed(f"cannot delete '{trash}': {error.strerror}") from None


def has_stale_lock(worktree: Worktree) -> bool:
    """Return True if an interrupted removal locked the worktree and its journal is lost.

    No other command would unlock the worktree, and git could not remove it. Return False if the
    directory is missing: then only the lock protects the git dir from `git worktree prune`.
    """
    if worktree.is_missing or not os.path.lexists(os.path.join(worktree.git_dir, LOCK_FILE)):
        return False
    # Read the lock again: a user may have locked the worktree after it was listed.
    current = read_worktree(worktree.name, worktree.git_dir)
    return current.lock_reason is None and not read_journal(worktree).step


def remove_stale_lock(worktree: Worktree) -> None:
    """Remove a stale lock. Raise OSError."""
    os.unlink(os.path.join(worktree.git_dir, LOCK_FILE))


class _AnyPath:
    """A container of all paths, for the argument `tracked` of scan_directory().

    Then a HEAD file never makes a directory a bare repository. The inspection has already excluded
    bare repositories.
    """

    def __contains__(self, _path: object) -> bool:
        return True


ANY_PATH = _AnyPath()
