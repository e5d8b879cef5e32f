"""git hub-session archive: end a session without a winner."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_session import archive_session, preview_archive
from git_hub_session.cleanup.maintenance import run_maintenance
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.commands._archive.view import ArchiveView
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.restore.commands import restore_commands
from git_hub_session.settings.table import HOOK_ARCHIVED

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context


USAGE = Usage(
    ("archive [<options>] [<id>]",),
    (Option("--reason", "reason to record in the history", "<text>"), DRY_RUN, QUIET, *FORMAT),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ArchiveView:
    """Save the changes, remove the worktrees, and replace all branches with tags.

    The session becomes `archived` if no worktree and no branch was kept.
    """
    sid = context.require_session(args.argument, "archive")
    project = context.project
    options = read_cleanup_options(project)
    dry_run = args.is_set("dry-run")
    if dry_run:
        result = preview_archive(sid, project, options)
    else:
        result = archive_session(sid, project, options, reason=args.value("reason") or "")
    commands = restore_commands(result.report, project)
    outcome = result.report.with_unchanged_branches(project.repo)
    report = ReportOutput(outcome, project.cwd, commands, dry_run=dry_run)
    view = ArchiveView(result, report, dry_run=dry_run)
    if not dry_run:
        if view.is_archived:
            context.send_event(HOOK_ARCHIVED, view.document)
            push_automatically(context, sid)
        run_maintenance(project)
    return view
