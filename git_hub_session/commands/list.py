"""git hub-session list: all sessions, one line each."""

from __future__ import annotations

from git_hub_session.clock import parse_iso
from git_hub_session.context import Context
from git_hub_session.errors import UsageError
from git_hub_session.options import FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.states import State, parse_state
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.views.list import BROKEN, SessionRow, ListView

_ORDER = list(State)
_LAST = float("inf")

USAGE = Usage(
    ("list [<options>]",),
    (
        Option(
            "--state",
            "list only sessions in this state, or 'broken' ones (repeatable)",
            "<state>",
            repeatable=True,
        ),
        Option(
            "--sort",
            "sort key (default: id)",
            "<key>",
            choices=("id", "created", "updated", "state"),
        ),
        Option("--reverse", "reverse the order"),
        Option("-n, --max-count", "list at most this many sessions", "<number>"),
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> ListView:
    """Every session that was asked for; one that cannot be read is shown as broken."""
    wanted = [text if text == BROKEN else parse_state(text) for text in args.values("state")]
    most = _parse_count(args.value("max-count"))
    found = [
        session
        for session in context.store.map_sessions(SessionRow.of)
        if not wanted or session.state in wanted
    ]
    key = args.value("sort") or "id"
    if key != "id":
        found.sort(key=lambda session: _sort_key(session, key))
    if args.is_set("reverse"):
        found.reverse()
    return ListView(tuple(found[:most]), context.now(), filtered=bool(wanted or found))


def _sort_key(session: SessionRow, key: str) -> float:
    """Where a session stands in the order; those that do not say, or are broken, come last."""
    if session.reason is not None:
        return _LAST
    if key == "state":
        return _ORDER.index(State(session.state))
    moment = parse_iso(session.created if key == "created" else session.updated)
    return _LAST if moment is None else moment


def _parse_count(text: str | None) -> int | None:
    if text is None:
        return None
    count = parse_int(text, MAX_COUNT)
    if count is None:
        raise UsageError(f"not a number of sessions: '{text}'")
    return count
