"""The answer of `git hub-session update`."""

from __future__ import annotations

from git_hub_session.refnames import SessionId
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record


class UpdateView(NamedTuple):
    """A transition that was made, or would be."""

    session: SessionId
    source: str
    target: str
    dry_run: bool
    exit_code: int = 0
    diagnostics: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return not self.dry_run

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "from": self.source,
            "to": self.target,
            "dry_run": self.dry_run,
        }

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        would = "Would update session" if self.dry_run else "Session"
        line = f"{would} {self.session}: {self.source} {style.arrow} {self.target}"
        return TextOutput([] if quiet else [line])
