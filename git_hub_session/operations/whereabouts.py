"""Where the directory of a worktree is that is missing from its place: seen on the disk, whatever git knows of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from git_hub_session.errors import Damaged
from git_hub_session.operations.examine import read_index
from git_hub_session.operations.ownership import made_at
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import is_trash
from git_hub_session.refnames import parse_agent_branch
from git_hub_session.worktrees import Worktree, git_dir_of, is_same, read_worktree

_MOST = 10_000  # names of a directory, or of an index, that are looked through
_DEEPEST = 32  # directories of a path that may have gone along


def places(worktree: Worktree, scene: Scene) -> list[str]:
    """Where spawn would make it today."""
    branches = filter(None, map(parse_agent_branch, [*worktree.branches, worktree.was_on]))
    return [path for branch in branches for path in made_at(branch, scene)]


def lying(worktree: Worktree, worktrees: Sequence[Worktree]) -> list[str]:
    """Where it is seen if it was moved alone: in the place of another, or beside its own."""
    faulty = [other.path for other in worktrees if other.fault and other.path]
    taken = [path for path in faulty if is_same(git_dir_of(path), worktree.entry)]
    return list(dict.fromkeys([*taken, *_beside(worktree)]))


def _beside(worktree: Worktree) -> list[str]:
    """The directories beside the place of a worktree that say that they are it: it was moved, or copied."""
    parent = os.path.dirname(worktree.path)
    try:
        names = sorted(os.listdir(parent))[:_MOST]
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names if not is_trash(name)]
    return [path for path in paths if is_same(git_dir_of(path), worktree.entry)]


def moved_along(worktree: Worktree, paths: Sequence[str] = ()) -> str:
    """Where it is seen if it was moved, or copied, together with the repository: as far from that as it was, or in `paths`; or ''."""
    candidates = dict.fromkeys([*paths, *_shifted(worktree)])
    return next((path for path in candidates if _is_along(path, worktree)), "")


def _shifted(worktree: Worktree) -> Iterator[str]:
    """Where it would be if a directory that was above both had gone where one is that is above the repository now."""
    steps = worktree.path.split("/")[1:]
    tops = os.path.realpath(os.path.dirname(os.path.dirname(worktree.entry))).split("/")
    for top in range(len(tops) - 1, 0, -1):
        for kept in range(1, min(len(steps), _DEEPEST) + 1):
            yield "/".join([*tops[:top], *steps[-kept:]])


def _is_along(path: str, worktree: Worktree) -> bool:
    """Whether the directory at `path` names the entry where it was before; another's, which names it too, is that one's."""
    named = git_dir_of(path)
    if os.path.basename(named) != worktree.name or is_same(named, worktree.entry):
        return False
    if is_same(read_worktree(worktree.name, named).path, path):
        return False
    then = os.path.relpath(named, worktree.path)
    now = os.path.relpath(os.path.realpath(worktree.entry), os.path.realpath(path))
    return then == now or _has_its_files(path, worktree)


def _has_its_files(path: str, worktree: Worktree) -> bool:
    """Whether one of the files in it is as git has seen it last: where it was renamed, nothing else tells."""
    try:
        index, _ = read_index(worktree)
    except Damaged:
        return False
    for name, entry in islice(index.entries.items(), _MOST):
        try:
            file = os.lstat(os.path.join(os.fsencode(path), name))
        except OSError:
            continue
        seen = (file.st_size, *divmod(file.st_mtime_ns, 10**9))
        if entry.size and seen == (entry.size, entry.mtime, entry.mtime_ns):
            return True
    return False


def is_uprooted(worktree: Worktree) -> bool:
    """Whether more is gone than the directory of one that is missing: a disk, or all of it was moved."""
    return worktree.missing and not os.path.isdir(os.path.dirname(worktree.path))


def may_be_repaired(found: str, worktrees: Sequence[Worktree]) -> bool:
    """Whether git can be told that a worktree lies as `found` now.

    `git worktree repair` mends all links at once, and writes a .git file wherever an entry says;
    where the directory names another repository's entry, which is there, it would write into that.
    """
    named = git_dir_of(found)
    entries = (one.entry for one in worktrees)
    is_anothers = os.path.isdir(named) and not any(is_same(named, entry) for entry in entries)
    return not is_anothers and not any(one.fault for one in worktrees)
