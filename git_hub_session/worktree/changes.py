"""One worktree looked at closely: what lies in it that no commit has. Read-only, and no process is started.

Stricter than `git status` wherever that can be told not to see: untracked files are always
looked for, no fsmonitor is asked, assume-unchanged and skip-worktree files are compared
like all others, and so are modes. A file counts as unchanged only if its stat data is what
git recorded when it last read the file, or its bytes are the very blob in the index.
"""

from __future__ import annotations

import os
import stat

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ignore import MAX_BYTES, IgnoreFileTooLarge, IgnoreRules
from git_hub_session.git.index import Index, IndexEntry
from git_hub_session.system import tree
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree

_HASH_LIMIT = 64 << 20  # bytes: a larger file that looks changed is git's to compare
_LOW_32 = 0xFFFFFFFF
_SECOND = 1_000_000_000
_EMPTY_BLOB = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")


class WorktreeChanges(NamedTuple):
    """What a worktree holds besides its commit. Paths are bytes, relative to its top."""

    head: str
    """The commit that HEAD leads to, or ''."""
    tree: tree.DirectoryTree
    git_index: Index
    staged: frozenset[bytes]
    """Paths that differ between HEAD and the index."""
    changed: frozenset[bytes]
    """Tracked paths whose file differs from the index, or may: filters are not run."""
    untracked: tuple[bytes, ...]
    ignored: tuple[bytes, ...]
    special_files: tuple[bytes, ...]
    """Untracked FIFOs, sockets and devices."""
    submodules: tuple[bytes, ...]
    """Populated ones."""
    repositories: tuple[bytes, ...]
    """Repositories and worktrees inside, ignored or not."""

    @property
    def change_count(self) -> int:
        """How many tracked paths differ from HEAD, in the index or on disk."""
        return len(self.staged | self.changed)

    def size(self, paths: tuple[bytes, ...]) -> int:
        """The bytes that the files at `paths` take."""
        return sum(self.tree.files[path].st_size for path in paths)


def head_commit(worktree: Worktree, repo: GitRepo) -> str:
    """The commit that the worktree's HEAD leads to, or '' (unborn, broken)."""
    return repo.tip(worktree.head) if worktree.head else worktree.detached


def read_changes(worktree: Worktree, repo: GitRepo, index: Index, written: int) -> WorktreeChanges:
    """Look at all of a worktree whose directory is there; raises OSError.

    `index` holds every entry (a split or sparse index has to be completed first);
    `written` is when the index file was written, in nanoseconds.
    """
    entries = index.entries
    found = tree.scan_directory(worktree.path, tracked=entries)
    changed = {
        path
        for path, entry in entries.items()
        if path in found.files
        and _is_modified(worktree.path, path, entry, found.files[path], written, repo)
    }
    # A submodule that is not populated is an empty directory.
    absent = entries.keys() - found.files.keys() - index.skip_worktree
    absent -= index.gitlinks & found.directories
    intended = index.intent_to_add & found.files.keys()
    others = [path for path in found.files if path not in entries and path not in index.unmerged]
    untracked, ignored = _split_ignored(others, worktree, found, index, repo)
    regular = {path for path in untracked if can_git_store(found.files[path].st_mode)}
    head = head_commit(worktree, repo)
    never_checked_out = not entries and not index.unmerged and not written and not found.files
    return WorktreeChanges(
        head,
        found,
        index,
        frozenset() if never_checked_out else staged_paths(head, repo, index),
        frozenset(changed | absent | intended),
        tuple(path for path in untracked if path in regular),
        tuple(ignored),
        tuple(path for path in untracked if path not in regular),
        tuple(path for path in found.repositories if path in index.gitlinks),
        tuple(path for path in found.repositories if path not in index.gitlinks),
    )


def staged_paths(head: str, repo: GitRepo, index: Index) -> frozenset[bytes]:
    """The paths that differ between the commit `head` and the index."""
    if index.tree is not None and index.tree == repo.tree_id(head) and not index.intent_to_add:
        return frozenset(index.unmerged)
    committed = repo.tree_entries(head)
    staged = {path: (entry.mode, entry.oid) for path, entry in index.entries.items()}
    differing = {path for path, _ in committed.items() ^ staged.items()}
    return frozenset(differing | index.unmerged)


def _is_modified(
    top: str, path: bytes, entry: IndexEntry, file: os.stat_result, written: int, repo: GitRepo
) -> bool:
    """Whether a file differs from its entry, as far as can be told without git's filters."""
    mtime = file.st_mtime_ns
    if (
        entry.mtime * _SECOND + entry.mtime_ns == mtime
        and entry.ctime * _SECOND + entry.ctime_ns == file.st_ctime_ns
        and entry.size == file.st_size & _LOW_32
        # git writes size 0 for what it could not be sure of: that proves nothing.
        and (entry.size or entry.oid == _EMPTY_BLOB)
        and entry.ino == file.st_ino & _LOW_32
        # Written in the same tick as the index: it may have changed again since ("racy git").
        and mtime < written
    ):
        # A mode says so itself: core.fileMode=false must not hide it.
        return _git_mode(file.st_mode) != entry.mode
    return (
        _git_mode(file.st_mode) != entry.mode
        or file.st_size > _HASH_LIMIT
        or repo.blob_id(read_file_or_link(top, path, file.st_mode)) != entry.oid
    )


def _git_mode(mode: int) -> int:
    if stat.S_ISLNK(mode):
        return 0o120000
    if stat.S_ISREG(mode):
        return 0o100755 if mode & 0o100 else 0o100644
    return 0


def can_git_store(mode: int) -> bool:
    """Whether git can store a file of that mode."""
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _split_ignored(
    others: list[bytes], worktree: Worktree, found: tree.DirectoryTree, index: Index, repo: GitRepo
) -> tuple[list[bytes], list[bytes]]:
    """The untracked and the ignored among files that are not in the index."""
    if not others:
        return [], []

    def read(path: bytes) -> bytes:
        file = found.files.get(path)
        # As git: no link is followed to a .gitignore, and one left out by sparse-checkout counts.
        if file is not None and stat.S_ISREG(file.st_mode):
            if file.st_size > MAX_BYTES:
                raise IgnoreFileTooLarge
            return read_file_or_link(worktree.path, path, stat.S_IFREG)
        return repo.read_blob(index.entries[path].oid) if path in index.skip_worktree else b""

    everywhere, ignore_case = repo.ignore_rules(worktree.git_dir, worktree.path)
    ignores = IgnoreRules(read, everywhere, ignore_case=ignore_case)
    untracked: list[bytes] = []
    ignored: list[bytes] = []
    for path in sorted(others):
        (ignored if ignores.is_ignored(path) else untracked).append(path)
    return untracked, ignored
