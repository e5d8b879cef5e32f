"""What a killed cleanup had moved aside, put back before anything else is done with a session."""

from __future__ import annotations

import os
from contextlib import suppress

from git_hub_session.operations import removal
from git_hub_session.operations.note import unfinished
from git_hub_session.operations.ownership import own_worktrees
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import empty_trash
from git_hub_session.refnames import SessionId
from git_hub_session.worktrees import (
    LOCK,
    Worktree,
    linked_worktrees,
    read_worktree,
)


def recovered(sid: SessionId, scene: Scene) -> list[Worktree]:
    """The repository's worktrees, with those back that a killed run had moved aside but not judged again."""
    common_dir = scene.place.common_dir
    empty_trash(common_dir)
    worktrees = linked_worktrees(common_dir)
    own = [worktree for worktree, _ in own_worktrees(sid, scene, worktrees)]
    for worktree in own:
        if is_locked_for_nothing(worktree):
            with suppress(OSError):
                unlock(worktree)
    cut_off = [
        worktree
        for worktree in own
        if unfinished(worktree).step and not removal.is_half_removed(worktree)
    ]
    for worktree in cut_off:
        try:
            removal.recover(worktree)
        except removal.Stuck:
            pass  # the judgement names it
    return linked_worktrees(common_dir) if cut_off else worktrees


def is_locked_for_nothing(worktree: Worktree) -> bool:
    """Whether a removal has locked it whose note the disk has lost: nobody else would unlock it, nor can git remove it.

    Where the directory is not in its place the lock stays: it alone keeps the entry from `git worktree prune`.
    """
    if worktree.missing or not os.path.lexists(os.path.join(worktree.entry, LOCK)):
        return False
    # Read again: it was none when the worktrees were listed, and may be somebody's by now.
    now = read_worktree(worktree.name, worktree.entry)
    return now.lock is None and not unfinished(worktree).step


def unlock(worktree: Worktree) -> None:
    """Take such a lock away; raises OSError."""
    os.unlink(os.path.join(worktree.entry, LOCK))
