"""git hub-session shell-init: print a shell function that changes to an agent's worktree."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Arguments, Usage
from git_hub_session.commands._script.view import ScriptView, read_script

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context

SCRIPTS = {
    "bash": "programs/hubcd.sh",
    "zsh": "programs/hubcd.sh",
    "fish": "programs/hubcd.fish",
}
"""The shells, and the files with the function."""

USAGE = Usage(("shell-init (bash | zsh | fish)",), (), max_arguments=1)


def run(context: Context, args: Arguments) -> ScriptView:
    """Return the function for a shell."""
    return read_script(args.argument, SCRIPTS)
