"""Where what is being removed waits to be deleted: a directory beside its place, an entry beside `worktrees`."""

from __future__ import annotations

import os
from zlib import crc32

from git_hub_session.git.worktrees import Worktree
from git_hub_session.system import tree
from git_hub_session.worktree.paths import _SUFFIX, is_trash_name

_ENTRIES = "hub-session-trash"
_WRITTEN_ASIDE = ("hub-session-", ".tmp")
_LONGEST = 240  # bytes: with what is added a name is still one (255)


def trash_name(worktree: Worktree) -> str:
    """The sibling name under which the worktree's directory waits to be deleted."""
    return os.path.join(os.path.dirname(worktree.path), f".{safe_name(worktree)}{_SUFFIX}")


def safe_name(worktree: Worktree) -> str:
    """The entry's name as part of another one: a long one is told from others by its checksum."""
    name = os.fsencode(worktree.name)
    return worktree.name if len(name) <= _LONGEST else f"{crc32(name):08x}"


def list_trash(parent: str) -> list[str]:
    """The directories in `parent` that have such a name: their paths, sorted."""
    try:
        names = sorted(filter(is_trash_name, os.listdir(parent)))
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def leftover_files(worktree: Worktree) -> list[str]:
    """The names of what a killed cleanup was writing in the worktree's entry, sorted."""
    start, end = _WRITTEN_ASIDE
    try:
        names = os.listdir(worktree.git_dir)
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(start) and name.endswith(end))


def git_dir_trash(common_dir: str) -> str:
    """The directory that entries are renamed into."""
    return os.path.join(common_dir, _ENTRIES)


def empty_trash(common_dir: str) -> None:
    """Delete what was renamed out of `worktrees`, and the directories that nothing is in, as far as it goes."""
    trash = git_dir_trash(common_dir)
    if os.path.islink(trash):
        return  # nothing of ours, whatever it leads to
    for name in os.listdir(trash) if os.path.isdir(trash) else []:
        entry = os.path.join(trash, name)
        try:
            tree.remove_if_unchanged(entry, tree.scan_directory(entry))
        except OSError:
            pass  # it is tidying only, and the next run's too; a second run may be at it
    for directory in (trash, os.path.join(common_dir, "worktrees")):
        try:
            os.rmdir(directory)  # as git does when the last entry goes
        except OSError:
            pass
