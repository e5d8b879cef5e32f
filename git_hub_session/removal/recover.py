"""What a killed cleanup had moved aside, put back before anything else is done with a session."""

from __future__ import annotations

import os
from contextlib import suppress

from git_hub_session.git.ref_names import SessionId
from git_hub_session.git.worktrees import LOCK_FILE, Worktree, linked_worktrees, read_worktree
from git_hub_session.removal import remove as removal
from git_hub_session.removal.journal import read_journal
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session.project import Project
from git_hub_session.worktree.owner import session_worktrees


def recover_interrupted(sid: SessionId, project: Project) -> list[Worktree]:
    """The repository's worktrees, with those back that a killed run had moved aside but not judged again."""
    common_dir = project.paths.common_dir
    empty_trash(common_dir)
    worktrees = linked_worktrees(common_dir)
    own = [worktree for worktree, _ in session_worktrees(sid, project, worktrees)]
    for worktree in own:
        if has_stale_lock(worktree):
            with suppress(OSError):
                remove_stale_lock(worktree)
    cut_off = [
        worktree
        for worktree in own
        if read_journal(worktree).step and not removal.is_marked_for_deletion(worktree)
    ]
    for worktree in cut_off:
        try:
            removal.recover_removal(worktree)
        except removal.RemovalFailed:
            pass  # the judgement names it
    return linked_worktrees(common_dir) if cut_off else worktrees


def has_stale_lock(worktree: Worktree) -> bool:
    """Whether a removal has locked it whose note the disk has lost: nobody else would unlock it, nor can git remove it.

    Where the directory is not in its place the lock stays: it alone keeps the entry from `git worktree prune`.
    """
    if worktree.is_missing or not os.path.lexists(os.path.join(worktree.git_dir, LOCK_FILE)):
        return False
    # Read again: it was none when the worktrees were listed, and may be somebody's by now.
    now = read_worktree(worktree.name, worktree.git_dir)
    return now.lock_reason is None and not read_journal(worktree).step


def remove_stale_lock(worktree: Worktree) -> None:
    """Take such a lock away; raises OSError."""
    os.unlink(os.path.join(worktree.git_dir, LOCK_FILE))
