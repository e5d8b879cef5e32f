"""The usage table of a command."""

from __future__ import annotations

from importlib import import_module

from git_hub_session.cli.options import Usage
from git_hub_session.commands import COMMANDS


def usage_of(command: str) -> Usage:
    """Return the options and the arguments of a command."""
    usage = import_module(COMMANDS[command].module).USAGE
    assert isinstance(usage, Usage)
    return usage
