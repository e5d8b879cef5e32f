"""Run git's automatic maintenance, as git's own commands do at their end."""

from __future__ import annotations

from collections.abc import Callable

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.config import is_true

if TYPE_CHECKING:
    from git_hub_session.git.command import Git

ReadSetting = Callable[[str], list[str]]

_COMMAND = ("maintenance", "run", "--auto", "--quiet")
_USAGE_ERROR = 129


def run_maintenance(open_git: Callable[[], Git], read_setting: ReadSetting) -> None:
    """Let git pack the objects if there are many. `maintenance.auto` and `gc.auto` turn it off.

    The maintenance runs in the background unless a setting forbids it. It does not fail a command.

    Args:
        open_git: returns git on the repository. It is not called if the maintenance is turned off.
        read_setting: returns all values of a setting.
    """
    try:
        if not _is_true("maintenance.auto", read_setting):
            return
        repository = open_git()
        git = repository.at(repository.common_dir)
        try:
            git.run([*_COMMAND, "--detach" if _detaches(read_setting) else "--no-detach"])
        except GitFailed as error:
            if error.status != _USAGE_ERROR:
                raise
            git.run(_COMMAND)  # before 2.47, git decides itself by gc.autoDetach
    except (HubError, OSError):
        pass


def _detaches(read_setting: ReadSetting) -> bool:
    name = "maintenance.autodetach"
    return _is_true(name if read_setting(name) else "gc.autodetach", read_setting)


def _is_true(name: str, read_setting: ReadSetting) -> bool:
    """Return True if the setting is true, which is its default."""
    return is_true(next(reversed(read_setting(name)), "true"))
