"""Restore a stash commit in a new worktree.

git has just created the worktree at the first parent of the stash. Write the trees of the stash
(see create.py) unchanged: the files, then the index, then the untracked files. `git stash apply
--index` would merge the trees instead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.stash.create import STRICT_SETTINGS, StashTrees
from git_hub_session.stash.filtered import FilteredFiles, checkout_paths, filtered_files
from git_hub_session.stash.permissions import parse_permissions
from git_hub_session.system.modes import create_directories, set_file_modes

if TYPE_CHECKING:
    from git_hub_session.git.command import Git, GitAt
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree


# No fsync: the rescue ref keeps the stash until the restored worktree is removed again.
_SETTINGS = {
    name: value for name, value in STRICT_SETTINGS.items() if not name.startswith("core.fsync")
}


def apply_stash(worktree: Worktree, ref: str, git: Git, repo: GitRepo) -> list[bytes]:
    """Restore the stash at `ref` in a new worktree.

    HEAD of the worktree is the first parent of the stash. Files that a hook has created are
    overwritten. Return the files that have other bytes than the saved ones, because git's filters
    have changed. Raise GitFailed, OSError.
    """
    message = repo.commit_message(ref)
    permissions = parse_permissions(message)
    top_mode = stat.S_IMODE(os.stat(worktree.path).st_mode)
    if permissions.files or permissions.directories:
        # git writes a secret file with its usual permissions first. Keep other users out.
        os.chmod(worktree.path, 0o700)
    different = _write_trees(worktree, ref, filtered_files(message), git, repo)
    set_file_modes(worktree.path, permissions.files)
    create_directories(worktree.path, {b"": top_mode, **permissions.directories})
    return different


def _write_trees(
    worktree: Worktree, ref: str, filtered: Mapping[bytes, str] | None, git: Git, repo: GitRepo
) -> list[bytes]:
    """Write the files of the stash and the index. Return the files with other bytes."""
    head, *trees = repo.find_stash(ref)
    work = StashTrees(*trees)

    def git_with(settings: Mapping[str, str], index: str = "") -> GitAt:
        settings = {**_SETTINGS, **settings}
        return git.at(worktree.git_dir, worktree.path, index=index, settings=settings)

    git_at = git_with({})
    git_at.read_tree("--reset", "-u", work.worktree)
    before = repo.tree_entries(head)
    changed = {
        path: entry
        for path, entry in repo.tree_entries(work.worktree).items()
        if before.get(path) != entry
    }
    # Write also paths that a sparse checkout leaves out: a changed file was on disk.
    checkout_paths(git_at, changed)
    tracked = FilteredFiles(worktree.path, changed, filtered, repo)
    tracked.restore(git_with)
    git_at.read_tree("--reset", work.staged)
    staged = repo.tree_entries(work.staged)
    _clear_stat_data(git_at, {path: staged[path] for path in tracked.written if path in staged})
    git_at.run(["update-index", "-q", "--refresh"])
    if not work.untracked:
        return tracked.different
    index = os.path.join(worktree.git_dir, "hub-session-index.tmp")
    untracked = FilteredFiles(worktree.path, repo.tree_entries(work.untracked), filtered, repo)
    _write_untracked(untracked, work.untracked, lambda settings: git_with(settings, index))
    os.unlink(index)
    return [*tracked.different, *untracked.different]


def _write_untracked(
    files: FilteredFiles, tree: str, git: Callable[[Mapping[str, str]], GitAt]
) -> None:
    git_at = git({})
    git_at.read_tree(tree)
    checkout_paths(git_at, files.entries)
    files.restore(git)


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
