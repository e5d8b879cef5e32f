"""Find the directory of a worktree that is missing from its path.

A path that git has recorded is not enough evidence. A directory is recognized by its .git file, by
its path relative to the git dir, or by the stat data of a file in the index.
"""

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
from git_hub_session.worktree.off_branch import original_attempt
from git_hub_session.worktree.owner import default_paths
from git_hub_session.worktree.paths import is_trash_name

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_MAX_ENTRIES = 10_000
"""The largest number of entries that are read from a directory or from an index."""

_MAX_DEPTH = 32
"""The largest number of names at the end of a path that may have been moved together."""

_LOW_32_BITS = 0xFFFFFFFF
"""The index has only the low 32 bits of an inode number."""


def expected_paths(worktree: Worktree, project: Project) -> list[str]:
    """Return the paths that `spawn` would choose for the agents of the worktree."""
    attempts = [*map(parse_agent_branch, worktree.branches), original_attempt(worktree)]
    return [
        path
        for attempt in attempts
        if attempt is not None
        for path in default_paths(attempt, project)
    ]


def moved_paths(worktree: Worktree, worktrees: Sequence[Worktree]) -> list[str]:
    """Return the paths of directories whose .git file names the git dir of the worktree.

    Search the paths of other worktrees with a damaged link, and the siblings of the old path.
    """
    damaged = [other.path for other in worktrees if other.link_error and other.path]
    candidates = dict.fromkeys([*damaged, *_list_directories(os.path.dirname(worktree.path))])
    return [path for path in candidates if is_same_path(linked_git_dir(path), worktree.git_dir)]


def _list_directories(parent: str) -> list[str]:
    """Return the paths of the entries of a directory, except trash."""
    try:
        names = sorted(os.listdir(parent))[:_MAX_ENTRIES]
    except OSError:
        return []
    return [os.path.join(parent, name) for name in names if not is_trash_name(name)]


def find_moved_with_repository(worktree: Worktree, paths: Sequence[str] = ()) -> str:
    """Return the new path of a directory that was moved together with the repository, or ''.

    A directory that was copied together with the repository counts too. Search `paths`, then the
    paths below a common parent directory, then the siblings of the repository.
    """
    siblings = _list_directories(os.path.dirname(os.path.realpath(_repository_path(worktree))))
    candidates = dict.fromkeys([*paths, *_candidate_paths(worktree), *siblings])
    return next((path for path in candidates if _points_to_old_location(path, worktree)), "")


def _repository_path(worktree: Worktree) -> str:
    common_dir = worktree.common_dir
    return os.path.dirname(common_dir) if common_dir.endswith("/.git") else common_dir


def _candidate_paths(worktree: Worktree) -> Iterator[str]:
    """Yield the paths that the worktree would have if a common parent directory had been moved."""
    names = worktree.path.split("/")[1:]
    repository_names = os.path.realpath(worktree.common_dir).split("/")
    for length in range(len(repository_names) - 1, 0, -1):
        for kept in range(1, min(len(names), _MAX_DEPTH) + 1):
            yield "/".join([*repository_names[:length], *names[-kept:]])


def _points_to_old_location(path: str, worktree: Worktree) -> bool:
    """Return True if `path`/.git points to the worktree's old git dir.

    The old git dir has the same name at another location. Return False if it still exists and names
    `path`: then the directory belongs to it. The name alone is not enough evidence. The relative
    path or a file in the index must match too.
    """
    git_dir = linked_git_dir(path)
    if os.path.basename(git_dir) != worktree.name or is_same_path(git_dir, worktree.git_dir):
        return False
    if is_same_path(read_worktree(worktree.name, git_dir).path, path):
        return False
    return _has_same_relative_path(path, worktree) or _has_file_of_index(path, worktree)


def _has_same_relative_path(path: str, worktree: Worktree) -> bool:
    """Return True if the path from the directory to the git dir is the same as before the move."""
    before = os.path.relpath(linked_git_dir(path), worktree.path)
    return before == os.path.relpath(os.path.realpath(worktree.git_dir), os.path.realpath(path))


def _has_file_of_index(path: str, worktree: Worktree) -> bool:
    """Return True if a file in the directory is the file that git has recorded, and not a copy.

    A copy has another inode number. A hard link has the same one, so a file with two names does
    not count.
    """
    try:
        index, _ = read_index(worktree.git_dir)
    except Damaged:
        return False
    for name, entry in islice(index.entries.items(), _MAX_ENTRIES):
        try:
            file = os.lstat(os.path.join(os.fsencode(path), name))
        except OSError:
            continue
        seconds, nanoseconds = divmod(file.st_mtime_ns, 10**9)
        stat_data = (file.st_ino & _LOW_32_BITS, file.st_size, seconds, nanoseconds)
        if file.st_nlink == 1 and stat_data == (entry.ino, entry.size, entry.mtime, entry.mtime_ns):
            return True
    return False


def is_parent_missing(worktree: Worktree) -> bool:
    """Return True if the directory and its parent are missing.

    Then the parent may have been moved, or a disk may not be mounted.
    """
    return worktree.is_missing and not os.path.isdir(os.path.dirname(worktree.path))


def can_repair(path: str, worktree: Worktree, worktrees: Sequence[Worktree]) -> bool:
    """Return True if `git worktree repair` can safely record `path` as the path of the worktree.

    The command repairs the links of all worktrees at once, and it writes a .git file to every path
    that a git dir names. If the directory names a git dir of another repository, the command writes
    into that git dir. So no other link may be damaged, and the directory must be neither a copy nor
    the directory of another worktree.
    """
    git_dir = linked_git_dir(path)
    is_linked = is_same_path(git_dir, worktree.git_dir)
    if os.path.isdir(git_dir) and not is_linked:
        return False
    if any(other.link_error for other in worktrees) or not _has_single_git_file(path):
        return False
    was_moved_together = not is_linked and _has_same_relative_path(path, worktree)
    return was_moved_together or _has_file_of_index(path, worktree)


def _has_single_git_file(path: str) -> bool:
    """Return True if the .git file has no second hard link, which git would overwrite too."""
    try:
        return os.lstat(os.path.join(path, ".git")).st_nlink == 1
    except OSError:
        return False
