"""Saved work put back into a worktree that git has just made on the commit it was saved at.

The trees of the stash (rescue.py) are taken as they are: files first, then the index, then
what was untracked. `git stash apply --index` would merge them, where there is nothing to merge.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from git_hub_session.operations.rescue import SETTINGS, Work
from git_hub_session.typed import TYPE_CHECKING
from git_hub_session.worktrees import Worktree

if TYPE_CHECKING:
    from git_hub_session.gitcommand import Git
    from git_hub_session.gitrepo import GitRepo


def reapply(worktree: Worktree, head: str, work: Work, git: Git, repo: GitRepo) -> None:
    """Make the fresh worktree on the commit `head` what `work` was saved of; raises GitFailed, OSError.

    What is saved wins over what a hook has made at its place.
    """
    inside = _Inside(worktree, git)
    inside.run("read-tree", "--reset", "-u", work.worktree)
    # Changed files that a sparse checkout leaves out were there, or they would not be changed.
    before, now = repo.tree_entries(head), repo.tree_entries(work.worktree)
    inside.check_out(path for path, entry in now.items() if before.get(path) != entry)
    inside.run("read-tree", "--reset", work.staged)
    inside.run("update-index", "-q", "--refresh")
    if work.untracked:
        untracked = sorted(repo.tree_entries(work.untracked))
        beside = _Inside(worktree, git, index="hub-session-index.tmp")
        try:
            beside.run("read-tree", work.untracked)
            # Every other file is written as these say.
            beside.check_out(path for path in untracked if _is_attributes(path))
            beside.check_out(path for path in untracked if not _is_attributes(path))
        finally:
            beside.drop()


def _is_attributes(path: bytes) -> bool:
    return path.rpartition(b"/")[2] == b".gitattributes"


class _Inside:
    """git in the worktree, on its index or on another one beside it."""

    def __init__(self, worktree: Worktree, git: Git, index: str = "index") -> None:
        self._git = git
        self._index = os.path.join(worktree.entry, index)
        self._path = worktree.path
        self._environ = {
            "GIT_DIR": worktree.entry,
            "GIT_WORK_TREE": worktree.path,
            "GIT_INDEX_FILE": self._index,
        }

    def run(self, *command: str, stdin: bytes = b"") -> None:
        self._git.run(
            command, stdin=stdin, settings=SETTINGS, environ=self._environ, cwd=self._path
        )

    def check_out(self, paths: Iterable[bytes]) -> None:
        """Write the files at `paths` as the index has them, whatever is there."""
        listed = b"".join(path + b"\0" for path in paths)
        if listed:
            words = ("--force", "--quiet", "--ignore-skip-worktree-bits", "-z", "--stdin")
            self.run("checkout-index", *words, stdin=listed)

    def drop(self) -> None:
        os.unlink(self._index)
