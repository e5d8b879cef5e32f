"""Where the directory of a worktree is that is missing from its place: seen on the disk, whatever git knows of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged
from git_hub_session.git.index import read_index
from git_hub_session.git.ref_names import parse_agent_branch
from git_hub_session.git.worktrees import Worktree, linked_git_dir, read_worktree
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.owner import default_paths, original_attempt
from git_hub_session.worktree.paths import is_trash_name

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


_MOST = 10_000  # names of a directory, or of an index, that are looked through
_LOW_32 = 0xFFFFFFFF
_DEEPEST = 32  # directories of a path that may have gone along


def expected_paths(worktree: Worktree, project: Project) -> list[str]:
    """Where spawn would make it today."""
    branches = filter(
        None, [*map(parse_agent_branch, worktree.branches), original_attempt(worktree)]
    )
    return [path for branch in branches for path in default_paths(branch, project)]


def moved_paths(worktree: Worktree, worktrees: Sequence[Worktree]) -> list[str]:
    """Where it is seen if it was moved alone: in the place of another, or beside its own."""
    faulty = [other.path for other in worktrees if other.link_error and other.path]
    taken = [path for path in faulty if is_same_path(linked_git_dir(path), worktree.git_dir)]
    return list(dict.fromkeys([*taken, *_matching_siblings(worktree)]))


def _matching_siblings(worktree: Worktree) -> list[str]:
    """The directories beside the place of a worktree that say that they are it: it was moved, or copied."""
    paths = _list_directories(os.path.dirname(worktree.path))
    return [path for path in paths if is_same_path(linked_git_dir(path), worktree.git_dir)]


def _list_directories(parent: str) -> list[str]:
    try:
        names = sorted(os.listdir(parent))[:_MOST]
    except OSError:
        return []
    return [os.path.join(parent, name) for name in names if not is_trash_name(name)]


def find_moved_with_repository(worktree: Worktree, paths: Sequence[str] = ()) -> str:
    """Where it is seen if it was moved, or copied, together with the repository; or ''.

    In one of `paths`, as far from the repository as it was, or beside that.
    """
    beside = _list_directories(os.path.dirname(os.path.realpath(_repository_dir(worktree))))
    candidates = dict.fromkeys([*paths, *_candidate_paths(worktree), *beside])
    return next((path for path in candidates if _points_to_old_location(path, worktree)), "")


def _repository_dir(worktree: Worktree) -> str:
    """The repository's directory."""
    common_dir = worktree.common_dir
    return os.path.dirname(common_dir) if common_dir.endswith("/.git") else common_dir


def _candidate_paths(worktree: Worktree) -> Iterator[str]:
    """Where it would be if a directory that was above both had gone where one is that is above the repository now."""
    steps = worktree.path.split("/")[1:]
    tops = os.path.realpath(worktree.common_dir).split("/")
    for top in range(len(tops) - 1, 0, -1):
        for kept in range(1, min(len(steps), _DEEPEST) + 1):
            yield "/".join([*tops[:top], *steps[-kept:]])


def _points_to_old_location(path: str, worktree: Worktree) -> bool:
    """Whether the directory at `path` names the entry where it was before; another's, which names it too, is that one's."""
    named = linked_git_dir(path)
    if os.path.basename(named) != worktree.name or is_same_path(named, worktree.git_dir):
        return False
    if is_same_path(read_worktree(worktree.name, named).path, path):
        return False
    return _has_same_relative_path(path, worktree) or _shares_inode_with_index(path, worktree)


def _has_same_relative_path(path: str, worktree: Worktree) -> bool:
    """Whether it is from here to the entry as it was from the place in the entry to where the .git file says that it was."""
    then = os.path.relpath(linked_git_dir(path), worktree.path)
    return then == os.path.relpath(os.path.realpath(worktree.git_dir), os.path.realpath(path))


def _shares_inode_with_index(path: str, worktree: Worktree) -> bool:
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


def is_parent_missing(worktree: Worktree) -> bool:
    """Whether more is gone than the directory of one that is missing: a disk, or all of it was moved."""
    return worktree.is_missing and not os.path.isdir(os.path.dirname(worktree.path))


def can_repair(found: str, worktree: Worktree, worktrees: Sequence[Worktree]) -> bool:
    """Whether git can be told that the worktree lies as `found` now: no copy of it, and nobody else's.

    `git worktree repair` mends all links at once, writes a .git file wherever an entry says, and, where
    the directory names another repository's entry that is there, into that.
    """
    named = linked_git_dir(found)
    is_anothers = os.path.isdir(named) and not is_same_path(named, worktree.git_dir)
    if is_anothers or any(one.link_error for one in worktrees) or not _has_one_link(found):
        return False
    is_along = not is_same_path(named, worktree.git_dir) and _has_same_relative_path(
        found, worktree
    )
    return is_along or _shares_inode_with_index(found, worktree)


def _has_one_link(path: str) -> bool:
    """Whether its .git file has no second name, by which the same would be written elsewhere."""
    try:
        return os.lstat(os.path.join(path, ".git")).st_nlink == 1
    except OSError:
        return False
