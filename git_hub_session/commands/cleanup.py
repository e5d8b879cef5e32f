"""git hub-session cleanup: remove the worktrees of sessions; what is in them is saved."""

from __future__ import annotations

from git_hub_session.clock import parse_iso, parse_duration
from git_hub_session.context import Context
from git_hub_session.errors import HubError, UsageError
from git_hub_session.operations.cleanup import clean_up_session, failed_report, preview_cleanup
from git_hub_session.operations.neighbors import Neighbors
from git_hub_session.operations.policy import read_cleanup_options
from git_hub_session.operations.report import CleanupReport
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.refnames import SessionId
from git_hub_session.states import FINISHED
from git_hub_session.store import UnreadableSession
from git_hub_session.views.cleanup import CleanupView

USAGE = Usage(
    ("cleanup [<options>] [<id>...]", "cleanup [<options>] --finished [--older-than <age>]"),
    (
        Option("--finished", "clean up all merged and archived sessions", no_abbreviation=True),
        Option(
            "--older-than",
            "with --finished: only sessions not updated for this long, such as 7d or 12h",
            "<age>",
        ),
        Option("--archive", "replace the session's branches with tags", no_abbreviation=True),
        Option(
            "--force",
            "also remove worktrees that are in use, detached, in the middle of an operation, or missing with their parent directory",
            no_abbreviation=True,
        ),
        Option("--discard", "do not save uncommitted changes", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=None,
)


def run(context: Context, args: Arguments) -> CleanupView:
    """Clean up the sessions one after the other; --dry-run changes nothing."""
    sessions = _selected_sessions(context, args)
    policy = read_cleanup_options(
        context, force=args.is_set("force"), discard=args.is_set("discard")
    )
    archiving, dry_run = args.is_set("archive"), args.is_set("dry-run")
    neighbors = Neighbors(context)
    reports: list[CleanupReport] = []
    for sid in sessions:
        try:
            if dry_run:
                report = preview_cleanup(
                    sid, context, policy, archiving=archiving, neighbors=neighbors
                )
            else:
                report = clean_up_session(sid, context, policy, archiving=archiving)
        except (HubError, OSError) as fault:
            if len(sessions) == 1:
                raise
            # One that fails must not hide what became of the others, and where their work is.
            report = failed_report(sid, fault)
        reports.append(report)
    return CleanupView(tuple(reports), dry_run)


def _selected_sessions(context: Context, args: Arguments) -> list[SessionId]:
    older_than = args.value("older-than")
    if not args.is_set("finished"):
        if older_than is not None:
            raise UsageError("--older-than goes with --finished")
        words = dict.fromkeys(args.arguments)
        named = [context.require_session(word, "cleanup") for word in words]
        return named or [context.require_session(None, "cleanup")]
    if args.arguments:
        raise UsageError("--finished takes no ids")
    span = 0.0 if older_than is None else parse_duration(older_than)
    if span is None:
        raise UsageError(f"not an age: '{older_than}'", hint="a number and s, m, h, d or w: 7d")
    limit = context.now() - span
    found = []
    for session in context.store.read_all():
        if isinstance(session, UnreadableSession) or session.state not in FINISHED:
            continue
        updated = parse_iso(session.updated)
        if older_than is None or (updated is not None and updated <= limit):
            found.append(session.id)
    return found
