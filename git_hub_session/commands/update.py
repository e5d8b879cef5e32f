"""git hub-session update: one legal transition."""

from __future__ import annotations

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.errors import Refused, UsageError
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session.model import Session
from git_hub_session.session.record import with_transition
from git_hub_session.session.state import State, parse_state
from git_hub_session.util.clock import format_iso

USAGE = Usage(
    ("update [<options>] --state <state> [<id>]",),
    (
        Option("--state", "new state", "<state>"),
        Option("--if-state", "update only if the session is in this state", "<state>"),
        Option("--reason", "reason to record in the history", "<text>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


class UnexpectedState(Refused):
    """The session is not in the state that --if-state asks for."""

    code = "other-state"


def run(context: Context, args: Arguments) -> UpdateView:
    """Move the session to --state under its lock; a compare-and-swap with --if-state."""
    target = parse_state(_require_state(args.value("state")))
    expected = args.value("if-state")
    if_state = parse_state(expected) if expected is not None else None
    sid = context.require_session(args.argument, "update")
    by = context.project.identity
    sources: list[State] = []

    def change(session: Session) -> Session:
        sources.append(session.state)
        if if_state is not None and session.state != if_state:
            raise UnexpectedState(f"session '{sid}' is '{session.state}', not '{if_state}'")
        at, reason = format_iso(context.project.now()), args.value("reason") or ""
        return with_transition(session, target, at=at, by=by, verb="update", reason=reason)

    if args.is_set("dry-run"):
        change(context.project.store.read(sid))
    else:
        context.project.store.update(sid, change)
    return UpdateView(sid, str(sources[-1]), str(target), args.is_set("dry-run"))


def _require_state(text: str | None) -> str:
    if text is None:
        raise UsageError("to which state?", hint=f"--state takes one of {', '.join(State)}")
    return text


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
