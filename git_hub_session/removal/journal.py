"""The journal of a removal: a file in the worktree's git dir that records the progress.

The journal gets a second name, `locked`, which locks the worktree. So its text starts with the
lock reason: git reads a lock up to the first NUL. After it come, each after a NUL, the trash path
of the directory, the saved work, and the steps. A time in nanoseconds comes before the last step.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from git_hub_session._typing import NamedTuple
from git_hub_session.git.safe_open import read_text
from git_hub_session.git.worktrees import (
    LOCK_FILE,
    REMOVAL_LOCK,
    Worktree,
    linked_git_dir,
    read_worktree,
)
from git_hub_session.removal.trash import JOURNAL_FILE, trash_name
from git_hub_session.system.io import write_all
from git_hub_session.util.numbers import MAX_INT64, parse_int
from git_hub_session.util.paths import is_same_path

STEP_TRASH = "aside"
"""The directory may have its trash name. Inspect it again before it is deleted."""
STEP_DELETE = "delete"
"""The directory may only be deleted."""
_DELETE_IN_PLACE = "delete-in-place"
"""STEP_DELETE of a directory at its own path: the file system cannot rename it."""

_MAX_BYTES = 1 << 20


class JournalEntry(NamedTuple):
    """The last finished step of an interrupted removal."""

    step: str
    """STEP_TRASH, STEP_DELETE, or '' if no removal was interrupted."""
    trash: str
    """The path at which the directory is deleted: its trash path, or its own path."""
    saved: tuple[str, ...]
    """The saved work, as text."""


_NONE = JournalEntry("", "", ())


def read_journal(worktree: Worktree) -> JournalEntry:
    """Return the journal of an interrupted removal.

    If the journal is lost, the trash directory may still show that the removal was interrupted.
    """
    try:
        text = read_text(_journal_path(worktree), limit=_MAX_BYTES)
        reason, trash, *lines = text.split("\0")
    except ValueError:
        return _entry_from_trash(worktree)
    # Trust only the trash path that this program would choose: a journal must not name another one.
    is_valid = reason == REMOVAL_LOCK and trash == trash_name(worktree)
    if not is_valid or not {STEP_TRASH, STEP_DELETE} & {*lines}:
        return _entry_from_trash(worktree)
    saved = tuple(line for line in lines if line.count(" ") == 2)
    if lines[-1] == _DELETE_IN_PLACE:
        return JournalEntry(STEP_DELETE, worktree.path, saved)
    # Ignore a step that was only partly written.
    return JournalEntry(STEP_DELETE if lines[-1] == STEP_DELETE else STEP_TRASH, trash, saved)


def _entry_from_trash(worktree: Worktree) -> JournalEntry:
    """Return STEP_TRASH if the worktree is missing and its trash directory links to its git dir."""
    trash = trash_name(worktree) if worktree.is_missing and worktree.path else ""
    if trash and is_same_path(linked_git_dir(trash), worktree.git_dir):
        return JournalEntry(STEP_TRASH, trash, ())
    return _NONE


def is_marked_for_deletion(worktree: Worktree) -> bool:
    """Return True if an interrupted removal may only be finished, not undone.

    Return False if the worktree was locked since, or if its directory is back at its path.
    """
    journal = read_journal(worktree)
    if journal.step != STEP_DELETE or worktree.lock_reason is not None:
        return False
    if journal.trash == worktree.path or not os.path.lexists(worktree.path):
        return True
    # New files that were written during the deletion are back at the path, without a .git file.
    dot_git = os.path.join(worktree.path, ".git")
    return not os.path.lexists(journal.trash) and not os.path.lexists(dot_git)


def is_trash_blocked(worktree: Worktree, journal: JournalEntry) -> bool:
    """Return True if the directory is in the trash, and its path exists again."""
    if not journal.step or journal.trash == worktree.path:
        return False
    return os.path.lexists(journal.trash) and os.path.lexists(worktree.path)


def start_journal(worktree: Worktree, step: str, saved: Sequence[str] = ()) -> None:
    """Write a new journal. If this raises OSError, nothing is written."""
    path = _journal_path(worktree)
    lines = [REMOVAL_LOCK, trash_name(worktree), *saved, step]
    try:
        with open(f"{path}.tmp", "wb") as file:
            file.write(os.fsencode("\0".join(lines)))
            # A clean worktree has no saved work, and git has every byte: do not wait for the disk.
            if saved:
                file.flush()
                os.fsync(file.fileno())
        os.replace(f"{path}.tmp", path)
    except BaseException:
        with suppress(OSError):
            os.unlink(f"{path}.tmp")
        raise


def mark_for_deletion(worktree: Worktree, path: str, saved: Sequence[str]) -> None:
    """Record that the directory, which is at `path` now, may only be deleted.

    If this raises OSError, the record may be complete: rename the directory back, and then remove the
    journal.
    """
    with open(_journal_path(worktree), "ab", buffering=0) as file:
        # Record the time of the first step. Another process may write a file between the inspection
        # and the mark. If this run is killed, the time shows that the file was never inspected.
        started_at = os.fstat(file.fileno()).st_mtime_ns
        step = _DELETE_IN_PLACE if path == worktree.path else STEP_DELETE
        write_all(file.fileno(), f"\0{started_at}\0{step}".encode())
        if saved:
            os.fsync(file.fileno())


def started_at_ns(worktree: Worktree) -> int:
    """Return the time of the first step, in nanoseconds since the epoch. Raise OSError.

    The inspection before the deletion was later. Return the time of the last step if the journal
    has no other time.
    """
    modified_at = os.stat(_journal_path(worktree)).st_mtime_ns
    lines = read_text(_journal_path(worktree), limit=_MAX_BYTES).split("\0")
    recorded = parse_int(lines[-2], MAX_INT64) if len(lines) > 1 else None
    return modified_at if recorded is None else min(recorded, modified_at)


def lock_worktree(worktree: Worktree) -> None:
    """Lock the worktree, so that `git worktree prune` keeps its git dir. Raise OSError.

    After a kill, only the git dir names the directory in the trash. The lock is a second name
    of the journal: a lock file without a reason would look like a user's lock. Keep a lock that
    exists. It belongs to an interrupted removal, or to a user: then inspect_git_dir() finds it.
    """
    path = f"{worktree.git_dir}/{LOCK_FILE}"
    try:
        os.link(_journal_path(worktree), path)
    except FileExistsError:
        pass
    except OSError:  # FAT has no links. Only there a kill may leave a lock without a reason.
        with suppress(FileExistsError), open(path, "x") as file:
            file.write(REMOVAL_LOCK)


def clear_journal(worktree: Worktree) -> None:
    """Remove the journal, and the lock if a removal made it. Raise OSError."""
    journal = _journal_path(worktree)
    paths = [f"{journal}.tmp", journal]
    if read_worktree(worktree.name, worktree.git_dir).lock_reason is None:
        paths.insert(0, f"{worktree.git_dir}/{LOCK_FILE}")
    # A read-only file system rejects unlink also for a file that does not exist.
    for path in filter(os.path.lexists, paths):
        with suppress(FileNotFoundError):  # `git worktree unlock` may remove the lock first.
            os.unlink(path)


def _journal_path(worktree: Worktree) -> str:
    return f"{worktree.git_dir}/{JOURNAL_FILE}"
