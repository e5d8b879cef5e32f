"""Write a report to a file that the user names."""

from __future__ import annotations

import os
import stat

from git_hub_session.system.directory import CannotWrite, SafeDirectory, write_error


def write_report_file(path: str, data: bytes) -> None:
    """Create or replace a regular file atomically.

    Follow no link in the last component of the path: a link may have come with the repository.

    Raises:
        CannotWrite: the path is not a regular file, or cannot be written.
    """
    directory, name = os.path.split(path)
    kind = _kind_of(path)
    if kind or not name:
        raise CannotWrite(
            f"cannot write '{path}': it is {kind or 'a directory'}",
            hint="name a regular file with -o <file>",
        )
    try:
        with SafeDirectory(os.path.realpath(directory)) as parent:
            # Two reports at a time must not write one temporary file.
            parent.replace_atomically(name, data, mark=f".{os.urandom(6).hex()}")
    except OSError as error:
        raise write_error(path, error) from None


def _kind_of(path: str) -> str:
    """Return a name for what is at the path if it is not a regular file, or ''."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISREG(mode):
        return ""
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "not a regular file")
