"""Scan a directory, and delete it if nothing in it has changed since. Never follow a link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Container

from git_hub_session._typing import NamedTuple
from git_hub_session.util.recursion import raise_recursion_limit

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_NO_TRACKED: frozenset[bytes] = frozenset()
_ENCODING = sys.getfilesystemencoding()
_BARE_NAMES = frozenset({"HEAD", "objects", "refs"})
_REPOSITORY_NAMES = _BARE_NAMES | {".git"}


class DirectoryTree(NamedTuple):
    """Everything in a directory, except `.git` at the top. Paths are relative, and are bytes."""

    files: dict[bytes, os.stat_result]
    """Everything that is not a directory."""
    directories: frozenset[bytes]
    repositories: list[bytes]
    """Repositories and worktrees. Their content is not listed, except that of b"."."""
    devices: list[bytes]
    """Directories on another file system. Their content is not listed."""
    empty: list[bytes]
    """Directories without any content."""

    def digest(self) -> int:
        """Return a hash of the files, with their status, and of the directories.

        Compare it only in this process and its forks: Python salts the hash of bytes.
        """
        files = sum(
            hash(
                (path, file.st_mode, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
            )
            for path, file in self.files.items()
        )
        return hash((files, self.directories))


EMPTY_DIRECTORY = DirectoryTree({}, frozenset(), [], [], [])


def scan_directory(path: str, *, tracked: Container[bytes] = _NO_TRACKED) -> DirectoryTree:
    """Return everything in the directory `path`. Raise OSError if a directory cannot be read.

    A directory is a repository if it contains `.git`, or HEAD, objects and refs (a bare
    repository). A directory whose HEAD is in `tracked` is not a bare repository: it is a test
    fixture of the project. The `.git` at the top is ignored, so the top can only be a bare one.
    """
    top = os.open(path, _DIRECTORY)
    restore_limit = raise_recursion_limit()
    try:
        scanner = _Scanner(os.fstat(top).st_dev, tracked)
        scanner.scan(top, b"")
    except OSError as error:
        error.filename = _join(path, error.filename)
        raise
    finally:
        restore_limit()
        os.close(top)
    return DirectoryTree(
        scanner.files,
        frozenset(scanner.directories),
        scanner.repositories,
        scanner.devices,
        scanner.empty,
    )


class _Scanner:
    """The state of one scan."""

    def __init__(self, device: int, tracked: Container[bytes]) -> None:
        self.files: dict[bytes, os.stat_result] = {}
        self.directories: list[bytes] = []
        self.repositories: list[bytes] = []
        self.devices: list[bytes] = []
        self.empty: list[bytes] = []
        self._device = device
        self._tracked = tracked

    def scan(self, directory: int, prefix: bytes) -> None:
        """Scan an open directory. `prefix` is its path with a final slash, or b"" for the top."""
        for name, path in self._list(directory, prefix):
            self.directories.append(path)
            child = os.open(name, _DIRECTORY, dir_fd=directory)
            try:
                self.scan(child, path + b"/")
            except OSError as error:
                error.filename = _join(name, error.filename)
                raise
            finally:
                os.close(child)

    def _list(self, directory: int, prefix: bytes) -> list[tuple[str, bytes]]:
        """Add the files of one directory, and return the names and paths of its children to scan."""
        # A cleanup spends most of its time in this loop, so it uses locals and calls only stat.
        device = self._device
        files: dict[bytes, os.stat_result] = {}
        children: list[tuple[str, bytes]] = []
        repository_names: set[str] = set()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                status = entry.stat(follow_symlinks=False)
                path = prefix + name.encode(_ENCODING, "surrogateescape")
                if name in _REPOSITORY_NAMES:
                    repository_names.add(name)
                if status.st_mode & 0o170000 != stat.S_IFDIR:
                    files[path] = status
                elif status.st_dev != device:
                    self.devices.append(path)
                else:
                    children.append((name, path))
        if not prefix:
            files.pop(b".git", None)
            repository_names.discard(".git")
        if self._is_repository(repository_names, prefix):
            self.repositories.append(prefix[:-1] or b".")
            if prefix:
                return []
        if not files and not children and prefix:
            self.empty.append(prefix[:-1])
        self.files.update(files)
        return children

    def _is_repository(self, names: set[str], prefix: bytes) -> bool:
        return ".git" in names or (names >= _BARE_NAMES and prefix + b"HEAD" not in self._tracked)


def _join(directory: str, name: object) -> str:
    """Return the path of an error. The name is a number if the error has only an open directory."""
    return os.path.join(directory, name) if isinstance(name, str) else directory


def remove_if_unchanged(path: str, tree: DirectoryTree) -> list[bytes]:
    """Delete the directory `path`, and return the paths in it that remain.

    Keep a file or directory that is not in `tree`, or that was written to since the scan, with its
    parent directories. Ignore files that an earlier, interrupted call has deleted. Raise OSError
    with the path of the entry if a directory cannot be read or an entry not deleted.
    """
    contents: dict[bytes, _DirectoryContents] = {b"": _DirectoryContents([(b".git", None)], [])}
    for directory in tree.directories:
        contents[directory] = _DirectoryContents([], [])
    for directory in tree.directories:
        parent, _, name = directory.rpartition(b"/")
        contents[parent].directories.append(name)
    for file, status in tree.files.items():
        parent, _, name = file.rpartition(b"/")
        contents[parent].files.append((name, status))
    top_parent, top_name = os.path.split(os.fsencode(path))
    remaining: list[bytes] = []
    fd = os.open(top_parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    restore_limit = raise_recursion_limit()
    try:
        _remove_directory(fd, top_name, b"", contents, remaining)
    except OSError as error:
        if isinstance(error.filename, bytes):
            error.filename = os.fsdecode(os.path.join(top_parent, error.filename))
        raise
    finally:
        restore_limit()
        os.close(fd)
    return remaining


class _DirectoryContents(NamedTuple):
    """The names in one scanned directory. A file without a status is deleted in any state."""

    files: list[tuple[bytes, os.stat_result | None]]
    directories: list[bytes]


def _remove_directory(
    parent: int,
    name: bytes,
    prefix: bytes,
    contents: dict[bytes, _DirectoryContents],
    remaining: list[bytes],
) -> None:
    """Delete a scanned directory, and append the paths that remain to `remaining`."""
    # Do not list the directory again: rmdir fails if it contains a name that was not scanned.
    directory = _open_writable(parent, name)
    try:
        try:
            _remove_contents(directory, prefix, contents, remaining)
        except OSError as error:
            if isinstance(error.filename, bytes):
                error.filename = os.path.join(name, error.filename)
            raise
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            remaining += [prefix + os.fsencode(child) for child in os.listdir(directory)]
            # Add the directory itself: another process may have removed its content by now.
            remaining.append(prefix)
    finally:
        os.close(directory)


def _remove_contents(
    directory: int,
    prefix: bytes,
    contents: dict[bytes, _DirectoryContents],
    remaining: list[bytes],
) -> None:
    """Delete the scanned files and directories in an open directory."""
    files, directories = contents[prefix[:-1]]
    _remove_files(directory, files)
    for child in directories:
        try:
            _remove_directory(directory, child, prefix + child + b"/", contents, remaining)
        except OSError as error:
            # The directory is gone, or now a file or a link.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise


def _remove_files(directory: int, files: list[tuple[bytes, os.stat_result | None]]) -> None:
    """Delete the files of a directory that have not changed since the scan."""
    stat_file = os.stat  # locals: this loop runs once for each file of a worktree
    unlink = os.unlink
    for name, scanned in files:
        try:
            # Compare just before the deletion: a process with the file open can still write to it.
            if scanned is None or _is_unchanged(
                stat_file(name, dir_fd=directory, follow_symlinks=False), scanned
            ):
                unlink(name, dir_fd=directory)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            if _exists_as_file(name, directory):
                raise


def _is_unchanged(now: os.stat_result, scanned: os.stat_result) -> bool:
    # Do not compare the ctime: deleting one hard link changes the ctime of the other links.
    return (
        now.st_mtime_ns == scanned.st_mtime_ns
        and now.st_ino == scanned.st_ino
        and now.st_size == scanned.st_size
    )


def _exists_as_file(name: bytes, directory: int) -> bool:
    """Return True if `name` exists and is not a directory."""
    try:
        return not stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode)
    except FileNotFoundError:
        return False


def _open_writable(parent: int, name: bytes) -> int:
    """Open a directory to delete its content, and make it writable if it is read-only."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    mode = os.fstat(directory).st_mode
    if mode & 0o300 != 0o300:
        os.fchmod(directory, stat.S_IMODE(mode) | 0o700)
    return directory


def directory_id(path: str) -> tuple[int, int] | None:
    """Return the device and the inode of the directory `path`, or None if it is not a directory."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def remove_path(top: str, path: bytes) -> None:
    """Remove the file or directory at `path` below `top`. Never follow a link.

    If a parent is a file or a link, remove it instead. Raise OSError if a directory cannot be
    opened, or an entry not removed.
    """
    *parents, name = path.split(b"/")
    fd = os.open(top, _DIRECTORY)
    restore_limit = raise_recursion_limit()
    try:
        for parent in parents:
            try:
                child = os.open(parent, _DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                name = parent
                break
            os.close(fd)
            fd = child
        _remove_entry(fd, name)
    finally:
        restore_limit()
        os.close(fd)


def _remove_entry(parent: int, name: bytes) -> None:
    """Remove a file, a link, or a directory with everything in it."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        if _exists_as_file(name, parent):
            raise
        directory = _open_writable(parent, name)
        try:
            if os.fstat(directory).st_dev != os.fstat(parent).st_dev:
                raise OSError(errno.EBUSY, "is a mount point", os.fsdecode(name))
            for child in os.listdir(directory):
                _remove_entry(directory, os.fsencode(child))
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)


def read_file_or_link(top: str, path: bytes, mode: int) -> bytes:
    """Return the content that git stores: the bytes of a file, or the target of a link.

    Raise OSError if it cannot be read.
    """
    full = os.fsencode(top) + b"/" + path
    if stat.S_ISLNK(mode):
        return os.readlink(full)
    fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        return file.read()


def path_and_parents(path: bytes) -> list[bytes]:
    """Return the path and its parents: for "a/b/c" the list "a/b/c", "a/b", "a"."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(len(names), 0, -1)]
