"""Commit a computed merge, with the user's identity, signature and hooks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.merge.hooks import run_commit_hooks
from git_hub_session.merge.options import MergeKind
from git_hub_session.merge.surroundings import git_at_target

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


# A message in which `git stripspace` finds something to remove or to add: white space at the end of a
# line, several empty lines, empty lines at the start or the end, or no line feed at the end.
_UNCLEAN = rb"[ \t\r\f\v]\n|\n\n\n|\A\n|\n\n\Z|[^\n]\Z|\A\Z"


def commit_merge(
    plan: MergePlan,
    message: str,
    project: Project,
    variables: Mapping[str, str],
    objects: Mapping[str, str],
) -> str:
    """Commit the merged tree with the user's identity, signature and hooks.

    Args:
        variables: the variables of `git merge` for the hooks and gpg.
        objects: the variables that name the directory for new objects.

    Raises:
        HookRefused: a hook failed.
        GitFailed: git could not sign the commit.
        Refused: the message is empty.
    """
    assert plan.merge_tree is not None
    tree, checkout, settings = plan.merge_tree.tree, plan.checkout, plan.settings
    is_squash = plan.kind is MergeKind.SQUASH
    git = git_at_target(project, checkout, variables)
    author = _read_author(git) if is_squash else {}
    text = message.encode("utf-8", "surrogateescape")
    if settings.has_hooks:
        text = run_commit_hooks(plan, project, text, {**variables, **author})
    text = _clean_up(git, text, settings.cleanup)
    if not text.strip():
        raise _empty_message()
    parents = [plan.base] if is_squash else [plan.base, plan.tip]
    return git.commit_tree(tree, parents, text, sign=settings.signs, environ={**author, **objects})


def refuse_empty_message(plan: MergePlan, message: str | None) -> None:
    """Raise Refused if the user's message is empty. A hook could write another one."""
    is_used = not plan.existing_commit and not plan.settings.has_hooks
    if is_used and message is not None and not message.strip():
        raise _empty_message()


def _empty_message() -> Refused:
    return Refused("the merge message is empty", hint="give a message with -m <text>")


def read_signer(checkout: Checkout | None, project: Project) -> str:
    """Return the name and the address of the committer for a Signed-off-by line."""
    identity = git_at_target(project, checkout).run(["var", "GIT_COMMITTER_IDENT"])
    return os.fsdecode(identity).rsplit(" ", 2)[0]


def _read_author(git: GitAt) -> dict[str, str]:
    """Return the variables with which `git commit` names the author to its hooks."""
    identity = os.fsdecode(git.run(["var", "GIT_AUTHOR_IDENT"])).rstrip("\n")
    person, _, date = identity.rpartition("> ")
    name, _, email = person.rpartition(" <")
    values = {"NAME": name, "EMAIL": email, "DATE": f"@{date}"}
    return {f"GIT_AUTHOR_{field}": value for field, value in values.items()}


def _clean_up(git: GitAt, message: bytes, mode: str) -> bytes:
    """Return the message without the parts that commit.cleanup removes if there is no editor."""
    if mode == "verbatim" or (mode != "strip" and not re.search(_UNCLEAN, message)):
        return message
    options = ["--strip-comments"] if mode == "strip" else []
    return git.run(["stripspace", *options], stdin=message)
