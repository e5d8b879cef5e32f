"""Remove a worktree with everything in it, without an inspection."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.removal.journal import STEP_DELETE, read_journal, start_journal
from git_hub_session.removal.trash import move_to_trash, remove_git_dir, trash_name
from git_hub_session.system import tree

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree


def remove_with_contents(worktree: Worktree) -> None:
    """Remove a worktree with everything in it, also repositories. Call it again after a kill.

    Nothing is saved. Use it only for temporary worktrees, in which nobody works. Raise RemovalFailed
    or OSError.
    """
    trash = trash_name(worktree)
    if os.path.lexists(worktree.path):
        # Rename first: after a kill, the journal shows that the rest may be deleted.
        start_journal(worktree, STEP_DELETE)
        trash = move_to_trash(worktree)
    elif not read_journal(worktree).step:
        trash = ""
    if trash:
        parent, name = os.path.split(trash)
        tree.remove_path(parent, os.fsencode(name))
    tree.remove_path(worktree.git_dir, b"modules")  # the repositories of submodules
    remove_git_dir(worktree)
