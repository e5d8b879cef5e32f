"""git hub-session archive: end a session without a winner."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.operations.ending import archive_session, preview_archive
from git_hub_session.operations.policy import read_cleanup_options
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.views.archive import ArchiveView

USAGE = Usage(
    ("archive [<options>] [<id>]",),
    (Option("--reason", "reason to record in the history", "<text>"), DRY_RUN, QUIET, *FORMAT),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ArchiveView:
    """Tag every tip and remove the worktrees, their work saved; archived if nothing had to stay."""
    sid = context.require_session(args.argument, "archive")
    policy = read_cleanup_options(context)
    if args.is_set("dry-run"):
        return ArchiveView(preview_archive(sid, context, policy), dry_run=True)
    ended = archive_session(sid, context, policy, reason=args.value("reason") or "")
    return ArchiveView(ended, dry_run=False)
