"""Remove one linked worktree.

A removal takes six steps:

    1. write the journal into the git dir and lock the worktree    (TRASH-PATH ... aside)
    2. rename the directory to its trash name, a sibling
    3. inspect it again; if anything differs, rename it back
    4. mark the journal for deletion                               (TRASH-PATH ... aside delete)
    5. delete the directory
    6. rename the git dir to the trash, and delete it

The journal records the last finished step. The next run undoes a removal that was interrupted
before step 4, and finishes one that was interrupted later (see recover.py). The rename is atomic.
Do not delete at the old path: an interrupted deletion would look like changes of a user.

Take the steps 1 and 2 for a group of worktrees, and then read the processes and the mounts once.

Some file systems cannot rename a directory, such as overlayfs a directory of a lower layer. Only
there, steps 3 to 5 use the directory at its path. The journal tells the next run so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.worktrees import is_pruned
from git_hub_session.removal.errors import (
    InUseDuringRemoval,
    ModifiedDuringRemoval,
    RemovalBlocked,
    RemovalFailed,
)
from git_hub_session.removal.inspect import (
    Fingerprint,
    inspect_git_dir,
    inspect_git_dir_in_removal,
    inspect_trash,
)
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
from git_hub_session.removal.snapshot import SystemSnapshot
from git_hub_session.removal.trash import move_to_trash, remove_git_dir, trash_name
from git_hub_session.system import tree
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.reason import CONTENTS_CHANGED, DIRECTORY_REMOVED, GIT_DIR_CHANGED

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree

    _TwoParts = Generator[None, SystemSnapshot, None]

# The number of directories that have their trash name at the same time, in one process.
_GROUP = 16
_ERRORS = (RemovalBlocked, InUseDuringRemoval, ModifiedDuringRemoval, RemovalFailed, OSError)


class Removal(NamedTuple):
    """A worktree to remove. The removal can be called again after an interruption."""

    worktree: Worktree
    """The worktree as it was inspected."""
    checked: Fingerprint | None
    """Its fingerprint, or None to finish an interrupted removal."""
    saved: Sequence[str] = ()
    """The saved work to record in the journal."""


def remove_worktrees(
    removals: Sequence[Removal], show_progress: Callable[[], None] = lambda: None
) -> list[Exception | None]:
    """Remove the directories and the git dirs of linked worktrees.

    The processes and the mounts are read once for each group of worktrees, after the directories of
    the group got their trash names: no process can enter a directory later.

    Args:
        show_progress: the function to call after each removal.

    Returns:
        None for each removed worktree, or the error. These are
        RemovalBlocked: the worktree changed after the inspection. It is at its path.
        InUseDuringRemoval: a process entered the directory, which is at its path.
        ModifiedDuringRemoval: a process wrote into the directory. The new files are kept.
        RemovalFailed: the directory or the git dir cannot be moved or deleted.
        OSError: a file cannot be read or written.
    """
    errors: list[Exception | None] = []
    for start in range(0, len(removals), _GROUP):
        errors += _remove_group(removals[start : start + _GROUP], show_progress)
    return errors


def _remove_group(
    removals: Sequence[Removal], show_progress: Callable[[], None]
) -> list[Exception | None]:
    started = [_remove_in_two_parts(*removal) for removal in removals]
    try:
        errors = [_error_of(partial(next, removal)) for removal in started]
        system = SystemSnapshot()
        for index, removal in enumerate(started):
            errors[index] = errors[index] or _error_of(partial(removal.send, system))
            show_progress()
        return errors
    finally:  # after a signal, rename the other directories back
        for removal in started:
            removal.close()


def _error_of(do_part: Callable[[], None]) -> Exception | None:
    """Do one part of a removal, if the removal has this part. Return the error, or None."""
    try:
        do_part()
    except StopIteration:
        pass
    except _ERRORS as error:
        return error
    return None


def _remove_in_two_parts(
    worktree: Worktree, checked: Fingerprint | None, saved: Sequence[str]
) -> _TwoParts:
    """Remove a worktree. Yield after step 2, to receive the processes and the mounts."""
    if not os.path.lexists(worktree.git_dir):  # Another run has finished the removal.
        return
    trashed = recover_removal(worktree)
    if trashed is not None:
        # The interrupted run checked the worktree, but its fingerprint is lost.
        checked = None
    elif checked is None:  # The removal was undone, or the worktree was locked: inspect it first.
        raise RemovalBlocked(CONTENTS_CHANGED)
    elif not worktree.is_missing:
        trashed = yield from _trash_directory(worktree, checked, saved)
    elif _has_git_dir_changed(worktree, checked):
        raise RemovalBlocked(GIT_DIR_CHANGED)
    new_files = _delete_directory(trashed, worktree.path) if trashed is not None else ""
    if not new_files and os.path.lexists(worktree.path):  # A new directory: inspect it first.
        raise RemovalBlocked(CONTENTS_CHANGED)
    if checked is not None and _has_git_dir_changed(worktree, checked):
        # A process in the directory locked the worktree, staged or committed.
        clear_journal(worktree)
        raise RemovalBlocked(GIT_DIR_CHANGED)
    remove_git_dir(worktree)
    if new_files:
        raise ModifiedDuringRemoval(new_files)


def _trash_directory(
    worktree: Worktree, checked: Fingerprint, saved: Sequence[str]
) -> Generator[None, SystemSnapshot, TrashedDirectory]:
    """Take the steps 1 to 4. Yield after step 2. A change or an error undoes the steps."""
    trash = trash_name(worktree)
    if os.path.lexists(trash):
        raise RemovalFailed(
            f"the trash path of an interrupted removal exists: '{trash}'",
            hint=f"save the files that you need, then: rm -r {quote_word(trash)}",
        )
    with _restore_after_signal(worktree, trash):
        path = _rename_to_trash(worktree, checked, saved)
        system = yield
        if path == worktree.path:  # processes can still enter this path
            system = SystemSnapshot()
        try:
            current, scanned = inspect_trash(worktree, path, checked, system)
        except OSError:
            restore_directory(worktree, path)
            raise
        if current != checked:
            restore_directory(worktree, path)
            raise _change_error(checked, current)
    try:
        mark_for_deletion(worktree, path, saved)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or not is_pruned(worktree):
            restore_directory(worktree, path)
            raise _cannot_write(worktree, error) from None
    return TrashedDirectory(path, scanned)


@contextmanager
def _restore_after_signal(worktree: Worktree, trash: str) -> Iterator[None]:
    """Undo the steps 1 and 2 if a signal or a bug ends the block."""
    try:
        yield
    except _ERRORS:
        raise  # the block has undone the steps
    except BaseException:
        with suppress(RemovalFailed, OSError):  # the next run renames the directory back
            restore_directory(worktree, trash if os.path.lexists(trash) else worktree.path)
        raise


def _rename_to_trash(worktree: Worktree, checked: Fingerprint, saved: Sequence[str]) -> str:
    """Take the steps 1 and 2. Return the path of the directory, as move_to_trash() does."""
    try:
        _start_removal(worktree, saved)
        if inspect_git_dir(worktree) != checked.git_dir:
            clear_journal(worktree)
            raise RemovalBlocked(GIT_DIR_CHANGED)
        return move_to_trash(worktree)
    except FileNotFoundError:
        clear_journal(worktree)
        raise RemovalBlocked(DIRECTORY_REMOVED) from None
    except OSError as error:
        clear_journal(worktree)
        raise RemovalFailed(f"cannot rename the directory: {error.strerror}") from None


def _start_removal(worktree: Worktree, saved: Sequence[str]) -> None:
    """Take the step 1. Raise RemovalFailed, or FileNotFoundError if the git dir is missing."""
    try:
        start_journal(worktree, STEP_TRASH, saved)
        # Lock before the rename: `git worktree prune` removes the git dir of a missing, unlocked
        # worktree. It looks for the lock first, and then for the directory.
        lock_worktree(worktree)
    except FileNotFoundError:
        raise
    except OSError as error:
        clear_journal(worktree)
        raise _cannot_write(worktree, error) from None


def _cannot_write(worktree: Worktree, error: OSError) -> RemovalFailed:
    return RemovalFailed(f"cannot write in '{worktree.git_dir}': {error.strerror}")


def _has_git_dir_changed(worktree: Worktree, checked: Fingerprint) -> bool:
    return inspect_git_dir_in_removal(worktree, checked.git_dir) != checked.git_dir


def _change_error(checked: Fingerprint, current: Fingerprint) -> Exception:
    """Return the error for the first difference between two fingerprints."""
    if current.mounts != checked.mounts:
        return RemovalBlocked(CONTENTS_CHANGED)
    if current.processes != checked.processes:
        return InUseDuringRemoval(current.processes or ())
    if current.git_dir != checked.git_dir:
        return RemovalBlocked(GIT_DIR_CHANGED)
    return RemovalBlocked(CONTENTS_CHANGED)


def remove_unchecked(worktree: Worktree) -> None:
    """Remove a worktree without an inspection. The caller created it and told no other process.

    Raise RemovalFailed.
    """
    trashed = None
    if worktree.is_missing and read_journal(worktree).step == STEP_DELETE:
        trashed = remaining_files(worktree, trash_name(worktree))
    elif not worktree.is_missing:
        try:
            start_journal(worktree, STEP_DELETE)
            path = move_to_trash(worktree)
            trashed = TrashedDirectory(path, tree.scan_directory(path, tracked=ANY_PATH))
        except OSError as error:
            raise RemovalFailed(f"cannot remove the directory: {error.strerror}") from None
    if trashed is not None:
        _delete_directory(trashed, worktree.path)
    remove_git_dir(worktree)


def unregister_worktree(worktree: Worktree, path: str) -> None:
    """Rename the directory to `path`, and remove the git dir only. Raise RemovalFailed."""
    try:
        os.rename(worktree.path, path)
    except OSError as error:
        raise RemovalFailed(f"cannot rename the directory: {error.strerror}") from None
    remove_git_dir(worktree)


def finish_removal(worktree: Worktree) -> None:
    """Finish an interrupted removal that is marked for deletion.

    Raises:
        RemovalFailed: the directory or the git dir cannot be deleted.
        ModifiedDuringRemoval: a process wrote into the directory. The new files are kept.
    """
    [error] = remove_worktrees([Removal(worktree, None)])
    if error is not None:
        raise error


def _delete_directory(trashed: TrashedDirectory, path: str) -> str:
    """Delete the directory. Return the path of files that appeared since the inspection, or ''."""
    try:
        if not tree.remove_if_unchanged(trashed.path, trashed.tree):
            return ""
    except FileNotFoundError:
        return ""  # Another run deletes the same directory.
    except OSError as error:
        # After that, the next run finishes the removal.
        hint = f"delete {quote_word(os.fsdecode(error.filename))} and run the command again"
        message = f"cannot delete '{error.filename}': {error.strerror}"
        raise RemovalFailed(message, hint) from None
    if trashed.path != path:
        try:
            os.rename(trashed.path, path)
        except OSError:
            return trashed.path  # The path exists again.
    return path
