"""git's index file, versions 2 to 4, as plain values.

Read here because libgit2 does not show an entry's flags (assume-unchanged,
skip-worktree, intent-to-add) and refuses split and sparse indexes, and these are the
places where git's own `worktree remove` loses work. Source: gitformat-index(5).
"""

from __future__ import annotations

import os
import struct
from struct import Struct

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.safe_open import open_regular

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree


# ctime s, ns; mtime s, ns; dev, ino, mode, uid, gid, size; object id; flags
_ENTRY = Struct(">10I20sH")
_COUNT = Struct(">4sII")
_EXTENSION = Struct(">4sI")
_EXTENDED = 0x4000
_STAGE = 0x3000
_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000
_INTENT_TO_ADD = 0x2000
_HASH = 20
_GITLINK = 0o160000
_TREE = 0o040000


class IndexEntry(NamedTuple):
    """One tracked path: what git knew of the file when it last looked; numbers are their low 32 bits."""

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
    """An index: its paths (as bytes, '/' between components) and what is unusual about it."""

    entries: dict[bytes, IndexEntry]
    gitlinks: frozenset[bytes]
    unmerged: frozenset[bytes]
    intent_to_add: frozenset[bytes]
    skip_worktree: frozenset[bytes]
    tree: bytes | None
    """The object id of the tree that the index equals, where its cache-tree knows."""
    incomplete: str
    """Why the entries are not the whole story ('split index', 'sparse index'), or ''."""


_NONE: frozenset[bytes] = frozenset()
EMPTY_INDEX = Index({}, _NONE, _NONE, _NONE, _NONE, None, "")


def parse_index(data: bytes) -> Index:
    """The index in `data`; raises Damaged where it is none, or holds what must be understood and is not."""
    try:
        return _parse_entries(data)
    except (ValueError, IndexError, struct.error) as fault:
        raise Damaged(f"index: {fault}") from None


def _parse_entries(data: bytes) -> Index:
    signature, version, count = _COUNT.unpack_from(data)
    if signature != b"DIRC" or version not in (2, 3, 4):
        raise Damaged("index: not a git index of version 2, 3 or 4")
    entries: dict[bytes, IndexEntry] = {}
    gitlinks: list[bytes] = []
    unmerged: list[bytes] = []
    intended: list[bytes] = []
    skipped: list[bytes] = []
    partial = ""
    at, path = _COUNT.size, b""
    unpack, fixed, make = _ENTRY.unpack_from, _ENTRY.size, IndexEntry._make
    for _ in range(count):
        entry = make(unpack(data, at))
        start = at + fixed
        extended = 0
        if entry.flags & _EXTENDED:
            extended = int.from_bytes(data[start : start + 2], "big")
            start += 2
        if version == 4:
            drop, start = _parse_varint(data, start)
            end = data.index(b"\0", start)
            path = path[: len(path) - drop] + data[start:end]
            at = end + 1
        else:
            length = entry.flags & _LENGTH
            end = start + length if length < _LENGTH else data.index(b"\0", start)
            path = data[start:end]
            at += (end - at + 8) & ~7
        if entry.flags & _STAGE:
            unmerged.append(path)
            continue
        entries[path] = entry
        if extended & _INTENT_TO_ADD:
            intended.append(path)
        if extended & _SKIP_WORKTREE:
            skipped.append(path)
        if entry.mode == _GITLINK:
            gitlinks.append(path)
        elif entry.mode == _TREE:
            partial = "sparse index"
    tree, split = _parse_extensions(data, at)
    return Index(
        entries,
        frozenset(gitlinks),
        frozenset(unmerged),
        frozenset(intended),
        frozenset(skipped),
        tree,
        "split index" if split else partial,
    )


def _parse_varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-width offset (the encoding of pack files' OFS_DELTA) and where it ends."""
    byte = data[at]
    value = byte & 127
    while byte & 128:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 127)
    return value, at + 1


def _parse_extensions(data: bytes, at: int) -> tuple[bytes | None, bool]:
    """The root of the cache-tree where it is valid, and whether the index is a split one."""
    tree, split = None, False
    while at + _EXTENSION.size <= len(data) - _HASH:
        name, size = _EXTENSION.unpack_from(data, at)
        body = data[at + _EXTENSION.size : at + _EXTENSION.size + size]
        if name == b"TREE":
            tree = _parse_cache_tree(body)
        elif name == b"link":
            split = True
        elif name != b"sdir" and not name[:1].isupper():
            raise Damaged(f"index: unknown mandatory extension {name!r}")
        at += _EXTENSION.size + size
    return tree, split


def _parse_cache_tree(body: bytes) -> bytes | None:
    # An empty path, NUL, the entry count ('-1' where it is out of date), ' ', subtrees, LF, object id.
    numbers, found, rest = body.removeprefix(b"\0").partition(b"\n")
    if not found or numbers.startswith(b"-"):
        return None
    return rest[:_HASH]


_INDEX_LIMIT = 1 << 30  # bytes


def read_index(worktree: Worktree) -> tuple[Index, int]:
    """A worktree's index and when it was written (ns), EMPTY where it has none; raises Damaged."""
    try:
        with open(os.path.join(worktree.git_dir, "index"), "rb", opener=open_regular) as file:
            found = os.fstat(file.fileno())
            if found.st_size > _INDEX_LIMIT:
                raise Damaged(f"index: larger than {_INDEX_LIMIT} bytes")
            data = file.read()
    except FileNotFoundError:
        return EMPTY_INDEX, 0
    except OSError as fault:
        raise Damaged(f"index: {fault.strerror}") from None
    return parse_index(data), found.st_mtime_ns
