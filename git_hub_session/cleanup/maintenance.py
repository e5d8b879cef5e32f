"""Run git's automatic maintenance, as git's own commands do at their end.

git counts the packs, and the loose objects whose ids start with 17. Count them here too, so that
most commands start no process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true, parse_size

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_ReadSetting = Callable[[str], Sequence[str]]
"""A function that returns all values of a setting."""
_COMMAND = ["maintenance", "run", "--auto", "--quiet"]
# The version that added `git maintenance run --detach`. Before, gc.autoDetach decides.
_DETACH_VERSION = (2, 47)

# git's defaults of gc.auto and gc.autoPackLimit.
_MAX_OBJECTS = 6700
_MAX_PACKS = 50
_SAMPLE = "17"
_DIRECTORIES = 256
_OBJECT_FILE = re.compile("[0-9a-f]{38}([0-9a-f]{24})?")

# With one of these settings, git also has other tasks than `git gc`, and other conditions.
_OTHER_TASKS = (
    "maintenance.strategy",
    "maintenance.commit-graph.enabled",
    "maintenance.geometric-repack.enabled",
    "maintenance.incremental-repack.enabled",
    "maintenance.loose-objects.enabled",
    "maintenance.pack-refs.enabled",
)


def run_maintenance(project: Project) -> None:
    """Let git pack the objects if there are many. `maintenance.auto` and `gc.auto` turn it off.

    The maintenance runs in the background unless a setting forbids it. It does not fail a command.
    """
    common_dir, read = project.paths.common_dir, project.config_values
    try:
        if not _is_true("maintenance.auto", read):
            return
        # If only git can read all settings, each setting would start a process.
        if project.repo.reads_all_config and not _is_needed(common_dir, read):
            return
        options = []
        if project.git.version() >= _DETACH_VERSION:
            options = ["--detach" if _detaches(read) else "--no-detach"]
        project.git.at(common_dir).run([*_COMMAND, *options])
    except (HubError, OSError):
        pass


def _is_needed(common_dir: str, read: _ReadSetting) -> bool:
    """Return True if git may have something to do: `git gc --auto`, or another configured task."""
    if any(map(read, _OTHER_TASKS)):
        return True
    max_objects = _limit("gc.auto", _MAX_OBJECTS, read)
    max_packs = _limit("gc.autopacklimit", _MAX_PACKS, read)
    if max_objects <= 0:
        return False
    objects = os.path.join(common_dir, "objects")
    sampled = sum(1 for name in _names(f"{objects}/{_SAMPLE}") if _OBJECT_FILE.fullmatch(name))
    packs = set(_names(f"{objects}/pack"))
    counted = sum(
        name.endswith(".pack") and f"{name.removesuffix('.pack')}.keep" not in packs
        for name in packs
    )
    has_many_objects = sampled > -(-max_objects // _DIRECTORIES)
    return has_many_objects or 0 < max_packs < counted


def _limit(name: str, default: int, read: _ReadSetting) -> int:
    """Return the value of a setting. A negative value counts as 0."""
    value = _last_value(name, read)
    if value.startswith("-"):
        return 0
    size = parse_size(value)
    return default if size is None else size


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _detaches(read: _ReadSetting) -> bool:
    name = "maintenance.autodetach"
    return _is_true(name if _last_value(name, read) else "gc.autodetach", read)


def _is_true(name: str, read: _ReadSetting) -> bool:
    """Return True if the setting is true, which is its default."""
    return is_true(_last_value(name, read) or "true")


def _last_value(name: str, read: _ReadSetting) -> str:
    return next(reversed(read(name)), "")
