"""Find the uncommitted changes of a worktree.

This module changes nothing. It is stricter than `git status`, because a configuration can make
`git status` skip changes. Here untracked files are always included, fsmonitor is not asked, and
assume-unchanged files and skip-worktree files are compared.
"""

from __future__ import annotations

import stat

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ignore import IgnoreFileTooLarge, IgnoreRules
from git_hub_session.git.safe_open import MAX_BYTES
from git_hub_session.system import tree
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.worktree.tracked_files import CheckedOutFiles, FileReader, compare_files

if TYPE_CHECKING:
    from git_hub_session.git.index import Index
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree


class WorktreeChanges(NamedTuple):
    """The uncommitted changes of a worktree. Paths are bytes, relative to its top directory."""

    head: str
    """The commit that HEAD points to, or ''."""
    tree: tree.DirectoryTree
    git_index: Index
    staged: frozenset[bytes]
    """Paths that differ between HEAD and the index."""
    changed: frozenset[bytes]
    """Tracked paths whose file differs from the index."""
    equivalent: frozenset[bytes] = frozenset()
    """Tracked paths that differ only by git's filters, core.fileMode or core.symlinks."""
    untracked: tuple[bytes, ...] = ()
    ignored: tuple[bytes, ...] = ()
    special_files: tuple[bytes, ...] = ()
    """FIFOs, sockets and devices that are untracked, or in the place of a tracked file."""
    submodules: tuple[bytes, ...] = ()
    """Submodules that are checked out."""
    repositories: tuple[bytes, ...] = ()
    """Nested repositories and worktrees, ignored or not."""
    empty_directories: tuple[bytes, ...] = ()
    """Empty directories that are not ignored. Git does not report them."""

    @property
    def differing(self) -> frozenset[bytes]:
        """All tracked paths whose file is not what the index has, byte for byte."""
        return self.changed | self.equivalent

    @property
    def change_count(self) -> int:
        """The number of tracked paths that differ from HEAD, in the index or on disk."""
        return len(self.staged | self.changed)

    def size(self, paths: tuple[bytes, ...]) -> int:
        """Return the size of the files at `paths` in bytes."""
        return sum(self.tree.files[path].st_size for path in paths)


def head_commit(worktree: Worktree, repo: GitRepo) -> str:
    """Return the commit that HEAD points to, or ''."""
    return repo.tip(worktree.head) if worktree.head else worktree.detached


def read_changes(
    worktree: Worktree, reader: FileReader, index: Index, written: int
) -> WorktreeChanges:
    """Return the uncommitted changes of a worktree that has its directory.

    Args:
        worktree: the worktree.
        reader: its repository, and git.
        index: all entries of its index. Complete a split or sparse index first.
        written: the modification time of the index file in nanoseconds.

    Raises:
        OSError: a directory or a file cannot be read.
    """
    entries, repo = index.entries, reader.repo
    directory = tree.scan_directory(worktree.path, tracked=entries)
    head = head_commit(worktree, repo)
    # After `git worktree add --no-checkout`, do not report every file as deleted.
    never_checked_out = not entries and not index.unmerged and not written and not directory.files
    files = CheckedOutFiles(worktree.path, worktree.git_dir, directory.files)
    compared = compare_files(files, index, written, reader)
    changes = WorktreeChanges(
        head,
        directory,
        index,
        frozenset() if never_checked_out else staged_paths(head, repo, index),
        compared.changed | _missing_or_added(directory, index),
        compared.equivalent,
        submodules=tuple(path for path in directory.repositories if path in index.gitlinks),
        repositories=tuple(path for path in directory.repositories if path not in index.gitlinks),
    )
    return _with_untracked(changes, worktree, repo)


def _with_untracked(changes: WorktreeChanges, worktree: Worktree, repo: GitRepo) -> WorktreeChanges:
    """Return the changes with the files and the empty directories that git does not track."""
    directory, index = changes.tree, changes.git_index
    entries, unmerged = index.entries, index.unmerged
    others = sorted(
        path for path in directory.files if path not in entries and path not in unmerged
    )
    empty = [path for path in directory.empty if path not in index.gitlinks]
    ignored = _find_ignored([*others, *empty], worktree, directory, index, repo)
    untracked = [path for path in others if path not in ignored]
    special_files = _find_special([*untracked, *changes.changed], directory)
    return changes._replace(
        untracked=tuple(path for path in untracked if path not in special_files),
        ignored=tuple(path for path in others if path in ignored),
        special_files=tuple(sorted(special_files)),
        empty_directories=tuple(path for path in empty if path not in ignored),
    )


def _missing_or_added(directory: tree.DirectoryTree, index: Index) -> frozenset[bytes]:
    """Return the tracked paths without a file, and those of `git add --intent-to-add`."""
    missing = index.entries.keys() - directory.files.keys() - index.skip_worktree
    # A submodule that is not checked out is an empty directory.
    missing -= index.gitlinks & directory.directories
    return frozenset(missing | (index.intent_to_add & directory.files.keys()))


def _find_special(paths: list[bytes], directory: tree.DirectoryTree) -> set[bytes]:
    """Return the paths of special files. One may be in the place of a tracked file.

    An ignored special file has no content to save.
    """
    existing = [path for path in paths if path in directory.files]
    return {path for path in existing if not can_git_store(directory.files[path].st_mode)}


def staged_paths(head: str, repo: GitRepo, index: Index) -> frozenset[bytes]:
    """Return the paths that differ between the commit `head` and the index."""
    if index.tree is not None and index.tree == repo.tree_id(head) and not index.intent_to_add:
        return frozenset(index.unmerged)
    committed = repo.tree_entries(head)
    staged = {path: (entry.mode, entry.oid) for path, entry in index.entries.items()}
    differing = {path for path, _ in committed.items() ^ staged.items()}
    return frozenset(differing | index.unmerged)


def can_git_store(mode: int) -> bool:
    """Return True if git can store a file with this mode."""
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _find_ignored(
    paths: list[bytes],
    worktree: Worktree,
    directory: tree.DirectoryTree,
    index: Index,
    repo: GitRepo,
) -> frozenset[bytes]:
    """Return the ignored ones of untracked files and empty directories."""
    if not paths:
        return frozenset()

    def read(path: bytes) -> bytes:
        file = directory.files.get(path)
        # Do as git: skip a .gitignore that is a symbolic link, and read the blob of a .gitignore
        # that a sparse checkout left out.
        if file is not None and stat.S_ISREG(file.st_mode):
            if file.st_size > MAX_BYTES:
                raise IgnoreFileTooLarge
            return read_file_or_link(worktree.path, path, stat.S_IFREG)
        return repo.read_blob(index.entries[path].oid) if path in index.skip_worktree else b""

    global_rules, ignore_case = repo.ignore_rules(worktree.git_dir, worktree.path)
    rules = IgnoreRules(read, global_rules, ignore_case=ignore_case)
    files = directory.files
    return frozenset(
        path
        for path in paths
        if (rules.is_ignored(path) if path in files else rules.is_directory_ignored(path))
    )
