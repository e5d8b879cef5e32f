"""A directory tree on disk: looked at without following a link, and removed if it is still as it was seen."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Container

from git_hub_session._typing import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY
_NO_TRACKED: frozenset[bytes] = frozenset()
_ENCODING = sys.getfilesystemencoding()
_REPOSITORY_NAMES = frozenset({".git", "HEAD", "objects", "refs"})


class DirectoryTree(NamedTuple):
    """Everything below a directory, but for the `.git` at its top; paths are bytes, relative."""

    files: dict[bytes, os.stat_result]
    """Everything that is no directory."""
    directories: frozenset[bytes]
    repositories: list[bytes]
    """Directories that are git repositories or worktrees themselves; not looked into, but for b"."."""
    devices: list[bytes]
    """Directories on another file system; not looked into."""

    def digest(self) -> int:
        """A number that is another one if anything in the tree is; good in this process and its forks."""
        files = sum(
            hash(
                (path, file.st_mode, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
            )
            for path, file in self.files.items()
        )
        return hash((files, self.directories))


def scan_directory(path: str, *, tracked: Container[bytes] = _NO_TRACKED) -> DirectoryTree:
    """All that lies below the directory `path`; raises OSError.

    A directory that holds `.git`, or HEAD, objects and refs, is a repository; one of the
    second kind is not if its HEAD is in `tracked`, for then it is a fixture in the index. The
    top has a `.git` anyway: it is b"." if it is a repository of the second kind.
    """
    tree = DirectoryTree({}, frozenset(), [], [])
    directories: list[bytes] = []
    top = os.open(path, _DIRECTORY)
    try:
        _scan(top, b"", os.fstat(top).st_dev, tree, directories, tracked)
    except RecursionError:
        raise OSError(errno.ENAMETOOLONG, "directories are nested too deeply", path) from None
    finally:
        os.close(top)
    return tree._replace(directories=frozenset(directories))


def _scan(
    directory: int,
    prefix: bytes,
    device: int,
    tree: DirectoryTree,
    directories: list[bytes],
    tracked: Container[bytes],
) -> None:
    # The loop is what cleanup spends its time in, beside unlink: locals, and no call but stat.
    files: dict[bytes, os.stat_result] = {}
    below: list[tuple[str, bytes]] = []
    telling: set[str] = set()
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            found = entry.stat(follow_symlinks=False)
            path = prefix + name.encode(_ENCODING, "surrogateescape")
            if name in _REPOSITORY_NAMES:
                telling.add(name)
            if found.st_mode & 0o170000 != stat.S_IFDIR:
                files[path] = found
            elif found.st_dev != device:
                tree.devices.append(path)
            else:
                below.append((name, path))
    if not prefix:
        files.pop(b".git", None)
        telling.discard(".git")
    bare = telling >= {"HEAD", "objects", "refs"} and prefix + b"HEAD" not in tracked
    if ".git" in telling or bare:
        tree.repositories.append(prefix[:-1] or b".")
        if prefix:
            return
    tree.files.update(files)
    for name, path in below:
        directories.append(path)
        child = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            _scan(child, path + b"/", device, tree, directories, tracked)
        finally:
            os.close(child)


def remove_if_unchanged(path: str, seen: DirectoryTree) -> list[bytes]:
    """Delete the directory `path` and what `seen` says is in it; what is left, as far as it was noticed.

    A file or directory that `seen` does not hold, or that was written to since, is left where
    it is, with all that leads to it. What was deleted by an earlier, killed call is passed
    over. Raises OSError.
    """
    contents: dict[bytes, _DirectoryContents] = {b"": _DirectoryContents([(b".git", None)], [])}
    for below in seen.directories:
        contents[below] = _DirectoryContents([], [])
    for below in seen.directories:
        above, _, name = below.rpartition(b"/")
        contents[above].directories.append(name)
    for file, found in seen.files.items():
        above, _, name = file.rpartition(b"/")
        contents[above].files.append((name, found))
    parent, top = os.path.split(os.fsencode(path))
    left: list[bytes] = []
    directory = os.open(parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        _remove_directory(directory, top, b"", contents, left)
    finally:
        os.close(directory)
    return left


class _DirectoryContents(NamedTuple):
    """What was seen in one directory: names, and what the files were like (None where it does not matter)."""

    files: list[tuple[bytes, os.stat_result | None]]
    directories: list[bytes]


def _remove_directory(
    parent: int,
    name: bytes,
    prefix: bytes,
    seen: dict[bytes, _DirectoryContents],
    left: list[bytes],
) -> None:
    # Not listed again: a name that was not seen is what keeps rmdir from succeeding.
    unlink, look_at = os.unlink, os.stat
    directory = _open_writable(parent, name)
    try:
        files, directories = seen[prefix[:-1]]
        for file, found in files:
            try:
                # Just before it goes: who is still in it writes without asking for the path.
                if found is None or _is_unchanged(
                    look_at(file, dir_fd=directory, follow_symlinks=False), found
                ):
                    unlink(file, dir_fd=directory)
            except (FileNotFoundError, IsADirectoryError, PermissionError):
                if _exists_as_file(file, directory):
                    raise
        for child in directories:
            try:
                _remove_directory(directory, child, prefix + child + b"/", seen, left)
            except OSError as fault:
                # Gone, or a file or a link by now.
                if fault.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as fault:
            if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            left += [prefix + os.fsencode(child) for child in os.listdir(directory)]
            left.append(prefix)  # it is there, even if what was in it went meanwhile
    finally:
        os.close(directory)


def _is_unchanged(now: os.stat_result, then: os.stat_result) -> bool:
    # Not the time of its last change of status: each name of a file that goes changes that of the others.
    return (
        now.st_mtime_ns == then.st_mtime_ns
        and now.st_ino == then.st_ino
        and now.st_size == then.st_size
    )


def _exists_as_file(name: bytes, directory: int) -> bool:
    """Whether there is something that is no directory."""
    try:
        return not stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode)
    except FileNotFoundError:
        return False


def _open_writable(parent: int, name: bytes) -> int:
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


EMPTY_DIRECTORY = DirectoryTree({}, frozenset(), [], [])


def read_file_or_link(top: str, path: bytes, mode: int) -> bytes:
    """What git would store of a file: its bytes, or a link's target; raises OSError."""
    full = os.path.join(os.fsencode(top), path)
    if stat.S_ISLNK(mode):
        return os.readlink(full)
    fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        return file.read()


def path_and_parents(path: bytes) -> list[bytes]:
    """The path and what lies above it: "a/b/c", "a/b", "a"."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(len(names), 0, -1)]
