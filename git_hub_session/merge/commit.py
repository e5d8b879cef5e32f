"""Commit a computed merge, with the user's identity, signature and hooks."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.merge.options import MergeKind
from git_hub_session.merge.settings import git_of
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.worktree.hooks import enabled_hooks

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


_COMMIT_HOOKS = {"pre-merge-commit", "prepare-commit-msg", "commit-msg"}


def commit_merge(plan: MergePlan, message: str, project: Project) -> str:
    """Commit the merged tree with the user's identity, signature and hooks.

    The hooks prepare-commit-msg and commit-msg always run. The hook pre-merge-commit runs only
    if the branch is checked out, with an index of the merged tree.

    Raises:
        GitFailed: a hook rejected the merge, or git could not sign the commit.
        Refused: the message is empty.
    """
    assert plan.merge_tree is not None
    tree, checkout, settings = plan.merge_tree.tree, plan.checkout, plan.settings
    parents = [plan.base] if plan.kind is MergeKind.SQUASH else [plan.base, plan.tip]
    text = message.encode("utf-8", "surrogateescape")
    directory = checkout.path if checkout else project.paths.common_dir
    if enabled_hooks(project, directory) & _COMMIT_HOOKS:
        text = _run_commit_hooks(project, tree, text, checkout, is_merge=len(parents) > 1)
    text = _clean_up(git_of(checkout, project), text, settings.cleanup)
    if not text.strip():
        raise Refused("the merge message is empty", hint="give a message with -m <text>")
    return project.git.commit_tree(tree, parents, text, sign=settings.signs)


def read_signer(checkout: Checkout | None, project: Project) -> str:
    """Return the name and the address of the committer for a Signed-off-by line."""
    identity = git_of(checkout, project).run(["var", "GIT_COMMITTER_IDENT"])
    return os.fsdecode(identity).rsplit(" ", 2)[0]


def _clean_up(git: GitAt, message: bytes, mode: str) -> bytes:
    """Return the message without the parts that commit.cleanup removes if there is no editor."""
    if mode == "verbatim":
        return message
    options = ["--strip-comments"] if mode == "strip" else []
    return git.run(["stripspace", *options], stdin=message)


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
