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
from collections.abc import Iterable

from git_hub_session.heads import (
    is_id,
    left_branches,
    operation_of,
    read_head,
    reflog,
    reflog_commits,
    reflog_tip,
    text_of,
)
from git_hub_session.refnames import SessionId, branch_prefix, natural_key
from git_hub_session.typed import NamedTuple

LOCK = "locked"
"""The file in an entry that locks it, and holds the reason."""
REMOVING = "git hub-session removes it"
"""The reason for which a removal locks an entry, so that `git worktree prune` leaves it: none to us. A NUL may follow."""


class Worktree(NamedTuple):
    """One linked worktree, as its entry says, and whether the entry and the directory agree."""

    name: str
    """The entry's name, which need not be the directory's."""
    entry: str
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
    in_use: tuple[str, ...]
    """Those, and what a rebase will move besides: git lets nobody else delete or move them."""
    lock: str | None
    """The reason somebody locked it for ('' where none is given), or None."""
    fault: str
    """What is wrong with the link between entry and directory, or ''."""
    missing: bool
    """Whether the directory is gone."""
    indexed: int
    """When its index was written, nanoseconds since the epoch; 0 where it has none."""

    @property
    def common_dir(self) -> str:
        """The common directory of the repository whose worktree it is."""
        return os.path.dirname(os.path.dirname(self.entry))

    @property
    def index_locked(self) -> bool:
        """Whether a git command is writing its index, or was killed while it did."""
        return os.path.lexists(os.path.join(self.entry, "index.lock"))

    @property
    def submodules(self) -> str:
        """Where the repositories of its submodules lie, or ''."""
        path = os.path.join(self.entry, "modules")
        return path if os.path.lexists(path) else ""

    @property
    def came_from(self) -> str:
        """The commit that HEAD led to last, as its reflog has it, or ''."""
        return reflog_tip(self.entry, "HEAD")

    @property
    def left(self) -> list[str]:
        """The full refs of the branches that HEAD has left, in that order, where none is worked on in it now."""
        return [] if self.branches else left_branches(self.entry)

    def commits(self) -> list[str]:
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


def session_worktrees(sid: SessionId, worktrees: Iterable[Worktree]) -> list[tuple[Worktree, str]]:
    """Of `worktrees`, those that have a branch of the session in use, each with that branch's ref.

    In natural order of the branches: agent-10 after agent-2.
    """
    prefix = branch_prefix(sid)
    found = []
    for worktree in worktrees:
        branch = next((ref for ref in worktree.branches if ref.startswith(prefix)), "")
        if branch:
            found.append((worktree, branch))
    return sorted(found, key=lambda pair: natural_key(pair[1]))


def read_worktree(name: str, entry: str) -> Worktree:
    """The worktree whose entry is the directory `entry`, as it is now."""
    head, detached = read_head(entry)
    operation = operation_of(entry)
    link = text_of(os.path.join(entry, "gitdir")).rstrip("\n")
    dot_git = os.path.normpath(os.path.join(entry, link)) if link and "\0" not in link else ""
    path = os.path.dirname(dot_git)
    missing, fault = (False, f"its entry '{name}' does not say where it is")
    if path:
        missing, fault = _link(entry, path, dot_git)
    return Worktree(
        name,
        entry,
        path,
        head,
        detached,
        operation.name,
        _named(head, *operation.branches),
        _named(head, *operation.branches, *operation.moved),
        _lock(entry),
        fault,
        missing,
        _modified(os.path.join(entry, "index")),
    )


def _lock(entry: str) -> str | None:
    path = os.path.join(entry, LOCK)
    reason = text_of(path).partition("\0")[0].strip() if os.path.lexists(path) else REMOVING
    return None if reason == REMOVING else reason


def _named(*refs: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, refs)))


def _link(entry: str, path: str, dot_git: str) -> tuple[bool, str]:
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
    target = git_dir_of(path)
    if not target:
        return False, "its .git file is not a link to a git directory"
    if not is_same(target, entry):
        return False, "its .git file points to another entry"
    return False, ""


def is_same(one: str, other: str) -> bool:
    """Whether two paths, the first of which may be '', are those of one directory."""
    # The very name first: to resolve two costs more than all else that is read of a worktree.
    return bool(one) and (one == other or os.path.realpath(one) == os.path.realpath(other))


def git_dir_of(path: str) -> str:
    """The git directory that the .git file in the directory `path` names; '' where there is no such file."""
    text = text_of(os.path.join(path, ".git"))
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
    present = os.listdir(worktree.entry)
    files = [name for name in present if _PSEUDO_REF.fullmatch(name)]
    # Nearly always there is no operation: what is not there need not be opened.
    files += [name for name in _OF_OPERATIONS if name.partition("/")[0] in present]
    files += files_below(worktree.entry, "refs")
    texts = [text_of(f"{worktree.entry}/{name}") for name in files]
    for name in files_below(worktree.entry, "logs"):
        texts += [line[41:81] for line in reflog(worktree.entry, name.removeprefix("logs/"))]
    common_dir = worktree.common_dir
    known = {word for ref in worktree.branches for word in reflog_commits(common_dir, ref)}
    words = dict.fromkeys(word for text in texts for word in text.split() if is_id(word))
    return [word for word in words if word not in known or word == worktree.detached]


def files_below(top: str, name: str) -> list[str]:
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


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def lies_in(path: str, top: str) -> bool:
    """Whether `path` is the directory `top` or below it, by their names."""
    return bool(top) and (path == top or path.startswith(top.rstrip("/") + "/"))
