"""git hub-session list: all sessions, one line each."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import STATE_COLORS, Record, TerminalStyle, TextOutput, make_record
from git_hub_session.errors import UsageError
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State, parse_state
from git_hub_session.util.clock import format_age_since, parse_iso
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.session.read import UnreadableSession


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
        for session in context.project.store.map_sessions(SessionRow.of)
        if not wanted or session.state in wanted
    ]
    key = args.value("sort") or "id"
    if key != "id":
        found.sort(key=lambda session: _sort_key(session, key))
    if args.is_set("reverse"):
        found.reverse()
    return ListView(tuple(found[:most]), context.project.now(), filtered=bool(wanted or found))


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


BROKEN = "broken"
_LEAST_OF_A_TASK = 10  # columns
_NONE = "no sessions; 'git hub-session init --task <text>' makes one"


class SessionRow(NamedTuple):
    """What `list` shows of a session; there may be thousands, so no more of it is kept."""

    session_id: str
    state: str
    """As state.json spells it, or 'broken'."""
    task: str
    agents: int
    created: str
    updated: str
    reason: str | None = None
    """Why it is broken."""

    @classmethod
    def of(cls, session: Session | UnreadableSession) -> SessionRow:
        if isinstance(session, Session):
            config, state = session.config, str(session.state)
            created, updated = session.created, session.updated
            return cls(session.id, state, config.task, config.agent_count, created, updated)
        config = session.config or Config({})
        created = config.get("created")
        return cls(session.id, BROKEN, config.task, config.agent_count, created, "", session.reason)

    def document(self) -> dict[str, Any]:
        document = self._asdict()
        if self.reason is None:
            del document["reason"]
        return document


class ListView(NamedTuple):
    """The sessions that were asked for; `now` is for ages, in seconds since the epoch."""

    sessions: tuple[SessionRow, ...]
    now: float
    filtered: bool = False
    """Whether there may be others, that were not asked for."""
    changed: bool = False

    @property
    def exit_code(self) -> int:
        return 0 if all(session.reason is None for session in self.sessions) else 1

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(
            f"error: session '{escape_control(session.session_id)}': {escape_control(session.reason)}"
            for session in self.sessions
            if session.reason is not None
        )

    def document(self) -> dict[str, Any]:
        return {"sessions": [session.document() for session in self.sessions]}

    def records(self) -> list[Record]:
        return [make_record(session.document()) for session in self.sessions]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if not self.sessions:
            none = "no session to show" if self.filtered else _NONE
            return TextOutput([], [] if quiet else [none])
        ages = [format_age_since(session.updated, self.now) for session in self.sessions]
        # Widths first, then line by line: with thousands of sessions a table of cells is megabytes.
        ids = max(
            10, *(display_width(escape_control(session.session_id)) for session in self.sessions)
        )
        states = max(5, *(len(session.state) for session in self.sessions))
        counts = max(6, *(len(str(session.agents)) for session in self.sessions))
        moments = max(7, *map(len, ages))
        used = ids + states + counts + moments + 8
        # Where the task would have no room the age goes, and then the number of agents.
        no_age = style.columns is not None and style.columns < used + _LEAST_OF_A_TASK
        used -= (moments + 2) * no_age
        no_count = no_age and style.columns is not None and style.columns < used + _LEAST_OF_A_TASK
        used -= (counts + 2) * no_count

        def row(sid: str, state: str, count: str, age: str, task: str) -> str:
            shown = style.paint(pad(state, states), STATE_COLORS.get(state, ""))
            left = f"{pad(sid, ids)}  {shown}  "
            left += "" if no_count else f"{pad(count, counts)}  "
            left += "" if no_age else f"{pad(age, moments)}  "
            return f"{left}{style.fit(task, used)}"

        out = [row("SESSION ID", "STATE", "AGENTS", "UPDATED", "TASK")]
        for one, age in zip(self.sessions, ages, strict=True):
            count = str(one.agents or "?")
            out.append(
                row(escape_control(one.session_id), one.state, count, age, escape_control(one.task))
            )
        return TextOutput(out)
