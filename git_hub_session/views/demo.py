"""The answer of `git hub-session demo`."""

from __future__ import annotations

from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record


class DemoView(NamedTuple):
    """A demonstration that has shown itself; nothing is left to say."""

    exit_code: int
    changed: bool = True
    diagnostics: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([])
