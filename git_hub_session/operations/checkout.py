"""Where a branch is checked out, and how it moves there with files and index, or not at all."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

from git_hub_session.errors import GitFailed, HubError, Refused
from git_hub_session.heads import read_operation, read_head
from git_hub_session.operations.links import repair_command
from git_hub_session.operations.outfit import path_and_parents
from git_hub_session.operations.scene import Project
from git_hub_session.refnames import HEADS, SessionId, short_name, update_command
from git_hub_session.refs import resolve_symbolic_ref
from git_hub_session.typed import TYPE_CHECKING, NamedTuple
from git_hub_session.worktrees import Worktree, linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.discovery import RepositoryPaths


class InterruptedUpdate(HubError):
    """git was killed among the files: the next call takes back what it left (take_back)."""

    code = "cut-off"


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


def move_branch(
    ref: str, checkout: Checkout | None, old: str, new: str, project: Project, sid: SessionId
) -> None:
    """Move the branch `ref` from the commit `old` to `new`, where it is checked out with its files.

    Raises Refused, with nothing changed, and CutOff.
    """
    name = short_name(ref)
    if find_checkout(ref, project) != checkout:  # a hook, or a signature, takes its time
        raise Refused(
            f"another branch was checked out where '{name}' was, or '{name}' was, meanwhile",
            hint=f"git hub-session merge {sid}",
        )
    if checkout is None:
        try:
            project.git.update_refs([update_command(ref, new, old)])
        except GitFailed as fault:
            raise Refused(f"git does not move '{name}'", hint=fault.stderr.strip()) from None
        return
    ignored = _ignored_files_to_overwrite(project, checkout, old, new)
    if ignored:
        raise Refused(
            f"'{checkout.path}' has files in the way that git ignores",
            hint="\n".join(map(os.fsdecode, ignored)),
        )
    try:
        with project.store.lock_hub():  # no other session's merge comes in between
            project.git.run_with_locked_ref(checkout.environ(), ref, new, old)
    except GitFailed as fault:
        if fault.was_killed:
            raise InterruptedUpdate(
                f"git was killed while it updated '{checkout.path}'",
                hint=f"git hub-session merge {sid}",
            ) from None
        raise Refused(
            f"git cannot update '{checkout.path}', where '{name}' is checked out",
            hint=fault.stderr.strip(),
        ) from None
    _run_post_merge_hook(project, checkout)
    if not project.repo.is_ancestor(project.repo.tip(ref), new):
        raise Refused(f"git has updated '{checkout.path}', and '{name}' is not at {new[:12]}")


def enabled_hooks(project: Project, where: str) -> set[str]:
    """The names of the hooks that git would run in the directory `where`."""
    named = [
        os.path.join(project.paths.common_dir, "hooks"),
        *project.config_values("core.hooksPath"),
    ]
    directory = os.path.join(where, os.path.expanduser(named[-1]))
    try:
        names = os.listdir(directory)
    except OSError:
        return set()
    return {name for name in names if os.access(os.path.join(directory, name), os.X_OK)}


def _run_post_merge_hook(project: Project, checkout: Checkout) -> None:
    """Run the hook post-merge, as git does after a merge that was no squash; how it ends is its own affair."""
    if "post-merge" in enabled_hooks(project, checkout.path):
        command = ["hook", "run", "--ignore-missing", "post-merge", "--", "0"]
        try:
            project.git.run(command, environ=checkout.environ(), cwd=checkout.path)
        except GitFailed:
            pass


def _ignored_files_to_overwrite(
    project: Project, checkout: Checkout, old: str, new: str
) -> list[bytes]:
    """The ignored files where `new` has a file that `old` has not: git would take them for worthless."""
    top = os.fsencode(checkout.path)
    blocked = {
        os.fsdecode(way)
        for path in project.repo.paths_added(old, new)
        for way in path_and_parents(path)
        if _is_occupied(os.path.join(top, way), is_above=way != path)
    }
    if not blocked:
        return []
    words = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"]
    words += [f":(literal){way}" for way in sorted(blocked)]
    listed = project.git.run(words, environ=checkout.environ(), cwd=checkout.path)
    return listed.split(b"\0")[:-1]


def _is_occupied(path: bytes, *, is_above: bool) -> bool:
    """Whether something is at `path`; above a file a directory is not in the way."""
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    return os.path.lexists(path) and not (is_above and is_directory)
