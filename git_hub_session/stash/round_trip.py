"""Find out if git would restore a saved file byte for byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed
from git_hub_session.util.batches import split_batches
from git_hub_session.util.move_aside import move_aside_command

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo


_BATCH = 1 << 26  # bytes of blobs to read at a time


class EqualFile(NamedTuple):
    """A file that has the content of a blob."""

    path: bytes
    size: int


class CannotRoundTrip(Exception):
    """The stored blob would not restore the file. The message names the path and the cause."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ChangedDuringSave(Exception):
    """Another process has written to a file while git stored it."""


def require_sound_blobs(
    files: Mapping[str, EqualFile],
    run: Callable[..., bytes],
    repo: GitRepo,
    objects: str,
    common_dir: str,
) -> None:
    """Raise CannotRoundTrip if the repository has a damaged object in the place of a blob.

    git does not write a blob again if its object exists, also if a power failure emptied it. The pack
    of the saved work leaves out the blobs of HEAD, so git does not read them then.

    Args:
        files: a file for each object id of a blob.
        run: run a git command in the worktree.
        repo: the repository.
        objects: the directory in which git has written its new objects.
        common_dir: the common dir of the repository.
    """
    existing = [oid for oid in files if not os.path.exists(_loose_path(objects, oid))]
    for batch in split_batches(existing, lambda oid: files[oid].size, _BATCH):
        if _are_sound(batch, run, repo):
            continue
        damaged = next(oid for oid in batch if not _are_sound([oid], run, repo))
        loose = _loose_path(os.path.join(common_dir, "objects"), damaged)
        path = os.fsdecode(files[damaged].path)
        raise CannotRoundTrip(
            f"'{path}' (git has a damaged object for its contents: {damaged})",
            move_aside_command(loose) if os.path.lexists(loose) else "",
        )


def _loose_path(objects: str, oid: str) -> str:
    return os.path.join(objects, oid[:2], oid[2:])


def _are_sound(oids: Sequence[str], run: Callable[..., bytes], repo: GitRepo) -> bool:
    """Return True if git can read the blobs. libgit2 1.9 reads a truncated object without end."""
    try:
        output = run("cat-file", "--batch", stdin="\n".join(oids).encode())
    except GitFailed:
        return False
    position = 0
    for oid in oids:
        end = output.index(b"\n", position)
        words = output[position:end].split(b" ")
        if words[1:2] != [b"blob"]:  # "missing"
            return False
        start, size = end + 1, int(words[2])
        if repo.blob_id(output[start : start + size]).hex() != oid:
            return False
        position = start + size + 1
    return True
