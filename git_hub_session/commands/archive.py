"""git hub-session archive: end a session without a winner."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.operations.ending import archive_session, rehearse_archive
from git_hub_session.operations.policy import policy_of
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.views.archive import ArchiveView

USAGE = Usage(
    ("archive [<options>] [<id>]",),
    (Option("--reason", "reason to record in the history", "<text>"), DRY_RUN, QUIET, *FORMAT),
    most=1,
)


def run(context: Context, args: Arguments) -> ArchiveView:
    """Tag every tip and remove the worktrees, their work saved; archived if nothing had to stay."""
    sid = context.session_to_change(args.word, "archive")
    policy = policy_of(context)
    if args.is_set("dry-run"):
        return ArchiveView(rehearse_archive(sid, context, policy), dry_run=True)
    ended = archive_session(sid, context, policy, reason=args.text("reason") or "")
    return ArchiveView(ended, dry_run=False)
