"""Compare the tracked files of a worktree with its index, as git does.

A file is unchanged if its stat data is the data that git recorded when it last read the file, or
if its bytes are the blob in the index. Flags such as assume-unchanged do not count.

Other bytes can be the output of a filter: line endings, `$Id$`, an encoding, or a command such as
Git LFS. Then git itself compares the file, and may run the command. `git status` does the same.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.system.tree import read_file_or_link

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.index import Index, IndexEntry
    from git_hub_session.git.libgit2_config import FileSettings
    from git_hub_session.git.repository import GitRepo

_READ_LIMIT = 64 << 20  # bytes; a larger file is hashed in parts
_PART = 1 << 20  # bytes
_LOW_32 = 0xFFFFFFFF
_SECOND = 1_000_000_000
_EMPTY_BLOB = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")

# git must neither start a hook or a monitor, nor compare the modes.
_SETTINGS = {
    "core.fileMode": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.ignoreStat": "false",
    "core.splitIndex": "false",
    "core.untrackedCache": "false",
}


class ComparedFiles(NamedTuple):
    """The tracked files that differ from their index entries."""

    changed: frozenset[bytes]
    """The paths that are changed for git too, if no flag hides them."""
    equivalent: frozenset[bytes]
    """The paths that are unchanged for git: filters and core.fileMode explain the difference."""


class CheckedOutFiles(NamedTuple):
    """The directory and the git dir of a worktree, and the files in the directory."""

    top: str
    git_dir: str
    files: Mapping[bytes, os.stat_result]


class FileReader(NamedTuple):
    """The repository, and a function that returns git. Most comparisons do not need git."""

    repo: GitRepo
    find_git: Callable[[], Git]


def compare_files(
    worktree: CheckedOutFiles, index: Index, written: int, reader: FileReader
) -> ComparedFiles:
    """Compare the existing tracked files with the index.

    Args:
        worktree: the worktree.
        index: all entries of its index.
        written: the modification time of the index file in nanoseconds.
        reader: the repository, and git.

    Raises:
        OSError: a file cannot be read.
    """
    comparison = _Comparison(worktree, written, reader)
    find_file = worktree.files.get
    git_modes: dict[int, int] = {}
    for path, entry in index.entries.items():  # this loop runs once for each file of a worktree
        file = find_file(path)
        if file is None:
            continue
        mode = file.st_mode
        if mode not in git_modes:
            git_modes[mode] = git_mode(mode)
        if git_modes[mode] != entry.mode or not _has_recorded_stat_data(entry, file, written):
            comparison.add(path, entry, file)
    return comparison.finish(index)


class _Comparison:
    """One comparison of a worktree with its index."""

    def __init__(self, worktree: CheckedOutFiles, written: int, reader: FileReader) -> None:
        self._worktree = worktree
        self._written = written
        self._reader = reader
        self._changed: set[bytes] = set()
        self._equivalent: set[bytes] = set()
        self._filtered: set[bytes] = set()
        """The files that only git can compare."""

    @cached_property
    def _settings(self) -> FileSettings:
        return self._reader.repo.file_settings(self._worktree.git_dir)

    def add(self, path: bytes, entry: IndexEntry, file: os.stat_result) -> None:
        """Compare one file with its index entry."""
        mode = git_mode(file.st_mode)
        is_same_mode = mode == entry.mode
        is_same_file = _has_recorded_stat_data(entry, file, self._written)
        if is_same_mode and is_same_file:
            return
        if not is_same_mode and not self._is_mode_ignored(mode, entry.mode):
            self._changed.add(path)
        elif is_same_file or self._has_blob(path, entry, file):
            self._equivalent.update([] if is_same_mode else [path])
        elif self._may_be_filtered(path, entry, file):
            self._filtered.add(path)
        else:
            self._changed.add(path)

    def finish(self, index: Index) -> ComparedFiles:
        """Let git compare the remaining files, and return all that differ."""
        modified = self._find_modified(index) if self._filtered else set()
        return ComparedFiles(
            frozenset(self._changed | modified),
            frozenset(self._equivalent | (self._filtered - modified)),
        )

    def _is_mode_ignored(self, mode: int, recorded: int) -> bool:
        if not stat.S_ISREG(mode):
            return False
        if stat.S_ISLNK(recorded):
            return not self._settings.has_symlinks
        return stat.S_ISREG(recorded) and not self._settings.has_file_modes

    def _has_blob(self, path: bytes, entry: IndexEntry, file: os.stat_result) -> bool:
        """Return True if the bytes of the file are the blob of the entry."""
        top = self._worktree.top
        if file.st_size <= _READ_LIMIT:
            data = read_file_or_link(top, path, file.st_mode)
            return self._reader.repo.blob_id(data) == entry.oid
        return not _is_resized(entry, file) and _hash_large_file(top, path, file) == entry.oid

    def _may_be_filtered(self, path: bytes, entry: IndexEntry, file: os.stat_result) -> bool:
        """Return True if git would run its filters to compare the file."""
        if _is_resized(entry, file) or not stat.S_ISREG(file.st_mode):
            return False
        if file.st_size > _READ_LIMIT:
            return True
        data = read_file_or_link(self._worktree.top, path, file.st_mode)
        return self._settings.may_filter(path, data)

    def _find_modified(self, index: Index) -> set[bytes]:
        """Return the filtered files that git finds modified, or all if git fails."""
        # An index with these files only, without stat data: git compares the contents. git reads
        # the attributes from the index if their file is missing.
        attributes = {path for path in index.entries if path.endswith(b".gitattributes")}
        lines = [
            b"100644 %s\t%s\0" % (index.entries[path].oid.hex().encode(), path)
            for path in sorted(self._filtered | attributes)
        ]
        try:
            with temporary_directory() as directory:
                git = self._reader.find_git().at(
                    self._worktree.git_dir,
                    self._worktree.top,
                    index=os.path.join(directory, "index"),
                    settings=_SETTINGS,
                )
                git.run(["update-index", "-z", "--index-info"], stdin=b"".join(lines), quiet=True)
                output = git.run(["ls-files", "-z", "--modified"], quiet=True)
        except HubError:  # such as a filter that fails
            return self._filtered
        return self._filtered.intersection(output.split(b"\0"))


def _has_recorded_stat_data(entry: IndexEntry, file: os.stat_result, written: int) -> bool:
    """Return True if the file has not changed since git recorded its stat data."""
    mtime = file.st_mtime_ns
    return (
        entry.mtime * _SECOND + entry.mtime_ns == mtime
        and entry.ctime * _SECOND + entry.ctime_ns == file.st_ctime_ns
        and entry.size == file.st_size & _LOW_32
        # git writes size 0 if the file may have changed after git read it.
        and (entry.size > 0 or entry.oid == _EMPTY_BLOB)
        and entry.ino == file.st_ino & _LOW_32
        # A file as new as the index may have changed after git read it ("racy git").
        and mtime < written
    )


def _hash_large_file(top: str, path: bytes, file: os.stat_result) -> bytes:
    """Return the object id that a file has as a blob. Do not read it into memory."""
    from hashlib import sha1  # rarely needed

    digest = sha1(b"blob %d\0" % file.st_size, usedforsecurity=False)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    with open(os.open(os.path.join(os.fsencode(top), path), flags), "rb") as content:
        while part := content.read(_PART):
            digest.update(part)
    return digest.digest()


def _is_resized(entry: IndexEntry, file: os.stat_result) -> bool:
    """Return True if git recorded another size. The file is then modified for git."""
    return entry.size not in (0, file.st_size & _LOW_32)


def git_mode(mode: int) -> int:
    """Return the mode with which git stores a file, or 0 if git cannot store it."""
    if stat.S_ISLNK(mode):
        return 0o120000
    if stat.S_ISREG(mode):
        return 0o100755 if mode & 0o100 else 0o100644
    return 0
