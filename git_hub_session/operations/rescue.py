"""Uncommitted work into a commit in git's own stash format, through git's own plumbing.

A stash is a commit W of the worktree's tracked files with two or three parents: HEAD, a
commit I of the index, and, where there are untracked files, a commit U of those
(git-stash(1), "DISCUSSION"). `git stash apply --index <ref>` brings it back. git itself
reads the files, so that filters, LFS, attributes, sparse and split indexes are right; it
works on a copy of the index, and nothing of the worktree is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from git_hub_session.errors import GitFailed
from git_hub_session.gitindex import Entry, Index
from git_hub_session.operations.examine import Examination, content
from git_hub_session.refnames import short

if TYPE_CHECKING:
    from git_hub_session.gitcommand import Git
    from git_hub_session.gitrepo import GitRepo
    from git_hub_session.worktrees import Worktree

# Where git can be told not to see, or to run something, it is told otherwise; and what it
# writes reaches the disk before the worktree goes (git by default syncs packs only).
_SETTINGS = {
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
_NOBODY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "git hub-session"), ("EMAIL", "git@hub-session"))
}


class Unfaithful(Exception):
    """What git stored of a file is not what would come back; the message names the path."""


class Work(NamedTuple):
    """The trees of a worktree's uncommitted work, as hexadecimal object ids; `untracked` may be ''."""

    staged: str
    worktree: str
    untracked: str


class Snapshot:
    """git on one worktree, with an index of our own; `with` deletes that again."""

    def __init__(self, git: Git, worktree: Worktree) -> None:
        self._git = git
        self._worktree = worktree
        self._index = os.path.join(worktree.entry, f"hub-session-index.{os.getpid()}.tmp")

    def __enter__(self) -> Self:
        self._drop()
        try:
            with open(os.path.join(self._worktree.entry, "index"), "rb") as source:
                data = source.read()
        except FileNotFoundError:
            return self
        with open(self._index, "xb") as copy:
            copy.write(data)
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def _drop(self) -> None:
        for path in (self._index, f"{self._index}.lock"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def _run(self, *command: str, stdin: bytes = b"") -> bytes:
        return self._git.run(
            command,
            stdin=stdin,
            settings=_SETTINGS,
            environ={
                "GIT_DIR": self._worktree.entry,
                "GIT_WORK_TREE": self._worktree.path,
                "GIT_INDEX_FILE": self._index,
            },
            cwd=self._worktree.path if os.path.isdir(self._worktree.path) else None,
        )

    def full_index(self) -> Index:
        """Every entry of the index, where it is a split or a sparse one; without stat data."""
        entries: dict[bytes, Entry] = {}
        unmerged: set[bytes] = set()
        skipped = {path for tag, path in self._tagged() if tag in b"Ss"}
        for line in _records(self._run("ls-files", "--stage", "-z")):
            head, _, path = line.partition(b"\t")
            mode, oid, stage = head.split(b" ")
            if stage != b"0":
                unmerged.add(path)
            else:
                entry = Entry(
                    0, 0, 0, int(mode, 8), 0, bytes.fromhex(oid.decode()), path in skipped
                )
                entries[path] = entry
        gitlinks = frozenset(path for path, entry in entries.items() if entry.mode == 0o160000)
        return Index(entries, gitlinks, frozenset(unmerged), frozenset(), None, "")

    def _tagged(self) -> list[tuple[bytes, bytes]]:
        """(tag, path) of every entry: 'S' is skip-worktree, a small letter assume-unchanged."""
        return [(line[:1], line[2:]) for line in _records(self._run("ls-files", "-v", "-z"))]

    def index_tree(self) -> str:
        """The tree of what is staged."""
        return self._run("write-tree").decode().strip()

    def worktree_tree(self) -> str:
        """The tree of the tracked files as they are on disk; the copy of the index follows."""
        tagged = self._tagged()
        top = os.fsencode(self._worktree.path)
        present = {
            path
            for tag, path in tagged
            if tag in b"Ss" and os.path.lexists(os.path.join(top, path))
        }
        assumed = [path for tag, path in tagged if tag.islower()]
        self._update("--no-assume-unchanged", paths=assumed)
        self._update("--no-skip-worktree", paths=sorted(present))
        looked_at = [path for tag, path in tagged if tag not in b"Ss" or path in present]
        self._update("--add", "--remove", paths=looked_at)
        return self.index_tree()

    def untracked_tree(self, paths: Sequence[bytes]) -> str:
        """The tree of the files at `paths`; the copy of the index is replaced by one of these."""
        self._drop()
        self._update("--add", paths=paths)
        return self.index_tree()

    def _update(self, *flags: str, paths: Sequence[bytes]) -> None:
        if paths:
            self._run("update-index", *flags, "-z", "--stdin", stdin=b"\0".join(paths) + b"\0")

    def verify(self, seen: Examination, paths: Iterable[bytes], repo: GitRepo) -> None:
        """Make sure that each file comes back as it is; raises Unfaithful.

        Either the blob in the copy of the index has the file's very bytes, or git's filters
        (line endings, LFS) make them out of it.
        """
        stored = self.full_index().entries
        for path in paths:
            file = seen.tree.files.get(path)
            entry = stored.get(path)
            if file is None or entry is None:
                if file is not None or entry is not None:
                    raise Unfaithful(os.fsdecode(path))
                continue
            data = content(self._worktree.path, path, file.mode)
            if repo.blob_id(data) != entry.oid and data != self._smudged(path, entry.oid):
                raise Unfaithful(os.fsdecode(path))

    def _smudged(self, path: bytes, oid: bytes) -> bytes:
        return self._run("cat-file", "--filters", f"--path={os.fsdecode(path)}", oid.hex())

    def commit(self, work: Work, head: str, message: str) -> str:
        """The stash commit of `work` on the commit `head`; its object id in hexadecimal."""
        about = f"{short(self._worktree.head) or '(no branch)'}: {head[:7]}"
        parents = [head, self._commit(work.staged, [head], f"index on {about}")]
        if work.untracked:
            parents.append(self._commit(work.untracked, [], f"untracked files on {about}"))
        return self._commit(work.worktree, parents, message)

    def _commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        return (
            self._git.run(
                ["commit-tree", tree, *words],
                stdin=message.encode("utf-8", "surrogateescape"),
                settings=_SETTINGS,
                environ=self._author(),
            )
            .decode()
            .strip()
        )

    def _author(self) -> dict[str, str]:
        try:
            self._git.run(["var", "GIT_COMMITTER_IDENT"])
            self._git.run(["var", "GIT_AUTHOR_IDENT"])
        except GitFailed:
            return _NOBODY
        return {}


def snapshot(
    shot: Snapshot, seen: Examination, paths: Sequence[bytes], repo: GitRepo, *, missing: bool
) -> Work:
    """The trees of all that is uncommitted: staged, changed, and the untracked files at `paths`.

    Where the worktree's directory is missing, what was staged is all there is. Raises
    Unfaithful, GitFailed, OSError; nothing refers to the trees yet.
    """
    staged = shot.index_tree()
    if missing:
        return Work(staged, staged, "")
    before = shot.full_index().entries
    worktree = shot.worktree_tree()
    after = shot.full_index().entries
    # Where git finds the file equal to the index, the filters do not make it a change.
    differing = [
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    ]
    shot.verify(seen, differing, repo)
    if not paths:
        return Work(staged, worktree, "")
    untracked = shot.untracked_tree(paths)
    shot.verify(seen, paths, repo)
    return Work(staged, worktree, untracked)


def _records(output: bytes) -> list[bytes]:
    return output.split(b"\0")[:-1]
