"""Where the directory of a worktree is that is missing from its place: seen on the disk, whatever git knows of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session.errors import HubError
from git_hub_session.operations.agents import template_of, worktree_path
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import is_trash
from git_hub_session.refnames import parse_agent_branch
from git_hub_session.worktrees import Worktree, git_dir_of, is_same, read_worktree

_MOST = 10_000  # names of a directory that are looked through


def places(worktree: Worktree, scene: Scene) -> list[str]:
    """Where spawn would make it today."""
    found = []
    for branch in filter(None, map(parse_agent_branch, worktree.known_by)):
        try:
            found.append(worktree_path(template_of(scene), scene.place, branch))
        except HubError:
            pass  # the setting is wrong, or the repository cannot be read
    return found


def lying(worktree: Worktree, worktrees: Sequence[Worktree]) -> list[str]:
    """Where it is seen if it was moved alone: in the place of another, or beside its own."""
    faulty = [other.path for other in worktrees if other.fault and other.path]
    taken = [path for path in faulty if is_same(git_dir_of(path), worktree.entry)]
    return list(dict.fromkeys([*taken, *_beside(worktree)]))


def _beside(worktree: Worktree) -> list[str]:
    """The directories beside the place of a worktree that say that they are it: it was moved, or copied."""
    parent = os.path.dirname(worktree.path)
    try:
        names = sorted(os.listdir(parent))[:_MOST]
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names if not is_trash(name)]
    return [path for path in paths if is_same(git_dir_of(path), worktree.entry)]


def moved_along(worktree: Worktree, paths: Sequence[str]) -> str:
    """That of `paths` where it is seen if it was moved, or copied, together with the repository; or ''.

    Then its .git file says where the entry was, the entry says where the directory was, and from
    there to there it was as far as it is from here to here.
    """
    return next((path for path in paths if _is_as_far(path, worktree)), "")


def _is_as_far(path: str, worktree: Worktree) -> bool:
    named = git_dir_of(path)
    if not named or is_same(named, worktree.entry):
        return False
    then = os.path.relpath(named, worktree.path)
    now = os.path.relpath(os.path.realpath(worktree.entry), os.path.realpath(path))
    # What the entry that it names calls its own, too, is that one's.
    is_its = is_same(read_worktree(os.path.basename(named), named).path, path)
    return then == now and not is_its


def is_uprooted(worktree: Worktree) -> bool:
    """Whether more is gone than the directory of one that is missing: a disk, or all of it was moved."""
    return worktree.missing and not os.path.isdir(os.path.dirname(worktree.path))


def may_be_repaired(found: str, worktrees: Sequence[Worktree]) -> bool:
    """Whether git can be told that a worktree lies as `found` now.

    `git worktree repair` mends all links at once, and writes a .git file wherever an entry says;
    where the directory names another repository's entry, which is there, it would write into that.
    """
    named = git_dir_of(found)
    entries = (one.entry for one in worktrees)
    is_anothers = os.path.isdir(named) and not any(is_same(named, entry) for entry in entries)
    return not is_anothers and not any(one.fault for one in worktrees)
