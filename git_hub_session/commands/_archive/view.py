"""The archive of one or more sessions as text, JSON and porcelain."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    command_after,
    make_record,
    warning_lines,
)

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_session import ArchiveResult
    from git_hub_session.cli.cleanup_report import ReportOutput
    from git_hub_session.errors import HubError


class ArchiveView(View):
    """A session that was archived, would be archived, or is not archived: something was kept."""

    def __init__(self, result: ArchiveResult, report: ReportOutput, *, dry_run: bool) -> None:
        self.result = result
        self.report = report
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 0 if self.result.is_finished else 1

    @property
    def unfinished(self) -> HubError | None:
        if self.exit_code == 0:
            return None
        report = self.result.report
        return self.report.kept_error(f"session {report.session} is not archived")

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return self.report.warnings

    @property
    def next_command(self) -> str:
        return command_after(self.result.report.session, str(self.result.state))

    @property
    def is_archived(self) -> bool:
        """True if the session became archived."""
        return bool(self.result.steps) and self.result.is_finished and not self.dry_run

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


class AncestorViews:
    """The archived sessions from whose winners a merged session descends."""

    def __init__(self, views: Sequence[ArchiveView] = (), errors: Sequence[str] = ()) -> None:
        """Create the output.

        Args:
            errors: the sessions that could not be archived, with the reasons.
        """
        self.views = views
        self.errors = errors

    @property
    def is_finished(self) -> bool:
        """True if nothing is left to archive."""
        return not self.errors and all(view.exit_code == 0 for view in self.views)

    @property
    def diagnostics(self) -> list[str]:
        """The warnings, for standard error."""
        warnings = [line for view in self.views for line in view.diagnostics]
        return [*warnings, *warning_lines(self.errors)]

    def documents(self) -> list[dict[str, Any]]:
        """Return the JSON of each session."""
        return [view.document() for view in self.views]

    def records(self) -> list[Record]:
        """Return the porcelain records of all sessions."""
        return [record for view in self.views for record in view.records()]

    def add_lines(self, output: TextOutput, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        """Return the output of a merge with the lines of all sessions."""
        texts = [output]
        for view in self.views:
            text = view.lines(style, quiet=quiet)
            hint = f"hint: then: git hub-session archive {view.result.report.session}"
            texts.append(text if view.exit_code == 0 else text._replace(err=[*text.err, hint]))
        return TextOutput(
            [line for text in texts for line in text.out],
            [line for text in texts for line in text.err],
        )
