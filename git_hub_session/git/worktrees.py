"""List the linked worktrees of a repository from git's files in <common dir>/worktrees.

Sources: gitrepository-layout(5), git-worktree(1) "DETAILS", git's worktree.c and wt-status.c.
The list of libgit2 leaves out damaged worktrees, locks, operations and the branch of a rebase. The
output of `git worktree list --porcelain` is ambiguous if a path contains a line feed.
"""

from __future__ import annotations

import os
import re
import stat
from time import sleep

from git_hub_session._typing import NamedTuple
from git_hub_session.git.head import (
    operation_commits,
    previous_branches,
    read_head,
    read_operation,
    read_reflog,
    reflog_commits,
    reflog_tip,
)
from git_hub_session.git.ref_names import is_object_id
from git_hub_session.git.refs import list_files_below
from git_hub_session.git.safe_open import read_existing_text, read_text
from git_hub_session.util.paths import is_same_path

_REMOVAL_TIME = 0.02  # seconds that git needs to remove the files of a git dir

LOCK_FILE = "locked"
"""The file in a worktree's git dir that locks the worktree. It contains the reason."""
REMOVAL_LOCK = "git hub-session removes it"
"""The lock reason of a removal. It does not count as a lock.

The lock keeps `git worktree prune` away. A NUL and the journal of the removal can follow in the file.
"""


class Worktree(NamedTuple):
    """A linked worktree as its git dir describes it, and the state of its directory."""

    name: str
    """The name of the git dir, which can differ from the name of the directory."""
    git_dir: str
    """The path of the worktree's git dir, which contains HEAD and index."""
    path: str
    """The absolute path of the directory, or '' if the git dir does not record it."""
    head: str
    """The full ref that HEAD names, or '' (detached, unreadable)."""
    detached: str
    """The object id of a detached HEAD, or ''."""
    operation: str
    """'merge', 'rebase', 'am', 'cherry-pick', 'revert', 'bisect' or ''."""
    branches: tuple[str, ...]
    """The full refs of the branches that the worktree uses: of HEAD, a rebase or a bisect."""
    reserved_branches: tuple[str, ...]
    """`branches` and those that a rebase will move. git protects them against other worktrees."""
    lock_reason: str | None
    """The reason of the lock ('' if it has none), or None if the worktree is not locked."""
    link_error: str
    """The error in the link between git dir and directory, or ''."""
    is_missing: bool
    """True if the directory does not exist."""
    index_mtime_ns: int
    """The modification time of the index in ns since the epoch, or 0 if there is no index."""

    @property
    def common_dir(self) -> str:
        """The common dir of the worktree's repository."""
        return os.path.dirname(os.path.dirname(self.git_dir))

    @property
    def is_index_locked(self) -> bool:
        """True if a git command is writing the index, or was killed while it did."""
        return os.path.lexists(f"{self.git_dir}/index.lock")

    @property
    def unsaved_operation(self) -> str:
        """'notes merge' or 'am' if it is unfinished, or ''. No ref can keep its files."""
        if os.path.lexists(f"{self.git_dir}/NOTES_MERGE_PARTIAL"):
            return "notes merge"
        return "am" if self.operation == "am" else ""

    @property
    def submodule_dir(self) -> str:
        """The directory that contains the repositories of the submodules, or ''."""
        path = f"{self.git_dir}/modules"
        return path if os.path.lexists(path) else ""

    @property
    def head_reflog_tip(self) -> str:
        """The newest commit in the reflog of HEAD, or ''."""
        return reflog_tip(self.git_dir, "HEAD")

    @property
    def left_branches(self) -> list[str]:
        """The full refs of the branches that HEAD left, the oldest first."""
        return previous_branches(self.git_dir)

    @property
    def previous_branches(self) -> list[str]:
        """The full refs of the branches that HEAD left, the oldest first. [] if `branches` has any."""
        return [] if self.branches else self.left_branches

    def own_commits(self) -> list[str]:
        """Return the object ids to which only the files of this worktree may refer.

        These are the ids in HEAD, in pseudo-refs and per-worktree refs, in the files of an
        unfinished operation, and in HEAD's reflog. Leave out ids in the reflogs of its branches,
        but not the ids of a detached HEAD and of per-worktree refs. The ids of an operation may be
        abbreviated. Raise OSError if a file cannot be read.
        """
        return _own_commits(self)


def linked_worktrees(common_dir: str) -> list[Worktree]:
    """Return all linked worktrees of the repository, sorted by the names of their git dirs.

    Leave out copied git dirs (see `copied_git_dirs`): they would make a sound worktree unusable.
    """
    return without_copies(_read_all(common_dir))


def without_copies(worktrees: list[Worktree]) -> list[Worktree]:
    """Return all worktrees of the repository without copied git dirs (see `copied_git_dirs`)."""
    copies = _copies(worktrees)
    return [worktree for worktree in worktrees if worktree not in copies]


def copied_git_dirs(common_dir: str) -> list[Worktree]:
    """Return the git dirs that record the directory and the HEAD of a sound worktree."""
    return _copies(_read_all(common_dir))


def _copies(worktrees: list[Worktree]) -> list[Worktree]:
    damaged = [worktree for worktree in worktrees if worktree.link_error and worktree.path]
    if not damaged:
        return []
    sound = {
        (worktree.path, worktree.head, worktree.detached)
        for worktree in worktrees
        if not (worktree.link_error or worktree.is_missing)
    }
    return [copy for copy in damaged if (copy.path, copy.head, copy.detached) in sound]


def _read_all(common_dir: str) -> list[Worktree]:
    worktrees = [
        read_worktree(name, worktree_git_dir(common_dir, name))
        for name in worktree_names(common_dir)
    ]
    if all(worktree.path for worktree in worktrees):
        return worktrees
    # git may be removing a git dir at this moment: it deletes the file `gitdir` before the directory.
    sleep(_REMOVAL_TIME)
    return [worktree for worktree in worktrees if worktree.path or os.path.isdir(worktree.git_dir)]


def is_pruned(worktree: Worktree) -> bool:
    """Return True if git has removed the git dir, or removes it at this moment."""
    if os.path.isdir(worktree.git_dir):
        sleep(_REMOVAL_TIME)
    return not os.path.isdir(worktree.git_dir)


def worktree_names(common_dir: str) -> list[str]:
    """Return the names of the git dirs of all linked worktrees, sorted."""
    try:
        with os.scandir(worktree_git_dir(common_dir, "")) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def worktree_git_dir(common_dir: str, name: str) -> str:
    """Return the path of the git dir called `name` of a linked worktree."""
    return os.path.join(common_dir, "worktrees", name)


def read_worktree(name: str, git_dir: str) -> Worktree:
    """Read the current state of the worktree that has this git dir."""
    head, detached = read_head(git_dir)
    operation = read_operation(git_dir)
    link = read_text(f"{git_dir}/gitdir").rstrip(" \t\r\n")  # as git does
    # git writes a path that ends with .git. Another text was truncated or replaced.
    is_path = os.path.basename(link) == ".git" and "\0" not in link
    dot_git = os.path.normpath(os.path.join(git_dir, link)) if is_path else ""
    path = os.path.dirname(dot_git)
    is_missing = False
    link_error = f"its administrative files (worktrees/{name}) do not record its path"
    if path:
        is_missing, link_error = _check_link(git_dir, path, dot_git)
    return Worktree(
        name,
        git_dir,
        path,
        head,
        detached,
        operation.name,
        _unique_refs(head, *operation.branches),
        _unique_refs(head, *operation.branches, *operation.other_branches),
        _read_lock_reason(git_dir),
        link_error,
        is_missing,
        _mtime_ns(f"{git_dir}/index"),
    )


def _read_lock_reason(git_dir: str) -> str | None:
    """Return the reason of the lock, or None if the worktree is unlocked or being removed."""
    path = f"{git_dir}/{LOCK_FILE}"
    reason = read_text(path).partition("\0")[0].strip() if os.path.lexists(path) else REMOVAL_LOCK
    return None if reason == REMOVAL_LOCK else reason


def _unique_refs(*refs: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, refs)))


def _check_link(git_dir: str, path: str, dot_git: str) -> tuple[bool, str]:
    """Return True if the directory is missing, and the error in the link in either direction."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True, ""
    except OSError as error:
        return False, f"cannot read its directory: {error.strerror}"
    if stat.S_ISLNK(mode):
        return False, "its directory became a symbolic link"
    if not stat.S_ISDIR(mode):
        return False, "its directory became a file"
    return False, _check_dot_git(git_dir, path, dot_git)


def _check_dot_git(git_dir: str, path: str, dot_git: str) -> str:
    try:
        mode = os.lstat(dot_git).st_mode
    except OSError:
        return "its .git file is missing"
    if stat.S_ISDIR(mode):
        return "its directory became a separate repository"
    if not stat.S_ISREG(mode):
        return "its .git is not a file"
    target = linked_git_dir(path)
    if not target:
        return "its .git file does not name a git dir"
    return "" if is_same_path(target, git_dir) else "its .git file names another git dir"


def linked_git_dir(path: str) -> str:
    """Return the git dir that the .git file in the directory `path` names, or ''."""
    text = read_text(f"{path}/.git")
    return os.path.join(path, text[8:].rstrip("\r\n")) if text.startswith("gitdir: ") else ""


def unusable_git_dir(path: str, common_dir: str) -> str:
    """Return the git dir of this repository that the directory `path` names, or ''.

    Return only one that is missing or a symbolic link. No command follows such a link: it can lead to
    the files of another user.
    """
    try:
        is_linked = stat.S_ISREG(os.lstat(os.path.join(path, ".git")).st_mode)
    except OSError:
        return ""
    if not is_linked or os.path.islink(path):
        return ""
    parent, name = os.path.split(linked_git_dir(path))
    if not name or not is_same_path(parent, os.path.join(common_dir, "worktrees")):
        return ""
    git_dir = worktree_git_dir(common_dir, name)
    return git_dir if os.path.islink(git_dir) or not os.path.lexists(git_dir) else ""


# HEAD, ORIG_HEAD, MERGE_AUTOSTASH and other refs that are files in the git dir itself.
# FETCH_HEAD (fetched commits) and AUTO_MERGE (git's last merge of the files) contain no work.
_PSEUDO_REF = re.compile("(?!FETCH_HEAD$|AUTO_MERGE$)[A-Z][A-Z_-]*")


def _own_commits(worktree: Worktree) -> list[str]:
    # A file that cannot be read may contain ids, too.
    files = {
        name: read_existing_text(f"{worktree.git_dir}/{name}")
        for name in _own_refs(worktree.git_dir)
    }
    texts = [*files.values()]
    for name in list_files_below(worktree.git_dir, "logs", strict=True):
        reflog = read_reflog(worktree.git_dir, name.removeprefix("logs/"), strict=True)
        texts += [line[41:81] for line in reflog]
    candidates = dict.fromkeys(word for text in texts for word in text.split())
    named = operation_commits(worktree.git_dir)
    known: set[str] = set()
    for ref in worktree.branches:
        known.update(reflog_commits(worktree.common_dir, ref))
    known.discard(worktree.detached)
    # A ref keeps its commit for ever, a reflog for some weeks.
    known.difference_update(text.strip() for name, text in files.items() if "/" in name)
    oids = [*(oid for oid in candidates if is_object_id(oid)), *named]
    return [oid for oid in dict.fromkeys(oids) if oid not in known]


def _own_refs(git_dir: str) -> list[str]:
    """Return the files in the git dir that can contain object ids, without the reflogs."""
    pseudo_refs = [name for name in os.listdir(git_dir) if _PSEUDO_REF.fullmatch(name)]
    return [*pseudo_refs, *list_files_below(git_dir, "refs", strict=True)]


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def is_complete(path: str) -> bool:
    """Return True if git has written all files of a new worktree. It writes the index last."""
    git_dir = linked_git_dir(path)
    return bool(git_dir) and os.path.exists(os.path.join(git_dir, "index"))


def is_unused(path: str) -> bool:
    """Return True if `path` is missing or an empty directory. `git worktree add` accepts both."""
    try:
        return not os.listdir(path)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False
