"""A directory tree on disk: looked at without following a link, and removed if it is still as it was seen."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Container
from typing import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_NO_TRACKED: frozenset[bytes] = frozenset()


class Found(NamedTuple):
    """What a file that is no directory looked like."""

    mode: int
    ino: int
    size: int  # bytes
    mtime: int  # nanoseconds
    ctime: int  # nanoseconds


class Tree(NamedTuple):
    """Everything below a directory, but for the `.git` at its top; paths are bytes, relative."""

    files: dict[bytes, Found]
    directories: frozenset[bytes]
    repositories: list[bytes]
    """Directories that are git repositories or worktrees themselves; not looked into."""
    devices: list[bytes]
    """Directories on another file system; not looked into."""

    def digest(self) -> int:
        """A number that is another one if anything in the tree is, within this process."""
        return hash((frozenset(self.files.items()), self.directories))


class TreeChanged(Exception):
    """Something was in the tree that had not been seen before; it is still there."""


def look(path: str, *, tracked: Container[bytes] = _NO_TRACKED) -> Tree:
    """All that lies below the directory `path`; raises OSError.

    A directory that holds `.git`, or HEAD, objects and refs, is a repository; one of the
    second kind is not if its HEAD is in `tracked`, for then it is a fixture in the index.
    """
    tree = Tree({}, frozenset(), [], [])
    directories: list[bytes] = []
    top = os.open(path, _DIRECTORY)
    try:
        _look(top, b"", os.fstat(top).st_dev, tree, directories, tracked)
    finally:
        os.close(top)
    return tree._replace(directories=frozenset(directories))


def _look(
    directory: int,
    prefix: bytes,
    device: int,
    tree: Tree,
    directories: list[bytes],
    tracked: Container[bytes],
) -> None:
    files, encode, is_directory = tree.files, os.fsencode, stat.S_ISDIR
    below: list[tuple[str, bytes]] = []
    names: set[str] = set()
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            names.add(name)
            found = entry.stat(follow_symlinks=False)
            path = prefix + encode(name)
            if not is_directory(found.st_mode):
                files[path] = Found(
                    found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
                )
            elif found.st_dev != device:
                tree.devices.append(path)
            else:
                below.append((name, path))
    if ".git" in names and not prefix:
        files.pop(b".git", None)
        below = [(name, path) for name, path in below if name != ".git"]
    elif _is_repository(names, prefix, tracked):
        tree.repositories.append(prefix[:-1])
        for name in names:
            files.pop(prefix + encode(name), None)
        return
    for name, path in below:
        directories.append(path)
        child = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            _look(child, path + b"/", device, tree, directories, tracked)
        finally:
            os.close(child)


def _is_repository(names: set[str], prefix: bytes, tracked: Container[bytes]) -> bool:
    if not prefix:
        return False
    return ".git" in names or (
        names >= {"HEAD", "objects", "refs"} and prefix + b"HEAD" not in tracked
    )


def remove(path: str, seen: Tree) -> None:
    """Delete the directory `path` and what `seen` says is in it.

    A file or directory that `seen` does not hold is left where it is, with all that leads to
    it, and TreeChanged is raised. What was deleted by an earlier, killed call is passed over.
    Raises OSError.
    """
    parent, name = os.path.split(path)
    directory = os.open(parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        _remove(directory, name, b"", seen)
    finally:
        os.close(directory)


def _remove(parent: int, name: str, prefix: bytes, seen: Tree) -> None:
    files, directories, encode, unlink = seen.files, seen.directories, os.fsencode, os.unlink
    directory = _open_to_delete(parent, name)
    try:
        with os.scandir(directory) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in found:
            path = prefix + encode(child)
            if is_directory and path in directories:
                _remove(directory, child, path + b"/", seen)
            elif path in files or path == b".git":
                unlink(child, dir_fd=directory)
            else:
                raise TreeChanged(os.fsdecode(path))
    finally:
        os.close(directory)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as fault:
        if fault.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise TreeChanged(os.fsdecode(prefix)) from None
        raise


def _open_to_delete(parent: int, name: str) -> int:
    """Open a directory that we are about to empty: one made read-only is made writable first."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    mode = os.fstat(directory).st_mode
    if mode & 0o300 != 0o300:
        os.fchmod(directory, stat.S_IMODE(mode) | 0o700)
    return directory


NOTHING = Tree({}, frozenset(), [], [])
