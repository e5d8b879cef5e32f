"""Find what cannot be deleted or created, before anything is changed. Change nothing."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from glob import glob

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system import procfs
from git_hub_session.util.mounts import MountTable, unescape
from git_hub_session.util.paths import is_inside
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.system.tree import DirectoryTree

    _Suspects = list[tuple[bytes, int | None]]
    _AttributeReader = Callable[[bytes, Sequence[bytes]], _Suspects]

ALTERNATE = "alternate"
"""The repository reads objects from the directory."""
APPEND_ONLY = "append-only"
"""The file or directory is append-only (`chattr +a`)."""
FOREIGN = "foreign"
"""The directory has files that only another user may delete."""
IMMUTABLE = "immutable"
"""The file or directory is immutable (`chattr +i`)."""
OWN_LFS = "own-lfs"
"""Git LFS stores the contents of this worktree in the directory."""
READ_ONLY = "read-only"
"""The file system of the directory is read-only."""
UNWRITABLE = "unwritable"
"""The user may not change the directory."""
LFS = "lfs"
"""Git LFS stores the contents of all worktrees in the directory."""
LOOP = "loop"
"""A loop device shows the file as a disk."""
OVERLAY = "overlay"
"""The directory is a part of an overlay file system."""
SWAP = "swap"
"""The system stores memory in the file."""


_CAP_DAC_OVERRIDE = 1
"""The capability to write into each directory, from Linux's capability.h."""

# From statx(2): the arguments, and the place and the bits of the attributes in its result.
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_SIZE, _ATTRIBUTES, _ATTRIBUTES_MASK = 32, 1, 7  # in numbers of 64 bits
_ATTR_IMMUTABLE, _ATTR_APPEND = 0x10, 0x20

_REASONS = {
    APPEND_ONLY: "it is append-only",
    FOREIGN: "it belongs to another user",
    IMMUTABLE: "it is immutable",
    READ_ONLY: "its file system is read-only",
    UNWRITABLE: "no write permission",
    LOOP: "'{}' uses it",
    OVERLAY: "the overlay file system at '{}' uses it",
    SWAP: "it is swap space",
    ALTERNATE: "git reads objects from it",
    LFS: "Git LFS stores contents in it",
    OWN_LFS: "Git LFS stores contents in it",
}


class Undeletable(NamedTuple):
    """A path that prevents a deletion."""

    path: str
    cause: str
    """One of the causes above."""
    user: str = ""
    """The loop device, the mount point or the common dir that uses the path."""

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
        return _REASONS[self.cause].format(self.user)

    @property
    def hint(self) -> str:
        """The command that removes the cause, or an instruction."""
        path = quote_word(self.path)
        if self.cause == FOREIGN:
            return f"{_sudo()}rm -r {path}"
        if self.cause in (ALTERNATE, LFS, OWN_LFS):
            return self._copy_command
        if self.cause == SWAP:
            return f"{_sudo()}swapoff {path}"
        if self.cause == LOOP:
            return f"{_sudo()}losetup -d {self.user}"
        if self.cause == OVERLAY:
            return f"{_sudo()}umount {quote_word(self.user)}"
        return self.access_command or (
            "mount the file system for writing"
            if self.cause == READ_ONLY
            else f"get write permission for {path}"
        )

    @property
    def _copy_command(self) -> str:
        """The command that copies the contents into the repository."""
        path = quote_word(self.path)
        common_dir = quote_word(self.user)
        if self.cause == ALTERNATE:
            alternates = quote_word(os.path.join(self.user, "objects", "info", "alternates"))
            return f"git --git-dir {common_dir} repack -adq && rm {alternates}"
        config = quote_word(os.path.join(self.user, "config"))
        target = quote_word(os.path.join(self.user, "lfs"))
        if self.cause == LFS:
            return f"cp -R {path}/. {target} && git config -f {config} --unset lfs.storage"
        return f"cp -R {path}/. {target} && rm -r {path}"

    @property
    def access_command(self) -> str:
        """The command with which the user gets write access to the path, or ''."""
        path = quote_word(self.path)
        if self.cause in (APPEND_ONLY, IMMUTABLE):
            return f"{_sudo()}chattr -{'a' if self.cause == APPEND_ONLY else 'i'} {path}"
        is_own = self.cause == UNWRITABLE and os.stat(self.path).st_uid == os.geteuid()
        return f"chmod u+wx {path}" if is_own else ""


def _sudo() -> str:
    return "sudo " if os.geteuid() else ""


def find_undeletable(top: str, tree: DirectoryTree) -> tuple[Undeletable, ...]:
    """Return the paths that prevent the deletion of the scanned directory `top`."""
    regular = stat.S_IFREG
    files = [file for file, status in tree.files.items() if status.st_mode & 0o170000 == regular]
    # The scan leaves out .git.
    protected = _find_protected(b".git", *files, top=os.fsencode(top))
    real_top = os.path.realpath(top)
    users = (user for user in _kernel_users() if is_inside(user.path, real_top))
    return (*_undeletable_directories(top, tree), *protected, *users)


@cache
def _kernel_users() -> tuple[Undeletable, ...]:
    """Return the files and directories that the system itself uses (Linux).

    They are read once, for all worktrees of a cleanup.
    """
    found = []
    for point, layer in MountTable(procfs.read_proc("/proc/self/mountinfo")).layers:
        found.append(Undeletable(layer, OVERLAY, point))
    for path in sorted(glob("/sys/block/loop*/loop/backing_file")):
        file = procfs.read_proc(path).removesuffix("\n")
        found.append(Undeletable(file, LOOP, f"/dev/{path.split('/')[3]}"))
    for line in procfs.read_proc("/proc/swaps").splitlines()[1:]:
        found.append(Undeletable(unescape(line.split(" ")[0]), SWAP))
    return tuple(found)


def find_unwritable(*directories: str) -> tuple[Undeletable, ...]:
    """Return those of the directories in which nothing can be created, renamed or deleted."""
    causes = _find_causes(directories)
    return tuple(
        Undeletable(path, UNWRITABLE if causes[path] == FOREIGN else causes[path])
        for path in dict.fromkeys(directories)
        if path in causes
    )


def find_unwritable_below(top: str) -> tuple[Undeletable, ...]:
    """Return the unwritable directories and the protected files in the directory `top`."""
    found: list[Undeletable] = []
    for directory, _, files in os.walk(os.fsencode(top)):
        found += find_unwritable(os.fsdecode(directory))
        found += _find_protected(*(os.path.join(directory, file) for file in files))
    return tuple(found)


def _find_protected(*files: bytes, top: bytes = b"/") -> tuple[Undeletable, ...]:
    """Return the immutable and the append-only ones of some files, whose paths start at `top`."""
    read = _attribute_reader()
    suspects = read(top, files) if read else [(path, None) for path in files]
    paths = ((os.path.join(top, path), attributes) for path, attributes in suspects)
    causes = ((path, _protection(path, attributes)) for path, attributes in paths)
    return tuple(Undeletable(os.fsdecode(path), cause) for path, cause in causes if cause)


def _protection(path: bytes, attributes: int | None) -> str:
    """Return IMMUTABLE or APPEND_ONLY if an attribute prevents the deletion of a file, or ''.

    Args:
        attributes: the attributes of the file, or None if they are unknown.
    """
    if attributes is not None:
        append_only = APPEND_ONLY if attributes & _ATTR_APPEND else ""
        return IMMUTABLE if attributes & _ATTR_IMMUTABLE else append_only
    # Only an immutable file gives EPERM. A missing permission does not prevent a deletion.
    is_immutable = not _is_accessible(path, os.W_OK) and _opening_error(path) == errno.EPERM
    return IMMUTABLE if is_immutable else ""


@cache
def _attribute_reader() -> _AttributeReader | None:
    """Return a function that reads the attributes of files as statx(2) does, or None.

    Its arguments are a directory, and paths that start there. It returns the files that have one of
    the two attributes, and those whose attributes are unknown, with None. Python has no such
    function, and most commands do not need the module for it.
    """
    import ctypes

    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return None
    buffer = (ctypes.c_uint64 * _STATX_SIZE)()
    result = memoryview(buffer).cast("B").cast("Q")

    def read_in(directory: int, paths: Sequence[bytes]) -> _Suspects:
        # A cleanup reads the attributes of each file of each worktree.
        suspects: _Suspects = []
        for path in paths:
            failed = statx(directory, path, _AT_SYMLINK_NOFOLLOW, 0, buffer)
            if failed or not result[_ATTRIBUTES_MASK] & _ATTR_APPEND:
                suspects.append((path, None))
            elif result[_ATTRIBUTES] & (_ATTR_IMMUTABLE | _ATTR_APPEND):
                suspects.append((path, result[_ATTRIBUTES]))
        return suspects

    def read(top: bytes, paths: Sequence[bytes]) -> _Suspects:
        try:
            directory = os.open(top, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        except OSError:
            return [(path, None) for path in paths]
        try:
            return read_in(directory, paths)
        finally:
            os.close(directory)

    return read


def _find_causes(directories: Sequence[str]) -> dict[str, str]:
    """Return the cause for each of the directories in which nothing can be deleted."""
    causes = {}
    accessible = []
    for directory in directories:
        if _is_accessible(directory, os.W_OK | os.X_OK):
            accessible.append(os.fsencode(directory))
        elif cause := _find_refusal(directory):
            causes[directory] = cause
    protected = _find_protected(*accessible)
    return causes | {each.path: each.cause for each in protected if each.cause == APPEND_ONLY}


def _find_refusal(directory: str) -> str:
    """Return the cause that the user has no write access to a directory, or ''."""
    try:
        is_read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
        uid, status = os.geteuid(), os.stat(directory)
    except OSError:  # The path is too long, or another process has removed the directory.
        return ""
    if is_read_only:
        return READ_ONLY
    has_permission = status.st_mode & 0o300 == 0o300
    # Root needs no permission, unless a container has taken the capability away.
    if not _has_capability(_CAP_DAC_OVERRIDE):
        if status.st_uid != uid:
            return FOREIGN
    elif not uid:
        has_permission = True
    return IMMUTABLE if has_permission else UNWRITABLE


def _undeletable_directories(top: str, tree: DirectoryTree) -> Iterator[Undeletable]:
    paths = {path: f"{top}/{os.fsdecode(path)}" for path in sorted(tree.directories)}
    causes = _find_causes([top, *paths.values()])
    if not causes and not os.geteuid():  # the sticky bit does not stop root
        return
    occupied = {path.rpartition(b"/")[0] for path in (*tree.files, *tree.directories)}
    for directory, path in {b"": top, **paths}.items():
        cause = causes.get(path, "")
        if not cause and directory in occupied and _protects_foreign_files(path, directory, tree):
            cause = FOREIGN
        # The removal makes a directory of the user writable. An empty directory of another user
        # needs only a writable parent directory.
        if cause in (APPEND_ONLY, IMMUTABLE, READ_ONLY) or (
            cause == FOREIGN and directory in occupied
        ):
            yield Undeletable(path, cause)


def _protects_foreign_files(path: str, directory: bytes, tree: DirectoryTree) -> bool:
    """Return True if a sticky bit protects files of other users in the directory."""
    uid = os.geteuid()
    if not uid:  # the sticky bit does not stop root
        return False
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if status.st_uid == uid or not status.st_mode & stat.S_ISVTX:
        return False
    return any(
        file_status.st_uid != uid
        for file, file_status in tree.files.items()
        if file.rpartition(b"/")[0] == directory
    )


def _opening_error(path: bytes) -> int | None:
    """Return the error of opening the file to write, or None. Nothing is written."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno
    return None


def _is_accessible(path: str | bytes, mode: int) -> bool:
    # The system answers: it knows access control lists, capabilities and immutable files.
    return os.access(path, mode, effective_ids=True)


def _has_capability(number: int) -> bool:
    """Return True if this process has a capability of Linux.

    Without /proc, root has all of them.
    """
    match = re.search(
        r"^CapEff:\s*([0-9a-f]+)$", procfs.read_proc("/proc/self/status"), re.MULTILINE
    )
    return bool(int(match[1], 16) >> number & 1) if match else not os.geteuid()
