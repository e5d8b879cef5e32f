"""The answer of `git hub-session archive`."""

from __future__ import annotations

from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.report import (
    kept_lines,
    report_document,
    report_faults,
    report_lines,
    report_records,
)
from git_hub_session.views.view import Answer, Record, Style, record

if TYPE_CHECKING:
    from git_hub_session.operations.ending import Ended


class ArchiveView(NamedTuple):
    """A session that was archived, or would be, or is not because something stays."""

    ended: Ended
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0 if self.ended.is_over else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(report_faults(self.ended.report))

    def document(self) -> dict[str, Any]:
        report = report_document(self.ended.report)
        state = {"state": str(self.ended.state), "dry_run": self.dry_run}
        return {"session_id": self.ended.report.session, **state, **report}

    def records(self) -> list[Record]:
        head = {"session": self.ended.report.session, "state": str(self.ended.state)}
        return [record(head), *report_records(self.ended.report)]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        report = self.ended.report
        stays = [f"session {report.session} stays '{self.ended.state}': something of it was kept"]
        err = stays if self.exit_code else []
        if quiet:
            return Answer([], [*kept_lines(report, style), *err] if err else [])
        out = report_lines(report, style, dry_run=self.dry_run)
        if self.ended.steps:
            words = f" {style.arrow} ".join(map(str, (self.ended.source, *self.ended.steps)))
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {report.session}: {words}")
        return Answer(out, err)
