"""Save commits that no ref contains.

A loop of `git commit --amend` or `git reset` leaves hundreds of such commits in a reflog. One rescue ref
keeps all commits of a branch: the ref points to a new commit that has these commits as parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.head import reflog_commits
from git_hub_session.git.ref_names import SessionId, create_command, rescue_number, rescue_prefix
from git_hub_session.stash.create import STRICT_SETTINGS, author_environment
from git_hub_session.stash.lfs import LfsContents
from git_hub_session.temporary.objects import NewObjects

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import Branch, GitRepo

_MESSAGE = b"commits that no ref contained, saved by git hub-session cleanup\n"
_MAX_PARENTS = 1000
"""The largest number of parents of one commit: git gets them as arguments."""


def save_reflog_commits(
    sid: SessionId, git: Git, repo: GitRepo, branches: Iterable[Branch]
) -> dict[str, dict[str, list[str]]]:
    """Create rescue refs for the commits that only the reflogs of the branches contain.

    Git deletes a reflog with its branch. Return the saved objects by branch and rescue ref. Raise
    OSError if a reflog cannot be read.
    """
    logs = {
        branch.ref: reflog_commits(git.common_dir, branch.ref, strict=True) for branch in branches
    }
    # Search once for all branches: each search reads every ref of the repository.
    unsaved = set(repo.unreachable({oid for oids in logs.values() for oid in oids}))
    saved: dict[str, dict[str, list[str]]] = {}
    for branch, oids in logs.items():
        newest_first = [oid for oid in reversed(oids) if oid in unsaved]
        unsaved.difference_update(newest_first)
        if newest_first:
            tip = repo.tip(branch)
            saved[branch] = save_objects(rescue_prefix(sid, branch), newest_first, tip, git, repo)
    return saved


def save_objects(
    prefix: str, oids: Sequence[str], head: str, git: Git, repo: GitRepo
) -> dict[str, list[str]]:
    """Create one rescue ref for all commits, and one for each stash and each other object.

    Also keep the contents of their Git LFS files that the commit `head` does not need. Return the
    saved objects by rescue ref.
    """
    saved = {}
    contents = LfsContents(git.common_dir, repo)
    for group in group_objects(oids, repo):
        with NewObjects(git) as objects:
            oid = group[0]
            if len(group) > 1:
                oid = _join_commits(group, git, repo, objects)
                objects.keep([oid], group)
            saved[create_rescue_ref(prefix, oid, git, repo)] = group
        contents.keep_commits(oid, group, head)
    return saved


def group_objects(oids: Sequence[str], repo: GitRepo) -> list[list[str]]:
    """Return the objects that get a common rescue ref: all commits except stashes.

    A stash is applied by its own ref. A tag object or a blob cannot be a parent.
    """
    commits = [oid for oid in oids if repo.has_commit(oid) and not repo.find_stash(oid)]
    return [*filter(None, [commits]), *([oid] for oid in oids if oid not in {*commits})]


def _join_commits(oids: Sequence[str], git: Git, repo: GitRepo, objects: NewObjects) -> str:
    """Create a commit that has all commits as its parents, and return its object id."""
    author = author_environment(git)
    writer = git.at(git.common_dir, objects=objects.directory, settings=STRICT_SETTINGS)
    tree = repo.tree_id(oids[0]).hex()
    while len(oids) > 1:
        starts = range(0, len(oids), _MAX_PARENTS)
        groups = [oids[start : start + _MAX_PARENTS] for start in starts]
        oids = [writer.commit_tree(tree, group, _MESSAGE, environ=author) for group in groups]
    return oids[0]


def create_rescue_ref(prefix: str, oid: str, git: Git, repo: GitRepo) -> str:
    """Create the next rescue ref below `prefix`, and return it."""
    numbers = [rescue_number(ref, prefix) or 0 for ref in repo.refs(prefix)]
    ref = f"{prefix}{max(numbers, default=0) + 1}"
    git.update_refs("hub-session: saved work", [create_command(ref, oid)])
    return ref
