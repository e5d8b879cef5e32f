"""Move a checked-out branch together with its files and index."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, HubError, Refused
from git_hub_session.git.ref_names import SessionId, short_name, update_command
from git_hub_session.system.tree import path_and_parents
from git_hub_session.worktree.checkouts import find_checkout
from git_hub_session.worktree.hooks import enabled_hooks

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "move_branch.sh")


class InterruptedUpdate(HubError):
    """git was killed among the files: the next call takes back what it left (take_back)."""

    code = "cut-off"


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
            checkout.git(project).run_with_locked_ref(_SCRIPT, ref, new, old)
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


def _run_post_merge_hook(project: Project, checkout: Checkout) -> None:
    """Run the hook post-merge, as git does after a merge that was no squash; how it ends is its own affair."""
    if "post-merge" in enabled_hooks(project, checkout.path):
        command = ["hook", "run", "--ignore-missing", "post-merge", "--", "0"]
        try:
            checkout.git(project).run(command)
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
    return checkout.git(project).run(words).split(b"\0")[:-1]


def _is_occupied(path: bytes, *, is_above: bool) -> bool:
    """Whether something is at `path`; above a file a directory is not in the way."""
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    return os.path.lexists(path) and not (is_above and is_directory)
