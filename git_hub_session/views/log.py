"""The answer of `git hub-session log`."""

from __future__ import annotations

from git_hub_session.clock import age_of
from git_hub_session.escape import visible
from git_hub_session.history import Transition
from git_hub_session.refnames import SessionId
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import Answer, Record, Style, record


class LogView(NamedTuple):
    """The transitions of a session, newest first."""

    session: SessionId
    history: tuple[Transition, ...]
    now: float
    changed: bool = False
    exit_code: int = 0
    faults: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "history": [_transition(step) for step in self.history]}

    def records(self) -> list[Record]:
        return [record(_transition(step)) for step in self.history]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        out = []
        for step in self.history:
            change = f"{visible(step.source)} {style.arrow} {visible(step.target)}"
            out.append(f"{visible(step.at)}  {change}  ({age_of(step.at, self.now)})")
            out.append(f"    by {visible(step.by)}, {visible(step.verb)}")
            out += [f"    {visible(line)}" for line in step.reason.splitlines()]
        err = [] if out or quiet else [f"no history is recorded for session '{self.session}'"]
        return Answer(out, err)


def _transition(step: Transition) -> dict[str, Any]:
    shown = {
        "at": step.at,
        "from": step.source,
        "to": step.target,
        "by": step.by,
        "verb": step.verb,
    }
    return {**shown, "reason": step.reason} if step.reason else shown
