"""Keep the contents of saved and archived Git LFS files.

git stores only a pointer to such a file. `git lfs prune` deletes contents that neither a branch, a
tag, nor `git stash` needs: it does not know rescue refs and archive refs. So each saved or archived
commit has a directory with hard links to its contents. `restore` links them back.

Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.copy import copy_files

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo

# The lines of extensions are before the id of the content.
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/.*\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\n"
)
_DIRECTORY = "hub-session-lfs"

Entries = Mapping[bytes, tuple[int, bytes]]


class LfsContents:
    """The contents of the Git LFS files of one repository."""

    def __init__(self, common_dir: str, repo: GitRepo) -> None:
        self._repo = repo
        storage = ["lfs", *repo.config_values("lfs.storage")][-1]
        self._objects = os.path.join(common_dir, os.path.expanduser(storage), "objects")
        self._kept = os.path.join(common_dir, _DIRECTORY)

    def keep(self, commit: str, trees: Iterable[str], head: str) -> None:
        """Keep the contents that commits or trees need, and `head` does not.

        A content that is not in the repository cannot be kept.

        Args:
            commit: the id of the saved commit, which names the directory.
            trees: the ids of the commits or trees to save.
            head: the id of a commit that a branch has.
        """
        if not os.path.isdir(self._objects):
            return
        known = {oid for _, oid in self._repo.tree_entries(head).values()}
        blobs = {oid for tree in trees for _, oid in self._repo.tree_entries(tree).values()}
        directory = os.path.join(self._kept, commit)
        for oid in blobs - known:
            pointer = self._find_pointer(oid)
            if pointer:
                source = os.path.join(self._objects, pointer[:2], pointer[2:4])
                os.makedirs(directory, exist_ok=True)
                _link(source, directory, pointer)

    def keep_commits(self, name: str, tips: Iterable[str], head: str) -> None:
        """Keep the contents that the commits need which the tips reach and `head` does not.

        Args:
            name: the id of the saved or archived commit, which names the directory.
            tips: the ids of objects. Objects that are no commits are skipped.
            head: the id of a commit that a branch has, or ''.
        """
        if os.path.isdir(self._objects):
            tips = filter(self._repo.has_commit, tips)
            self.keep(name, self._repo.commit_parents(tips, filter(None, [head])), head)

    def restore(self, commit: str) -> None:
        """Link the kept contents of a saved commit back. Raise OSError if that fails."""
        directory = os.path.join(self._kept, commit)
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            target = os.path.join(self._objects, name[:2], name[2:4])
            os.makedirs(target, exist_ok=True)
            _link(directory, target, name)

    def _find_pointer(self, blob: bytes) -> str:
        """Return the id of the content that a blob points to, or '' if it is no pointer."""
        if not self._repo.has_object(blob.hex()):
            return ""  # the commit of a submodule
        match = _POINTER.match(self._repo.read_blob(blob)[:1024])
        return match[1].decode() if match else ""


def _link(source: str, target: str, name: str) -> None:
    """Link or copy a file into another directory, unless it is missing or exists there."""
    try:
        os.link(os.path.join(source, name), os.path.join(target, name))
    except (FileExistsError, FileNotFoundError):
        pass
    except OSError:  # another file system, or one without hard links
        copy_files(source, target, [os.fsencode(name)])
