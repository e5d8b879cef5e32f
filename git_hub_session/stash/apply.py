"""Saved work put back into a worktree that git has just made on the commit it was saved at.

The trees of the stash (rescue.py) are taken as they are: files first, then the index, then
what was untracked. `git stash apply --index` would merge them, where there is nothing to merge.
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


# Nothing has to reach the disk first: what is saved stays saved.
_SETTINGS = {
    name: value for name, value in STRICT_SETTINGS.items() if not name.startswith("core.fsync")
}


def apply_stash(worktree: Worktree, ref: str, git: Git, repo: GitRepo) -> None:
    """Make the fresh worktree what the stash at `ref` was saved of; raises GitFailed, OSError.

    It stands at the very commit. What is saved wins over what a hook has made in its place.
    """
    head, *trees = repo.find_stash(ref)
    work = StashTrees(*trees)
    filtered = filtered_paths(repo.commit_message(ref))
    inside = GitAt(worktree, git)
    inside.run("read-tree", "--reset", "-u", work.worktree)
    before = repo.tree_entries(head)
    changed = {
        path: entry
        for path, entry in repo.tree_entries(work.worktree).items()
        if before.get(path) != entry
    }
    # Also what a sparse checkout leaves out: it was there, or it would not be changed.
    inside.checkout_paths(changed)
    undone = _write_unfiltered(worktree.path, changed, filtered, repo)
    inside.run("read-tree", "--reset", work.staged)
    staged = repo.tree_entries(work.staged)
    inside.clear_stat_data({path: staged[path] for path in undone if path in staged})
    inside.run("update-index", "-q", "--refresh")
    if work.untracked:
        untracked = repo.tree_entries(work.untracked)
        beside = GitAt(worktree, git, index="hub-session-index.tmp")
        beside.run("read-tree", work.untracked)
        beside.checkout_paths(untracked)
        beside.remove_index()
        _write_unfiltered(worktree.path, untracked, filtered, repo)


def _write_unfiltered(
    top: str,
    entries: Mapping[bytes, tuple[int, bytes]],
    filtered: frozenset[bytes] | None,
    repo: GitRepo,
) -> list[bytes]:
    """Write the blobs themselves where a filter has made something else of one that is not to be `filtered`; at which paths.

    Where that is not known (None), a file is what git makes of it.
    """
    undone = []
    for path, (mode, oid) in entries.items():
        if filtered is None or path in filtered or not stat.S_ISREG(mode):
            continue
        if repo.blob_id(read_file_or_link(top, path, mode)) != oid:
            full = os.path.join(os.fsencode(top), path)
            with open(os.open(full, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "wb") as file:
                file.write(repo.read_blob(oid))
            undone.append(path)
    return undone


class GitAt:
    """git in the worktree, on its index or on another one beside it."""

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
        """Write the files at `paths` as the index has them, whatever is there."""
        listed = b"".join(path + b"\0" for path in paths)
        if listed:
            words = ("--force", "--quiet", "--ignore-skip-worktree-bits", "-z", "--stdin")
            self.run("checkout-index", *words, stdin=listed)

    def clear_stat_data(self, entries: Mapping[bytes, tuple[int, bytes]]) -> None:
        """Give the entries no stat data: git takes another size for a change, and reads no further."""
        if entries:
            lines = [
                b"%o %s\t%s\0" % (mode, oid.hex().encode(), path)
                for path, (mode, oid) in entries.items()
            ]
            self.run("update-index", "-z", "--index-info", stdin=b"".join(lines))

    def remove_index(self) -> None:
        os.unlink(self._index)
