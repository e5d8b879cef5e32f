"""The merge of two commits, computed without any checkout, and the commit of it.

git does it (`git merge-tree --write-tree`): with its rename detection, the user's settings and
merge drivers. These are named by attributes, which git reads from files only; where the branch
is checked out nowhere it is given those of its tip in a directory of their own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.config import is_true
from git_hub_session.worktree.checkouts import Checkout
from git_hub_session.worktree.hooks import enabled_hooks

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project


_ATTRIBUTES = b".gitattributes"
_CONFLICTS = 1  # exit code of git merge-tree


class MergeTreeResult(NamedTuple):
    """What a merge comes to."""

    tree: str
    """The object id of the merged tree, with conflict markers where there are conflicts."""
    conflicts: tuple[bytes, ...] = ()
    """The paths that git cannot merge by itself."""


def merge_trees(
    project: Project, ours: str, theirs: str, checkout: Checkout | None, *, dry_run: bool
) -> MergeTreeResult:
    """Merge the commit `theirs` into `ours`; no ref, index or file changes.

    `checkout` has `ours` checked out. Objects are written, but for a dry run. Raises GitFailed
    (no common history), TooOld.
    """
    common_dir = project.paths.common_dir
    if checkout is not None and not dry_run:
        return _run_merge_tree(project.git.at(common_dir, checkout.path), ours, theirs)
    with _temporary_directory() as scratch:
        if checkout is None:
            _write_attributes(project.repo, ours, scratch)
        objects = ""
        if dry_run:
            objects = os.path.join(scratch, ".objects")
            os.makedirs(os.path.join(objects, "info"))
            with open(os.path.join(objects, "info", "alternates"), "wb") as file:
                file.write(os.fsencode(f"{common_dir}/objects\n"))
        top = checkout.path if checkout else scratch
        return _run_merge_tree(project.git.at(common_dir, top, objects=objects), ours, theirs)


def _run_merge_tree(git: GitAt, ours: str, theirs: str) -> MergeTreeResult:
    words = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs]
    try:
        printed = git.run(words)
    except GitFailed as fault:
        if fault.status != _CONFLICTS or not fault.stdout:
            raise
        printed = fault.stdout
    tree, *conflicts = printed.rstrip(b"\0").split(b"\0")
    return MergeTreeResult(tree.decode(), tuple(conflicts))


def _temporary_directory() -> AbstractContextManager[str]:
    """A temporary directory; most merges need none, and do not wait for what makes one."""
    from tempfile import TemporaryDirectory

    return TemporaryDirectory(prefix="git-hub-session-")


def _write_attributes(repo: GitRepo, commit: str, top: str) -> None:
    for path, (mode, oid) in repo.tree_entries(commit).items():
        *above, name = path.split(b"/")
        # Who makes trees by hand can call a directory "..".
        if name == _ATTRIBUTES and stat.S_ISREG(mode) and b".." not in above:
            file = os.path.join(os.fsencode(top), path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as writer:
                writer.write(repo.read_blob(oid))


def commit_merge(
    project: Project, tree: str, parents: Sequence[str], message: str, checkout: Checkout | None
) -> str:
    """A commit of the merged tree, as the user's git is configured: identity, signature, hooks.

    Of the hooks of `git merge`, pre-merge-commit runs where the branch is checked out, with an
    index of what is merged; prepare-commit-msg and commit-msg always. Raises GitFailed,
    Refused (there is no message).
    """
    told = message.encode("utf-8", "surrogateescape")
    where = checkout.path if checkout else project.paths.common_dir
    if enabled_hooks(project, where) & {"pre-merge-commit", "prepare-commit-msg", "commit-msg"}:
        told = _run_message_hooks(project, tree, told, checkout, is_merge=len(parents) > 1)
    if not told.strip():
        raise Refused("the message of the merge is empty", hint="-m <text>")
    signed = is_true(["", *project.config_values("commit.gpgSign")][-1])
    return project.git.commit_tree(tree, parents, told, sign=signed)


def _run_message_hooks(
    project: Project, tree: str, message: bytes, checkout: Checkout | None, *, is_merge: bool
) -> bytes:
    """The message as the hooks leave it; raises GitFailed where one refuses."""
    with _temporary_directory() as scratch:
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
    git.run(["hook", "run", "--ignore-missing", hook, "--", *arguments])
