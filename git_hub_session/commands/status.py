"""git hub-session status: what a session is for, and where it stands."""

from __future__ import annotations

from git_hub_session import procfs
from git_hub_session.board import Board
from git_hub_session.context import Context
from git_hub_session.errors import Damaged
from git_hub_session.operations.survey import read_session_status
from git_hub_session.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.posts import Post
from git_hub_session.refnames import SessionId
from git_hub_session.views.status import StatusView

_POSTS = 3

USAGE = Usage(("status [<options>] [<id>]",), (QUIET, *FORMAT), max_arguments=1)


def run(context: Context, args: Arguments) -> StatusView:
    """The session that was named, else the current one, else the newest that is not finished."""
    sid = context.find_session(args.argument)
    session = context.store.read(sid)
    found = read_session_status(session, context, procfs.processes())
    posts, faults = _read_posts(context, sid)
    return StatusView(found, posts, context.cwd, context.now(), faults)


def _read_posts(context: Context, sid: SessionId) -> tuple[list[Post], tuple[str, ...]]:
    """The session's last posts; a damaged board is a warning, and hides nothing of the session."""
    try:
        return Board(context.paths.hub).recent_posts(sid, _POSTS), ()
    except Damaged as fault:
        reason = fault.message
    except OSError as fault:
        reason = f"the board cannot be read: {fault.strerror}"
    return [], (f"warning: {reason}",)
