"""List and compare the files in trees of libgit2."""

from __future__ import annotations

from git_hub_session.git.libgit2 import pygit2


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


def paths_changed(diff: pygit2.Diff) -> set[bytes]:
    """Return the old and the new paths of the files in a diff."""
    return {file.raw_path for delta in diff.deltas for file in (delta.old_file, delta.new_file)}


def paths_added(old: pygit2.Tree, new: pygit2.Tree) -> list[bytes]:
    """Return the paths of the files that `new` has and `old` has not."""
    added: list[bytes] = []
    pairs: list[tuple[bytes, pygit2.Tree | None, pygit2.Tree]] = [(b"", old, new)]
    while pairs:
        prefix, old_tree, new_tree = pairs.pop()
        old_entries = {entry.raw_name: entry for entry in old_tree or ()}
        for entry in new_tree:
            old_entry = old_entries.get(entry.raw_name)
            path = prefix + (entry.raw_name or b"")
            if isinstance(entry, pygit2.Tree):
                if old_entry is None or old_entry.id != entry.id:
                    old_subtree = old_entry if isinstance(old_entry, pygit2.Tree) else None
                    pairs.append((path + b"/", old_subtree, entry))
            elif old_entry is None or isinstance(old_entry, pygit2.Tree):
                added.append(path)
    return added
