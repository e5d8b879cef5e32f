"""The answer of `git hub-session path`."""

from __future__ import annotations

from git_hub_session.escape import visible
from git_hub_session.refnames import SessionId, short
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import Answer, Record, Style, record


class PathView(NamedTuple):
    """The worktree of an agent, absolute, and the full ref of its branch."""

    session: SessionId
    path: str
    branch: str
    exit_code: int = 0
    changed: bool = False
    faults: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "branch": short(self.branch), "path": self.path}

    def records(self) -> list[Record]:
        return [record(self.document())]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        # For `cd "$(git hub-session path agent-2)"`: a terminal alone is shielded from what is in it.
        return Answer([self.path if style.columns is None else visible(self.path)])
