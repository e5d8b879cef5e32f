"""Settings: the values of the settings, with their origins."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import ConfigEntry
from git_hub_session.git.config_files import COMMAND_LINE
from git_hub_session.settings.project_file import ProjectFile, read_project_file
from git_hub_session.settings.table import (
    NUMBER,
    PREFIX,
    Setting,
    executor_of,
    find_setting,
)
from git_hub_session.util.numbers import MAX_COUNT, parse_int

DEFAULT = "default"
"""The origin of a value that nothing sets."""


class SettingValues(NamedTuple):
    """The values of one setting."""

    values: tuple[str, ...]
    origin: str
    """DEFAULT, or the origin as `git config --show-origin` prints it."""
    is_project: bool = False
    """True if the values come from the file .hubsession."""

    @property
    def is_default(self) -> bool:
        """True if nothing sets the setting."""
        return self.origin == DEFAULT


class Settings:
    """The values of all settings, from git's configuration and from the file .hubsession."""

    def __init__(self, entries: Sequence[ConfigEntry], project_file: ProjectFile) -> None:
        """Use the settings of git, and after them those of the file."""
        self._entries = [entry for entry in entries if entry.name.startswith(PREFIX)]
        self._project_file = project_file

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about lines of the file .hubsession that are ignored."""
        return self._project_file.warnings

    def unknown_names(self) -> list[str]:
        """Return the names in git's configuration that no setting has."""
        names = dict.fromkeys(entry.name for entry in self._entries)
        return [name for name in names if find_setting(name) is None and not executor_of(name)]

    def find(self, setting: Setting) -> SettingValues:
        """Return the values of a setting and the origin of the last one.

        Values in git's configuration replace those of the file. As in git, an empty value of a list
        removes the values before it.

        Raises:
            HubError: a value is not UTF-8.
        """
        for entries in (self._entries, self._project_file.entries):
            found = [entry for entry in entries if entry.name == setting.key.lower()]
            if found:
                values = [_check_text(entry.value, setting) for entry in found]
                is_project = entries is self._project_file.entries
                return SettingValues(_effective(values, setting), found[-1].origin, is_project)
        return SettingValues(setting.default, DEFAULT)

    def values(self, setting: Setting) -> tuple[str, ...]:
        """Return the values of a list, or of a setting with at most one value."""
        return self.find(setting).values

    def value(self, setting: Setting) -> str:
        """Return the value of a setting, or '' if it has none. An empty value counts as none."""
        values = self.find(setting).values
        return values[-1] if values else ""

    def checked_values(self, setting: Setting) -> tuple[str, ...]:
        """Return the values that are set. Raise HubError if one has the wrong type."""
        found = self.find(setting)
        if found.is_default:
            return ()
        for value in found.values:
            is_number = setting.type != NUMBER or parse_int(value, MAX_COUNT)
            if not is_number or (setting.choices and value not in setting.choices):
                raise bad_value_error(setting, found)
        return found.values

    def project_commands(self, setting: Setting) -> tuple[str, ...]:
        """Return the values of a setting if they come from the file .hubsession, or ()."""
        found = self.find(setting)
        return found.values if found.is_project else ()


def read_settings(entries: Sequence[ConfigEntry], main_worktree: str) -> Settings:
    """Return the settings in git's `entries` and in the file .hubsession of `main_worktree`."""
    return Settings(entries, read_project_file(main_worktree))


def _effective(values: Sequence[str], setting: Setting) -> tuple[str, ...]:
    if not setting.is_list:
        return tuple(filter(None, values[-1:]))
    last_reset = max((index for index, value in enumerate(values) if not value), default=-1)
    return tuple(values[last_reset + 1 :])


def bad_value_error(setting: Setting, found: SettingValues, hint: str = "") -> HubError:
    """Return the error for a value that has the wrong type."""
    key, path = setting.key, found.origin.removeprefix("file:")
    place = "the command line" if found.origin == COMMAND_LINE else f"'{path}'"
    return HubError(
        f"bad value for {key}: '{found.values[-1]}'", hint=hint or f"correct {key} in {place}"
    )


def _check_text(value: str, setting: Setting) -> str:
    """Return the value. Raise HubError if it is not UTF-8."""
    if "\ufffd" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise HubError(
            f"the value of {setting.key} is not UTF-8",
            hint=f"git config --show-origin --get-all {setting.key}",
        )
    return value
