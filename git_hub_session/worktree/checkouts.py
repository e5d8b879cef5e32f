"""Find the worktree that has a branch checked out.

A command that moves the branch to another commit must update the files of this worktree too.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.head import read_head, read_operation
from git_hub_session.git.ref_names import short_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.worktree.repair_commands import repair_command

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.session.project import Project


class Checkout(NamedTuple):
    """A worktree that has a branch checked out."""

    git_dir: str
    path: str

    def git(self, project: Project) -> GitAt:
        """Return git at the top of this worktree. It reads no replaced object."""
        return project.git.at(self.git_dir, self.path, variables=ORIGINAL_OBJECTS)


def find_checkout(branch: str, project: Project) -> Checkout | None:
    """Return the worktree that has the branch (a full ref) checked out, or None.

    Raise Refused if a command cannot move the branch in this worktree.
    """
    checkouts = [
        *_main_checkouts(branch, project.paths),
        *_linked_checkouts(branch, project.paths),
    ]
    if len(checkouts) > 1:
        both = "' and '".join(checkout.path for checkout in checkouts[:2])
        raise Refused(
            f"'{short_name(branch)}' is checked out twice, in '{both}'",
            hint="git switch --detach in one of them",
        )
    return checkouts[0] if checkouts else None


def _main_checkouts(branch: str, paths: RepositoryPaths) -> list[Checkout]:
    if not paths.main_checkout:
        return []
    operation = read_operation(paths.common_dir)
    head, _ = read_head(paths.common_dir)
    reserved = (*operation.branches, *operation.other_branches)
    if branch in reserved or (branch == head and operation.name):
        raise _operation_error(branch, paths.main_checkout, operation.name)
    return [Checkout(paths.common_dir, paths.main_checkout)] if branch == head else []


def _linked_checkouts(branch: str, paths: RepositoryPaths) -> list[Checkout]:
    checkouts = []
    for worktree in linked_worktrees(paths.common_dir):
        if branch not in worktree.reserved_branches:
            continue
        if worktree.head != branch or worktree.operation:
            raise _operation_error(branch, worktree.path, worktree.operation)
        error = "its directory is missing" if worktree.is_missing else worktree.link_error
        if error:
            raise Refused(
                f"'{short_name(branch)}' is checked out in '{worktree.path}', and {error}",
                hint=repair_command(worktree),
            )
        checkouts.append(Checkout(worktree.git_dir, worktree.path))
    return checkouts


def _operation_error(branch: str, path: str, operation: str) -> Refused:
    return Refused(
        f"'{short_name(branch)}' is in the middle of a {operation} in '{path}'",
        hint="finish it first",
    )
