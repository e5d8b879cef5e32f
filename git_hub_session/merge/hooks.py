"""Run the hooks of a merge in the order of git. Each hook writes on standard error itself.

`git merge` runs pre-merge-commit, prepare-commit-msg and commit-msg before the commit, and
post-merge after it. `git merge --squash` and `git commit` run pre-commit instead of
pre-merge-commit, and also post-commit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, HookRefused
from git_hub_session.git.ref_names import short_name
from git_hub_session.merge.options import MergeKind
from git_hub_session.merge.surroundings import git_at_target
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


COMMIT_HOOKS = ("pre-merge-commit", "pre-commit", "prepare-commit-msg", "commit-msg")
MERGE_HOOKS = ("post-merge", "post-commit")
# git sets this variable for the hooks of a commit if no editor opens for the message.
_NO_EDITOR = {"GIT_EDITOR": ":"}
# The hooks must not see the temporary index change.
_NO_HOOKS = {"core.hooksPath": os.devnull}


def run_commit_hooks(
    plan: MergePlan, project: Project, message: bytes, variables: Mapping[str, str]
) -> bytes:
    """Run the hooks before the commit with an index of the merged tree. Return the message.

    The hooks may edit the message. If the branch is not checked out, there is no such index. Then the
    first hook does not run, because it checks the files of the merge.

    Raises:
        HookRefused: a hook failed.
    """
    checkout = plan.checkout
    with temporary_directory() as scratch:
        index = os.path.join(scratch, "index") if checkout else ""
        git = git_at_target(project, checkout, {**variables, **_NO_EDITOR}, index=index)
        try:
            return _run_commit_hooks(git, plan, message, scratch)
        except HookRefused as error:
            if project.repo.tip(plan.into) == plan.base:
                raise
            change = f"the merge, but '{short_name(plan.into)}' has moved"
            raise HookRefused(error.hook, change) from None
        finally:
            if checkout is not None:
                _update_files_of_hook_commit(git, plan, checkout, project)


def _run_commit_hooks(git: GitAt, plan: MergePlan, message: bytes, scratch: str) -> bytes:
    assert plan.merge_tree is not None
    is_merge = plan.kind is not MergeKind.SQUASH
    first, source = ("pre-merge-commit", "merge") if is_merge else ("pre-commit", "squash")
    if plan.checkout is not None:
        git.read_tree(plan.merge_tree.tree, settings=_NO_HOOKS)
        _run_hook(git, first)
    with _message_file(scratch, message, plan.checkout, is_merge=is_merge) as (path, argument):
        _run_hook(git, "prepare-commit-msg", argument, source)
        _run_hook(git, "commit-msg", argument)
        try:
            with open(path, "rb") as reader:
                return reader.read()
        except FileNotFoundError:
            return message  # `git switch` in a hook removes MERGE_MSG


def _update_files_of_hook_commit(
    git: GitAt, plan: MergePlan, checkout: Checkout, project: Project
) -> None:
    """Update the checkout if a hook has committed to its branch with the index of the merge.

    That `git commit` has updated the temporary index, and not the index and the files of the checkout.
    Leave a checkout with local changes that the update would overwrite.
    """
    tip = project.repo.tip(plan.into)
    if tip == plan.base or not project.repo.is_ancestor(tip, plan.base):
        return
    target = git_at_target(project, checkout)
    with suppress(GitFailed):
        is_index_committed = (
            project.repo.tree_id(tip).hex() == git.run(["write-tree"]).decode().strip()
        )
        if is_index_committed and _stage_files_of_hook(target, plan, tip):
            target.read_tree("-m", "-u", plan.base, tip, settings=_NO_HOOKS)


def _stage_files_of_hook(target: GitAt, plan: MergePlan, tip: str) -> bool:
    """Stage the files that a hook has added to the merge. git would not overwrite these files.

    Return False if the user has staged one of them.
    """
    assert plan.merge_tree is not None
    command = ["diff-tree", "-r", "-z", "--no-renames", plan.merge_tree.tree, tip]
    fields = target.run(command).split(b"\0")[:-1]
    added = {path: raw.split() for raw, path in zip(fields[::2], fields[1::2], strict=True)}
    command = ["diff-index", "--cached", "-z", "--name-only", "--no-renames", plan.base]
    if not added.keys().isdisjoint(target.run(command).split(b"\0")[:-1]):
        return False
    entries = [b"%s %s\t%s\0" % (raw[1], raw[3], path) for path, raw in added.items()]
    target.run(["update-index", "-z", "--index-info"], stdin=b"".join(entries), settings=_NO_HOOKS)
    return True


def run_hooks_after_merge(git: GitAt, *, is_squash: bool) -> None:
    """Run the hooks after the merge. As in git, ignore their exit status."""
    git.run_hook("post-merge", "1" if is_squash else "0")
    if is_squash:
        git.run_hook("post-commit")


def _run_hook(git: GitAt, hook: str, *arguments: str) -> None:
    if git.run_hook(hook, *arguments):
        raise HookRefused(hook, "the merge; nothing was changed")


@contextmanager
def _message_file(
    scratch: str, message: bytes, checkout: Checkout | None, *, is_merge: bool
) -> Iterator[tuple[str, str]]:
    """Write the message into a file. Yield its path, and its path as git gives it to hooks.

    The file is in the git dir of the worktree, as in git. If git has left a file of that name, or
    if no worktree has the branch checked out, the file is in `scratch`.
    """
    name = "MERGE_MSG" if is_merge else "COMMIT_EDITMSG"
    path = argument = os.path.join(scratch, name)
    if checkout and not os.path.lexists(os.path.join(checkout.git_dir, name)):
        path = argument = os.path.join(checkout.git_dir, name)
        if is_inside(checkout.git_dir, checkout.path):
            argument = os.path.relpath(path, checkout.path)
    with open(path, "xb") as writer:
        writer.write(message)
    try:
        yield path, argument
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
