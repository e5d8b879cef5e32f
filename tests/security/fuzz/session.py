"""Any bytes as a state.json: a session that can be read, moved on, shown and written, or damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from git_hub_session.cli.formats import to_json, to_porcelain
from git_hub_session.cli.view import TerminalStyle, View
from git_hub_session.commands.list import ListView, SessionRow
from git_hub_session.commands.log import LogView
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session.json_file import TooLarge, encode_json, parse_json
from git_hub_session.session.model import Config, Session, read_state
from git_hub_session.session.record import (
    with_agents,
    with_evaluation,
    with_rescues,
    with_transition,
    with_work,
)
from git_hub_session.session.state import TRANSITIONS

AT = "2026-03-17T14:30:22.000000+00:00"
NOW = 1773757822.0
COMMIT = "1a" * 20
STYLE = TerminalStyle(None, False, "->", "...")
NEVER = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def one_input(data: bytes) -> None:
    """Read `data` as the store does, and do with it what the commands do."""
    try:
        document = parse_json("state.json", data)
        session = Session(SessionId("s1"), Config({}), read_state(document), document)
    except Damaged as fault:
        assert fault.message.startswith("state.json: "), fault.message
        return
    _look(session)
    for changed in _changes(session):
        _write(changed)
    _show(session)


def _look(session: Session) -> None:
    """What is no text, no object id and no result is not taken for one."""
    assert type(session.created) is type(session.updated) is str
    for oid in (session.base_commit, session.evaluated_base):
        assert oid == "" or re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", oid), oid
    merge = session.merge
    assert merge is None or (type(merge.agent), type(merge.attempt)) == (int, int)
    for result in session.ranking:
        assert (result.rank, result.agent) >= (1, 0)
        assert result.metric is None or abs(result.metric) <= 1e300
    for name in session.agents:
        assert isinstance(session.agent_fields(name), dict)


def _changes(session: Session) -> Iterator[Session]:
    for target in TRANSITIONS[session.state]:
        try:
            yield with_transition(
                session, target, at=AT, by="Ada <a@b>", verb="update", reason="why"
            )
        except Damaged as fault:
            assert fault.message == "state.json: 'history' is not a list"
    yield with_agents(session, {"agent-1": {"status": "ready"}}, at=AT)
    yield with_rescues(session, {"agent-1": ["refs/hub/rescue/s1/1"]}, at=AT)
    yield with_work(session, {"agent-1": {"attempt-1": None}}, at=AT)
    result = {"agent-1": {"rank": 1, "attempt": 1, "commit": COMMIT, "metric": 1.5}}
    evaluated = with_evaluation(session, {"base": COMMIT}, result, at=AT)
    assert [(one.agent, one.rank) for one in evaluated.ranking] == [(1, 1)]
    yield evaluated


def _write(session: Session) -> None:
    """It reads back as what it is."""
    try:
        data = encode_json(session.document)
    except TooLarge:
        return
    assert parse_json("state.json", data) == session.document


def _show(session: Session) -> None:
    """Nothing drives the terminal, and JSON and porcelain stay what they are."""
    listed = ListView((SessionRow.of(session),), NOW)
    history = LogView(session.id, session.history, NOW)
    views: tuple[View, ...] = (listed, history)
    for view in views:
        answer = view.lines(STYLE, quiet=False)
        shown = [*answer.out, *answer.err, *view.diagnostics]
        assert not any(NEVER.search(line) or "\n" in line for line in shown), shown
        assert json.loads(to_json(view)) == view.document()
        for nul, end in ((False, b"\n"), (True, b"\0")):
            fields = to_porcelain(view, nul=nul).count(end)
            assert fields == sum(len(record) + 1 for record in view.records())
