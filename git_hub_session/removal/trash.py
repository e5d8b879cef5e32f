"""The trash: the names of directories and git dirs that are renamed before they are deleted.

The directory of a worktree is renamed to a sibling. Its git dir is renamed to a directory beside
`worktrees` in the common dir.
"""

from __future__ import annotations

import errno
import os
from zlib import crc32

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.system import tree
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.paths import TRASH_SUFFIX, is_trash_name

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree

JOURNAL_FILE = "hub-session-removal"
"""The file in a git dir that records the progress of a removal (see journal.py)."""

_GIT_DIRS = "hub-session-trash"
_TEMPORARY_FILE = ("hub-session-", ".tmp")
# The errors of a file system that cannot rename a directory. On overlayfs, a directory of a lower
# layer gives EXDEV.
_CANNOT_RENAME = (errno.EXDEV, errno.ENOSYS, errno.ENOTSUP)
# The last files of a git dir to delete, in this order. Until then they name the worktree, its branch
# and the step of its removal. Git prunes a git dir without a lock. A cleanup does not know a git dir
# without `gitdir`, the last one.
_LAST_FILES = ("locked", JOURNAL_FILE, "commondir", "HEAD", "gitdir")
_MAX_NAME_BYTES = 240  # A file name has at most 255 bytes. This leaves room for the additions.


def trash_name(worktree: Worktree) -> str:
    """Return the trash path of the worktree's directory, a sibling."""
    return os.path.join(os.path.dirname(worktree.path), f".{safe_name(worktree)}{TRASH_SUFFIX}")


def safe_name(worktree: Worktree) -> str:
    """Return the name of the git dir for use in a longer name: a checksum if it is too long."""
    name = os.fsencode(worktree.name)
    return worktree.name if len(name) <= _MAX_NAME_BYTES else f"{crc32(name):08x}"


def list_trash(parent: str) -> list[str]:
    """Return the sorted paths of the directories in `parent` that have a trash name."""
    try:
        names = sorted(filter(is_trash_name, os.listdir(parent)))
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def leftover_files(worktree: Worktree) -> list[str]:
    """Return the sorted names of temporary files that a killed cleanup left in the git dir."""
    start, end = _TEMPORARY_FILE
    try:
        names = os.listdir(worktree.git_dir)
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(start) and name.endswith(end))


def git_dir_trash(common_dir: str) -> str:
    """Return the directory that git dirs are renamed into."""
    return os.path.join(common_dir, _GIT_DIRS)


def empty_trash(common_dir: str) -> None:
    """Delete the git dirs in the trash, and `worktrees` if it is empty. Ignore errors."""
    trash = git_dir_trash(common_dir)
    if os.path.islink(trash):
        return  # This program creates no link here.
    for name in os.listdir(trash) if os.path.isdir(trash) else []:
        git_dir = os.path.join(trash, name)
        try:
            tree.remove_if_unchanged(git_dir, tree.scan_directory(git_dir))
        except OSError:
            pass  # Another run may delete it at the same time. The next run tries again.
    for directory in (trash, os.path.join(common_dir, "worktrees")):
        try:
            os.rmdir(directory)  # git removes `worktrees` with the last worktree.
        except OSError:
            pass


def move_to_trash(worktree: Worktree) -> str:
    """Rename the directory of a worktree to its trash name, and return its new path.

    Return its present path if the file system cannot rename it. Raise OSError.
    """
    trash = trash_name(worktree)
    try:
        os.rename(worktree.path, trash)
    except OSError as error:
        if error.errno not in _CANNOT_RENAME:
            raise
        return worktree.path
    return trash


def remove_git_dir(worktree: Worktree) -> None:
    """Rename the git dir of this worktree to the trash, and delete it. Raise RemovalFailed."""
    directory = git_dir_trash(worktree.common_dir)
    trash = os.path.join(directory, f"{safe_name(worktree)}.{os.getpid()}")
    try:
        if os.path.islink(directory):
            raise RemovalFailed(
                f"'{directory}' is a symbolic link", hint=f"rm {quote_word(directory)}"
            )
        try:
            if not os.path.lexists(directory):
                os.mkdir(directory)
            os.rename(worktree.git_dir, trash)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:  # such as a full disk, or a file in the place of the directory
            _delete_git_dir_in_place(worktree.git_dir)
        else:
            tree.remove_if_unchanged(trash, tree.scan_directory(trash))
    except (FileExistsError, FileNotFoundError):
        # Another cleanup created or removed the trash directory at the same time.
        if os.path.lexists(worktree.git_dir):
            remove_git_dir(worktree)
    except OSError as error:
        raise RemovalFailed(f"cannot remove the administrative files: {error.strerror}") from None


def _delete_git_dir_in_place(git_dir: str) -> None:
    """Delete a git dir that cannot be renamed. After a kill, the next run continues."""
    scanned = tree.scan_directory(git_dir)
    last = {os.fsencode(name) for name in _LAST_FILES}
    files = {path: status for path, status in scanned.files.items() if path not in last}
    tree.remove_if_unchanged(git_dir, scanned._replace(files=files))
    for name in _LAST_FILES:
        tree.remove_path(git_dir, os.fsencode(name))
    os.rmdir(git_dir)
