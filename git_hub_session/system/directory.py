"""Files of the hub: read without following a link, replaced atomically, locked by directory.

Every path is walked one component at a time from a directory that is already open, with
O_NOFOLLOW, so that a link planted at or below the hub leads nowhere. A lock is an flock
on the directory itself: it needs no file, and the kernel frees it when its holder dies.
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

from git_hub_session._typing import Self
from git_hub_session.errors import Damaged, HubError
from git_hub_session.system.io import write_all

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LockHeld(HubError):
    """Somebody else kept the lock for as long as we were ready to wait."""

    code = "locked"


class SafeDirectory:
    """An open directory; `with` closes it. `path` is for messages only."""

    __slots__ = ("_locked", "fd", "path")

    def __init__(self, path: str, fd: int | None = None) -> None:
        """Open `path`, whose last component may be no link; raises OSError, Damaged."""
        self.path = path
        self.fd = _open_directory(path, path, None) if fd is None else fd
        self._locked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory, and free its lock."""
        if self._locked:
            sys.audit("git_hub_session.unlock", self.path)
        os.close(self.fd)

    def open_child(self, name: str) -> SafeDirectory:
        """The directory `name` in this one; raises FileNotFoundError, NotADirectoryError, or Damaged for a link."""
        path = f"{self.path}/{name}"
        return SafeDirectory(path, _open_directory(name, path, self.fd))

    def ensure_child(self, name: str) -> SafeDirectory:
        """The directory `name` in this one, made where it is missing."""
        try:
            os.mkdir(name, dir_fd=self.fd)
        except FileExistsError:
            pass
        return self.open_child(name)

    def names(self) -> list[str]:
        """The names in the directory, sorted; not those that start with a dot."""
        return sorted(name for name in os.listdir(self.fd) if not name.startswith("."))

    def temporary_files(self) -> list[str]:
        """The names of what was to be written aside, and is there still: `.*.tmp`, sorted."""
        return sorted(
            name for name in os.listdir(self.fd) if name[0] == "." and name[-4:] == ".tmp"
        )

    def unlink_if_exists(self, name: str) -> None:
        """Delete the file `name`; what is gone is no fault."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass

    def child_directories(self) -> tuple[list[str], frozenset[str]]:
        """The names of what may be a directory here, sorted, and which of them are links; none with a dot first.

        The file system says which it is with the name: nothing has to be opened to know.
        """
        with os.scandir(self.fd) as entries:
            shown = [entry for entry in entries if entry.name[0] != "."]
        links = frozenset(entry.name for entry in shown if entry.is_symlink())
        return sorted(e.name for e in shown if e.name in links or e.is_dir()), links

    def exists(self, name: str) -> bool:
        """Whether something called `name` is there, if only a dangling link."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str, *, limit: int) -> bytes:
        """The regular file `name`; raises FileNotFoundError, or Damaged for a link, a device, or over `limit` bytes.

        `name` may be one in a directory of this one (`id/state.json`) that is known to be no link.
        """
        try:
            fd = os.open(name, _READ, dir_fd=self.fd)
        except OSError as fault:
            raise _translate_error(fault, os.path.basename(name)) from None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise Damaged(f"{os.path.basename(name)}: not a regular file")
            if found.st_size > limit:
                raise Damaged(f"{os.path.basename(name)}: larger than {limit} bytes")
            return _read_whole(fd, found.st_size)
        finally:
            os.close(fd)

    def create_for_append(self, name: str) -> int:
        """A new file, open for writing; raises FileExistsError."""
        sys.audit("git_hub_session.create", name, self.fd)
        return os.open(name, _CREATE | os.O_APPEND, 0o666, dir_fd=self.fd)

    def create(self, name: str, data: bytes) -> None:
        """Write a new file durably; raises FileExistsError."""
        self._write(name, data, like=None)

    def replace_atomically(self, name: str, data: bytes) -> None:
        """Put `data` in place of the file `name`, atomically and durably; its mode stays, and its owner as far as we may.

        Afterwards the file holds the old bytes or the new ones, whatever happens. Call it
        under the lock: the name of the file written aside is ours alone only then.
        """
        try:
            found: os.stat_result | None = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            found = None
        if found is not None and not stat.S_ISREG(found.st_mode):
            found = None  # the mode of a link is nobody's wish
        # `*.tmp` is what AgentHub's .gitignore leaves out. Always the same name: what a killed
        # process left goes with the next one.
        aside = f".{name}.tmp"
        if self.exists(aside):
            os.unlink(aside, dir_fd=self.fd)
        try:
            self._write(aside, data, like=found)
            os.replace(aside, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            if self.exists(aside):
                os.unlink(aside, dir_fd=self.fd)
            raise
        self.fsync()

    def create_atomically(self, name: str, data: bytes) -> None:
        """Put a new file there, whole or not at all, durably; raises FileExistsError. Call it under a lock.

        A link, not a rename: it never takes the place of a file that somebody made meanwhile.
        """
        aside = ".new.tmp"  # as above
        if self.exists(aside):
            os.unlink(aside, dir_fd=self.fd)
        try:
            self._write(aside, data, like=None)
            self._link(aside, name)
        finally:
            if self.exists(aside):
                os.unlink(aside, dir_fd=self.fd)
        self.fsync()

    def create_pending_child(self, name: str) -> SafeDirectory:
        """A new directory that is to be called `name` when it is filled, under its lock: no killed process holds that."""
        while True:
            # Not the process id: in containers two makers can have the same.
            aside = f".{name}.{os.urandom(6).hex()}.tmp"
            os.mkdir(aside, dir_fd=self.fd)
            try:
                directory = self.open_child(aside)
                directory.lock(wait=0)
                if self.exists(aside):
                    return directory
                directory.close()
            except (FileNotFoundError, LockHeld):
                pass  # before it was locked it was swept away, as one that a killed process has left

    def remove_stale_pending(self, files: Collection[str]) -> None:
        """Delete the directories that killed processes had begun here, as far as nothing but `files` is in them."""
        for name in self.temporary_files():
            try:
                with self.open_child(name) as directory:
                    directory.lock(wait=0)
                    if self.exists(name):  # else it was filled, and renamed, before we had the lock
                        self.remove_child(directory, files)
            except (OSError, HubError):
                pass  # somebody fills it, or it is nothing of ours

    def remove_child(self, directory: SafeDirectory, files: Collection[str]) -> None:
        """Delete a directory in this one, and `files` in it; raises OSError."""
        for file in files:
            if directory.exists(file):
                os.unlink(file, dir_fd=directory.fd)
        os.rmdir(os.path.basename(directory.path), dir_fd=self.fd)

    def _link(self, source: str, name: str) -> None:
        try:
            os.link(source, name, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a file system that has no hard links, such as FAT
            if self.exists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
            os.replace(source, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _write(self, name: str, data: bytes, *, like: os.stat_result | None) -> None:
        sys.audit("git_hub_session.create", name, self.fd)
        fd = os.open(name, _CREATE, 0o666 if like is None else 0o600, dir_fd=self.fd)
        try:
            if like is not None:
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    _restore_owner(fd, like)
                os.fchmod(fd, like.st_mode & 0o777)
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    def fsync(self) -> None:
        """Make the names in the directory survive a power cut, where the file system can.

        A fault here is none of the caller's: what was renamed is there for everybody
        already, and to report it as not written would be wrong.
        """
        try:
            os.fsync(self.fd)
        except OSError:
            pass

    def lock(self, *, wait: float) -> None:
        """Take the directory's lock, until it is closed; raises LockHeld after `wait` seconds."""
        began = time.monotonic()
        pause = 0.001
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= began + wait:
                    raise LockHeld(f"'{self.path}' is locked") from None
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        self._locked = True
        sys.audit("git_hub_session.lock", self.path, time.monotonic() - began)

    def is_locked(self) -> bool:
        """Whether somebody holds the directory's lock, if only this process by another opening of it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return False


def _restore_owner(fd: int, like: os.stat_result) -> None:
    """Root's update must not take a user's file from him; nobody else can give one away."""
    for uid, gid in ((like.st_uid, like.st_gid), (-1, like.st_gid)):
        try:
            os.fchown(fd, uid, gid)
            return
        except OSError:
            pass


def _read_whole(fd: int, size: int) -> bytes:
    """`size` bytes, fewer at the end of the file; some file systems hand out less at a time."""
    data = os.read(fd, size)
    while 0 < len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def _open_directory(name: str, path: str, parent: int | None) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as fault:
        raise _translate_error(fault, path) from None


def _translate_error(fault: OSError, path: str) -> Exception:
    """The fault as it is, but for the two that a planted name makes."""
    if fault.errno == errno.ELOOP or (fault.errno == errno.ENOTDIR and os.path.islink(path)):
        return Damaged(f"'{path}' is a symbolic link: links in the hub are not followed")
    if fault.errno == errno.ENXIO:
        return Damaged(f"{path}: not a regular file")
    return fault


# What is to be said of a file that cannot be written: it was all there was to do, or there may be more.
_UNCHANGED = "nothing was changed"


class CannotWrite(HubError):
    """The file system refused (read-only, full, no permission); the file is as it was."""

    code = "cannot-write"


def write_error(path: str, fault: OSError, hint: str = _UNCHANGED) -> CannotWrite:
    """The fault of a change that was not made."""
    return CannotWrite(f"cannot write '{path}': {fault.strerror}", hint)


LOCK_TIMEOUT = 10.0  # seconds
