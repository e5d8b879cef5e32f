"""The answer of `git hub-session archive`."""

from __future__ import annotations

from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.report import (
    kept_lines,
    report_fields,
    report_warnings,
    report_lines,
    report_records,
)
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record

if TYPE_CHECKING:
    from git_hub_session.operations.ending import ArchiveResult


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
