"""The answer of `git hub-session path`."""

from __future__ import annotations

from git_hub_session.escape import escape_control
from git_hub_session.refnames import SessionId, short_name
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record


class PathView(NamedTuple):
    """The worktree of an agent, absolute, and the full ref of its branch."""

    session: SessionId
    path: str
    branch: str
    exit_code: int = 0
    changed: bool = False
    diagnostics: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "branch": short_name(self.branch), "path": self.path}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        # For `cd "$(git hub-session path agent-2)"`: a terminal alone is shielded from what is in it.
        return TextOutput([self.path if style.columns is None else escape_control(self.path)])
