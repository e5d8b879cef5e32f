"""git hub-session archive: end a session without a winner."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cleanup.archive_session import archive_session, preview_archive
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, make_record
from git_hub_session.restore.commands import restore_commands

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_session import ArchiveResult
    from git_hub_session.cli.context import Context


USAGE = Usage(
    ("archive [<options>] [<id>]",),
    (Option("--reason", "reason to record in the history", "<text>"), DRY_RUN, QUIET, *FORMAT),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ArchiveView:
    """Replace all branches with tags and remove the worktrees, but keep their changes.

    The session becomes `archived` if nothing had to be kept in place.
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
    report = ReportOutput(result.report, project.cwd, commands, dry_run=dry_run)
    return ArchiveView(result, report, dry_run=dry_run)


class ArchiveView(View):
    """A session that was archived, would be archived, or was not because something was kept."""

    def __init__(self, result: ArchiveResult, report: ReportOutput, *, dry_run: bool) -> None:
        self.result = result
        self.report = report
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 0 if self.result.is_finished else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return self.report.warnings

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.result.report.session,
            "state": str(self.result.state),
            "dry_run": self.dry_run,
            **self.report.fields(),
        }

    def records(self) -> list[Record]:
        head = {"session": self.result.report.session, "state": str(self.result.state)}
        return [make_record(head), *self.report.records()]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        session = self.result.report.session
        err = []
        if self.exit_code:
            err.append(
                f"session {session} stays '{self.result.state}': its cleanup is not complete"
            )
        if quiet:
            return TextOutput([], [*self.report.kept_lines(style), *err] if err else [])
        out = self.report.lines(style)
        if self.result.steps:
            states = f" {style.arrow} ".join(map(str, (self.result.source, *self.result.steps)))
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {session}: {states}")
        return TextOutput(out, err)
