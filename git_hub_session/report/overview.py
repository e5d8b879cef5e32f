"""An overview of all sessions of a hub, as HTML and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_name
from git_hub_session.lineage.parent import read_parent
from git_hub_session.report.html import document, section, table
from git_hub_session.report.markdown import table_rows
from git_hub_session.report.markup import Markup, element
from git_hub_session.report.svg import CHAR, WIDTH, box, chart, label, line, make_scale
from git_hub_session.report.tables import STYLE, Column, Table, format_iso_time
from git_hub_session.report.winner import change_percent, describe_result, find_winner
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.model import Session
from git_hub_session.util.clock import parse_iso
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.session.read import UnreadableSession

BROKEN = "broken"
_ROW, _TOP = 28, 14
_MAX_BARS = 40
_MAX_LABEL = 28


def newest_first(
    sessions: Sequence[Session | UnreadableSession],
) -> list[Session | UnreadableSession]:
    """Return the sessions, the newest first. Those that cannot be read come last."""

    def created(session: Session | UnreadableSession) -> float:
        return parse_iso(session.created) or 0.0 if isinstance(session, Session) else -1.0

    return sorted(sessions, key=created, reverse=True)


def render_overview(sessions: Sequence[Session | UnreadableSession], now: float) -> str:
    """Return the page with all sessions."""
    header = element("header", element("h1", "Sessions"), element("p", _count_states(sessions)))
    rows = sessions_table(sessions)
    content = section("All sessions", _changes_chart(sessions), table("All sessions", rows))
    empty = element("p", "The hub has no sessions.", class_="note")
    return document("Sessions", [header, content or empty], now)


def overview_lines(sessions: Sequence[Session | UnreadableSession]) -> list[str]:
    """Return the overview as Markdown."""
    rows = sessions_table(sessions)
    return [
        "## Sessions",
        "",
        _count_states(sessions),
        "",
        *(table_rows(rows) if rows.rows else []),
    ]


def sessions_table(sessions: Sequence[Session | UnreadableSession]) -> Table:
    """Return a row for each session."""
    headers = (
        Column("Session", is_code=True),
        Column("State"),
        Column("Task", is_code=True, wraps=True),
        Column("Agents", is_number=True),
        Column("Winner"),
        Column("Result", is_code=True, wraps=True),
        Column("After"),
        Column("Updated"),
    )
    return Table(headers, tuple(map(_row, sessions))).without_empty_columns()


def _row(session: Session | UnreadableSession) -> tuple[str, ...]:
    if not isinstance(session, Session):
        title = session.config.title if session.config else ""
        return (session.id, BROKEN, title, "", "", session.reason, "", "")
    winner, parent = find_winner(session), read_parent(session)
    return (
        session.id,
        str(session.state),
        session.config.task.strip().partition("\n")[0],
        str(session.config.agent_count or "?"),
        agent_name(winner.agent) if winner else "",
        describe_result(session),
        parent.text if parent else "",
        format_iso_time(session.updated),
    )


def _count_states(sessions: Sequence[Session | UnreadableSession]) -> str:
    """Return the number of sessions in each state, such as "3 sessions: 2 merged, 1 running"."""
    states = [str(each.state) if isinstance(each, Session) else BROKEN for each in sessions]
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states).items())
    return f"{count_noun(len(sessions), 'session')}{f': {counts}' if counts else ''}"


def _changes(
    sessions: Sequence[Session | UnreadableSession],
) -> list[tuple[Session, float]]:
    """Return the sessions whose winner has a metric and a baseline, with the change in percent."""
    readable = [session for session in sessions if isinstance(session, Session)]
    changes = [(session, change_percent(session)) for session in readable]
    return [(session, change) for session, change in changes if change is not None]


def _changes_chart(sessions: Sequence[Session | UnreadableSession]) -> Markup:
    """Return the change from the baseline to the winner of each session that has one."""
    changes = _changes(sessions)[:_MAX_BARS]
    if not changes:
        return Markup()
    longest = max(len(session.id) for session, _ in changes)
    left = 20 + CHAR * min(longest, _MAX_LABEL)
    scale = make_scale([change for _, change in changes], left + 70, WIDTH - 80, zero=True)
    zero, bottom = scale.place(0), _TOP + _ROW * len(changes)
    marks = [line(zero, _TOP - 4, zero, bottom, "axis")]
    for row, (session, change) in enumerate(changes):
        y = _TOP + _ROW * (row + 0.5)
        end = scale.place(change)
        text = f"{change:+.1f} %".replace("-", STYLE.minus)
        marks.append(label(left - 10, y + 4, session.id, anchor="end", most=_MAX_LABEL))
        color = "added" if _is_better(session, change) else "deleted"
        start, width = min(zero, end), abs(end - zero)
        marks.append(box(start, y - 8, width, 16, class_=color, tip=describe_result(session)))
        is_left = change < 0
        x, anchor = (end - 6, "end") if is_left else (end + 6, "start")
        marks.append(label(x, y + 4, text, anchor=anchor, class_="value"))
    description = (
        "Each row is a session, the newest first. The bar is the change of the metric from the"
        " baseline to the winner. A green bar is better than the baseline."
    )
    title = "Change of the metric by the winner of each session"
    return chart(title, description, bottom + 10, *marks)


def _is_better(session: Session, change: float) -> bool:
    return change > 0 if last_evaluation(session).direction == "higher" else change < 0
