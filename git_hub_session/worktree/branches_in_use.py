"""Find the branches that worktrees have in use: checked out, or in an unfinished operation."""

from __future__ import annotations

from collections.abc import Container, Iterable

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.head import read_head, read_operation
from git_hub_session.git.ref_names import HEADS
from git_hub_session.git.refs import resolve_symbolic_ref
from git_hub_session.git.worktrees import Worktree, linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths


def main_worktree_branches(paths: RepositoryPaths) -> list[str]:
    """Return the full refs of the branches that the main worktree has in use."""
    if not paths.main_checkout:
        return []
    head, _ = read_head(paths.common_dir)
    operation = read_operation(paths.common_dir)
    refs = [head, *operation.branches, *operation.other_branches]
    return [ref for ref in refs if ref.startswith(HEADS)]


def branches_in_use(paths: RepositoryPaths, ignored: Container[str] = ()) -> set[str]:
    """Return the full refs that worktrees have in use. Skip the git dirs in `ignored`."""
    worktrees = (
        worktree
        for worktree in linked_worktrees(paths.common_dir)
        if worktree.git_dir not in ignored
    )
    return set().union(*branches_by_worktree(paths, worktrees).values())


def branches_by_worktree(
    paths: RepositoryPaths, worktrees: Iterable[Worktree]
) -> dict[str, set[str]]:
    """Return the full refs that each worktree has in use, by git dir.

    The main worktree has the key ''. For a symbolic ref, the result has its target too.
    """
    refs = {"": set(main_worktree_branches(paths))}
    refs |= {worktree.git_dir: set(worktree.reserved_branches) for worktree in worktrees}
    for used in refs.values():
        used.update([resolve_symbolic_ref(paths.common_dir, ref) for ref in used])
    return refs
