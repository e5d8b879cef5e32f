"""git hub-session status: show a session with its branches and worktrees.

A prompt of a shell calls `status --short` each time. It must not wait for the modules of the whole
status, so each form has a module of its own.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, QUIET, SESSION_ALIAS, Arguments, Option, Usage

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.view import View

USAGE = Usage(
    ("status [<options>] [<id>]",),
    (Option("--short", "show one line for a prompt"), QUIET, *FORMAT),
    max_arguments=1,
    aliases=(SESSION_ALIAS,),
)


def run(context: Context, args: Arguments) -> View:
    """Return the status of one session."""
    if args.is_set("short"):
        from git_hub_session.commands._status.short import read_short_status

        return read_short_status(context, args.argument)
    from git_hub_session.commands._share.automatic import fetch_automatically
    from git_hub_session.commands._status.view import read_status

    sid = context.find_session(args.argument)
    fetch_automatically(context, sid)
    return read_status(sid, context.project)
