"""Where the directory of a worktree is that is missing from its place: seen on the disk, whatever git knows of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from git_hub_session.errors import Damaged
from git_hub_session.operations.examine import read_index
from git_hub_session.operations.ownership import made_at, made_for
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import is_trash
from git_hub_session.refnames import parse_agent_branch
from git_hub_session.worktrees import Worktree, git_dir_of, is_same, read_worktree

_MOST = 10_000  # names of a directory, or of an index, that are looked through
_LOW_32 = 0xFFFFFFFF
_DEEPEST = 32  # directories of a path that may have gone along


def places(worktree: Worktree, scene: Scene) -> list[str]:
    """Where spawn would make it today."""
    branches = filter(None, [*map(parse_agent_branch, worktree.branches), made_for(worktree)])
    return [path for branch in branches for path in made_at(branch, scene)]


def lying(worktree: Worktree, worktrees: Sequence[Worktree]) -> list[str]:
    """Where it is seen if it was moved alone: in the place of another, or beside its own."""
    faulty = [other.path for other in worktrees if other.fault and other.path]
    taken = [path for path in faulty if is_same(git_dir_of(path), worktree.entry)]
    return list(dict.fromkeys([*taken, *_beside(worktree)]))


def _beside(worktree: Worktree) -> list[str]:
    """The directories beside the place of a worktree that say that they are it: it was moved, or copied."""
    paths = _directories(os.path.dirname(worktree.path))
    return [path for path in paths if is_same(git_dir_of(path), worktree.entry)]


def _directories(parent: str) -> list[str]:
    try:
        names = sorted(os.listdir(parent))[:_MOST]
    except OSError:
        return []
    return [os.path.join(parent, name) for name in names if not is_trash(name)]


def moved_along(worktree: Worktree, paths: Sequence[str] = ()) -> str:
    """Where it is seen if it was moved, or copied, together with the repository; or ''.

    In one of `paths`, as far from the repository as it was, or beside that.
    """
    beside = _directories(os.path.dirname(os.path.realpath(_top(worktree))))
    candidates = dict.fromkeys([*paths, *_shifted(worktree), *beside])
    return next((path for path in candidates if _is_along(path, worktree)), "")


def _top(worktree: Worktree) -> str:
    """The repository's directory."""
    common_dir = worktree.common_dir
    return os.path.dirname(common_dir) if common_dir.endswith("/.git") else common_dir


def _shifted(worktree: Worktree) -> Iterator[str]:
    """Where it would be if a directory that was above both had gone where one is that is above the repository now."""
    steps = worktree.path.split("/")[1:]
    tops = os.path.realpath(worktree.common_dir).split("/")
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
    return _is_as_far(path, worktree) or _is_very(path, worktree)


def _is_as_far(path: str, worktree: Worktree) -> bool:
    """Whether it is from here to the entry as it was from the place in the entry to where the .git file says that it was."""
    then = os.path.relpath(git_dir_of(path), worktree.path)
    return then == os.path.relpath(os.path.realpath(worktree.entry), os.path.realpath(path))


def _is_very(path: str, worktree: Worktree) -> bool:
    """Whether a file in it is the very one that git has seen in the worktree: that of a copy is another."""
    try:
        index, _ = read_index(worktree)
    except Damaged:
        return False
    for name, entry in islice(index.entries.items(), _MOST):
        try:
            file = os.lstat(os.path.join(os.fsencode(path), name))
        except OSError:
            continue
        seen = (file.st_ino & _LOW_32, file.st_size, *divmod(file.st_mtime_ns, 10**9))
        if file.st_nlink == 1 and seen == (entry.ino, entry.size, entry.mtime, entry.mtime_ns):
            return True
    return False


def is_uprooted(worktree: Worktree) -> bool:
    """Whether more is gone than the directory of one that is missing: a disk, or all of it was moved."""
    return worktree.missing and not os.path.isdir(os.path.dirname(worktree.path))


def may_be_repaired(found: str, worktree: Worktree, worktrees: Sequence[Worktree]) -> bool:
    """Whether git can be told that the worktree lies as `found` now: no copy of it, and nobody else's.

    `git worktree repair` mends all links at once, writes a .git file wherever an entry says, and, where
    the directory names another repository's entry that is there, into that.
    """
    named = git_dir_of(found)
    is_anothers = os.path.isdir(named) and not is_same(named, worktree.entry)
    if is_anothers or any(one.fault for one in worktrees) or not _is_alone(found):
        return False
    is_along = not is_same(named, worktree.entry) and _is_as_far(found, worktree)
    return is_along or _is_very(found, worktree)


def _is_alone(path: str) -> bool:
    """Whether its .git file has no second name, by which the same would be written elsewhere."""
    try:
        return os.lstat(os.path.join(path, ".git")).st_nlink == 1
    except OSError:
        return False
