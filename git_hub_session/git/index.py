"""Parse git's index file, versions 2 to 4.

libgit2 does not show the flags of an entry (assume-unchanged, skip-worktree, intent-to-add) and
rejects split and sparse indexes. In these cases git's own `worktree remove` loses work.
Source: gitformat-index(5).
"""

from __future__ import annotations

import os
import struct
from struct import Struct

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.safe_open import open_regular

_HEADER = Struct(">4sII")
# ctime s, ns; mtime s, ns; dev, ino, mode, uid, gid, size; object id; flags
_ENTRY = Struct(">10I20sH")
_EXTENSION = Struct(">4sI")
_EXTENDED = 0x4000
_STAGE = 0x3000
_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000
_ASSUME_VALID = 0x8000
_INTENT_TO_ADD = 0x2000
_HASH_SIZE = 20
_GITLINK = 0o160000
_TREE = 0o040000


class IndexEntry(NamedTuple):
    """The state of a tracked file when git last read it. Numbers are the low 32 bits."""

    ctime: int  # seconds
    ctime_ns: int
    mtime: int  # seconds
    mtime_ns: int
    dev: int
    ino: int
    mode: int
    uid: int
    gid: int
    size: int  # bytes
    oid: bytes
    flags: int


class Index(NamedTuple):
    """A parsed index. Paths are bytes with '/' between the components."""

    entries: dict[bytes, IndexEntry]
    gitlinks: frozenset[bytes]
    unmerged: frozenset[bytes]
    intent_to_add: frozenset[bytes]
    skip_worktree: frozenset[bytes]
    tree: bytes | None
    """The object id of the tree that the index equals, or None if its cache-tree is invalid."""
    incomplete: str
    """The reason why `entries` is not complete ('split index', 'sparse index'), or ''."""

    def hiding_flag(self, path: bytes) -> str:
        """Return the flag of a file that git does not look at, as update-index(1) spells it, or ''."""
        if path in self.skip_worktree:
            return "skip-worktree"
        entry = self.entries.get(path)
        return "assume-unchanged" if entry is not None and entry.flags & _ASSUME_VALID else ""


_NONE: frozenset[bytes] = frozenset()
EMPTY_INDEX = Index({}, _NONE, _NONE, _NONE, _NONE, None, "")


def parse_index(data: bytes) -> Index:
    """Parse an index. Raise Damaged if it is invalid or has an unknown mandatory extension."""
    try:
        return _parse_all(data)
    except struct.error:
        raise Damaged("index: the file is too short") from None
    except (ValueError, IndexError) as error:
        raise Damaged(f"index: {error}") from None


class _UnusualEntry(NamedTuple):
    """An entry that is unmerged, has extended flags, or is not a file."""

    path: bytes
    entry: IndexEntry
    extended_flags: int


def _parse_all(data: bytes) -> Index:
    signature, version, count = _HEADER.unpack_from(data)
    if signature != b"DIRC" or version not in (2, 3, 4):
        raise Damaged("index: not a git index of version 2, 3 or 4")
    entries, unusual, end = _parse_entries(data, version, count)
    unmerged = {path for path, entry, _ in unusual if entry.flags & _STAGE}
    for path in unmerged:
        del entries[path]
    others = [item for item in unusual if item.path not in unmerged]
    tree, is_split = _parse_extensions(data, end)
    is_sparse = any(entry.mode == _TREE for _, entry, _ in others)
    return Index(
        entries,
        frozenset(path for path, entry, _ in others if entry.mode == _GITLINK),
        frozenset(unmerged),
        frozenset(path for path, _, extended in others if extended & _INTENT_TO_ADD),
        frozenset(path for path, _, extended in others if extended & _SKIP_WORKTREE),
        tree,
        _describe_incomplete(is_split=is_split, is_sparse=is_sparse),
    )


def _parse_entries(
    data: bytes, version: int, count: int
) -> tuple[dict[bytes, IndexEntry], list[_UnusualEntry], int]:
    """Return all entries, the unusual ones among them, and the end of the last one."""
    # Use local variables, which are faster: an index can have 100,000 entries.
    unpack = _ENTRY.unpack_from
    new, kind = tuple.__new__, IndexEntry  # `_ENTRY` has the fields of an entry
    entry_size = _ENTRY.size
    entries: dict[bytes, IndexEntry] = {}
    unusual: list[_UnusualEntry] = []
    position = _HEADER.size
    path = b""
    for _ in range(count):
        entry = new(kind, unpack(data, position))
        flags = entry.flags
        start = position + entry_size
        extended_flags = 0
        if flags & _EXTENDED:
            extended_flags = int.from_bytes(data[start : start + 2], "big")
            start += 2
        if version == 4:  # a path without the beginning that it shares with the previous path
            dropped, start = _parse_varint(data, start)
            end = data.index(b"\0", start)
            path = path[: len(path) - dropped] + data[start:end]
            position = end + 1
        else:  # a path, padded with NULs to a multiple of 8 bytes
            length = flags & _LENGTH
            end = start + length if length < _LENGTH else data.index(b"\0", start)
            path = data[start:end]
            position += (end - position + 8) & ~7
        entries[path] = entry
        if flags & (_STAGE | _EXTENDED) or entry.mode in (_GITLINK, _TREE):
            unusual.append(_UnusualEntry(path, entry, extended_flags))
    return entries, unusual, position


def _describe_incomplete(*, is_split: bool, is_sparse: bool) -> str:
    if is_split:
        return "split index"
    return "sparse index" if is_sparse else ""


def _parse_varint(data: bytes, start: int) -> tuple[int, int]:
    """Parse a variable-width offset, as in OFS_DELTA of pack files. Return it and its end."""
    position = start
    byte = data[position]
    value = byte & 127
    while byte & 128:
        position += 1
        byte = data[position]
        value = ((value + 1) << 7) | (byte & 127)
    return value, position + 1


def _parse_extensions(data: bytes, start: int) -> tuple[bytes | None, bool]:
    """Return the root tree of the cache-tree, or None, and True if the index is split."""
    tree = None
    is_split = False
    position = start
    while position + _EXTENSION.size <= len(data) - _HASH_SIZE:
        name, size = _EXTENSION.unpack_from(data, position)
        position += _EXTENSION.size
        body = data[position : position + size]
        if name == b"TREE":
            tree = _parse_cache_tree(body)
        elif name == b"link":
            is_split = True
        elif name != b"sdir" and not name[:1].isupper():
            raise Damaged(f"index: unknown mandatory extension {name!r}")
        position += size
    return tree, is_split


def _parse_cache_tree(body: bytes) -> bytes | None:
    # The root: an empty path, NUL, count of entries ('-1' if invalid), ' ', count of subtrees, LF,
    # object id.
    counts, line_feed, rest = body.removeprefix(b"\0").partition(b"\n")
    if not line_feed or counts.startswith(b"-"):
        return None
    return rest[:_HASH_SIZE]


_MAX_INDEX = 1 << 30  # bytes


def read_index(git_dir: str) -> tuple[Index, int]:
    """Return the index in a git dir and its modification time in ns. Raise Damaged if invalid.

    If the git dir has no index, return EMPTY_INDEX and 0.
    """
    try:
        with open(os.path.join(git_dir, "index"), "rb", opener=open_regular) as file:
            status = os.fstat(file.fileno())
            if status.st_size > _MAX_INDEX:
                raise Damaged(f"index: larger than {_MAX_INDEX} bytes")
            data = file.read()
    except FileNotFoundError:
        return EMPTY_INDEX, 0
    except OSError as error:
        raise Damaged(f"index: {error.strerror}") from None
    return parse_index(data), status.st_mtime_ns
