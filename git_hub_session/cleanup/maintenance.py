"""Run git's automatic maintenance, as git's own commands do at their end.

git counts the packs, and the loose objects whose ids start with 17. Count them here too, so that
most commands start no process.
"""

from __future__ import annotations

import os
import re

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true, parse_size

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

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
    try:
        if not _is_true("maintenance.auto", project) or not _is_needed(project):
            return
        common_dir = project.paths.common_dir
        options = []
        if project.git.version() >= _DETACH_VERSION:
            options = ["--detach" if _detaches(project) else "--no-detach"]
        project.git.at(common_dir).run([*_COMMAND, *options])
    except (HubError, OSError):
        pass


def _is_needed(project: Project) -> bool:
    """Return True if git may have something to do: `git gc --auto`, or another configured task."""
    if not project.repo.reads_all_config:
        return True  # each setting that git reads would start a process
    if any(project.config_values(name) for name in _OTHER_TASKS):
        return True
    max_objects = _limit("gc.auto", _MAX_OBJECTS, project)
    max_packs = _limit("gc.autopacklimit", _MAX_PACKS, project)
    if max_objects <= 0:
        return False
    objects = os.path.join(project.paths.common_dir, "objects")
    sampled = sum(1 for name in _names(f"{objects}/{_SAMPLE}") if _OBJECT_FILE.fullmatch(name))
    packs = set(_names(f"{objects}/pack"))
    counted = sum(
        name.endswith(".pack") and f"{name.removesuffix('.pack')}.keep" not in packs
        for name in packs
    )
    has_many_objects = sampled > -(-max_objects // _DIRECTORIES)
    return has_many_objects or 0 < max_packs < counted


def _limit(name: str, default: int, project: Project) -> int:
    """Return the value of a setting. A negative value counts as 0."""
    value = _last_value(name, project)
    if value.startswith("-"):
        return 0
    size = parse_size(value)
    return default if size is None else size


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _detaches(project: Project) -> bool:
    name = "maintenance.autodetach"
    return _is_true(name if _last_value(name, project) else "gc.autodetach", project)


def _is_true(name: str, project: Project) -> bool:
    """Return True if the setting is true, which is its default."""
    return is_true(_last_value(name, project) or "true")


def _last_value(name: str, project: Project) -> str:
    return next(reversed(project.config_values(name)), "")
