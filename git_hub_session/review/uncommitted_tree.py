"""Write the present files of a worktree as a tree, and change nothing.

git works on a copy of the index. New objects go to a temporary directory.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.safe_open import open_regular
from git_hub_session.worktree.status import read_worktree_changes

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project

# git neither starts a program nor writes a file beside the copy of the index.
_SETTINGS = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.safecrlf": "false",
    "core.ignoreStat": "false",
    "core.hooksPath": os.devnull,
}
# The message of `git update-index` about a path that it skips.
_SKIPPED_PATH = b"Ignoring path "


def write_uncommitted_tree(worktree: Worktree, project: Project, directory: str) -> str:
    """Return the id of the tree with all files of the worktree, except ignored ones.

    Leave out the files of a hub, nested repositories, and special files.

    Args:
        directory: an empty directory for the copy of the index. New objects go to `objects` in it.

    Raises:
        HubError: the uncommitted files cannot be read.
        GitFailed: git failed.
    """
    changes = read_worktree_changes(worktree, project)
    if changes is None:
        raise HubError(
            f"cannot read the uncommitted files in '{worktree.path}'",
            hint="git hub-session doctor",
        )
    paths = {*changes.changed, *changes.untracked, *changes.git_index.unmerged}
    hub = f"{HUB_DIRECTORY}/".encode()
    stdin = b"".join(path + b"\0" for path in sorted(paths) if not path.startswith(hub))
    index = os.path.join(directory, "index")
    _copy_index(worktree, index)
    git = project.git.at(
        worktree.git_dir,
        worktree.path,
        index=index,
        objects=objects_directory(directory),
        settings=_SETTINGS,
    )
    update = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"]
    git.run(update, stdin=stdin, failure=_SKIPPED_PATH)
    return git.run(["write-tree"]).decode().strip()


def objects_directory(directory: str) -> str:
    """Return the directory for new objects in a temporary directory, and create it."""
    path = os.path.join(directory, "objects")
    os.makedirs(path, exist_ok=True)
    return path


def _copy_index(worktree: Worktree, target: str) -> None:
    """Copy the index with its time: git reads a file again that is as new as the index."""
    source = os.path.join(worktree.git_dir, "index")
    try:
        with open(source, "rb", opener=open_regular) as reader, open(target, "wb") as writer:
            while block := reader.read(1 << 20):
                writer.write(block)
            status = os.fstat(reader.fileno())
    except FileNotFoundError:
        return
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
