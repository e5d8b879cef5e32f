"""Find what prevents the removal of one worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.config import parse_git_config
from git_hub_session.git.safe_open import MAX_BYTES, read_text
from git_hub_session.system import deletable
from git_hub_session.system.deletable import ALTERNATE, LFS, OWN_LFS, Undeletable
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.system.tree import DirectoryTree


class RemovedDirectories(NamedTuple):
    """The directories that the removal of a worktree deletes or changes."""

    path: str
    """The directory of the worktree, or ''."""
    is_missing: bool
    """True if this directory does not exist."""
    git_dir: str
    common_dir: str


def find_undeletable(removed: RemovedDirectories, tree: DirectoryTree) -> tuple[Undeletable, ...]:
    """Return the paths that prevent the removal of a worktree with these files."""
    stores = tuple(_find_stores(removed))
    if stores:
        return stores
    parents = [os.path.dirname(removed.git_dir), removed.common_dir]
    if not removed.is_missing:
        parents.insert(0, os.path.dirname(removed.path))
    git_dir = removed.git_dir
    unwritable = deletable.find_unwritable(*parents) or deletable.find_unwritable_below(git_dir)
    if unwritable or removed.is_missing:
        return unwritable
    return deletable.find_undeletable(removed.path, tree)


def _find_stores(removed: RemovedDirectories) -> Iterator[Undeletable]:
    """Yield the directories of the worktree from which git or Git LFS reads other contents.

    They can be in an ignored directory. Without an alternate, branches lose their commits.
    """
    common_dir = removed.common_dir
    own_storage = _lfs_storage(common_dir, os.path.join(removed.git_dir, "config.worktree"))
    stores = [*_common_stores(common_dir), *((path, OWN_LFS) for path in own_storage)]
    if not stores:
        return
    tops = [os.path.realpath(path) for path in (removed.path, removed.git_dir) if path]
    for path, cause in stores:
        real = os.path.realpath(path)
        if any(is_inside(real, top) for top in tops) and _has_content(real):
            yield Undeletable(real, cause, common_dir)


@cache
def _common_stores(common_dir: str) -> tuple[tuple[str, str], ...]:
    """Return the stores of the repository. They are read once, for all worktrees of a cleanup."""
    storage = _lfs_storage(common_dir, os.path.join(common_dir, "config"))
    alternates = ((path, ALTERNATE) for path in _alternates(common_dir))
    return (*alternates, *((path, LFS) for path in storage))


def _alternates(common_dir: str) -> Iterator[str]:
    """Yield the directories of objects that the repository borrows."""
    objects = os.path.join(common_dir, "objects")
    text = read_text(os.path.join(objects, "info", "alternates"), limit=MAX_BYTES)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield os.path.join(objects, line)


def _lfs_storage(common_dir: str, config: str) -> list[str]:
    """Return the directory of Git LFS that a file of git's configuration names, or []."""
    text = read_text(config, limit=MAX_BYTES)
    storage = parse_git_config(text).get("lfs.storage", "") if text else ""
    return [os.path.join(common_dir, os.path.expanduser(storage))] if storage else []


def _has_content(directory: str) -> bool:
    return any(files for _, _, files in os.walk(directory))
