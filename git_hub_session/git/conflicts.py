"""Find out if git could merge two commits, without a change in the repository.

The merge is that of libgit2. It knows neither merge drivers nor attributes, and detects fewer
renames than git. `git hub-session merge` asks git itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session.git.diff import paths_changed
from git_hub_session.git.libgit2 import constants, pygit2
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.system.tree import path_and_parents


class _MemoryBackend(pygit2.OdbBackend):
    """Keeps new objects in memory.

    A merge of libgit2 would write the merged files into the repository.
    """

    def __init__(self) -> None:
        super().__init__()
        self._objects: dict[str, tuple[int, bytes]] = {}

    def write_cb(self, oid: pygit2.Oid, data: bytes, kind: int) -> None:
        self._objects[str(oid)] = (kind, bytes(data))

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        return self._objects[str(oid)]

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[int, int]:
        kind, data = self._objects[str(oid)]
        return kind, len(data)

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        return str(oid) in self._objects

    def read_prefix_cb(self, oid: pygit2.Oid) -> tuple[int, bytes, pygit2.Oid]:
        raise KeyError(oid)

    def exists_prefix_cb(self, oid: pygit2.Oid) -> pygit2.Oid:
        raise KeyError(oid)

    def refresh_cb(self) -> None:
        """Do nothing: no other process changes the memory."""


def has_conflicts(repo: pygit2.Repository, ours: str, theirs: str) -> bool:
    """Return True if the commits cannot be merged without conflicts.

    Commits without a merge base count as conflicting: git does not merge them.
    """
    base = repo.merge_base(pygit2.Oid(hex=ours), pygit2.Oid(hex=theirs))
    if base is None:
        return True
    trees = [repo[oid].peel(pygit2.Tree) for oid in (base, ours, theirs)]
    if not _have_common_paths(*trees):
        return False
    # A handle of its own: every read of the other handle would ask the slower backend first.
    scratch = pygit2.Repository(repo.path)
    if hasattr(constants, "GIT_CONFIG_LEVEL_WORKTREE"):
        scratch.odb.add_backend(_MemoryBackend(), _FIRST)
        return _merge_has_conflicts(scratch, trees)
    # pygit2 1.11 crashes in a backend of Python.
    with temporary_directory() as directory:
        database = pygit2.Odb(directory)
        database.add_disk_alternate(f"{repo.path}objects")
        scratch.set_odb(database)
        return _merge_has_conflicts(scratch, trees)


def _merge_has_conflicts(scratch: pygit2.Repository, trees: Sequence[pygit2.Tree]) -> bool:
    base, ours, theirs = (scratch[tree.id].peel(pygit2.Tree) for tree in trees)
    return scratch.merge_trees(base, ours, theirs).conflicts is not None


_FIRST = 1000  # the priority of a backend that gets all new objects


def _have_common_paths(base: pygit2.Tree, ours: pygit2.Tree, theirs: pygit2.Tree) -> bool:
    """Return True if both sides changed a file, or one of them its directory.

    Comparing trees is fast: equal directories are skipped. A merge reads every directory.
    """
    our_paths, their_paths = (paths_changed(base.diff_to_tree(side)) for side in (ours, theirs))
    return bool(_with_parents(our_paths) & their_paths or our_paths & _with_parents(their_paths))


def _with_parents(paths: set[bytes]) -> set[bytes]:
    return {parent for path in paths for parent in path_and_parents(path)}
