"""git hub-session cleanup: remove a session's worktrees and save their changes."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.cleanup import clean_up_session, failed_report, preview_cleanup
from git_hub_session.cleanup.expiry import finished_sessions
from git_hub_session.cleanup.maintenance import run_maintenance
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage, parse_age
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, command_after
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import HubError, UsageError
from git_hub_session.restore.commands import restore_commands
from git_hub_session.session.state import State
from git_hub_session.settings.table import HOOK_CLEANED
from git_hub_session.worktree.neighbors import Neighbors

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId

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
    """Clean up the selected sessions, one after another."""
    sessions = _selected_sessions(context, args)
    project = context.project
    options = read_cleanup_options(
        project, force=args.is_set("force"), discard=args.is_set("discard")
    )
    archiving = args.is_set("archive")
    dry_run = args.is_set("dry-run")
    neighbors = Neighbors(project)
    reports: list[ReportOutput] = []
    for sid in sessions:
        try:
            if dry_run:
                report = preview_cleanup(
                    sid, project, options, archiving=archiving, neighbors=neighbors
                )
            else:
                report = clean_up_session(sid, project, options, archiving=archiving)
        except (HubError, OSError) as error:
            if len(sessions) == 1:
                raise
            # Report the other sessions too: the user needs the names of their rescue refs.
            report = failed_report(sid, error)
        commands = restore_commands(report, project)
        report = report.with_unchanged_branches(project.repo)
        output = ReportOutput(report, project.cwd, commands, dry_run=dry_run)
        reports.append(output)
        if (report.removed or report.branches.archived) and not dry_run:
            context.send_event(HOOK_CLEANED, output.fields)
        if report.branches.archived and not dry_run:
            push_automatically(context, sid)
    if not dry_run:
        run_maintenance(project)
    return CleanupView(reports, _next_command(context, reports), dry_run=dry_run)


def _next_command(context: Context, reports: Sequence[ReportOutput]) -> str:
    """Return the command that continues the only session that was cleaned up, or ''."""
    if len(reports) != 1 or not reports[0].report.removed:
        return ""
    sid = reports[0].report.session
    try:
        state = context.project.store.read(sid).state
    except HubError:
        return ""  # `cleanup` also removes the worktrees of a damaged session
    # Without a result, the agents go on in the same worktrees.
    is_unmeasured = state in (State.INIT, State.RUNNING)
    return f"restore {sid}" if is_unmeasured else command_after(sid, state)


def _selected_sessions(context: Context, args: Arguments) -> list[SessionId]:
    older_than = args.value("older-than")
    if args.is_set("finished"):
        if args.arguments:
            raise UsageError("--finished takes no ids")
        age = None if older_than is None else parse_age(older_than)
        return [session.id for session in finished_sessions(context.project, age)]
    if older_than is not None:
        raise UsageError("--older-than requires --finished")
    if not args.arguments:
        return [context.require_session(None, "cleanup")]
    return [context.require_session(sid, "cleanup") for sid in dict.fromkeys(args.arguments)]


class CleanupView(View):
    """The reports of all selected sessions: removed, saved, kept and archived."""

    def __init__(
        self, reports: Sequence[ReportOutput], next_command: str, *, dry_run: bool
    ) -> None:
        self.reports = reports
        self._next_command = next_command
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def next_command(self) -> str:
        return self._next_command

    @property
    def exit_code(self) -> int:
        return 0 if all(output.report.is_complete for output in self.reports) else 1

    @property
    def diagnostics(self) -> list[str]:
        return [line for output in self.reports for line in output.warnings]

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "sessions": [output.fields() for output in self.reports],
        }

    def records(self) -> list[Record]:
        return [record for output in self.reports for record in output.records()]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            kept = [line for output in self.reports for line in output.kept_lines(style)]
            return TextOutput([], kept)
        if not self.reports:
            return TextOutput([], ["no session to clean up"])
        return TextOutput([line for output in self.reports for line in output.lines(style)])
