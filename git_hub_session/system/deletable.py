"""Find what cannot be deleted or created, before anything is changed. Change nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system import procfs
from git_hub_session.util.shell import quote_word

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

_REASONS = {
    FOREIGN: "it belongs to another user",
    IMMUTABLE: "it is immutable",
    READ_ONLY: "its file system is read-only",
    UNWRITABLE: "no write permission",
}


class Undeletable(NamedTuple):
    """A path that prevents a deletion."""

    path: str
    cause: str
    """FOREIGN, IMMUTABLE, READ_ONLY or UNWRITABLE."""

    @property
    def message(self) -> str:
        """The error of a deletion."""
        if self.cause == FOREIGN:
            return f"cannot delete the files of another user in '{self.path}'"
        changes = "rename or delete anything in" if self.cause == UNWRITABLE else "delete"
        return f"cannot {changes} '{self.path}': {self.reason}"

    @property
    def reason(self) -> str:
        """The end of a message that names the path."""
        return _REASONS[self.cause]

    @property
    def hint(self) -> str:
        """The command that removes the cause, or an instruction."""
        path = quote_word(self.path)
        if self.cause == FOREIGN:
            return f"{_sudo()}rm -r {path}"
        return self.access_command or (
            "mount the file system for writing"
            if self.cause == READ_ONLY
            else f"get write permission for {path}"
        )

    @property
    def access_command(self) -> str:
        """The command with which the user gets write access to the path, or ''."""
        path = quote_word(self.path)
        if self.cause == IMMUTABLE:
            return f"{_sudo()}chattr -i {path}"
        is_own = self.cause == UNWRITABLE and os.stat(self.path).st_uid == os.geteuid()
        return f"chmod u+wx {path}" if is_own else ""


def force_deletion_command(file: str) -> str:
    """Return the command that deletes a file with attributes such as `chattr +a`."""
    directory, path = quote_word(os.path.dirname(file)), quote_word(file)
    return f"{_sudo()}chattr -i -a {directory} {path} && {_sudo()}rm {path}"


def _sudo() -> str:
    return "sudo " if os.geteuid() else ""


def find_undeletable(top: str, tree: DirectoryTree) -> tuple[Undeletable, ...]:
    """Return the paths that prevent the deletion of the scanned directory `top`.

    A file system can still refuse a deletion for another reason, such as `chattr +a`.
    """
    return (*_undeletable_directories(top, tree), *_undeletable_files(top, tree))


def find_unwritable(*directories: str) -> tuple[Undeletable, ...]:
    """Return those of the directories in which nothing can be created, renamed or deleted."""
    causes = {path: _find_cause(path) for path in directories}
    return tuple(
        Undeletable(path, UNWRITABLE if cause == FOREIGN else cause)
        for path, cause in causes.items()
        if cause
    )


def find_unwritable_below(top: str) -> tuple[Undeletable, ...]:
    """Return the unwritable directories and the immutable files in the directory `top`."""
    found: list[Undeletable] = []
    for directory, _, files in os.walk(top):
        found += find_unwritable(directory)
        found += _find_immutable(*(os.path.join(directory, file) for file in files))
    return tuple(found)


def _find_immutable(*files: str) -> tuple[Undeletable, ...]:
    """Return the immutable ones of some regular files."""
    # Only an immutable file gives EPERM. A missing permission does not prevent a deletion.
    return tuple(
        Undeletable(path, IMMUTABLE)
        for path in files
        if not _is_accessible(path, os.W_OK) and _opening_error(path) == errno.EPERM
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
    yield from _find_immutable(os.path.join(top, ".git"))  # the scan leaves it out
    for file, status in tree.files.items():
        if stat.S_ISREG(status.st_mode):
            yield from _find_immutable(os.path.join(top, os.fsdecode(file)))


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
