"""The answer of `git hub-session list`."""

from __future__ import annotations

from git_hub_session.clock import format_age_since
from git_hub_session.escape import pad, escape_control, display_width
from git_hub_session.session import Config, Session
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import STATE_COLORS, TextOutput, Record, TerminalStyle, make_record

if TYPE_CHECKING:
    from git_hub_session.store import UnreadableSession


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
