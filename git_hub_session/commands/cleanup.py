"""git hub-session cleanup: remove the worktrees of sessions; what is in them is saved."""

from __future__ import annotations

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cleanup.cleanup import clean_up_session, failed_report, preview_cleanup
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cleanup.report import CleanupReport
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput
from git_hub_session.commands._cleanup_report import (
    kept_lines,
    report_fields,
    report_lines,
    report_records,
    report_warnings,
)
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED
from git_hub_session.util.clock import parse_duration, parse_iso
from git_hub_session.worktree.neighbors import Neighbors

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
        context.project, force=args.is_set("force"), discard=args.is_set("discard")
    )
    archiving, dry_run = args.is_set("archive"), args.is_set("dry-run")
    neighbors = Neighbors(context.project)
    reports: list[CleanupReport] = []
    for sid in sessions:
        try:
            if dry_run:
                report = preview_cleanup(
                    sid, context.project, policy, archiving=archiving, neighbors=neighbors
                )
            else:
                report = clean_up_session(sid, context.project, policy, archiving=archiving)
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
    limit = context.project.now() - span
    found = []
    for session in context.project.store.read_all():
        if isinstance(session, UnreadableSession) or session.state not in FINISHED:
            continue
        updated = parse_iso(session.updated)
        if older_than is None or (updated is not None and updated <= limit):
            found.append(session.id)
    return found


class CleanupView(NamedTuple):
    """What was removed, saved, kept and archived, session by session; or would be."""

    reports: tuple[CleanupReport, ...]
    dry_run: bool

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def exit_code(self) -> int:
        return 0 if all(report.is_complete for report in self.reports) else 1

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(fault for report in self.reports for fault in report_warnings(report))

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "sessions": [report_fields(report) for report in self.reports],
        }

    def records(self) -> list[Record]:
        return [record for report in self.reports for record in report_records(report)]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([], [line for one in self.reports for line in kept_lines(one, style)])
        if not self.reports:
            return TextOutput([], ["no session to clean up"])
        told = [report_lines(report, style, dry_run=self.dry_run) for report in self.reports]
        return TextOutput([line for lines in told for line in lines])
