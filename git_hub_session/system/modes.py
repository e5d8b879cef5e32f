"""Set the permissions of files and directories below a directory. Never follow a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from git_hub_session.system.copy import READ, open_parent


def set_file_modes(top: str, modes: Mapping[bytes, int]) -> None:
    """Set the permissions of the regular files at the paths below `top`. Skip all other files.

    Raise OSError if the system refuses.
    """
    for path, mode in modes.items():
        parent, _, name = path.rpartition(b"/")
        directory = open_parent(top, parent, create=False)
        if directory < 0:
            continue
        try:
            if stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                _set_mode(name, directory, mode)
        except FileNotFoundError:
            pass
        finally:
            os.close(directory)


def _set_mode(name: bytes, directory: int, mode: int) -> None:
    fd = os.open(name, READ, dir_fd=directory)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def create_directories(top: str, modes: Mapping[bytes, int]) -> None:
    """Create the directories at the paths below `top`, and set their permissions.

    b"" is `top` itself. Skip a directory in the place of which there is a file or a link. Raise
    OSError if the system refuses.
    """
    # Create all directories first: a directory may not be writable in the end.
    for path in modes:
        fd = open_parent(top, path, create=True)
        if fd >= 0:
            os.close(fd)
    for path in sorted(modes, key=lambda path: (path.count(b"/"), path), reverse=True):
        fd = open_parent(top, path, create=False)
        if fd >= 0:
            try:
                os.fchmod(fd, modes[path])
            finally:
                os.close(fd)
