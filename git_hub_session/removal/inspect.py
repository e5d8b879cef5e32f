"""Every fact about one worktree."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.index import Index, read_index
from git_hub_session.git.ref_names import SessionId
from git_hub_session.git.worktrees import Worktree
from git_hub_session.stash.create import IndexCopy
from git_hub_session.system import procfs
from git_hub_session.system.tree import EMPTY_DIRECTORY
from git_hub_session.util.paths import is_inside
from git_hub_session.worktree.changes import (
    WorktreeChanges,
    head_commit,
    read_changes,
    staged_paths,
)
from git_hub_session.worktree.neighbors import Neighbors
from git_hub_session.worktree.relocation import (
    can_repair,
    expected_paths,
    find_moved_with_repository,
    moved_paths,
)
from git_hub_session.worktree.repair_commands import move_back_command, relink_command

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project


def _away(
    sid: SessionId, worktree: Worktree, worktrees: Sequence[Worktree], project: Project
) -> tuple[str, str]:
    """Where the directory of a worktree that is missing lies, and what to type then; ('', '') where nobody knows."""
    for found in moved_paths(worktree, worktrees):
        return found, move_back_command(found, worktree)
    found = find_moved_with_repository(worktree, expected_paths(worktree, project))
    if found and can_repair(found, worktree, worktrees):
        return found, f"git hub-session doctor --fix {sid}"
    return found, relink_command(found, worktree) if found else ""


def inspect_changes(worktree: Worktree, project: Project) -> WorktreeChanges:
    """Examine a worktree; a split or sparse index is completed by git. Raises Damaged, OSError, GitFailed."""
    index, written = read_index(worktree)
    if index.incomplete:
        index = IndexCopy(project.git, worktree).read_full_index()
    if worktree.is_missing:
        return _staged_only(worktree, project.repo, index)
    return read_changes(worktree, project.repo, index, written)


def _staged_only(worktree: Worktree, repo: GitRepo, index: Index) -> WorktreeChanges:
    """What is left of a worktree whose directory is gone: what was staged."""
    head = head_commit(worktree, repo)
    staged = staged_paths(head, repo, index) if index.entries else frozenset()
    return WorktreeChanges(head, EMPTY_DIRECTORY, index, staged, frozenset(), (), (), (), (), ())


def inspect_usage(
    worktree: Worktree,
    sid: SessionId,
    project: Project,
    neighbors: Neighbors,
) -> WorktreeUsage:
    top = os.path.realpath(worktree.path) if worktree.path else ""
    return WorktreeUsage(
        sid,
        is_inside(os.path.realpath(project.cwd), top),
        procfs.describe_processes(procfs.processes_in(top, neighbors.processes)),
        tuple(point for point in neighbors.mounts if is_inside(point, top)),
        neighbors.inside(top, worktree.git_dir) if top else (),
    )


class WorktreeUsage(NamedTuple):
    """What lies around one worktree."""

    session: SessionId
    is_caller_inside: bool
    """Whether the command itself was called in it."""
    processes: tuple[str, ...]
    """The other processes whose current directory is in it: '1234 (bash)'."""
    mounts: tuple[str, ...]
    """The mount points at or below it."""
    nested: tuple[str, ...]
    """Other worktrees, the repository or the hub, where they lie in it."""
    moved_to: str = ""
    """Where the directory lies, if it was moved."""
    back: str = ""
    """What to type then, to have the two together again."""
    is_parent_missing: bool = False
    """Whether it is missing, and the directory that it was in is, too."""
    onto: str = ""
    """What to type to have it on a branch, where it is off its own."""
