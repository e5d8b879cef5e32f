"""Where a branch is checked out, and how it moves there with files and index, or not at all."""

from __future__ import annotations

from collections.abc import Container, Iterable

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.head import read_head, read_operation
from git_hub_session.git.ref_names import HEADS, short_name
from git_hub_session.git.refs import resolve_symbolic_ref
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session.project import Project
from git_hub_session.worktree.repair_commands import repair_command

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths


class Checkout(NamedTuple):
    """A worktree that has a branch checked out."""

    git_dir: str
    path: str

    def environ(self) -> dict[str, str]:
        """What tells git to work there."""
        return {"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.path}


def find_checkout(into: str, project: Project) -> Checkout | None:
    """Where the branch is checked out; raises Refused where it cannot be moved there."""
    place, found = project.paths, []
    if place.main_worktree:
        operation = read_operation(place.common_dir)
        if into in (*operation.branches, *operation.other_branches):
            raise _operation_error(into, place.main_worktree, operation.name)
        if read_head(place.common_dir)[0] == into:
            found.append(Checkout(place.common_dir, place.main_worktree))
    for worktree in linked_worktrees(place.common_dir):
        if into in worktree.reserved_branches:
            if worktree.head != into or worktree.operation:
                raise _operation_error(into, worktree.path, worktree.operation)
            fault = "its directory is missing" if worktree.is_missing else worktree.link_error
            if fault:
                raise Refused(
                    f"'{short_name(into)}' is checked out in '{worktree.path}', and {fault}",
                    hint=repair_command(worktree),
                )
            found.append(Checkout(worktree.git_dir, worktree.path))
    if len(found) > 1:
        both = "' and '".join(checkout.path for checkout in found[:2])
        raise Refused(
            f"'{short_name(into)}' is checked out twice, in '{both}'",
            hint="git switch --detach in one of them",
        )
    return found[0] if found else None


def main_worktree_branches(place: RepositoryPaths) -> list[str]:
    """The full refs of the branches that the main worktree has in use."""
    if not place.main_worktree:
        return []
    head, _ = read_head(place.common_dir)
    operation = read_operation(place.common_dir)
    refs = [head, *operation.branches, *operation.other_branches]
    return [ref for ref in refs if ref.startswith(HEADS)]


def branches_in_use(place: RepositoryPaths, gone: Container[str] = ()) -> set[str]:
    """The full refs that worktrees have in use, but for those whose entries are in `gone`."""
    worktrees = (one for one in linked_worktrees(place.common_dir) if one.git_dir not in gone)
    return set().union(*branches_by_worktree(place, worktrees).values())


def branches_by_worktree(
    place: RepositoryPaths, worktrees: Iterable[Worktree]
) -> dict[str, set[str]]:
    """Return the full refs that the main worktree ('') and each of `worktrees` has in use, by git dir."""
    refs = {"": set(main_worktree_branches(place))}
    refs |= {worktree.git_dir: set(worktree.reserved_branches) for worktree in worktrees}
    for used in refs.values():
        used.update([resolve_symbolic_ref(place.common_dir, ref) for ref in used])
    return refs


def _operation_error(into: str, path: str, operation: str) -> Refused:
    return Refused(
        f"'{short_name(into)}' is in the middle of a {operation} in '{path}'",
        hint="finish it first",
    )
