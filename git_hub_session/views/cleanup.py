"""The answer of `git hub-session cleanup`."""

from __future__ import annotations

from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.report import (
    kept_lines,
    report_fields,
    report_warnings,
    report_lines,
    report_records,
)
from git_hub_session.views.view import TextOutput, Record, TerminalStyle

if TYPE_CHECKING:
    from git_hub_session.operations.report import CleanupReport


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
