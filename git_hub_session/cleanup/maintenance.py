"""Run git's automatic maintenance, as git's own commands do at their end."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.config import is_true

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_COMMAND = ("maintenance", "run", "--auto", "--quiet")
_USAGE_ERROR = 129


def run_maintenance(project: Project) -> None:
    """Let git pack the objects if there are many. `maintenance.auto` and `gc.auto` turn it off.

    The maintenance runs in the background unless a setting forbids it. It does not fail a command.
    """
    try:
        if not _is_true("maintenance.auto", project):
            return
        git = project.git.at(project.paths.common_dir)
        try:
            git.run([*_COMMAND, "--detach" if _detaches(project) else "--no-detach"])
        except GitFailed as error:
            if error.status != _USAGE_ERROR:
                raise
            git.run(_COMMAND)  # before 2.47, git decides itself by gc.autoDetach
    except (HubError, OSError):
        pass


def _detaches(project: Project) -> bool:
    name = "maintenance.autodetach"
    return _is_true(name if project.config_values(name) else "gc.autodetach", project)


def _is_true(name: str, project: Project) -> bool:
    """Return True if the setting is true, which is its default."""
    return is_true(next(reversed(project.config_values(name)), "true"))
