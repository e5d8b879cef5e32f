"""Write uncommitted changes into a commit in git's stash format.

A stash is a commit W of the tracked files with two or three parents: HEAD, a commit I of the
index, and a commit U of the untracked files if there are any (git-stash(1), "DISCUSSION").
`git stash apply --index <ref>` restores it. git itself reads the files, so that filters, LFS,
attributes, sparse and split indexes are handled correctly. git works on a copy of the index and
changes nothing in the worktree.

The bytes of a saved file are the bytes of its blob, or the output of git's filters for the blob.
The message of W lists the files of the second kind (see filtered.py), and the
permissions of files and directories (see permissions.py).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, Self
from git_hub_session.errors import GitFailed
from git_hub_session.git.index import Index, IndexEntry
from git_hub_session.git.ref_names import short_name
from git_hub_session.git.safe_open import open_regular
from git_hub_session.stash.round_trip import (
    CannotRoundTrip,
    ChangedDuringSave,
    EqualFile,
    require_sound_blobs,
)
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.command import Git, GitAt
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.worktree.changes import WorktreeChanges


# These settings keep git from skipping changes and from running a configured program. core.fsync
# brings the saved objects to the disk before the worktree is removed. The default syncs packs only.
STRICT_SETTINGS = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.fileMode": "true",
    "core.splitIndex": "false",
    "core.safecrlf": "false",
    "core.ignoreStat": "false",
    "core.hooksPath": os.devnull,
    # A git since 2.46 advises the user, whose index is not the one that it reads here.
    "advice.sparseIndexExpanded": "false",
    "core.fsync": "all",
    "core.fsyncMethod": "batch",
}

# `git stash` uses a fallback identity too if the user has configured none.
_FALLBACK_IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "git hub-session"), ("EMAIL", "git@hub-session"))
}


# The message of `git update-index` about a path that it skips. verify_round_trip() raises an error.
_SKIPPED_PATH = b"Ignoring path "

# An index entry without stat data, so that its file is read.
_WITHOUT_STAT_DATA = IndexEntry(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"", 0)


class StashTrees(NamedTuple):
    """The trees of the uncommitted changes, as object ids. `untracked` can be ''."""

    staged: str
    worktree: str
    untracked: str


class IndexCopy:
    """git in one worktree, on a temporary copy of its index.

    `with` creates the copy and removes it. Without `with`, only reading methods may be called.
    The copy always has the same name: hold the session lock. `objects` is the directory for new
    objects, or '' for the repository.
    """

    def __init__(self, git: Git, worktree: Worktree, *, objects: str = "") -> None:
        self._git = git
        self._objects = objects
        self._worktree = worktree
        self._index = os.path.join(worktree.git_dir, "index")

    def __enter__(self) -> Self:
        self._index = os.path.join(self._worktree.git_dir, "hub-session-index.tmp")
        self._remove_copy()  # left by an interrupted run
        try:
            with open(
                os.path.join(self._worktree.git_dir, "index"), "rb", opener=open_regular
            ) as source:
                data = source.read()
        except FileNotFoundError:
            return self
        try:
            with open(self._index, "xb") as copy:
                copy.write(data)
        except BaseException:
            self._remove_copy()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove_copy()

    def _remove_copy(self) -> None:
        for path in (self._index, f"{self._index}.lock"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def _run(self, *command: str, stdin: bytes = b"", failure: bytes = b"") -> bytes:
        return self._git_at(self._index).run(command, stdin=stdin, failure=failure)

    def _git_at(self, index: str = "") -> GitAt:
        # git needs a current directory even if the worktree's directory is missing.
        git_dir = self._worktree.git_dir
        top = self._worktree.path if os.path.isdir(self._worktree.path) else git_dir
        return self._git.at(
            git_dir, top, index=index, objects=self._objects, settings=STRICT_SETTINGS
        )

    def read_full_index(self) -> Index:
        """Return all entries of a split or sparse index, without stat data."""
        stages = self.read_stages()
        entries = {
            path: _WITHOUT_STAT_DATA._replace(mode=mode, oid=oid)
            for path, (mode, oid, stage) in stages.items()
            if not stage
        }
        gitlinks = frozenset(path for path, entry in entries.items() if entry.mode == 0o160000)
        # `ls-files -v` marks a skip-worktree entry with S, or s if it is also assume-unchanged.
        # `diff-files --diff-filter=A` lists only the paths of `git add --intent-to-add`.
        tagged = _split_nul(self._run("ls-files", "-v", "-z"))
        added = _split_nul(self._run("diff-files", "--name-only", "--diff-filter=A", "-z"))
        return Index(
            entries,
            gitlinks,
            frozenset(stages.keys() - entries.keys()),
            frozenset(added),
            frozenset(line[2:] for line in tagged if line[:1] in b"Ss"),
            None,
            "",
        )

    def read_stages(self) -> dict[bytes, tuple[int, bytes, int]]:
        """Return mode, object id and stage by path. For an unmerged path, return its last stage."""
        stages = {}
        for line in _split_nul(self._run("ls-files", "--stage", "-z")):
            head, _, path = line.partition(b"\t")
            mode, oid, stage = head.decode().split(" ")
            stages[path] = (int(mode, 8), bytes.fromhex(oid), int(stage))
        return stages

    def write_index_tree(self) -> str:
        """Write the tree of the index, and return its object id."""
        return self._run("write-tree").decode().strip()

    def write_worktree_tree(self, changes: WorktreeChanges) -> str:
        """Write the tree of the tracked files on disk, and return its object id.

        Updates the copy of the index.
        """
        existing = [path for path in sorted(changes.differing) if path in changes.tree.files]
        removed = [path for path in sorted(changes.changed) if path not in changes.tree.files]
        # Replace the entries of changed files, because old stat data or flags could keep git from
        # reading a file. Keep the blobs: git's conversion of line endings depends on them.
        lines = []
        for path in existing:
            entry = changes.git_index.entries[path]
            lines.append(b"%o %s\t%s\0" % (entry.mode, entry.oid.hex().encode(), path))
        # Mode 0 removes an entry without a look at the disk, where a link may be at the path.
        lines += [b"0 %s\t%s\0" % (b"0" * 40, path) for path in removed]
        if lines:
            self._run("update-index", "-z", "--index-info", stdin=b"".join(lines))
        self._update("--add", paths=existing)
        return self.write_index_tree()

    def write_untracked_tree(self, paths: Sequence[bytes]) -> str:
        """Write the tree of the files at `paths`, and return its object id.

        Replaces the copy of the index.
        """
        self._remove_copy()
        self._update("--add", paths=paths)
        return self.write_index_tree()

    def _update(self, *flags: str, paths: Sequence[bytes]) -> None:
        if paths:
            stdin = b"\0".join(paths) + b"\0"
            # git prints the path as it is, with its control characters.
            self._run("update-index", *flags, "-z", "--stdin", stdin=stdin, failure=_SKIPPED_PATH)

    def verify_round_trip(
        self, changes: WorktreeChanges, paths: Iterable[bytes], repo: GitRepo, *, filtered: bool
    ) -> dict[bytes, str]:
        """Check that each stored blob restores its file.

        Return the filtered files with the blob ids of their bytes. A file in the place of a link
        of the index is one of them (core.symlinks).

        Args:
            changes: the inspected worktree.
            paths: the files to check.
            repo: the repository.
            filtered: True if the output of git's filters (line endings, LFS) for the blob may
                restore the file. Otherwise the blob must have the bytes of the file.

        Raises:
            CannotRoundTrip: a file would not be restored.
            ChangedDuringSave: another process has written to a file.
        """
        stored = self.read_stages()
        filtered_files, equal = {}, {}
        for path in paths:
            file = changes.tree.files[path]
            if path not in stored:  # the name means .git on another file system
                raise CannotRoundTrip(
                    f"'{os.fsdecode(path)}' (git cannot store this name)", "rename it"
                )
            mode, oid, _ = stored[path]
            data = read_file_or_link(self._worktree.path, path, file.st_mode)
            data_oid = repo.blob_id(data)
            if data_oid == oid:
                equal[oid.hex()] = EqualFile(path, len(data))
                if stat.S_ISLNK(mode) and not stat.S_ISLNK(file.st_mode):
                    filtered_files[path] = data_oid.hex()
                continue
            if not filtered or data != self._apply_filters(path, oid):
                raise self._difference_error(path, data, oid)
            filtered_files[path] = data_oid.hex()
        require_sound_blobs(equal, self._run, repo, self._objects, self._worktree.common_dir)
        return filtered_files

    def _difference_error(self, path: bytes, data: bytes, oid: bytes) -> Exception:
        """Return ChangedDuringSave if git would now store another blob, or CannotRoundTrip."""
        # The stat data can be equal: a process has the file in memory. A filter can be random.
        arguments = ("hash-object", "--stdin", f"--path={os.fsdecode(path)}")
        first, second = (self._run(*arguments, stdin=data).strip() for _ in range(2))
        if first == second != oid.hex().encode():
            return ChangedDuringSave()
        return CannotRoundTrip(
            f"'{os.fsdecode(path)}' (changed by line-ending conversion or a filter)",
            "commit it, or move it out of the worktree",
        )

    def _apply_filters(self, path: bytes, oid: bytes) -> bytes:
        return self._run("cat-file", "--filters", f"--path={os.fsdecode(path)}", oid.hex())

    def write_stash_commit(self, work: StashTrees, head: str, message: str) -> str:
        """Write the stash commit of `work` on the commit `head`, and return its object id."""
        label = f"{short_name(self._worktree.head) or '(no branch)'}: {head[:7]}"
        author = author_environment(self._git)
        parents = [head, self._commit(work.staged, [head], f"index on {label}", author)]
        if work.untracked:
            parents.append(self._commit(work.untracked, [], f"untracked files on {label}", author))
        return self._commit(work.worktree, parents, message, author)

    def _commit(
        self, tree: str, parents: Sequence[str], message: str, author: Mapping[str, str]
    ) -> str:
        text = message.encode("utf-8", "surrogateescape")
        return self._git_at().commit_tree(tree, parents, text, environ=author)


def author_environment(git: Git) -> dict[str, str]:
    """Return the variables of a fallback identity, or {} if git knows the user's identity."""
    try:
        git.run(["var", "GIT_COMMITTER_IDENT"])
        git.run(["var", "GIT_AUTHOR_IDENT"])
    except GitFailed:
        return _FALLBACK_IDENTITY
    return {}


def write_trees(
    index: IndexCopy,
    changes: WorktreeChanges,
    paths: Sequence[bytes],
    repo: GitRepo,
    *,
    missing: bool,
) -> tuple[StashTrees, dict[bytes, str]]:
    """Write the trees of all uncommitted changes.

    Return them, and the filtered files with the blob ids of their bytes.

    No ref protects the trees from `git gc` yet.

    Args:
        index: the copy of the index.
        changes: the inspected worktree.
        paths: the untracked files to save.
        repo: the repository.
        missing: True if the directory is missing: then only staged changes are left.

    Raises:
        CannotRoundTrip: git cannot store a file so that it can be restored.
        ChangedDuringSave: another process has written to a file.
        GitFailed, OSError: git or a read failed.
    """
    staged = index.write_index_tree()
    if missing:
        return StashTrees(staged, staged, ""), {}
    worktree = index.write_worktree_tree(changes)
    filtered = _verify_tracked(index, changes, paths, repo)
    if not paths:
        return StashTrees(staged, worktree, ""), filtered
    untracked = index.write_untracked_tree(paths)
    filtered |= index.verify_round_trip(changes, paths, repo, filtered=True)
    return StashTrees(staged, worktree, untracked), filtered


def _verify_tracked(
    index: IndexCopy, changes: WorktreeChanges, untracked: Sequence[bytes], repo: GitRepo
) -> dict[bytes, str]:
    """Check that the stored blobs restore the tracked files. Return the filtered files."""
    files = changes.tree.files
    # Skip files that git considers unchanged. The output of a filter is not a change.
    head = repo.tree_entries(changes.head)
    uncommitted = [
        path
        for path, (mode, oid, _) in index.read_stages().items()
        if path in files and head.get(path) != (mode, oid)
    ]
    # An untracked or ignored .gitattributes file may set filters now. It is not there when the
    # tracked files are restored: untracked files are restored last, ignored files never.
    others = (*untracked, *changes.ignored)
    has_attributes = any(path.rpartition(b"/")[2] == b".gitattributes" for path in others)
    filtered = index.verify_round_trip(changes, uncommitted, repo, filtered=not has_attributes)
    # git calls a file unchanged if a filter hides its changes. Check these files, too.
    unchanged = [path for path in changes.differing if path in files and path not in uncommitted]
    index.verify_round_trip(changes, sorted(unchanged), repo, filtered=True)
    return filtered


def _split_nul(output: bytes) -> list[bytes]:
    return output.split(b"\0")[:-1]
