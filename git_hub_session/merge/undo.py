"""What a merge that was killed among the files of a worktree has left there, taken back.

git writes the files first, then the index, and the branch moves last: killed in between, all
of that is uncommitted, and git takes it for somebody's work. What was to be written is known.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.removal.partial_add import is_prefix_of_blob
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.worktree.checkouts import Checkout

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


INDEX_LOCK_HINT = (
    "another git is at work there; if one has died, remove the file manually to continue"
)


def undo_interrupted_update(checkout: Checkout, old: str, new: str, project: Project) -> None:
    """Undo what is left of a move of files and index from the commit `old`, where the branch is, to `new`.

    A file goes only if it is the start of what git was writing: nothing of it can be lost. All
    others stay. Raises Refused, GitFailed, OSError.
    """
    lock = os.path.join(checkout.git_dir, "index.lock")
    if os.path.lexists(lock):  # `git update-index -q` ends without a word then
        raise Refused(f"'{lock}': File exists", hint=INDEX_LOCK_HINT)
    before, after = project.repo.tree_entries(old), project.repo.tree_entries(new)
    moved = {path for path in before | after if before.get(path) != after.get(path)}

    git = checkout.git(project)
    differing = git.run(["diff-index", "--cached", "--name-only", "-z", new]).split(b"\0")
    if moved.isdisjoint(differing):  # git had come to the index
        git.run(["update-index", "-q", "--refresh"])
        git.run(["read-tree", "-m", "-u", new, old])
        return
    top = os.path.realpath(os.fsencode(checkout.path))
    for path in moved & after.keys():
        if _is_partial_file(top, path, after[path][1], checkout, project):
            _remove_file(top, path)
    gone = [path for path in moved & before.keys() if not os.path.lexists(os.path.join(top, path))]
    paths = b"".join(path + b"\0" for path in gone)
    git.run(["checkout-index", "-q", "-z", "--stdin"], stdin=paths)


def _remove_file(top: bytes, path: bytes) -> None:
    """Remove the file, and the directories that are empty then: one may be where `old` has a file."""
    os.unlink(os.path.join(top, path))
    try:
        while path := os.path.dirname(path):
            os.rmdir(os.path.join(top, path))
    except OSError:
        pass  # there is something else in it


def _is_partial_file(
    top: bytes, path: bytes, blob: bytes, checkout: Checkout, project: Project
) -> bool:
    """Whether there is a file that is the start of what git makes of `blob`; no link is followed to it."""
    full = os.path.join(top, path)
    if os.path.realpath(os.path.dirname(full)) != os.path.dirname(full):
        return False
    try:
        data = read_file_or_link(os.fsdecode(top), path, os.lstat(full).st_mode)
    except OSError:
        return False
    return is_prefix_of_blob(data, project.repo, checkout.git(project), path, blob)
