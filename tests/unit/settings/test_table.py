"""The table of settings agrees with the options of the commands."""

from __future__ import annotations

from importlib import import_module

import pytest

from git_hub_session.cli.options import Usage
from git_hub_session.commands import COMMANDS
from git_hub_session.git.config import parse_size
from git_hub_session.settings.table import (
    NUMBER,
    SETTINGS,
    SIZE,
    Setting,
    find_setting,
    options_with_defaults,
)
from git_hub_session.util.numbers import MAX_COUNT, parse_int


def usage_of(command: str) -> Usage:
    """Return the usage of a command."""
    usage = import_module(COMMANDS[command].module).USAGE
    assert isinstance(usage, Usage)
    return usage


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_fits_the_options_of_its_commands(setting: Setting) -> None:
    for command in setting.commands:
        options = {option.name: option for option in usage_of(command).options}
        for name in filter(None, (setting.option, *setting.unless)):
            assert name in options, command
        if setting.option:
            option = options[setting.option]
            assert (option.repeatable, option.choices) == (setting.is_list, setting.choices)
            assert option.value


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_has_the_type_of_its_setting(setting: Setting) -> None:
    assert setting.is_list or len(setting.default) <= 1
    for value in setting.default:
        assert setting.type != NUMBER or parse_int(value, MAX_COUNT)
        assert setting.type != SIZE or parse_size(value)


def test_a_setting_is_found_by_each_spelling() -> None:
    setting = find_setting("worktreePath")
    assert setting is not None
    assert setting.key == "hubsession.worktreePath"
    for name in ("worktreepath", "hubsession.worktreePath", "HUBSESSION.WORKTREEPATH"):
        assert find_setting(name) is setting
    for name in ("", "worktree", "hubsession.", "core.bare"):
        assert find_setting(name) is None


def test_the_settings_of_a_command() -> None:
    names = [setting.name for setting in options_with_defaults("exec")]
    assert names == ["agentCmd"]
    assert options_with_defaults("list") == []
