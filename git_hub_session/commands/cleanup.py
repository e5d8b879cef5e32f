"""git hub-session cleanup: remove the worktrees of sessions; what is in them is saved."""

from __future__ import annotations

from git_hub_session.clock import parse_iso, parse_span
from git_hub_session.context import Context
from git_hub_session.errors import HubError, UsageError
from git_hub_session.operations.cleanup import clean_up, failed, rehearse
from git_hub_session.operations.neighbors import Neighbors
from git_hub_session.operations.policy import policy_of
from git_hub_session.operations.report import Report
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.refnames import SessionId
from git_hub_session.states import FINISHED
from git_hub_session.store import Broken
from git_hub_session.views.cleanup import CleanupView

USAGE = Usage(
    ("cleanup [<options>] [<id>...]", "cleanup [<options>] --finished [--older-than <age>]"),
    (
        Option("--finished", "clean up all merged and archived sessions", exact=True),
        Option(
            "--older-than",
            "with --finished: only sessions not updated for this long, such as 7d or 12h",
            "<age>",
        ),
        Option("--archive", "replace the session's branches with tags", exact=True),
        Option(
            "--force",
            "also remove worktrees that are in use, detached, in the middle of an operation, or missing with their parent directory",
            exact=True,
        ),
        Option("--discard", "do not save uncommitted changes", exact=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    most=None,
)


def run(context: Context, args: Arguments) -> CleanupView:
    """Clean up the sessions one after the other; --dry-run changes nothing."""
    sessions = _sessions(context, args)
    policy = policy_of(context, force=args.is_set("force"), discard=args.is_set("discard"))
    archiving, dry_run = args.is_set("archive"), args.is_set("dry-run")
    neighbors = Neighbors(context)
    reports: list[Report] = []
    for sid in sessions:
        try:
            if dry_run:
                report = rehearse(sid, context, policy, archiving=archiving, neighbors=neighbors)
            else:
                report = clean_up(sid, context, policy, archiving=archiving)
        except (HubError, OSError) as fault:
            if len(sessions) == 1:
                raise
            # One that fails must not hide what became of the others, and where their work is.
            report = failed(sid, fault)
        reports.append(report)
    return CleanupView(tuple(reports), dry_run)


def _sessions(context: Context, args: Arguments) -> list[SessionId]:
    older_than = args.text("older-than")
    if not args.is_set("finished"):
        if older_than is not None:
            raise UsageError("--older-than goes with --finished")
        words = dict.fromkeys(args.words)
        named = [context.session_to_change(word, "cleanup") for word in words]
        return named or [context.session_to_change(None, "cleanup")]
    if args.words:
        raise UsageError("--finished takes no ids")
    span = 0.0 if older_than is None else parse_span(older_than)
    if span is None:
        raise UsageError(f"not an age: '{older_than}'", hint="a number and s, m, h, d or w: 7d")
    limit = context.now() - span
    found = []
    for session in context.store.read_all():
        if isinstance(session, Broken) or session.state not in FINISHED:
            continue
        updated = parse_iso(session.updated)
        if older_than is None or (updated is not None and updated <= limit):
            found.append(session.id)
    return found
