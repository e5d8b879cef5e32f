"""git hub-session config: show the settings, their defaults and their origins."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.options import FORMAT, Arguments, Usage
from git_hub_session.cli.table import Column, table_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    warning_lines,
)
from git_hub_session.errors import HubError
from git_hub_session.settings.table import PROJECT_FILE, SETTINGS, find_setting
from git_hub_session.util.text import escape_control, quote_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.settings.settings import SettingValues
    from git_hub_session.settings.table import Setting

_NONE = "(none)"
_MAX_NAMES = 5

USAGE = Usage(("config [<options>] [<setting>]",), FORMAT, max_arguments=1)


class NoSuchSetting(HubError):
    """The table of settings has no setting with this name."""

    code = "no-such-setting"


def run(context: Context, args: Arguments) -> ConfigView:
    """Return the values of all settings, or of one."""
    settings = context.project.settings
    warnings = [*settings.warnings]
    unknown = settings.unknown_names()
    if unknown:
        warnings.append(f"unknown setting: {quote_list(unknown, _MAX_NAMES)}")
    if args.argument is None:
        rows = [SettingRow(setting, settings.find(setting)) for setting in SETTINGS]
        return ConfigView(rows, warnings, is_one=False)
    setting = find_setting(args.argument)
    if setting is None:
        raise NoSuchSetting(f"no such setting: '{args.argument}'", hint="git hub-session config")
    return ConfigView([SettingRow(setting, settings.find(setting))], warnings, is_one=True)


class SettingRow(NamedTuple):
    """A setting and its values."""

    setting: Setting
    found: SettingValues

    def document(self) -> dict[str, Any]:
        """Return the fields of the setting."""
        setting = self.setting
        return {
            "name": setting.key,
            "type": setting.type,
            "values": list(self.found.values),
            "default": list(setting.default),
            "origin": self.found.origin,
            "description": setting.help,
            "commands": list(setting.commands),
            "project": setting.is_project,
        }


class ConfigView(View):
    """The values of settings, with their defaults and origins."""

    wraps = False

    def __init__(
        self, rows: Sequence[SettingRow], warnings: Sequence[str], *, is_one: bool
    ) -> None:
        self.rows = rows
        self.warnings = warnings
        self.is_one = is_one

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.warnings)

    def document(self) -> dict[str, Any]:
        return {"settings": [row.document() for row in self.rows]}

    def records(self) -> list[Record]:
        return [make_record(row.document()) for row in self.rows]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if self.is_one:
            return TextOutput(_describe(self.rows[0]))
        origins = ["" if row.found.is_default else row.found.origin for row in self.rows]
        columns = (
            Column("SETTING", [row.setting.key for row in self.rows]),
            Column("VALUE", [_join(row.found.values) for row in self.rows], label="Value: "),
            Column("DEFAULT", [_join(row.setting.default) for row in self.rows], label="Default: "),
            Column("ORIGIN", [*map(escape_control, origins)], label="Origin: "),
        )
        return TextOutput(table_lines(columns, style, ""))


def _join(values: Sequence[str]) -> str:
    return escape_control(", ".join(values))


def _describe(row: SettingRow) -> list[str]:
    """Return the lines about one setting."""
    setting, found = row
    commands = ", ".join(setting.commands) or "all commands"
    place = (
        f"git's configuration, or {PROJECT_FILE}" if setting.is_project else "git's configuration"
    )
    return [
        f"{setting.key}: {setting.help}",
        *(f"  Value: {escape_control(value)}" for value in found.values or (_NONE,)),
        f"  Origin: {escape_control(found.origin)}",
        f"  Default: {_join(setting.default) or _NONE}",
        f"  Type: {'list, ' if setting.is_list else ''}{setting.type}",
        f"  Used by: {commands}",
        f"  Set in: {place}",
    ]
