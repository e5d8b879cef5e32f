"""A worktree's directory and its entry, removed so that a kill at any moment loses nothing.

    1. a note in the entry says where the directory is going     (PATH … aside)
       and, by a second name, locks it: to git the entry of a directory that is aside is stale
    2. the directory is renamed to a sibling name: one atomic step
    3. it is looked at again: if anything came since it was judged, it is put back
    4. the note says that from here on it is only to be deleted   (PATH … aside delete)
    5. the directory is deleted
    6. the entry is renamed out of `worktrees`, then deleted

`recover` brings what a killed run left behind to an end: before step 4 it puts the directory back,
after it it goes on. Deleting in place would not do: it looks like changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Sequence
from shlex import quote

from git_hub_session._typing import NamedTuple
from git_hub_session.git.worktrees import Worktree, read_worktree
from git_hub_session.removal.errors import ModifiedDuringRemoval, RemovalBlocked, RemovalFailed
from git_hub_session.removal.journal import (
    STEP_DELETE,
    STEP_TRASH,
    clear_journal,
    lock_worktree,
    mark_for_deletion,
    read_journal,
    start_journal,
)
from git_hub_session.removal.recover import (
    ANY_PATH,
    TrashedDirectory,
    recover_removal,
    remaining_files,
    restore_directory,
)
from git_hub_session.removal.trash import git_dir_trash, safe_name, trash_name
from git_hub_session.system import tree
from git_hub_session.worktree.reason import (
    CONTENTS_CHANGED,
    DIRECTORY_REMOVED,
    GIT_DIR_CHANGED,
    Reason,
)


class Fingerprint(NamedTuple):
    """What a worktree was judged by; it has to hold still until it is gone."""

    digest: int
    """Of the tree."""
    tracked: Container[bytes]
    """The HEADs that its index held."""
    own: int
    """The number_of the commits that its own files lead to."""


def commits_digest(commits: Sequence[str]) -> int:
    """A number that is another one for other commits; good in this process and its forks."""
    return hash(tuple(commits))


def remove_worktree(
    worktree: Worktree,
    judged: Fingerprint | None,
    *,
    obstacle: Callable[[str], Reason | None],
    saved: Sequence[str],
) -> None:
    """All six steps, or what a killed run left of them; raises Obstructed, Written or Stuck.

    `judged` is None where only a killed run's work is finished, `obstacle` says why the
    directory at a path cannot go after all, `saved` is what the note has to remember.
    """
    if not os.path.lexists(worktree.git_dir):
        return  # somebody else finished it
    aside = recover_removal(worktree)
    if aside is not None:
        judged = None  # what the killed run judged by is not known, and that it did is
    elif judged is None:
        raise RemovalBlocked(
            CONTENTS_CHANGED
        )  # what was half removed is it no more: locked, or back
    elif not worktree.is_missing:
        aside = _trash_directory(worktree, judged, obstacle, saved)
    elif not _is_unchanged(worktree, judged):
        raise RemovalBlocked(GIT_DIR_CHANGED)
    left = _delete_directory(aside, worktree.path) if aside is not None else ""
    if not left and os.path.lexists(worktree.path):
        raise RemovalBlocked(
            CONTENTS_CHANGED
        )  # somebody put the directory back: it has to be judged
    if judged is not None and not _is_unchanged(worktree, judged):
        # Somebody who was still in it has locked it, staged or committed: the entry has to be
        # judged, as that of a worktree whose directory is missing.
        clear_journal(worktree)
        raise RemovalBlocked(GIT_DIR_CHANGED)
    _remove_git_dir(worktree)
    if left:
        raise ModifiedDuringRemoval(left)


def _trash_directory(
    worktree: Worktree,
    judged: Fingerprint,
    obstacle: Callable[[str], Reason | None],
    saved: Sequence[str],
) -> TrashedDirectory:
    """Steps 1 to 4; raises Obstructed or Stuck, with the directory in its place."""
    trash = trash_name(worktree)
    if os.path.lexists(trash):
        raise RemovalFailed(
            f"'{trash}', left by a removal that was cut off, is in the way",
            f"take from it what you want, then: rm -r {quote(trash)}",
        )
    try:
        start_journal(worktree, STEP_TRASH, saved)
        lock_worktree(worktree)
        # After the lock, for `git worktree prune` looks for a lock first and then for the directory.
        if not _is_unchanged(worktree, judged):
            clear_journal(worktree)
            raise RemovalBlocked(GIT_DIR_CHANGED)
        os.rename(worktree.path, trash)
    except FileNotFoundError:
        clear_journal(worktree)
        raise RemovalBlocked(DIRECTORY_REMOVED) from None
    except OSError as fault:
        clear_journal(worktree)
        raise RemovalFailed(f"cannot rename it: {fault.strerror}") from None
    try:
        found: tree.DirectoryTree | None = tree.scan_directory(trash, tracked=judged.tracked)
    except OSError:
        found = None
    reason = obstacle(trash)
    if reason is None and not _is_unchanged(worktree, judged):
        reason = GIT_DIR_CHANGED
    if found is None or found.digest() != judged.digest or reason is not None:
        restore_directory(worktree, trash)
        raise RemovalBlocked(reason or CONTENTS_CHANGED)
    mark_for_deletion(worktree, saved)
    return TrashedDirectory(trash, found)


def remove_unchecked(worktree: Worktree) -> None:
    """Remove a worktree whatever is in it: one that the caller made itself and showed to nobody. Raises Stuck."""
    trash = trash_name(worktree)
    aside = None
    if (
        worktree.is_missing and read_journal(worktree).step == STEP_DELETE
    ):  # begun by a run that was killed
        aside = remaining_files(worktree, trash)
    elif not worktree.is_missing:
        try:
            start_journal(worktree, STEP_DELETE)
            os.rename(worktree.path, trash)
            aside = TrashedDirectory(trash, tree.scan_directory(trash, tracked=ANY_PATH))
        except OSError as fault:
            raise RemovalFailed(f"cannot remove it: {fault.strerror}") from None
    if aside is not None:
        _delete_directory(aside, worktree.path)
    _remove_git_dir(worktree)


def unregister_worktree(worktree: Worktree, path: str) -> None:
    """Remove the entry alone; the directory stays, as `path`. Raises Stuck."""
    try:
        os.rename(worktree.path, path)
    except OSError as fault:
        raise RemovalFailed(f"cannot rename it: {fault.strerror}") from None
    _remove_git_dir(worktree)


def finish_removal(worktree: Worktree) -> None:
    """Delete what a killed run left to be deleted (see is_half_removed); raises Stuck, Written."""
    remove_worktree(worktree, None, obstacle=lambda _path: None, saved=())


def _is_unchanged(worktree: Worktree, judged: Fingerprint) -> bool:
    """Whether the entry is as it was judged: no lock, no operation, nothing staged or committed since."""
    now = read_worktree(worktree.name, worktree.git_dir)
    # Where the directory is, is this module's own doing.
    same = now._replace(is_missing=worktree.is_missing, link_error=worktree.link_error) == worktree
    return same and not now.is_index_locked and commits_digest(now.own_commits()) == judged.own


def _delete_directory(aside: TrashedDirectory, path: str) -> str:
    """Step 5; where that is which came into it since it was looked at ('' if nothing did); raises Stuck."""
    try:
        if not tree.remove_if_unchanged(aside.path, aside.tree):
            return ""
    except FileNotFoundError:
        return ""  # a second run deletes the same
    except OSError as fault:
        raise RemovalFailed(f"cannot delete '{aside.path}': {fault.strerror}") from None
    try:
        os.rename(aside.path, path)
    except OSError:
        return aside.path  # something else lies there by now
    return path


def _remove_git_dir(worktree: Worktree) -> None:
    """Step 6: the worktree's own entry, and no other; raises Stuck."""
    trash = git_dir_trash(worktree.common_dir)
    aside = os.path.join(trash, f"{safe_name(worktree)}.{os.getpid()}")
    try:
        if not os.path.lexists(trash):
            os.mkdir(trash)
        if os.path.islink(trash):
            raise RemovalFailed(f"'{trash}' is a symbolic link", f"rm {quote(trash)}")
        os.rename(worktree.git_dir, aside)
        tree.remove_if_unchanged(aside, tree.scan_directory(aside))
    except (FileExistsError, FileNotFoundError):
        if os.path.lexists(worktree.git_dir):  # another cleanup made or removed the trash directory
            _remove_git_dir(worktree)
    except OSError as fault:
        raise RemovalFailed(f"cannot remove its entry: {fault.strerror}") from None
