"""Find what cannot be deleted, before anything is deleted. Nothing is changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system import procfs

if TYPE_CHECKING:
    from git_hub_session.system.tree import DirectoryTree

FOREIGN = "foreign"
"""The directory has files that only another user may delete."""
IMMUTABLE = "immutable"
"""The file or directory is immutable (`chattr +i`)."""
READ_ONLY = "read-only"
"""The file system of the directory is read-only."""
UNWRITABLE = "unwritable"
"""The user may not change the directory."""


_CAP_DAC_OVERRIDE = 1
"""The capability to write into each directory, from Linux's capability.h."""


class Undeletable(NamedTuple):
    """A path that prevents a deletion."""

    path: str
    cause: str
    """FOREIGN, IMMUTABLE, READ_ONLY or UNWRITABLE."""


def find_undeletable(top: str, tree: DirectoryTree) -> tuple[Undeletable, ...]:
    """Return the paths that prevent the deletion of the scanned directory `top`.

    A file system can still refuse a deletion for another reason, such as `chattr +a`.
    """
    return (*_undeletable_directories(top, tree), *_undeletable_files(top, tree))


def find_unwritable(*directories: str) -> tuple[Undeletable, ...]:
    """Return those of the directories in which nothing can be renamed or deleted."""
    causes = {path: _find_cause(path) for path in directories}
    return tuple(
        Undeletable(path, UNWRITABLE if cause == FOREIGN else cause)
        for path, cause in causes.items()
        if cause
    )


def _find_cause(directory: str) -> str:
    """Return the cause that nothing in the directory can be deleted, or ''."""
    if _is_accessible(directory, os.W_OK | os.X_OK):
        return ""
    try:
        is_read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
        uid, status = os.geteuid(), os.stat(directory)
    except OSError:  # The path is too long, or another process has removed the directory.
        return ""
    if is_read_only:
        return READ_ONLY
    has_permission = status.st_mode & 0o300 == 0o300
    # Root needs no permission, unless a container has taken the capability away.
    if not procfs.has_capability(_CAP_DAC_OVERRIDE):
        if status.st_uid != uid:
            return FOREIGN
    elif not uid:
        has_permission = True
    return IMMUTABLE if has_permission else UNWRITABLE


def _undeletable_directories(top: str, tree: DirectoryTree) -> Iterator[Undeletable]:
    occupied = {path.rpartition(b"/")[0] for path in (*tree.files, *tree.directories)}
    for directory in (b"", *sorted(tree.directories)):
        path = os.path.join(top, os.fsdecode(directory)) if directory else top
        cause = _find_cause(path)
        if not cause and directory in occupied and _protects_foreign_files(path, directory, tree):
            cause = FOREIGN
        # The removal makes a directory of the user writable. An empty directory of another user
        # needs only a writable parent directory.
        if cause in (IMMUTABLE, READ_ONLY) or (cause == FOREIGN and directory in occupied):
            yield Undeletable(path, cause)


def _protects_foreign_files(path: str, directory: bytes, tree: DirectoryTree) -> bool:
    """Return True if a sticky bit protects files of other users in the directory."""
    uid = os.geteuid()
    try:
        status = os.lstat(path)
    except OSError:
        return False
    # The sticky bit does not stop root.
    if not uid or status.st_uid == uid or not status.st_mode & stat.S_ISVTX:
        return False
    return any(
        file_status.st_uid != uid
        for file, file_status in tree.files.items()
        if file.rpartition(b"/")[0] == directory
    )


def _undeletable_files(top: str, tree: DirectoryTree) -> Iterator[Undeletable]:
    for file, status in tree.files.items():
        path = os.path.join(top, os.fsdecode(file))
        # Only an immutable file gives EPERM. A missing permission does not prevent a deletion.
        if (
            stat.S_ISREG(status.st_mode)
            and not _is_accessible(path, os.W_OK)
            and _opening_error(path) == errno.EPERM
        ):
            yield Undeletable(path, IMMUTABLE)


def _opening_error(path: str) -> int | None:
    """Return the error of opening the file to write, or None. Nothing is written."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno
    return None


def _is_accessible(path: str, mode: int) -> bool:
    # The system answers: it knows access control lists, capabilities and immutable files.
    return os.access(path, mode, effective_ids=True)
