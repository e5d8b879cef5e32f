"""Commit a computed merge, with the user's identity, signature and hooks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.config import is_true
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.worktree.hooks import enabled_hooks

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


_COMMIT_HOOKS = {"pre-merge-commit", "prepare-commit-msg", "commit-msg"}


def commit_merge(
    project: Project, tree: str, parents: Sequence[str], message: str, checkout: Checkout | None
) -> str:
    """Commit the merged tree with the user's identity, signature and hooks.

    The hooks prepare-commit-msg and commit-msg always run. The hook pre-merge-commit runs only
    if the branch is checked out, with an index of the merged tree.

    Raises:
        GitFailed: a hook rejected the merge, or git could not sign the commit.
        Refused: the message is empty.
    """
    text = message.encode("utf-8", "surrogateescape")
    directory = checkout.path if checkout else project.paths.common_dir
    if enabled_hooks(project, directory) & _COMMIT_HOOKS:
        text = _run_commit_hooks(project, tree, text, checkout, is_merge=len(parents) > 1)
    if not text.strip():
        raise Refused("the merge message is empty", hint="give a message with -m <text>")
    return project.git.commit_tree(tree, parents, text, sign=signs_commits(project))


def signs_commits(project: Project) -> bool:
    """Return True if commit.gpgSign is set."""
    return is_true(["", *project.config_values("commit.gpgSign")][-1])


def _run_commit_hooks(
    project: Project, tree: str, message: bytes, checkout: Checkout | None, *, is_merge: bool
) -> bytes:
    """Run the hooks of `git merge`. Return the message, which they may have edited."""
    with temporary_directory() as scratch:
        file = os.path.join(scratch, "MERGE_MSG")
        with open(file, "wb") as writer:
            writer.write(message)
        if checkout is None:
            git = project.git.at(project.paths.common_dir)
        else:
            index = os.path.join(scratch, "index")
            git = project.git.at(checkout.git_dir, checkout.path, index=index)
            git.run(["read-tree", tree])
            _run_hook(git, "pre-merge-commit")
        _run_hook(git, "prepare-commit-msg", file, "merge" if is_merge else "squash")
        _run_hook(git, "commit-msg", file)
        with open(file, "rb") as reader:
            return reader.read()


def _run_hook(git: GitAt, hook: str, *arguments: str) -> None:
    try:
        git.run(["hook", "run", "--ignore-missing", hook, "--", *arguments])
    except GitFailed as error:
        error.message = f"the {hook} hook rejected the merge; nothing was changed"
        raise
