"""git hub-session delete: delete a session that has no work."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.delete_session import delete_session
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId

USAGE = Usage(("delete [<options>] [<id>]",), (DRY_RUN, QUIET, *FORMAT), max_arguments=1)


def run(context: Context, args: Arguments) -> DeleteView:
    """Delete the session, or refuse it if the session may have work."""
    sid = context.require_session(args.argument, "delete")
    dry_run = args.is_set("dry-run")
    delete_session(sid, context.project, dry_run=dry_run)
    return DeleteView(sid, dry_run=dry_run)


class DeleteView(View):
    """A session that was deleted, or would be deleted."""

    def __init__(self, session: SessionId, *, dry_run: bool) -> None:
        self.session = session
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def next_command(self) -> str:
        return "list"

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "dry_run": self.dry_run}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        verb = "Would delete" if self.dry_run else "Deleted"
        return TextOutput([] if quiet else [f"{verb} session {self.session}"])
