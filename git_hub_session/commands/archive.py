"""git hub-session archive: end a session without a winner."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cleanup.archive_session import archive_session, preview_archive
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.commands._cleanup_report import (
    kept_lines,
    report_fields,
    report_lines,
    report_records,
    report_warnings,
)

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_session import ArchiveResult


USAGE = Usage(
    ("archive [<options>] [<id>]",),
    (Option("--reason", "reason to record in the history", "<text>"), DRY_RUN, QUIET, *FORMAT),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ArchiveView:
    """Tag every tip and remove the worktrees, their work saved; archived if nothing had to stay."""
    sid = context.require_session(args.argument, "archive")
    policy = read_cleanup_options(context.project)
    if args.is_set("dry-run"):
        return ArchiveView(preview_archive(sid, context.project, policy), dry_run=True)
    ended = archive_session(sid, context.project, policy, reason=args.value("reason") or "")
    return ArchiveView(ended, dry_run=False)


class ArchiveView(NamedTuple):
    """A session that was archived, or would be, or is not because something stays."""

    result: ArchiveResult
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0 if self.result.is_finished else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(report_warnings(self.result.report))

    def document(self) -> dict[str, Any]:
        report = report_fields(self.result.report)
        state = {"state": str(self.result.state), "dry_run": self.dry_run}
        return {"session_id": self.result.report.session, **state, **report}

    def records(self) -> list[Record]:
        head = {"session": self.result.report.session, "state": str(self.result.state)}
        return [make_record(head), *report_records(self.result.report)]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        report = self.result.report
        stays = [f"session {report.session} stays '{self.result.state}': something of it was kept"]
        err = stays if self.exit_code else []
        if quiet:
            return TextOutput([], [*kept_lines(report, style), *err] if err else [])
        out = report_lines(report, style, dry_run=self.dry_run)
        if self.result.steps:
            words = f" {style.arrow} ".join(map(str, (self.result.source, *self.result.steps)))
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {report.session}: {words}")
        return TextOutput(out, err)
