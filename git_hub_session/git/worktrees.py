"""The repository's worktrees, read from git's own files in <common dir>/worktrees.

Source: gitrepository-layout(5), git-worktree(1) "DETAILS", git's worktree.c and
wt-status.c. Read as bytes, entry by entry: libgit2's list leaves out damaged entries and
knows neither locks, nor operations, nor the branch of a rebase; `git worktree list
--porcelain` can be forged by a newline in a path.
"""

from __future__ import annotations

import os
import re
import stat

from git_hub_session._typing import NamedTuple
from git_hub_session.git.head import (
    previous_branches,
    read_head,
    read_operation,
    read_reflog,
    reflog_commits,
    reflog_tip,
)
from git_hub_session.git.ref_names import is_object_id
from git_hub_session.git.safe_open import read_text
from git_hub_session.util.paths import is_same_path

LOCK_FILE = "locked"
"""The file in an entry that locks it, and holds the reason."""
REMOVAL_LOCK = "git hub-session removes it"
"""The reason for which a removal locks an entry, so that `git worktree prune` leaves it: none to us. A NUL may follow."""


class Worktree(NamedTuple):
    """One linked worktree, as its entry says, and whether the entry and the directory agree."""

    name: str
    """The entry's name, which need not be the directory's."""
    git_dir: str
    """The entry's own directory, where HEAD and index are."""
    path: str
    """The worktree's directory, absolute; '' where the entry does not say."""
    head: str
    """The full ref that HEAD names, or '' (detached, unreadable)."""
    detached: str
    """The object id that a detached HEAD holds, or ''."""
    operation: str
    """'merge', 'rebase', 'am', 'cherry-pick', 'revert', 'bisect' or ''."""
    branches: tuple[str, ...]
    """The full refs of the branches that are worked on in it: HEAD's, a rebase's, a bisect's."""
    reserved_branches: tuple[str, ...]
    """Those, and what a rebase will move besides: git lets nobody else delete or move them."""
    lock_reason: str | None
    """The reason somebody locked it for ('' where none is given), or None."""
    link_error: str
    """What is wrong with the link between entry and directory, or ''."""
    is_missing: bool
    """Whether the directory is gone."""
    index_mtime_ns: int
    """When its index was written, nanoseconds since the epoch; 0 where it has none."""

    @property
    def common_dir(self) -> str:
        """The common directory of the repository whose worktree it is."""
        return os.path.dirname(os.path.dirname(self.git_dir))

    @property
    def is_index_locked(self) -> bool:
        """Whether a git command is writing its index, or was killed while it did."""
        return os.path.lexists(os.path.join(self.git_dir, "index.lock"))

    @property
    def submodule_dir(self) -> str:
        """Where the repositories of its submodules lie, or ''."""
        path = os.path.join(self.git_dir, "modules")
        return path if os.path.lexists(path) else ""

    @property
    def head_reflog_tip(self) -> str:
        """The commit that HEAD led to last, as its reflog has it, or ''."""
        return reflog_tip(self.git_dir, "HEAD")

    @property
    def previous_branches(self) -> list[str]:
        """The full refs of the branches that HEAD has left, in that order, where none is worked on in it now."""
        return [] if self.branches else previous_branches(self.git_dir)

    def own_commits(self) -> list[str]:
        """The object ids that only this worktree's own files may refer to.

        Those of HEAD, of the pseudo-refs and per-worktree refs, of an unfinished rebase (its
        autostash too), and those in HEAD's reflog that no reflog of its branches has.
        """
        return _own_commits(self)


def linked_worktrees(common_dir: str) -> list[Worktree]:
    """Every linked worktree of the repository, by the name of its entry."""
    return [read_worktree(name, entry_of(common_dir, name)) for name in worktree_names(common_dir)]


def worktree_names(common_dir: str) -> list[str]:
    """Return the names of the git dirs of all linked worktrees, sorted."""
    try:
        with os.scandir(entry_of(common_dir, "")) as entries:
            return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def entry_of(common_dir: str, name: str) -> str:
    """Return the path of the git dir called `name` of a linked worktree."""
    return os.path.join(common_dir, "worktrees", name)


def read_worktree(name: str, entry: str) -> Worktree:
    """The worktree whose entry is the directory `entry`, as it is now."""
    head, detached = read_head(entry)
    operation = read_operation(entry)
    link = read_text(os.path.join(entry, "gitdir")).rstrip("\n")
    dot_git = os.path.normpath(os.path.join(entry, link)) if link and "\0" not in link else ""
    path = os.path.dirname(dot_git)
    missing, fault = (False, f"its entry '{name}' does not say where it is")
    if path:
        missing, fault = _check_link(entry, path, dot_git)
    return Worktree(
        name,
        entry,
        path,
        head,
        detached,
        operation.name,
        _unique_refs(head, *operation.branches),
        _unique_refs(head, *operation.branches, *operation.other_branches),
        _read_lock_reason(entry),
        fault,
        missing,
        _mtime_ns(os.path.join(entry, "index")),
    )


def _read_lock_reason(entry: str) -> str | None:
    path = os.path.join(entry, LOCK_FILE)
    reason = read_text(path).partition("\0")[0].strip() if os.path.lexists(path) else REMOVAL_LOCK
    return None if reason == REMOVAL_LOCK else reason


def _unique_refs(*refs: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, refs)))


def _check_link(entry: str, path: str, dot_git: str) -> tuple[bool, str]:
    """Whether the directory is missing, and what is wrong with the link in either direction."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True, ""
    except OSError as fault:
        return False, f"its directory cannot be looked at: {fault.strerror}"
    if stat.S_ISLNK(mode):
        return False, "its directory became a symbolic link"
    if not stat.S_ISDIR(mode):
        return False, "its directory became a file"
    try:
        mode = os.lstat(dot_git).st_mode
    except OSError:
        return False, "its .git file is missing"
    if stat.S_ISDIR(mode):
        return False, "a repository of its own lies there"
    if not stat.S_ISREG(mode):
        return False, "its .git is not a file"
    target = linked_git_dir(path)
    if not target:
        return False, "its .git file is not a link to a git directory"
    if not is_same_path(target, entry):
        return False, "its .git file points to another entry"
    return False, ""


def linked_git_dir(path: str) -> str:
    """The git directory that the .git file in the directory `path` names; '' where there is no such file."""
    text = read_text(os.path.join(path, ".git"))
    return os.path.join(path, text[8:].rstrip("\r\n")) if text.startswith("gitdir: ") else ""


# HEAD, ORIG_HEAD, MERGE_AUTOSTASH, … and what `git update-ref` made beside them. What was
# fetched (FETCH_HEAD) and what git last merged the files to (AUTO_MERGE) is nobody's work.
_PSEUDO_REF = re.compile("(?!FETCH_HEAD$|AUTO_MERGE$)[A-Z][A-Z_-]*")
_OF_OPERATIONS = (
    "rebase-merge/orig-head",
    "rebase-merge/autostash",
    "rebase-apply/orig-head",
    "rebase-apply/autostash",
)


def _own_commits(worktree: Worktree) -> list[str]:
    present = os.listdir(worktree.git_dir)
    files = [name for name in present if _PSEUDO_REF.fullmatch(name)]
    # Nearly always there is no operation: what is not there need not be opened.
    files += [name for name in _OF_OPERATIONS if name.partition("/")[0] in present]
    files += list_files_below(worktree.git_dir, "refs")
    texts = [read_text(f"{worktree.git_dir}/{name}") for name in files]
    for name in list_files_below(worktree.git_dir, "logs"):
        texts += [line[41:81] for line in read_reflog(worktree.git_dir, name.removeprefix("logs/"))]
    common_dir = worktree.common_dir
    known = {word for ref in worktree.branches for word in reflog_commits(common_dir, ref)}
    words = dict.fromkeys(word for text in texts for word in text.split() if is_object_id(word))
    return [word for word in words if word not in known or word == worktree.detached]


def list_files_below(top: str, name: str) -> list[str]:
    """The files below the directory `name` in `top`, as they are called from there."""
    found: list[str] = []
    directories = [name]
    for directory in directories:
        try:
            with os.scandir(f"{top}/{directory}") as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}"
                    (directories if entry.is_dir(follow_symlinks=False) else found).append(path)
        except OSError:
            pass  # nothing of it is there, or it went meanwhile
    return found


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
