"""git hub-session hooks: guard the branches of sessions with hooks of git."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    relative_path,
)
from git_hub_session.errors import UsageError
from git_hub_session.hooks.install import describe_guards, install_guards, uninstall_guards
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.hooks.guards import GuardStatus

_ACTIONS = {"install": install_guards, "uninstall": uninstall_guards}
_STATUS = "status"

USAGE = Usage(
    ("hooks [<options>] (install | uninstall | status)",), (QUIET, *FORMAT), max_arguments=1
)


def run(context: Context, args: Arguments) -> HooksView:
    """Install or remove the hooks, and show them."""
    action = args.argument
    if action not in (*_ACTIONS, _STATUS):
        given = f"not an action: '{action}'" if action else "no action given"
        raise UsageError(given, hint="use one of install, uninstall, status")
    project = context.project
    changed = action != _STATUS and _ACTIONS[action](project)
    return HooksView(describe_guards(project), project.cwd, changed=changed)


class HooksView(View):
    """The hooks that are installed, and those that are not."""

    def __init__(self, guards: Sequence[GuardStatus], cwd: str, *, changed: bool) -> None:
        self.guards = guards
        self.cwd = cwd
        self.is_changed = changed

    @property
    def changed(self) -> bool:
        return self.is_changed

    def document(self) -> dict[str, Any]:
        return {
            "changed": self.is_changed,
            "hooks": [
                {
                    "hook": guard.hook,
                    "installed": bool(guard.path),
                    "path": guard.path or None,
                    "former": guard.former or None,
                    "configured": guard.is_configured,
                    "problem": guard.problem or None,
                }
                for guard in self.guards
            ],
        }

    def records(self) -> list[Record]:
        return [make_record(fields) for fields in self.document()["hooks"]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        is_damaged = any(guard.path and guard.problem for guard in self.guards)
        hint = ["hint: git hub-session hooks install"] if is_damaged else []
        return TextOutput([self._line(guard) for guard in self.guards], hint)

    def _line(self, guard: GuardStatus) -> str:
        line = f"{guard.hook}: not installed"
        if guard.path:
            line = f"{guard.hook}: installed in {self._path(guard.path)}"
        if guard.former:
            line += f", then runs {self._path(guard.former)}"
        return f"{line} ({guard.problem})" if guard.problem else line

    def _path(self, path: str) -> str:
        return escape_control(relative_path(path, self.cwd))
