"""The merge of two commits, computed without any checkout, and the commit of it.

git does it (`git merge-tree --write-tree`): with its rename detection, the user's settings and
merge drivers. These are named by attributes, which git reads from files only; where the branch
is checked out nowhere it is given those of its tip in a directory of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory

from git_hub_session.errors import GitFailed, HubError
from git_hub_session.gitconfig import is_true
from git_hub_session.operations.scene import Scene
from git_hub_session.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo

_ATTRIBUTES = b".gitattributes"
_CONFLICTS, _USAGE = 1, 129  # exit codes of git merge-tree


class TooOld(HubError):
    """git is older than what is needed of it."""

    code = "git-too-old"


class Checkout(NamedTuple):
    """A worktree that has a branch checked out."""

    git_dir: str
    path: str

    def environ(self) -> dict[str, str]:
        """What tells git to work there."""
        return {"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.path}


class Blend(NamedTuple):
    """What a merge comes to."""

    tree: str
    """The object id of the merged tree, with conflict markers where there are conflicts."""
    conflicts: tuple[bytes, ...] = ()
    """The paths that git cannot merge by itself."""


def blend(
    scene: Scene, ours: str, theirs: str, checkout: Checkout | None, *, dry_run: bool
) -> Blend:
    """Merge the commit `theirs` into `ours`; no ref, index or file changes.

    `checkout` has `ours` checked out. Objects are written, but for a dry run. Raises GitFailed
    (no common history), TooOld.
    """
    with TemporaryDirectory(prefix="git-hub-session-") as scratch:
        if checkout is None:
            _write_attributes(scene.repo, ours, scratch)
        top = checkout.path if checkout else scratch
        place = {"GIT_WORK_TREE": top}
        if dry_run:
            objects = os.path.join(scratch, ".objects")
            os.makedirs(os.path.join(objects, "info"))
            with open(os.path.join(objects, "info", "alternates"), "wb") as file:
                file.write(os.fsencode(f"{scene.place.common_dir}/objects\n"))
            place["GIT_OBJECT_DIRECTORY"] = objects
        words = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs]
        try:
            printed = scene.git.run(words, environ=place, cwd=top)
        except GitFailed as fault:
            if fault.status == _USAGE:
                raise TooOld("merging needs git 2.38 or later") from None
            if fault.status != _CONFLICTS or not fault.stdout:
                raise
            printed = fault.stdout
        tree, *conflicts = printed.rstrip(b"\0").split(b"\0")
        return Blend(tree.decode(), tuple(conflicts))


def _write_attributes(repo: GitRepo, commit: str, top: str) -> None:
    for path, (_, oid) in repo.tree_entries(commit).items():
        if path.rpartition(b"/")[2] == _ATTRIBUTES:
            file = os.path.join(os.fsencode(top), path)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as writer:
                writer.write(repo.blob(oid))


def commit_blend(
    scene: Scene, tree: str, parents: Sequence[str], message: str, checkout: Checkout | None
) -> str:
    """A commit of the merged tree, as the user's git is configured: identity, signature, hooks.

    Of the hooks of `git merge`, pre-merge-commit runs where the branch is checked out, with an
    index of what is merged; prepare-commit-msg and commit-msg always. Raises GitFailed.
    """
    place = checkout.environ() if checkout else {}
    where = checkout.path if checkout else scene.place.common_dir
    with TemporaryDirectory(prefix="git-hub-session-") as scratch:
        file = os.path.join(scratch, "MERGE_MSG")
        with open(file, "wb") as writer:
            writer.write(message.encode("utf-8", "surrogateescape"))
        if checkout is not None:
            place["GIT_INDEX_FILE"] = os.path.join(scratch, "index")
            scene.git.run(["read-tree", tree], environ=place)
            _hook(scene, ["pre-merge-commit"], place, where)
        kind = "merge" if len(parents) > 1 else "squash"
        _hook(scene, ["prepare-commit-msg", "--", file, kind], place, where)
        _hook(scene, ["commit-msg", "--", file], place, where)
        with open(file, "rb") as reader:
            told = reader.read()
    signed = is_true(["", *scene.settings("commit.gpgSign")][-1])
    return scene.git.commit_tree(tree, parents, told, sign=signed)


def _hook(scene: Scene, words: Sequence[str], environ: Mapping[str, str], where: str) -> None:
    scene.git.run(["hook", "run", "--ignore-missing", *words], environ=environ, cwd=where)
