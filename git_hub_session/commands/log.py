"""git hub-session log: show the state changes of a session."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, make_record
from git_hub_session.util.clock import format_age_since
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Transition

USAGE = Usage(("log [<options>] [<id>]",), (QUIET, *FORMAT), max_arguments=1)


def run(context: Context, args: Arguments) -> LogView:
    """Return the history of the session."""
    sid = context.find_session(args.argument)
    return LogView(sid, context.project.store.read(sid).history[::-1], context.project.now())


class LogView(View):
    """The state changes of a session, newest first."""

    def __init__(self, session: SessionId, history: tuple[Transition, ...], now: float) -> None:
        self.session = session
        self.history = history
        self.now = now

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "history": [_transition_fields(step) for step in self.history],
        }

    def records(self) -> list[Record]:
        return [make_record(_transition_fields(step)) for step in self.history]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out = []
        for step in self.history:
            age = format_age_since(step.at, self.now)
            change = f"{escape_control(step.source)} {style.arrow} {escape_control(step.target)}"
            out.append(f"{escape_control(step.at)}  {change}  ({age})")
            out.append(f"    by {escape_control(step.by)}, {escape_control(step.verb)}")
            out += [f"    {escape_control(line)}" for line in step.reason.splitlines()]
        err = [] if out or quiet else [f"no history is recorded for session '{self.session}'"]
        return TextOutput(out, err)


def _transition_fields(step: Transition) -> dict[str, Any]:
    fields = {
        "at": step.at,
        "from": step.source,
        "to": step.target,
        "by": step.by,
        "verb": step.verb,
    }
    return {**fields, "reason": step.reason} if step.reason else fields
