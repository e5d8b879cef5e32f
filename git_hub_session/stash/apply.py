"""Restore a stash commit in a new worktree.

git has just created the worktree at the commit below the stash. Write the trees of the stash
(see create.py) unchanged: the files, then the index, then the untracked files. `git stash apply
--index` would merge the trees instead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.worktrees import Worktree
from git_hub_session.stash.create import STRICT_SETTINGS, StashTrees, filtered_paths
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import GitRepo


# No fsync: the rescue ref keeps the stash until the restored worktree is removed again.
_SETTINGS = {
    name: value for name, value in STRICT_SETTINGS.items() if not name.startswith("core.fsync")
}


def apply_stash(worktree: Worktree, ref: str, git: Git, repo: GitRepo) -> None:
    """Restore the stash at `ref` in a new worktree.

    HEAD of the worktree is the commit below the stash. Files that a hook has created are
    overwritten. Raises GitFailed, OSError.
    """
    head, *trees = repo.find_stash(ref)
    work = StashTrees(*trees)
    filtered = filtered_paths(repo.commit_message(ref))
    git_at = GitAt(worktree, git)
    git_at.run("read-tree", "--reset", "-u", work.worktree)
    before = repo.tree_entries(head)
    changed = {
        path: entry
        for path, entry in repo.tree_entries(work.worktree).items()
        if before.get(path) != entry
    }
    # Write also paths that a sparse checkout leaves out: a changed file was on disk.
    git_at.checkout_paths(changed)
    unfiltered = _write_unfiltered(worktree.path, changed, filtered, repo)
    git_at.run("read-tree", "--reset", work.staged)
    staged = repo.tree_entries(work.staged)
    git_at.clear_stat_data({path: staged[path] for path in unfiltered if path in staged})
    git_at.run("update-index", "-q", "--refresh")
    if work.untracked:
        untracked = repo.tree_entries(work.untracked)
        temporary = GitAt(worktree, git, index="hub-session-index.tmp")
        temporary.run("read-tree", work.untracked)
        temporary.checkout_paths(untracked)
        temporary.remove_index()
        _write_unfiltered(worktree.path, untracked, filtered, repo)


def _write_unfiltered(
    top: str,
    entries: Mapping[bytes, tuple[int, bytes]],
    filtered: frozenset[bytes] | None,
    repo: GitRepo,
) -> list[bytes]:
    """Write the blob over each file that a filter has changed and that was not filtered before.

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


class GitAt:
    """git in a worktree, on the worktree's index or on another index file in its git dir."""

    def __init__(self, worktree: Worktree, git: Git, index: str = "index") -> None:
        self._git = git
        self._index = os.path.join(worktree.git_dir, index)
        self._path = worktree.path
        self._environ = {
            "GIT_DIR": worktree.git_dir,
            "GIT_WORK_TREE": worktree.path,
            "GIT_INDEX_FILE": self._index,
        }

    def run(self, *command: str, stdin: bytes = b"") -> None:
        self._git.run(
            command, stdin=stdin, settings=_SETTINGS, environ=self._environ, cwd=self._path
        )

    def checkout_paths(self, paths: Iterable[bytes]) -> None:
        """Write the files at `paths` from the index. Overwrite existing files."""
        listed = b"".join(path + b"\0" for path in paths)
        if listed:
            options = ("--force", "--quiet", "--ignore-skip-worktree-bits", "-z", "--stdin")
            self.run("checkout-index", *options, stdin=listed)

    def clear_stat_data(self, entries: Mapping[bytes, tuple[int, bytes]]) -> None:
        """Clear the stat data of entries.

        git considers a file changed if its size differs from the entry, without reading the file.
        """
        if entries:
            lines = [
                b"%o %s\t%s\0" % (mode, oid.hex().encode(), path)
                for path, (mode, oid) in entries.items()
            ]
            self.run("update-index", "-z", "--index-info", stdin=b"".join(lines))

    def remove_index(self) -> None:
        os.unlink(self._index)
