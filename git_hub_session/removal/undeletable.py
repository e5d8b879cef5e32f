"""Find what prevents the removal of one worktree."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.config import parse_git_config
from git_hub_session.git.safe_open import MAX_BYTES, read_text
from git_hub_session.system import deletable
from git_hub_session.system.deletable import ALTERNATE, LFS, OWN_LFS, Undeletable
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.worktree.changes import WorktreeChanges


def find_undeletable(worktree: Worktree, changes: WorktreeChanges) -> tuple[Undeletable, ...]:
    """Return the paths that prevent the removal of the worktree."""
    stores = tuple(_find_stores(worktree))
    if stores:
        return stores
    parents = [os.path.dirname(worktree.git_dir), worktree.common_dir]
    if not worktree.is_missing:
        parents.insert(0, os.path.dirname(worktree.path))
    git_dir = worktree.git_dir
    unwritable = deletable.find_unwritable(*parents) or deletable.find_unwritable_below(git_dir)
    if unwritable or worktree.is_missing:
        return unwritable
    return deletable.find_undeletable(worktree.path, changes.tree)


def _find_stores(worktree: Worktree) -> Iterator[Undeletable]:
    """Yield the directories of the worktree from which git or Git LFS reads other contents.

    They can be in an ignored directory. Without an alternate, branches lose their commits.
    """
    common_dir = worktree.common_dir
    tops = [os.path.realpath(path) for path in (worktree.path, worktree.git_dir) if path]
    for path, cause in (*_alternates(common_dir), *_lfs_storage(worktree)):
        real = os.path.realpath(path)
        if any(is_inside(real, top) for top in tops) and _has_content(real):
            yield Undeletable(real, cause, common_dir)


def _alternates(common_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the directories of objects that the repository borrows."""
    objects = os.path.join(common_dir, "objects")
    text = read_text(os.path.join(objects, "info", "alternates"), limit=MAX_BYTES)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield os.path.join(objects, line), ALTERNATE


def _lfs_storage(worktree: Worktree) -> Iterator[tuple[str, str]]:
    """Yield the directories of Git LFS that the repository and the worktree configure."""
    files = ((worktree.common_dir, "config", LFS), (worktree.git_dir, "config.worktree", OWN_LFS))
    for directory, name, cause in files:
        text = read_text(os.path.join(directory, name), limit=MAX_BYTES)
        storage = parse_git_config(text).get("lfs.storage", "")
        if storage:
            yield os.path.join(worktree.common_dir, os.path.expanduser(storage)), cause


def _has_content(directory: str) -> bool:
    return any(files for _, _, files in os.walk(directory))
