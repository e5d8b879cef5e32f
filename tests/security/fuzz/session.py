"""Check that any bytes in state.json are a session that all functions accept, or an error."""

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
from git_hub_session.lineage.parent import read_parent
from git_hub_session.session.history import read_history
from git_hub_session.session.model import Config, Session
from git_hub_session.session.record import (
    with_agents,
    with_evaluation,
    with_rescues,
    with_transition,
    with_work,
)
from git_hub_session.session.state import TRANSITIONS, read_state
from git_hub_session.system.json_file import TooLarge, encode_json, parse_json

TIME = "2026-03-17T14:30:22.000000+00:00"
NOW = 1773757822.0
COMMIT = "1a" * 20
STYLE = TerminalStyle(None, False, "->", "...", "-")
NEVER = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def check_input(data: bytes) -> None:
    """Parse `data` as the store does, then change, write and print the session as commands do."""
    try:
        document = parse_json("state.json", data)
        session = Session(SessionId("s1"), Config({}), read_state(document), document)
    except Damaged as error:
        assert error.message.startswith("state.json: "), error.message
        return
    _check_types(session)
    for changed in _changed_sessions(session):
        _check_round_trip(changed)
    _check_output(session)


def _check_types(session: Session) -> None:
    """Check that each field has the type of the model, also if the document has another type."""
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


def _changed_sessions(session: Session) -> Iterator[Session]:
    """Yield the session after each kind of change that the commands make."""
    for target in TRANSITIONS[session.state]:
        try:
            yield with_transition(
                session, target, at=TIME, by="Ada <a@b>", verb="update", reason="why"
            )
        except Damaged as error:
            assert error.message == "state.json: 'history' is not a list"
    yield with_agents(session, {"agent-1": {"status": "ready"}}, at=TIME)
    yield with_rescues(session, {"agent-1": ["refs/hub/rescue/s1/1"]}, at=TIME)
    yield with_work(session, {"agent-1": {"attempt-1": None}}, at=TIME)
    result = {"agent-1": {"rank": 1, "attempt": 1, "commit": COMMIT, "metric": 1.5}}
    evaluated = with_evaluation(session, {"base": COMMIT}, result, at=TIME)
    assert [(agent_result.agent, agent_result.rank) for agent_result in evaluated.ranking] == [
        (1, 1)
    ]
    yield evaluated


def _check_round_trip(session: Session) -> None:
    """Check that the document is the same after it was written and read."""
    try:
        data = encode_json(session.document)
    except TooLarge:
        return
    assert parse_json("state.json", data) == session.document


def _check_output(session: Session) -> None:
    """Check that the text has no control characters, and that JSON and porcelain are valid."""
    list_view = ListView((SessionRow.of(session),), NOW)
    parents = [*filter(None, [read_parent(session)])]
    log_view = LogView(session.id, read_history(session), parents, NOW)
    views: tuple[View, ...] = (list_view, log_view)
    for view in views:
        output = view.lines(STYLE, quiet=False)
        lines = [*output.out, *output.err, *view.diagnostics]
        assert not any(NEVER.search(line) or "\n" in line for line in lines), lines
        assert json.loads(to_json(view)) == {"version": 1, **view.document()}
        for nul, terminator in ((False, b"\n"), (True, b"\0")):
            fields = to_porcelain(view, nul=nul).count(terminator)
            assert fields == sum(len(record) + 1 for record in view.records())
