"""The script for a shell, from a file of the package."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.errors import UsageError

if TYPE_CHECKING:
    from git_hub_session._typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


def read_script(shell: str | None, scripts: Mapping[str, str]) -> ScriptView:
    """Return the script for a shell.

    Args:
        shell: the argument of the command.
        scripts: the file for each shell, relative to the package.

    Raises:
        UsageError: there is no script for the shell, or no shell is given.
    """
    if shell is None or shell not in scripts:
        given = f"not a shell: '{shell}'" if shell else "no shell given"
        raise UsageError(given, hint=f"use one of {', '.join(scripts)}")
    with open(os.path.join(_PACKAGE, scripts[shell]), encoding="utf-8") as file:
        return ScriptView(shell, file.read())


class ScriptView(View):
    """The script for a shell."""

    wraps = False

    def __init__(self, shell: str, script: str) -> None:
        self.shell = shell
        self.script = script

    def document(self) -> dict[str, Any]:
        return {"shell": self.shell, "script": self.script}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(self.script.splitlines())
