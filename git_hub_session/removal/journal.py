"""What a removal writes into the entry of a worktree: how far it is, and, by a second name, why git has to leave it.

The text begins with the reason of the lock, for git reads a lock to the first NUL. After it come,
each after a NUL, where the directory goes, what was saved of it, and the steps that were taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from git_hub_session._typing import NamedTuple
from git_hub_session.git.safe_open import open_regular
from git_hub_session.git.worktrees import (
    LOCK_FILE,
    REMOVAL_LOCK,
    Worktree,
    linked_git_dir,
    read_worktree,
)
from git_hub_session.removal.trash import trash_name
from git_hub_session.util.paths import is_same_path

STEP_TRASH = "aside"
"""The directory is renamed, to be looked at again."""
STEP_DELETE = "delete"
"""It is only to be deleted any more."""

_NAME = "hub-session-removal"


class JournalEntry(NamedTuple):
    """What a killed run was about: ASIDE or DELETE ('' where there was none), where, and what it saved."""

    step: str
    trash: str
    saved: tuple[str, ...]


_NONE = JournalEntry("", "", ())


def read_journal(worktree: Worktree) -> JournalEntry:
    """The note of a killed run."""
    try:
        with open(_journal_path(worktree), "rb", opener=open_regular) as file:
            first, trash, *more = os.fsdecode(file.read(1 << 20)).split("\0")
    except (OSError, ValueError):
        return _entry_from_trash(worktree)
    # Only ever the one name that is made here: a note is no licence to delete elsewhere.
    if (
        first != REMOVAL_LOCK
        or trash != trash_name(worktree)
        or not {STEP_TRASH, STEP_DELETE} & {*more}
    ):
        return _entry_from_trash(worktree)
    # Of a step that was not written whole nothing is done.
    step = STEP_DELETE if more[-1] == STEP_DELETE else STEP_TRASH
    return JournalEntry(step, trash, tuple(line for line in more if line.count(" ") == 2))


def _entry_from_trash(worktree: Worktree) -> JournalEntry:
    """A directory that is aside, and says itself whose it is, is put back though the note is lost."""
    trash = trash_name(worktree) if worktree.is_missing and worktree.path else ""
    if trash and is_same_path(linked_git_dir(trash), worktree.git_dir):
        return JournalEntry(STEP_TRASH, trash, ())
    return _NONE


def start_journal(worktree: Worktree, step: str, saved: Sequence[str] = ()) -> None:
    """Begin a removal; raises OSError, with nothing written."""
    note = _journal_path(worktree)
    try:
        with open(f"{note}.tmp", "wb") as file:
            file.write(os.fsencode("\0".join([REMOVAL_LOCK, trash_name(worktree), *saved, step])))
            if saved:  # of a clean one git has every byte: that cleanup shall not wait for the disk
                file.flush()
                os.fsync(file.fileno())
        os.replace(f"{note}.tmp", note)
    except BaseException:
        with suppress(OSError):
            os.unlink(f"{note}.tmp")
        raise


def mark_for_deletion(worktree: Worktree, saved: Sequence[str]) -> None:
    """From here on the directory is only to be deleted; raises OSError: then it is to be put back."""
    with open(_journal_path(worktree), "ab", buffering=0) as file:
        file.write(f"\0{STEP_DELETE}".encode())
        if saved:
            os.fsync(file.fileno())


def marked_at_ns(worktree: Worktree) -> int:
    """When that was, in nanoseconds since the epoch; raises OSError."""
    return os.stat(_journal_path(worktree)).st_mtime_ns


def lock_worktree(worktree: Worktree) -> None:
    """Keep `git worktree prune` from the entry: it alone says what is aside, also after a kill.

    The note gets a second name: a lock that came before its reason would be a user's. One that is
    there is a killed run's, or somebody else's, which the next look sees. Raises OSError.
    """
    path = os.path.join(worktree.git_dir, LOCK_FILE)
    try:
        os.link(_journal_path(worktree), path)
    except FileExistsError:
        pass
    except OSError:  # FAT has no links: only there a kill may come before the reason
        with suppress(FileExistsError), open(path, "x") as file:
            file.write(REMOVAL_LOCK)


def clear_journal(worktree: Worktree) -> None:
    """Take the note away, and the lock if it is ours; raises OSError."""
    note = _journal_path(worktree)
    paths = [f"{note}.tmp", note]
    if read_worktree(worktree.name, worktree.git_dir).lock_reason is None:
        paths.insert(0, os.path.join(worktree.git_dir, LOCK_FILE))
    for path in filter(os.path.lexists, paths):  # else a read-only disk refuses
        with suppress(FileNotFoundError):  # by `git worktree unlock`
            os.unlink(path)


def _journal_path(worktree: Worktree) -> str:
    return os.path.join(worktree.git_dir, _NAME)
