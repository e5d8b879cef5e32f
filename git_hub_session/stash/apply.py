"""Restore a stash commit in a new worktree.

git has just created the worktree at the first parent of the stash. Write the trees of the stash
(see create.py) unchanged: the files, then the index, then the untracked files. `git stash apply
--index` would merge the trees instead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.stash.create import STRICT_SETTINGS, StashTrees, filtered_paths
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.command import Git, GitAt
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree


# No fsync: the rescue ref keeps the stash until the restored worktree is removed again.
_SETTINGS = {
    name: value for name, value in STRICT_SETTINGS.items() if not name.startswith("core.fsync")
}


def apply_stash(worktree: Worktree, ref: str, git: Git, repo: GitRepo) -> None:
    """Restore the stash at `ref` in a new worktree.

    HEAD of the worktree is the first parent of the stash. Files that a hook has created are
    overwritten. Raises GitFailed, OSError.
    """
    head, *trees = repo.find_stash(ref)
    work = StashTrees(*trees)
    filtered = filtered_paths(repo.commit_message(ref))
    git_at = git.at(worktree.git_dir, worktree.path, settings=_SETTINGS)
    git_at.run(["read-tree", "--reset", "-u", work.worktree])
    before = repo.tree_entries(head)
    changed = {
        path: entry
        for path, entry in repo.tree_entries(work.worktree).items()
        if before.get(path) != entry
    }
    # Write also paths that a sparse checkout leaves out: a changed file was on disk.
    _checkout_paths(git_at, changed)
    unfiltered = _write_unfiltered(worktree.path, changed, filtered, repo)
    git_at.run(["read-tree", "--reset", work.staged])
    staged = repo.tree_entries(work.staged)
    _clear_stat_data(git_at, {path: staged[path] for path in unfiltered if path in staged})
    git_at.run(["update-index", "-q", "--refresh"])
    if work.untracked:
        untracked = repo.tree_entries(work.untracked)
        index = os.path.join(worktree.git_dir, "hub-session-index.tmp")
        temporary = git.at(worktree.git_dir, worktree.path, index=index, settings=_SETTINGS)
        temporary.run(["read-tree", work.untracked])
        _checkout_paths(temporary, untracked)
        os.unlink(index)
        _write_unfiltered(worktree.path, untracked, filtered, repo)


def _write_unfiltered(
    top: str,
    entries: Mapping[bytes, tuple[int, bytes]],
    filtered: frozenset[bytes] | None,
    repo: GitRepo,
) -> list[bytes]:
    """Write the blob over each file that a filter has changed now, but not before the stash.

    Return the paths of these files. Do nothing if the filtered paths are unknown (None).
    """
    unfiltered: list[bytes] = []
    for path, (mode, oid) in entries.items():
        if filtered is None or path in filtered or not stat.S_ISREG(mode):
            continue
        if repo.blob_id(read_file_or_link(top, path, mode)) != oid:
            full = os.path.join(os.fsencode(top), path)
            with open(os.open(full, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "wb") as file:
                file.write(repo.read_blob(oid))
            unfiltered.append(path)
    return unfiltered


def _checkout_paths(git: GitAt, paths: Iterable[bytes]) -> None:
    """Write the files at `paths` from the index. Overwrite existing files."""
    listed = b"".join(path + b"\0" for path in paths)
    if listed:
        options = ("--force", "--quiet", "--ignore-skip-worktree-bits", "-z", "--stdin")
        git.run(["checkout-index", *options], stdin=listed)


def _clear_stat_data(git: GitAt, entries: Mapping[bytes, tuple[int, bytes]]) -> None:
    """Clear the stat data of index entries, so that git reads the files again.

    Otherwise git considers a file changed if its size differs from the entry, without reading it.
    """
    if entries:
        lines = [
            b"%o %s\t%s\0" % (mode, oid.hex().encode(), path)
            for path, (mode, oid) in entries.items()
        ]
        git.run(["update-index", "-z", "--index-info"], stdin=b"".join(lines))
