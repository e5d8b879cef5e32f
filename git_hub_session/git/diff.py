"""Compare the files in trees of libgit2, and count and format the changes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.git.libgit2 import DifferingEntries, RecentTrees, constants, pygit2
from git_hub_session.util.text import escape_control

_COLUMNS = 72
# An entry of a tree: its mode, its name and its object id (git's tree.c).
_TREE_ENTRY = rb"[0-7]+ [^\0]+\0.{20}"


class DiffStat(NamedTuple):
    """The size of a change: files, inserted lines and deleted lines."""

    files: int
    insertions: int
    deletions: int


def diff_stat(diff: pygit2.Diff) -> DiffStat:
    """Count files and lines as git does.

    A file that became a symbolic link counts once. libgit2 counts it as a deleted and an added file.
    """
    files = {delta.new_file.raw_path for delta in diff.deltas}
    stats = diff.stats
    return DiffStat(len(files), stats.insertions, stats.deletions)


def summary_lines(diff: pygit2.Diff) -> tuple[str, ...]:
    """Return the lines of `git diff --stat --summary`, with renames.

    If a path contains control characters, return simpler lines with escaped paths: libgit2 prints
    such a path as it is, line feeds included.
    """
    diff.find_similar()
    files = [file for delta in diff.deltas for file in (delta.old_file, delta.new_file)]
    paths = {os.fsdecode(file.raw_path) for file in files}
    if all(escape_control(path) == path for path in paths):
        shape = constants.GIT_DIFF_STATS_FULL | constants.GIT_DIFF_STATS_INCLUDE_SUMMARY
        return tuple(diff.stats.format(shape, _COLUMNS).split("\n")[:-1])
    total = diff.stats.format(constants.GIT_DIFF_STATS_SHORT, _COLUMNS).rstrip("\n")
    return (*(_format_patch(patch) for patch in diff if patch), total)


def file_patches(diff: pygit2.Diff) -> dict[bytes, bytes]:
    """Return the diff of each file by its path."""
    patches: dict[bytes, bytes] = {}
    for patch in filter(None, diff):
        path = patch.delta.new_file.raw_path
        # A file that became a symbolic link has two.
        patches[path] = patches.get(path, b"") + patch.data
    return patches


def _format_patch(patch: pygit2.Patch) -> str:
    """Format one file of a diff: `A name | 12`."""
    _, added, deleted = patch.line_stats
    path = escape_control(os.fsdecode(patch.delta.new_file.raw_path))
    return f" {patch.delta.status_char()} {path} | {added + deleted}"


def patch_text(diff: pygit2.Diff, limit: int) -> tuple[str, bool]:
    """Return the text of a diff, and True if it was truncated after `limit` bytes."""
    parts = []
    for index in range(len(diff)):
        patch = diff[index]
        if patch is None:  # a submodule, or a file that did not change
            continue
        data = patch.data
        parts.append(data[:limit])
        if len(data) > limit:
            return b"".join(parts).decode(errors="replace"), True
        limit -= len(data)
    return b"".join(parts).decode(errors="replace"), False


def flatten_tree(tree: pygit2.Tree) -> dict[bytes, tuple[int, bytes]]:
    """Return all files of a tree: {path: (mode, 20 bytes of the object id)}."""
    # Walk the tree and read raw_name: an Index of pygit2 supports only UTF-8 names.
    entries: dict[bytes, tuple[int, bytes]] = {}
    trees = [(b"", tree)]
    while trees:
        prefix, parent = trees.pop()
        for entry in parent:
            path = prefix + (entry.raw_name or b"")
            if isinstance(entry, pygit2.Tree):
                trees.append((path + b"/", entry))
            else:
                entries[path] = (int(entry.filemode), entry.id.raw)
    return entries


def find_entries(tree: pygit2.Tree, paths: Iterable[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """Return the files of a tree that exist among `paths`, as flatten_tree()."""
    entries: dict[bytes, tuple[int, bytes]] = {}
    for path in paths:
        try:
            entry = tree[os.fsdecode(path)]
        except KeyError:
            continue
        entries[path] = (int(entry.filemode), entry.id.raw)
    return entries


def changed_directories(trees: RecentTrees, old: bytes, new: bytes) -> set[bytes]:
    """Return the directories in which two trees differ, with a slash at the end. b"" is the top.

    Equal subtrees are not read, which makes this faster than a diff.

    Args:
        old: the object id of a tree.
        new: the object id of another tree.
    """
    changed: set[bytes] = set()
    pairs = [(b"", old, new)] if old != new else []
    while pairs:
        path, old_id, new_id = pairs.pop()
        changed.add(path)
        old_entries, new_entries = _differing_entries(trees, old_id, new_id)
        for name in old_entries.keys() | new_entries.keys():
            subtrees = _subtree_id(old_entries, name), _subtree_id(new_entries, name)
            if any(subtrees):
                pairs.append((path + name + b"/", *subtrees))
    return changed


def _differing_entries(trees: RecentTrees, old_id: bytes, new_id: bytes) -> DifferingEntries:
    """Return the entries that only one of two trees has, as _parse_entry() does.

    An entry with another mode or object id is in both results. The id of a missing tree is b"".
    It is faster to compare the bytes of all entries than to create an object for each entry. `merge`
    compares the same trees twice.
    """
    known = trees.differing_entries.get((old_id, new_id))
    if known is not None:
        return known
    read = trees.repo.read
    old_entries, new_entries = (
        set(re.findall(_TREE_ENTRY, read(pygit2.Oid(raw=oid))[1], re.DOTALL)) if oid else set()
        for oid in (old_id, new_id)
    )
    old_only, new_only = (
        dict(map(_parse_entry, sorted(entries)))
        for entries in (old_entries - new_entries, new_entries - old_entries)
    )
    trees.differing_entries[old_id, new_id] = old_only, new_only
    return old_only, new_only


def _parse_entry(entry: bytes) -> tuple[bytes, tuple[bool, bytes]]:
    """Return the name of an entry of a tree, True if it is a directory, and its object id."""
    mode, _, rest = entry.partition(b" ")
    name, _, oid = rest.partition(b"\0")
    digits = mode.lstrip(b"0")  # an old git wrote 040000
    return name, (len(digits) == len(b"40000") and digits.startswith(b"4"), oid)


def _subtree_id(entries: Mapping[bytes, tuple[bool, bytes]], name: bytes) -> bytes:
    """Return the object id of the directory `name`, or b"" if there is none among the entries."""
    is_directory, oid = entries.get(name, (False, b""))
    return oid if is_directory else b""


def paths_changed(diff: pygit2.Diff) -> set[bytes]:
    """Return the old and the new paths of the files in a diff."""
    return {file.raw_path for delta in diff.deltas for file in (delta.old_file, delta.new_file)}


def paths_added(trees: RecentTrees, old: bytes, new: bytes) -> list[bytes]:
    """Return the paths of the files that the tree `new` has and the tree `old` has not.

    Args:
        old: the object id of a tree.
        new: the object id of another tree.
    """
    added: list[bytes] = []
    pairs = [(b"", old, new)]
    while pairs:
        path, old_id, new_id = pairs.pop()
        old_entries, new_entries = _differing_entries(trees, old_id, new_id)
        for name in new_entries:
            subtree = _subtree_id(new_entries, name)
            if subtree:
                pairs.append((path + name + b"/", _subtree_id(old_entries, name), subtree))
            elif name not in old_entries or _subtree_id(old_entries, name):
                added.append(path + name)
    return added


def diff_since_merge_base(trees: RecentTrees, tip: str, base: str) -> pygit2.Diff:
    """Return the changes from the merge base of two commits to `tip`.

    Without a merge base, all files of `tip` are new.
    """
    merge_base = trees.repo.merge_base(pygit2.Oid(hex=tip), pygit2.Oid(hex=base))
    new = trees.get(tip)
    if merge_base is None:
        return new.diff_to_tree(swap=True)
    return trees.get(str(merge_base)).diff_to_tree(new)


def read_small_files(
    repo: pygit2.Repository, tree: pygit2.Tree, *, depth: int, max_files: int, max_bytes: int
) -> dict[str, bytes] | None:
    """Return the regular files of a hostile tree, or None if they are too many or too large.

    A tree of a few kilobytes can stand for billions of files. No file is read before its size.

    Args:
        depth: the number of levels of directories to read.
    """
    files: dict[str, bytes] = {}
    trees = [("", tree, depth)]
    for prefix, directory, level in trees:
        for entry in directory:
            path = f"{prefix}{os.fsdecode(entry.raw_name or b'')}"
            if isinstance(entry, pygit2.Tree) and level:
                trees.append((f"{path}/", entry, level - 1))
            elif entry.filemode in (0o100644, 0o100755):
                max_bytes -= _object_size(repo.odb, entry.id)
                if max_bytes < 0 or len(files) >= max_files:
                    return None
                files[path] = repo[entry.id].peel(pygit2.Blob).data
            if len(trees) > max_files:
                return None
    return files


def _object_size(odb: pygit2.Odb, oid: pygit2.Oid) -> int:
    """Return the size of an object without reading the object. Raise KeyError if it is missing."""
    # The pygit2 of Debian 12 and 13 has no Odb.read_header. `in` also finds new packs.
    for backend in odb.backends if oid in odb else ():
        try:
            return backend.read_header(oid)[1]
        except KeyError:
            continue
    raise KeyError(str(oid))
