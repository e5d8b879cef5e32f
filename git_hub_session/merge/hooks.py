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
from git_hub_session.errors import HookRefused
from git_hub_session.merge.surroundings import git_at_target
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


COMMIT_HOOKS = ("pre-merge-commit", "pre-commit", "prepare-commit-msg", "commit-msg")
MERGE_HOOKS = ("post-merge", "post-commit")
# git sets this variable for the hooks of a commit if no editor opens for the message.
_NO_EDITOR = {"GIT_EDITOR": ":"}
# The hooks must not see the temporary index change.
_NO_HOOKS = {"core.hooksPath": os.devnull}


def run_commit_hooks(
    project: Project,
    tree: str,
    message: bytes,
    checkout: Checkout | None,
    variables: Mapping[str, str],
    *,
    is_merge: bool,
) -> bytes:
    """Run the hooks before the commit with an index of the merged tree. Return the message.

    The hooks may edit the message. If the branch is not checked out, there is no such index. Then the
    first hook does not run, because it checks the files of the merge.

    Raises:
        HookRefused: a hook failed.
    """
    first, source = ("pre-merge-commit", "merge") if is_merge else ("pre-commit", "squash")
    with temporary_directory() as scratch:
        index = os.path.join(scratch, "index") if checkout else ""
        git = git_at_target(project, checkout, {**variables, **_NO_EDITOR}, index=index)
        if checkout is not None:
            git.read_tree(tree, settings=_NO_HOOKS)
            _run_hook(git, first)
        with _message_file(scratch, message, checkout, is_merge=is_merge) as (path, argument):
            _run_hook(git, "prepare-commit-msg", argument, source)
            _run_hook(git, "commit-msg", argument)
            try:
                with open(path, "rb") as reader:
                    return reader.read()
            except FileNotFoundError:
                return message  # `git switch` in a hook removes MERGE_MSG


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
