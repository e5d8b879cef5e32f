"""Read and write the files of a directory without following links, and lock the directory.

Each path is opened one component at a time, from an open directory and with O_NOFOLLOW, so that a
planted link at or below the hub is never followed. A lock is an flock on the directory itself. It
needs no file, and the kernel releases it when the process ends.

Files are replaced atomically: a temporary file `.<name>.tmp` is written and renamed. A new directory
is filled under the name `.<name>.<random>.tmp` and renamed. Until then it is called a pending
directory. AgentHub's .gitignore excludes `*.tmp`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Collection
from types import TracebackType

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import CannotLock, Damaged, HubError, LockHeld
from git_hub_session.system.io import inherit_permissions, read_up_to, restore_owner, write_all

if TYPE_CHECKING:
    from git_hub_session._typing import Self

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

LOCK_TIMEOUT = 10.0  # seconds
NOTHING_CHANGED = "nothing was changed"
"""The hint of CannotWrite for a command with one change."""


class CannotWrite(HubError):
    """A file that cannot be written: the file system is read-only or full, or denies permission.

    The file is unchanged.
    """

    code = "cannot-write"


def write_error(path: str, error: OSError, hint: str = NOTHING_CHANGED) -> CannotWrite:
    """Return the error for a failed write. `hint` says if the command has changed other files."""
    return CannotWrite(f"cannot write '{path}': {error.strerror}", hint)


class SafeDirectory:
    """An open directory, which `with` closes.

    `path` is the path under which it was opened. Files are opened relative to `fd`, and never by
    `path`: another process may have renamed the directory.
    """

    __slots__ = ("_locked", "fd", "path")

    def __init__(self, path: str, fd: int | None = None) -> None:
        """Open `path`, or take over the open descriptor `fd`.

        Raise OSError, or Damaged if the last component of `path` is a symbolic link.
        """
        self.path = path
        self.fd = _open_directory(path, path, None) if fd is None else fd
        self._locked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory, and release its lock."""
        if self._locked:
            sys.audit("git_hub_session.unlock", self.path)
        os.close(self.fd)

    def open_child(self, name: str) -> SafeDirectory:
        """Open the directory `name`.

        Raise FileNotFoundError, NotADirectoryError, or Damaged for a symbolic link.
        """
        path = f"{self.path}/{name}"
        return SafeDirectory(path, _open_directory(name, path, self.fd))

    def ensure_child(self, name: str) -> SafeDirectory:
        """Open the directory `name`, and create it if it is missing."""
        try:
            return self.create_child(name)
        except FileExistsError:
            return self.open_child(name)

    def create_child(self, name: str) -> SafeDirectory:
        """Create the directory `name` and open it. Raise FileExistsError if it exists."""
        os.mkdir(name, dir_fd=self.fd)
        child = self.open_child(name)
        inherit_permissions(child.fd, self.fd)
        return child

    def names(self) -> list[str]:
        """Return the sorted names in the directory, without those that start with a dot."""
        return sorted(name for name in os.listdir(self.fd) if not name.startswith("."))

    def temporary_files(self) -> list[str]:
        """Return the sorted names of temporary files and pending directories: `.*.tmp`."""
        names = os.listdir(self.fd)
        return sorted(name for name in names if name.startswith(".") and name.endswith(".tmp"))

    def unlink_if_exists(self, name: str) -> None:
        """Delete the file `name` if it exists."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass

    def child_directories(self) -> tuple[list[str], frozenset[str]]:
        """Return the sorted names of directories and links, and the set of the links.

        Names that start with a dot are left out. The type of an entry comes from the listing, so
        nothing is opened.
        """
        with os.scandir(self.fd) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
        links = frozenset(entry.name for entry in visible if entry.is_symlink())
        names = [entry.name for entry in visible if entry.name in links or entry.is_dir()]
        return sorted(names), links

    def exists(self, name: str) -> bool:
        """Return True if `name` exists, also as a dangling link."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str, *, limit: int) -> bytes:
        """Return the bytes of the regular file `name`.

        `name` may be a path such as `id/state.json` if `id` is known not to be a link.

        Raises:
            Damaged: the file is a link or a device, or larger than `limit` bytes.
            FileNotFoundError: the file is missing.
        """
        try:
            fd = os.open(name, _READ, dir_fd=self.fd)
        except OSError as error:
            raise _translate_error(error, os.path.basename(name)) from None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{os.path.basename(name)}: not a regular file")
            if status.st_size > limit:
                raise Damaged(f"{os.path.basename(name)}: larger than {limit} bytes")
            return read_up_to(fd, status.st_size)
        finally:
            os.close(fd)

    def create_for_append(self, name: str) -> int:
        """Create a file and open it for appending. Raise FileExistsError if it exists."""
        return self._create_file(name, os.O_APPEND)

    def _create_file(self, name: str, flags: int = 0, mode: int = 0o666) -> int:
        sys.audit("git_hub_session.create", name, self.fd)
        fd = os.open(name, _CREATE | flags, mode, dir_fd=self.fd)
        inherit_permissions(fd, self.fd)
        return fd

    def create(self, name: str, data: bytes) -> None:
        """Create a file and flush its data. Raise FileExistsError if it exists.

        Call fsync() to make its name durable.
        """
        self._write(name, data, like=None)

    def replace_atomically(self, name: str, data: bytes, *, mark: str = "") -> None:
        """Replace the file `name` by `data`, atomically and durably.

        After an interruption the file has the old bytes or the new ones. The file keeps its mode,
        and its owner if this process may set it. Call this function under the lock, or with a
        random `mark` for the name of the temporary file.
        """
        # Use a fixed name: the next write then replaces the temporary file of a killed process.
        temporary = f".{name}{mark}.tmp"
        self.unlink_if_exists(temporary)
        try:
            self._write(temporary, data, like=self._stat_regular(name))
            os.replace(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            self.unlink_if_exists(temporary)
            raise
        self.fsync()

    def _stat_regular(self, name: str) -> os.stat_result | None:
        """Return the status of a regular file, or None. The mode of a link has no meaning."""
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def create_atomically(self, name: str, data: bytes) -> None:
        """Create the file `name` atomically and durably. Raise FileExistsError if it exists.

        Call this function under the lock: the name of the temporary file is not unique.
        """
        temporary = ".new.tmp"
        self.unlink_if_exists(temporary)
        try:
            self._write(temporary, data, like=None)
            self._link(temporary, name)
        finally:
            self.unlink_if_exists(temporary)
        self.fsync()

    def create_pending_child(self, name: str) -> SafeDirectory:
        """Create and lock a pending directory. The caller fills it and renames it to `name`.

        The lock distinguishes it from a directory that a killed process has left.
        """
        while True:
            # A random name: in two containers, two processes can have the same id.
            pending = f".{name}.{os.urandom(6).hex()}.tmp"
            # Until it is locked, another process may remove it as a stale pending directory.
            try:
                directory = self.create_child(pending)
            except FileNotFoundError:
                continue
            try:
                directory.lock(wait=0)
            except LockHeld:
                directory.close()
                continue
            if self.exists(pending):
                return directory
            directory.close()

    def remove_stale_pending(self, files: Collection[str]) -> None:
        """Delete the pending directories of killed processes that hold no other files than `files`."""
        for name in self.temporary_files():
            try:
                with self.open_child(name) as directory:
                    directory.lock(wait=0)
                    if self.exists(name):  # another process may have renamed it before the lock
                        self.remove_child(directory, files)
            except (OSError, HubError):
                pass  # a process is filling it, or another program has created it

    def remove_child(self, directory: SafeDirectory, files: Collection[str]) -> None:
        """Delete `files` in the child `directory`, and the child. Raise OSError if it is not empty."""
        for file in files:
            directory.unlink_if_exists(file)
        os.rmdir(os.path.basename(directory.path), dir_fd=self.fd)

    def _link(self, source: str, name: str) -> None:
        """Link `source` to `name`, or rename it without hard links. Raise FileExistsError."""
        # A rename could overwrite a file that another process has just created.
        try:
            os.link(source, name, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, such as FAT
            if self.exists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
            os.replace(source, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _write(self, name: str, data: bytes, *, like: os.stat_result | None) -> None:
        fd = self._create_file(name, mode=0o666 if like is None else 0o600)
        try:
            if like is not None:
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    restore_owner(fd, like)
                os.fchmod(fd, like.st_mode & 0o777)
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    def fsync(self) -> None:
        """Make the names in the directory durable, if the file system can.

        Ignore errors: other processes already see the renamed file. An error message would wrongly
        say that it was not written.
        """
        try:
            os.fsync(self.fd)
        except OSError:
            pass

    def lock(self, *, wait: float) -> None:
        """Lock the directory until it is closed. Raise LockHeld after `wait` seconds."""
        start = time.monotonic()
        pause = 0.001
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= start + wait:
                    raise LockHeld(f"'{self.path}' is locked") from None
            except OSError as error:  # such as ENOLCK, EOPNOTSUPP or ENOSYS
                raise CannotLock(self.path, str(error.strerror)) from None
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        self._locked = True
        sys.audit("git_hub_session.lock", self.path, time.monotonic() - start)

    def is_locked(self) -> bool:
        """Return True if the lock is held by a process, or by another descriptor of this process."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # Without flock, no process holds a lock.
            return False
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False


def _open_directory(name: str, path: str, parent: int | None) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        raise _translate_error(error, path) from None


def _translate_error(error: OSError, path: str) -> Exception:
    """Return Damaged if `path` is a link or a device without a driver, else the error itself."""
    if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and os.path.islink(path)):
        return Damaged(f"'{path}' is a symbolic link: links in the hub are not followed")
    if error.errno == errno.ENXIO:
        return Damaged(f"{path}: not a regular file")
    return error
