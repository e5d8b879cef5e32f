"""Keep private copies of files, and replace the files of a directory with them.

The bytes are in one file without a name. A command that runs in the directory can change neither
the copies nor the sources from which they are restored.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from errno import ENOTDIR

from git_hub_session._typing import NamedTuple, Self
from git_hub_session.system.copy import CREATE, READ, open_parent
from git_hub_session.system.io import write_all
from git_hub_session.system.tree import remove_path

_CHUNK = 1 << 20  # bytes


class _Entry(NamedTuple):
    """One stored file or link."""

    path: bytes
    mode: int
    """The type and the permissions, as in stat(2)."""
    start: int
    """The offset of the first byte."""
    size: int


class StoredFiles:
    """Stored files and links, with their paths."""

    def __init__(self, fd: int) -> None:
        """Use the empty file `fd` for the bytes. `close` closes it."""
        self._fd = fd
        self._end = 0
        self._entries: dict[bytes, _Entry] = {}

    @classmethod
    def create_in(cls, directory: str) -> Self:
        """Create an empty store on the file system of `directory`."""
        path = os.path.join(directory, ".stored-files")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)
        return cls(fd)

    @property
    def paths(self) -> Collection[bytes]:
        """The paths of the files."""
        return self._entries.keys()

    def add(self, source: str, paths: Iterable[bytes]) -> None:
        """Store the files and links at `paths` below the directory `source`.

        Skip everything else, also below a link. Raise OSError if a file cannot be read.
        """
        for path in paths:
            parent, _, name = path.rpartition(b"/")
            directory = open_parent(source, parent, create=False)
            if directory < 0:
                continue
            try:
                self._add_entry(path, name, directory)
            except FileNotFoundError:
                pass
            finally:
                os.close(directory)

    def _add_entry(self, path: bytes, name: bytes, directory: int) -> None:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        start = self._end
        if stat.S_ISLNK(mode):
            self._append(os.readlink(name, dir_fd=directory))
        elif stat.S_ISREG(mode):
            with open(os.open(name, READ, dir_fd=directory), "rb", buffering=0) as file:
                while data := file.read(_CHUNK):
                    self._append(data)
        else:
            return
        self._entries[path] = _Entry(path, mode, start, self._end - start)

    def _append(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._end += len(data)

    def digest(self) -> str:
        """Return a SHA-256 of all paths, types, permissions to execute and bytes."""
        from hashlib import sha256  # with OpenSSL: 3 ms, and only guarded files are compared

        digest = sha256()
        for path, entry in sorted(self._entries.items()):
            kind = stat.S_IFMT(entry.mode) | (entry.mode & 0o111)
            digest.update(b"%b\0%o %d\0" % (path, kind, entry.size))
            for offset in range(0, entry.size, _CHUNK):
                digest.update(self._read(entry, offset))
        return digest.hexdigest()

    def replace(self, target: str) -> list[bytes]:
        """Replace the files in the directory `target` that differ. Return their paths.

        Remove a directory in the place of a file, and a file or a link in the place of a parent
        directory. Raise OSError if a file cannot be read, removed or written.
        """
        differing = [entry for entry in self._entries.values() if not self._is_same(entry, target)]
        for entry in differing:
            remove_path(target, entry.path)
        for entry in differing:
            self._write(entry, target)
        return [entry.path for entry in differing]

    def _read(self, entry: _Entry, offset: int) -> bytes:
        # The forks of this process share the position in the file, so do not use it.
        return os.pread(self._fd, min(_CHUNK, entry.size - offset), entry.start + offset)

    def _is_same(self, entry: _Entry, target: str) -> bool:
        """Return True if the file equals the stored one.

        They have the same type, the same bytes and the same permission to execute.
        """
        parent, _, name = entry.path.rpartition(b"/")
        directory = open_parent(target, parent, create=False)
        if directory < 0:
            return False
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if (stat.S_IFMT(status.st_mode), status.st_mode & 0o111, status.st_size) != (
                stat.S_IFMT(entry.mode),
                entry.mode & 0o111,
                entry.size,
            ):
                return False
            if stat.S_ISLNK(entry.mode):
                return os.readlink(name, dir_fd=directory) == self._read(entry, 0)
            with open(os.open(name, READ, dir_fd=directory), "rb") as file:
                return all(
                    file.read(_CHUNK) == self._read(entry, offset)
                    for offset in range(0, entry.size, _CHUNK)
                )
        except (FileNotFoundError, PermissionError):
            return False
        finally:
            os.close(directory)

    def _write(self, entry: _Entry, target: str) -> None:
        parent, _, name = entry.path.rpartition(b"/")
        directory = open_parent(target, parent, create=True)
        if directory < 0:
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), os.fsdecode(entry.path))
        try:
            if stat.S_ISLNK(entry.mode):
                os.symlink(self._read(entry, 0), name, dir_fd=directory)
                return
            writer = os.open(name, CREATE, 0o600, dir_fd=directory)
            try:
                for offset in range(0, entry.size, _CHUNK):
                    write_all(writer, self._read(entry, offset))
                os.fchmod(writer, stat.S_IMODE(entry.mode) & 0o777)
            finally:
                os.close(writer)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Close the file. The system then deletes the bytes."""
        os.close(self._fd)
