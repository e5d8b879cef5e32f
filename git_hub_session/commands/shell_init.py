"""git hub-session shell-init: print a shell function that changes to an agent's worktree."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Arguments, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.errors import UsageError

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

SHELLS = {"bash": "hubcd.sh", "zsh": "hubcd.sh", "fish": "hubcd.fish"}
"""The shells, and the files with the function."""
_DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(__file__)), "programs")

USAGE = Usage(("shell-init (bash | zsh | fish)",), (), max_arguments=1)


def run(context: Context, args: Arguments) -> FunctionView:
    """Return the function for a shell."""
    if args.argument not in SHELLS:
        given = f"no such shell: '{args.argument}'" if args.argument else "no shell given"
        raise UsageError(given, hint=f"use one of {', '.join(SHELLS)}")
    with open(os.path.join(_DIRECTORY, SHELLS[args.argument]), encoding="utf-8") as file:
        return FunctionView(file.read())


class FunctionView(View):
    """The text of a shell function."""

    def __init__(self, script: str) -> None:
        self.script = script

    def document(self) -> dict[str, Any]:
        return {"script": self.script}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(self.script.splitlines())
