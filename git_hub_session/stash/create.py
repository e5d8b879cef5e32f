"""Uncommitted work into a commit in git's own stash format, through git's own plumbing.

A stash is a commit W of the worktree's tracked files with two or three parents: HEAD, a
commit I of the index, and, where there are untracked files, a commit U of those
(git-stash(1), "DISCUSSION"). `git stash apply --index <ref>` brings it back. git itself
reads the files, so that filters, LFS, attributes, sparse and split indexes are right; it
works on a copy of the index, and nothing of the worktree is touched.

A file on disk is its blob's very bytes, or what git's filters make of the blob: of those that
were saved the message of W names the second sort, as a line `Filtered: ["a.bat"]`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, Self
from git_hub_session.errors import GitFailed
from git_hub_session.git.index import Index, IndexEntry
from git_hub_session.git.ref_names import short_name
from git_hub_session.git.safe_open import open_regular
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.worktree.changes import WorktreeChanges

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree


# Where git can be told not to see, or to run something, it is told otherwise; and what it
# writes reaches the disk before the worktree goes (git by default syncs packs only).
STRICT_SETTINGS = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.fileMode": "true",
    "core.splitIndex": "false",
    "core.safecrlf": "false",
    "core.hooksPath": os.devnull,
    "core.fsync": "all",
    "core.fsyncMethod": "batch",
}

# git stash's own stand-in where the user is not configured.
_FALLBACK_IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "git hub-session"), ("EMAIL", "git@hub-session"))
}


# An entry without stat data: its file has to be read.
_UNSEEN = IndexEntry(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"", 0)


_FILTERED = "\nFiltered: "


def stash_message(subject: str, filtered: Iterable[bytes]) -> str:
    """The message of a stash whose files at the paths `filtered` are what filters make of their blobs."""
    return f"{subject}\n{_FILTERED}{json.dumps([os.fsdecode(path) for path in sorted(filtered)])}"


def filtered_paths(message: str) -> frozenset[bytes] | None:
    """The paths that the message of a stash names as filtered; None where it does not say."""
    _, found, text = message.rpartition(_FILTERED)
    try:
        return frozenset(os.fsencode(path) for path in json.loads(text)) if found else None
    except (ValueError, TypeError, RecursionError):  # written by nobody here
        return None


class CannotRoundTrip(Exception):
    """What git stored of a file is not what would come back; the message names the path and the cause."""


class StashTrees(NamedTuple):
    """The trees of a worktree's uncommitted work, as hexadecimal object ids; `untracked` may be ''."""

    staged: str
    worktree: str
    untracked: str


class IndexCopy:
    """git on one worktree, to look; `with` gives it a copy of the index to work on, and deletes that again.

    The copy has one name: call it under the session's lock.
    """

    def __init__(self, git: Git, worktree: Worktree) -> None:
        self._git = git
        self._worktree = worktree
        self._index = os.path.join(worktree.git_dir, "index")

    def __enter__(self) -> Self:
        self._index = os.path.join(self._worktree.git_dir, "hub-session-index.tmp")
        self._remove_copy()  # of a run that was killed
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

    def _run(self, *command: str, stdin: bytes = b"") -> bytes:
        # Where the directory is missing no file is asked for, but git wants to stand somewhere.
        path, entry = self._worktree.path, self._worktree.git_dir
        top = path if os.path.isdir(path) else entry
        return self._git.run(
            command,
            stdin=stdin,
            settings=STRICT_SETTINGS,
            environ={
                "GIT_DIR": entry,
                "GIT_WORK_TREE": top,
                "GIT_INDEX_FILE": self._index,
            },
            cwd=top,
        )

    def read_full_index(self) -> Index:
        """Every entry of the index, where it is a split or a sparse one; without stat data."""
        stages = self.read_stages()
        entries = {
            path: _UNSEEN._replace(mode=mode, oid=oid)
            for path, (mode, oid, stage) in stages.items()
            if not stage
        }
        gitlinks = frozenset(path for path, entry in entries.items() if entry.mode == 0o160000)
        # The tag of a skip-worktree entry is S, or s if it is assume-unchanged too; a path that
        # is only intended to be added is all that differs from the index as an addition.
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
        """{path: (mode, object id, stage)}; of an unmerged path, the last of its stages."""
        found = {}
        for line in _split_nul(self._run("ls-files", "--stage", "-z")):
            head, _, path = line.partition(b"\t")
            mode, oid, stage = head.decode().split(" ")
            found[path] = (int(mode, 8), bytes.fromhex(oid), int(stage))
        return found

    def write_index_tree(self) -> str:
        """The tree of what is staged."""
        return self._run("write-tree").decode().strip()

    def write_worktree_tree(self, seen: WorktreeChanges) -> str:
        """The tree of the tracked files as they are on disk; the copy of the index follows."""
        here = [path for path in sorted(seen.changed) if path in seen.tree.files]
        gone = [path for path in sorted(seen.changed) if path not in seen.tree.files]
        # Entries made anew have neither stat data nor flags that could speak for a file; their
        # blobs stay, for what git does to line endings hangs on those. Mode 0 is a removal:
        # no path is looked up on disk, where a link may have come in its way.
        anew = [
            b"%o %s\t%s\0" % (entry.mode, entry.oid.hex().encode(), path)
            for path in here
            for entry in [seen.git_index.entries[path]]
        ]
        anew += [b"0 %s\t%s\0" % (b"0" * 40, path) for path in gone]
        if anew:
            self._run("update-index", "-z", "--index-info", stdin=b"".join(anew))
        self._update("--add", paths=here)
        return self.write_index_tree()

    def write_untracked_tree(self, paths: Sequence[bytes]) -> str:
        """The tree of the files at `paths`; the copy of the index is replaced by one of these."""
        self._remove_copy()
        self._update("--add", paths=paths)
        return self.write_index_tree()

    def _update(self, *flags: str, paths: Sequence[bytes]) -> None:
        if paths:
            self._run("update-index", *flags, "-z", "--stdin", stdin=b"\0".join(paths) + b"\0")

    def verify_round_trip(
        self, seen: WorktreeChanges, paths: Iterable[bytes], repo: GitRepo, *, filtered: bool
    ) -> list[bytes]:
        """Make sure that each file comes back as it is, and name those that filters make; raises Unfaithful.

        Either the blob in the copy of the index has the file's very bytes, or, where they will
        be `filtered`, git's filters (line endings, LFS) make them out of it.
        """
        stored = self.read_stages()
        made = []
        for path in paths:
            file = seen.tree.files[path]
            if path not in stored:  # what looks like .git to another system
                raise CannotRoundTrip(f"'{os.fsdecode(path)}' (git takes no such name)")
            _, oid, _ = stored[path]
            data = read_file_or_link(self._worktree.path, path, file.st_mode)
            if repo.blob_id(data) == oid:
                continue
            if not filtered or data != self._apply_filters(path, oid):
                raise CannotRoundTrip(f"'{os.fsdecode(path)}' (line endings, or a filter)")
            made.append(path)
        return made

    def _apply_filters(self, path: bytes, oid: bytes) -> bytes:
        return self._run("cat-file", "--filters", f"--path={os.fsdecode(path)}", oid.hex())

    def write_stash_commit(self, work: StashTrees, head: str, message: str) -> str:
        """The stash commit of `work` on the commit `head`; its object id in hexadecimal."""
        about = f"{short_name(self._worktree.head) or '(no branch)'}: {head[:7]}"
        author = self._author_environment()
        parents = [head, self._commit(work.staged, [head], f"index on {about}", author)]
        if work.untracked:
            parents.append(self._commit(work.untracked, [], f"untracked files on {about}", author))
        return self._commit(work.worktree, parents, message, author)

    def _commit(
        self, tree: str, parents: Sequence[str], message: str, author: Mapping[str, str]
    ) -> str:
        text = message.encode("utf-8", "surrogateescape")
        return self._git.commit_tree(tree, parents, text, settings=STRICT_SETTINGS, environ=author)

    def _author_environment(self) -> dict[str, str]:
        try:
            self._git.run(["var", "GIT_COMMITTER_IDENT"])
            self._git.run(["var", "GIT_AUTHOR_IDENT"])
        except GitFailed:
            return _FALLBACK_IDENTITY
        return {}


def write_trees(
    shot: IndexCopy, seen: WorktreeChanges, paths: Sequence[bytes], repo: GitRepo, *, missing: bool
) -> tuple[StashTrees, list[bytes]]:
    """The trees of all that is uncommitted: staged, changed, and the untracked files at `paths`.

    And those of the files that filters make of what is stored.

    Where the worktree's directory is missing, what was staged is all there is. Raises
    Unfaithful, GitFailed, OSError; nothing refers to the trees yet.
    """
    staged = shot.write_index_tree()
    if missing:
        return StashTrees(staged, staged, ""), []
    worktree = shot.write_worktree_tree(seen)
    # A file that git finds equal to the commit is none: what filters do to it is no change.
    head = repo.tree_entries(seen.head)
    uncommitted = [
        path
        for path, (mode, oid, _) in shot.read_stages().items()
        if path in seen.tree.files and head.get(path) != (mode, oid)
    ]
    # Untracked files come back last, and ignored ones not at all: attributes among them have
    # no say in the tracked files.
    others = (*paths, *seen.ignored)
    attributes = any(path.rpartition(b"/")[2] == b".gitattributes" for path in others)
    filtered = shot.verify_round_trip(seen, uncommitted, repo, filtered=not attributes)
    # A filter may hide what is in a file from git, which then calls it unchanged.
    same = [path for path in seen.changed if path in seen.tree.files and path not in uncommitted]
    shot.verify_round_trip(seen, sorted(same), repo, filtered=True)
    if not paths:
        return StashTrees(staged, worktree, ""), filtered
    untracked = shot.write_untracked_tree(paths)
    filtered += shot.verify_round_trip(seen, paths, repo, filtered=True)
    return StashTrees(staged, worktree, untracked), filtered


def _split_nul(output: bytes) -> list[bytes]:
    return output.split(b"\0")[:-1]
