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

from git_hub_session import tree
from git_hub_session.operations.judge import CHANGED, GIT_USED, GONE, Reason
from git_hub_session.operations.links import out_of_the_way
from git_hub_session.operations.note import (
    ASIDE,
    DELETE,
    Note,
    decide,
    decided_at,
    drop_note,
    lock,
    unfinished,
    write_note,
)
from git_hub_session.operations.trash import part_of_name, trash_name, trash_of_entries
from git_hub_session.typed import NamedTuple
from git_hub_session.worktrees import Worktree, read_worktree


class Obstructed(Exception):
    """The worktree has to stay, for a reason that came up after it was judged; it is in its place."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class Written(Exception):
    """Somebody wrote into the directory while it was deleted: what is new is left; the message says where."""


class Stuck(Exception):
    """The directory cannot be moved or deleted; the message says why and where it is now."""

    def __init__(self, message: str, hint: str = "try again") -> None:
        super().__init__(message)
        self.hint = hint


class Judged(NamedTuple):
    """What a worktree was judged by; it has to hold still until it is gone."""

    digest: int
    """Of the tree."""
    tracked: Container[bytes]
    """The HEADs that its index held."""
    own: int
    """The number_of the commits that its own files lead to."""


def number_of(commits: Sequence[str]) -> int:
    """A number that is another one for other commits; good in this process and its forks."""
    return hash(tuple(commits))


class Aside(NamedTuple):
    """A worktree's directory under its other name, and all that is in it."""

    path: str
    tree: tree.Tree


def take_away(
    worktree: Worktree,
    judged: Judged | None,
    *,
    obstacle: Callable[[str], Reason | None],
    saved: Sequence[str],
) -> None:
    """All six steps, or what a killed run left of them; raises Obstructed, Written or Stuck.

    `judged` is None where only a killed run's work is finished, `obstacle` says why the
    directory at a path cannot go after all, `saved` is what the note has to remember.
    """
    if not os.path.lexists(worktree.entry):
        return  # somebody else finished it
    aside = recover(worktree)
    if aside is not None:
        judged = None  # what the killed run judged by is not known, and that it did is
    elif judged is None:
        raise Obstructed(CHANGED)  # what was half removed is it no more: locked, or back
    elif not worktree.missing:
        aside = _move_aside(worktree, judged, obstacle, saved)
    elif not _holds_still(worktree, judged):
        raise Obstructed(GIT_USED)
    left = _delete(aside, worktree.path) if aside is not None else ""
    if not left and os.path.lexists(worktree.path):
        raise Obstructed(CHANGED)  # somebody put the directory back: it has to be judged
    if judged is not None and not _holds_still(worktree, judged):
        # Somebody who was still in it has locked it, staged or committed: the entry has to be
        # judged, as that of a worktree whose directory is missing.
        drop_note(worktree)
        raise Obstructed(GIT_USED)
    _drop_entry(worktree)
    if left:
        raise Written(left)


def _move_aside(
    worktree: Worktree,
    judged: Judged,
    obstacle: Callable[[str], Reason | None],
    saved: Sequence[str],
) -> Aside:
    """Steps 1 to 4; raises Obstructed or Stuck, with the directory in its place."""
    trash = trash_name(worktree)
    if os.path.lexists(trash):
        raise Stuck(
            f"'{trash}', left by a removal that was cut off, is in the way",
            f"take from it what you want, then: rm -r {quote(trash)}",
        )
    try:
        write_note(worktree, ASIDE, saved)
        lock(worktree)
        # After the lock, for `git worktree prune` looks for a lock first and then for the directory.
        if not _holds_still(worktree, judged):
            drop_note(worktree)
            raise Obstructed(GIT_USED)
        os.rename(worktree.path, trash)
    except FileNotFoundError:
        drop_note(worktree)
        raise Obstructed(GONE) from None
    except OSError as fault:
        drop_note(worktree)
        raise Stuck(f"cannot rename it: {fault.strerror}") from None
    try:
        found: tree.Tree | None = tree.look(trash, tracked=judged.tracked)
    except OSError:
        found = None
    reason = obstacle(trash)
    if reason is None and not _holds_still(worktree, judged):
        reason = GIT_USED
    if found is None or found.digest() != judged.digest or reason is not None:
        _put_back(worktree, trash)
        raise Obstructed(reason or CHANGED)
    decide(worktree, saved)
    return Aside(trash, found)


def discard(worktree: Worktree) -> None:
    """Remove a worktree whatever is in it: one that the caller made itself and showed to nobody. Raises Stuck."""
    trash = trash_name(worktree)
    aside = None
    if worktree.missing and unfinished(worktree).step == DELETE:  # begun by a run that was killed
        aside = _left_to_delete(worktree, trash)
    elif not worktree.missing:
        try:
            write_note(worktree, DELETE)
            os.rename(worktree.path, trash)
            aside = Aside(trash, tree.look(trash, tracked=_EVERYTHING))
        except OSError as fault:
            raise Stuck(f"cannot remove it: {fault.strerror}") from None
    if aside is not None:
        _delete(aside, worktree.path)
    _drop_entry(worktree)


def keep_as(worktree: Worktree, path: str) -> None:
    """Remove the entry alone; the directory stays, as `path`. Raises Stuck."""
    try:
        os.rename(worktree.path, path)
    except OSError as fault:
        raise Stuck(f"cannot rename it: {fault.strerror}") from None
    _drop_entry(worktree)


def finish(worktree: Worktree) -> None:
    """Delete what a killed run left to be deleted (see is_half_removed); raises Stuck, Written."""
    take_away(worktree, None, obstacle=lambda _path: None, saved=())


def _holds_still(worktree: Worktree, judged: Judged) -> bool:
    """Whether the entry is as it was judged: no lock, no operation, nothing staged or committed since."""
    now = read_worktree(worktree.name, worktree.entry)
    # Where the directory is, is this module's own doing.
    same = now._replace(missing=worktree.missing, fault=worktree.fault) == worktree
    return same and not now.index_locked and number_of(now.commits()) == judged.own


def _put_back(worktree: Worktree, trash: str) -> None:
    try:
        os.rename(trash, worktree.path)
    except OSError as fault:
        raise Stuck(
            f"its directory was moved to '{trash}' and cannot be moved back: {fault.strerror}"
        ) from None
    drop_note(worktree)


def _delete(aside: Aside, path: str) -> str:
    """Step 5; where that is which came into it since it was looked at ('' if nothing did); raises Stuck."""
    try:
        if not tree.remove(aside.path, aside.tree):
            return ""
    except FileNotFoundError:
        return ""  # a second run deletes the same
    except OSError as fault:
        raise Stuck(f"cannot delete '{aside.path}': {fault.strerror}") from None
    try:
        os.rename(aside.path, path)
    except OSError:
        return aside.path  # something else lies there by now
    return path


def _drop_entry(worktree: Worktree) -> None:
    """Step 6: the worktree's own entry, and no other; raises Stuck."""
    trash = trash_of_entries(worktree.common_dir)
    aside = os.path.join(trash, f"{part_of_name(worktree)}.{os.getpid()}")
    try:
        if not os.path.lexists(trash):
            os.mkdir(trash)
        if os.path.islink(trash):
            raise Stuck(f"'{trash}' is a symbolic link", f"rm {quote(trash)}")
        os.rename(worktree.entry, aside)
        tree.remove(aside, tree.look(aside))
    except (FileExistsError, FileNotFoundError):
        if os.path.lexists(worktree.entry):  # another cleanup made or removed the trash directory
            _drop_entry(worktree)
    except OSError as fault:
        raise Stuck(f"cannot remove its entry: {fault.strerror}") from None


def is_half_removed(worktree: Worktree) -> bool:
    """Whether a killed run left nothing but to delete: the directory is not back, nor was it locked since."""
    note = unfinished(worktree)
    if note.step != DELETE or worktree.lock is not None:
        return False
    return not os.path.lexists(worktree.path) or _is_torso(worktree, note)


def _is_torso(worktree: Worktree, note: Note) -> bool:
    """Whether what was written while the directory was deleted is back in its place, and that is all."""
    dot_git = os.path.join(worktree.path, ".git")
    return not os.path.lexists(note.trash) and not os.path.lexists(dot_git)


def recover(worktree: Worktree) -> Aside | None:
    """Finish what a killed run began: put the directory back, or say what is left to delete.

    Raises Stuck where something else lies in its place now.
    """
    note = unfinished(worktree)
    if is_half_removed(worktree):
        return _left_to_delete(worktree, note.trash)
    is_aside, is_back = os.path.lexists(note.trash), os.path.lexists(worktree.path)
    if note.step and is_aside and is_back:
        raise Stuck(
            f"its directory was moved to '{note.trash}', and something else lies in its place",
            out_of_the_way(worktree.path),
        )
    if note.step == ASIDE and is_aside:
        _put_back(worktree, note.trash)
    elif note.step and is_back:
        drop_note(worktree)
    return None


def _left_to_delete(worktree: Worktree, trash: str) -> Aside:
    if os.path.lexists(worktree.path):  # a torso, of which nothing is to be deleted
        return Aside(worktree.path, tree.NOTHING)
    try:
        since = decided_at(worktree)
        found = tree.look(trash, tracked=_EVERYTHING)
        # What was written after the note came too late to be judged: it is not ours to delete.
        known = {path: file for path, file in found.files.items() if file.st_ctime_ns <= since}
        return Aside(trash, found._replace(files=known))
    except FileNotFoundError:
        return Aside(trash, tree.NOTHING)
    except OSError as fault:
        raise Stuck(f"cannot delete '{trash}': {fault.strerror}") from None


class _Everything:
    """What was judged already: any HEAD in it was in the index."""

    def __contains__(self, _path: object) -> bool:
        return True


_EVERYTHING = _Everything()
