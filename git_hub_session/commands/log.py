"""git hub-session log: the transitions of a session."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.views.log import LogView

USAGE = Usage(("log [<options>] [<id>]",), (QUIET, *FORMAT), max_arguments=1)


def run(context: Context, args: Arguments) -> LogView:
    """The history of the session, newest first."""
    sid = context.find_session(args.argument)
    return LogView(sid, context.store.read(sid).history[::-1], context.now())
