"""Keep the permissions of saved files and directories, and the empty directories.

git's trees cannot store them. The message of a stash has two lines with JSON:

    Modes: {"600": [".env"]}           the files with permissions other than 644 and 755
    Directories: {"755": ["logs"]}     the empty directories, and those with other permissions

A directory is listed only if it is empty or contains a saved file. "" is the top directory.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.system.io import own_permissions
from git_hub_session.system.tree import path_and_parents
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.numbers import parse_octal

if TYPE_CHECKING:
    from git_hub_session.system.tree import DirectoryTree

USUAL_MODES = (0o644, 0o755)
USUAL_DIRECTORY_MODE = 0o755
PERMISSIONS = 0o777
DIRECTORY_PERMISSIONS = 0o3777  # with setgid and the sticky bit

_LINE = re.compile(r"^(Modes|Directories): (.*)$", re.MULTILINE)


class Permissions(NamedTuple):
    """The unusual permissions of saved files and directories. Paths are bytes."""

    files: Mapping[bytes, int]
    directories: Mapping[bytes, int]
    """The directories with unusual permissions, and the empty directories."""


def describe_permissions(permissions: Permissions) -> str:
    """Return the lines for the message of a stash, after an empty line, or ''."""
    lines = []
    if permissions.files:
        lines.append(f"\n\nModes: {json.dumps(_paths_by_mode(permissions.files))}")
    if permissions.directories:
        lines.append(f"\n\nDirectories: {json.dumps(_paths_by_mode(permissions.directories))}")
    return "".join(lines)


def parse_permissions(message: str) -> Permissions:
    """Return the permissions in the message of a stash, which another program may have written."""
    values = {}
    for line in _LINE.finditer(message):
        try:
            values[line[1]] = json.loads(line[2])
        except (ValueError, RecursionError):
            pass
    return Permissions(
        _parse_modes(values.get("Modes"), PERMISSIONS),
        _parse_modes(values.get("Directories"), DIRECTORY_PERMISSIONS),
    )


def read_permissions(
    tree: DirectoryTree, top: str, written: Iterable[bytes], empty: Sequence[bytes]
) -> Permissions:
    """Return the permissions of the saved files, and of the directories, of a worktree.

    Args:
        tree: the content of the worktree.
        top: its top directory.
        written: the paths that a restore writes.
        empty: the empty directories to save.
    """
    files = tree.files
    saved = [path for path in written if path in files]
    regular = [path for path in saved if stat.S_ISREG(files[path].st_mode)]
    modes = {path: _mode(top, path, files[path]) & PERMISSIONS for path in regular}
    directories = {
        path: _mode(top, path) & DIRECTORY_PERMISSIONS
        for path in _directories_of([*saved, *empty]).union(empty)
    }
    return Permissions(
        {path: mode for path, mode in modes.items() if mode not in USUAL_MODES},
        {
            path: mode
            for path, mode in directories.items()
            if path in empty or mode != USUAL_DIRECTORY_MODE
        },
    )


def _mode(top: str, path: bytes, status: os.stat_result | None = None) -> int:
    full = os.path.join(os.fsencode(top), path)
    return own_permissions(full, (status or os.lstat(full)).st_mode)


def _directories_of(paths: Iterable[bytes]) -> set[bytes]:
    """Return the parent directories of the paths. b"" is the top."""
    return {parent for path in paths for parent in [*path_and_parents(path)[1:], b""]}


def _paths_by_mode(modes: Mapping[bytes, int]) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for path, mode in sorted(modes.items()):
        paths.setdefault(f"{mode:o}", []).append(os.fsdecode(path))
    return paths


def _parse_modes(value: object, allowed: int) -> dict[bytes, int]:
    modes = {}
    for text, paths in as_mapping(value).items():
        mode = parse_octal(text, 4)
        if mode is not None and not mode & ~allowed:
            modes.update(dict.fromkeys(_parse_paths(paths), mode))
    return modes


def _parse_paths(value: object) -> Iterable[bytes]:
    """Yield the paths that stay below the top directory."""
    for path in value if isinstance(value, list) else ():
        if isinstance(path, str) and not {".", "..", ".git"}.intersection(path.split("/")):
            yield os.fsencode(path)
