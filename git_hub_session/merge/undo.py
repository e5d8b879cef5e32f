"""Undo an update of a checkout that git left unfinished.

git writes the files first, then the index, and the branch moves last. If git was killed in between,
or could not write a file, the new files look like uncommitted changes of the user. The recorded merge
commit shows which files git has written.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.removal.partial_add import is_prefix_of_blob
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.worktree.tracked_files import git_mode

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.checkouts import Checkout


INDEX_LOCK_HINT = "if no other git process is running, remove the file manually to continue"


def undo_interrupted_update(checkout: Checkout, old: str, new: str, project: Project) -> None:
    """Undo an interrupted update of the files and the index from the commit `old` to `new`.

    The branch is still at `old`. Remove a changed file only if its content is the beginning of
    the content that git was writing, so that no work is lost. Keep all other files.

    Raises:
        Refused: another git process has locked the index, or the user changed a file after the
            interruption. The next call tries again.
        OSError: a file cannot be removed. The next call tries again.
    """
    try:
        _undo_update(checkout, old, new, project)
    except GitFailed as error:
        raise Refused(
            f"cannot undo the interrupted merge in '{checkout.path}'", hint=error.stderr.strip()
        ) from None


def _undo_update(checkout: Checkout, old: str, new: str, project: Project) -> None:
    lock = os.path.join(checkout.git_dir, "index.lock")
    if os.path.lexists(lock):  # `git update-index -q` would fail without a message
        raise Refused(f"'{lock}': File exists", hint=INDEX_LOCK_HINT)
    old_entries = project.repo.tree_entries(old)
    new_entries = project.repo.tree_entries(new)
    paths = old_entries | new_entries
    changed = {path for path in paths if old_entries.get(path) != new_entries.get(path)}
    git = checkout.git(project)
    differing = git.run(["diff-index", "--cached", "--name-only", "-z", new]).split(b"\0")
    if changed.isdisjoint(differing):  # git was killed after it wrote the index
        git.run(["update-index", "-q", "--refresh"])
        git.read_tree("-m", "-u", new, old)
        return
    top = os.path.realpath(os.fsencode(checkout.path))
    for path in changed & new_entries.keys():
        data = _read_file(top, path)
        if data is None or _is_old_file(
            os.path.join(top, path), data, old_entries.get(path), new_entries[path], project
        ):
            continue
        if is_prefix_of_blob(data, project.repo, git, path, new_entries[path][1]):
            _remove_file(top, path)
    old_paths = changed & old_entries.keys()
    missing = [path for path in old_paths if not os.path.lexists(os.path.join(top, path))]
    stdin = b"".join(path + b"\0" for path in missing)
    git.run(["checkout-index", "-q", "-z", "--stdin"], stdin=stdin)


def _remove_file(top: bytes, path: bytes) -> None:
    """Remove a file and its empty parents: `old` may have a file in the place of a parent."""
    os.unlink(os.path.join(top, path))
    try:
        while path := os.path.dirname(path):
            os.rmdir(os.path.join(top, path))
    except OSError:
        pass  # the directory is not empty


def _read_file(top: bytes, path: bytes) -> bytes | None:
    """Return the content of a file or link, or None. Follow no link to it."""
    full = os.path.join(top, path)
    if os.path.realpath(os.path.dirname(full)) != os.path.dirname(full):
        return None
    try:
        return read_file_or_link(os.fsdecode(top), path, os.lstat(full).st_mode)
    except OSError:
        return None


def _is_old_file(
    path: bytes,
    data: bytes,
    old: tuple[int, bytes] | None,
    new: tuple[int, bytes],
    project: Project,
) -> bool:
    """Return True if the file `path` has the content `data` of `old`, stored without a filter.

    Return False if it has the mode of `new` instead: some updates change only the mode.
    """
    if old is None or project.repo.blob_id(data) != old[1]:
        return False
    return old[0] == new[0] or git_mode(os.lstat(path).st_mode) != new[0]
