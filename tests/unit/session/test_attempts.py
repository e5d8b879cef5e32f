"""The names of attempts."""

from __future__ import annotations

import pytest

from git_hub_session.git.ref_names import AgentBranch, SessionId
from git_hub_session.session.attempts import describe_attempt
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State


@pytest.mark.parametrize(
    ("recorded", "attempt", "name"),
    [(2, 1, "agent-3/attempt-1"), (2, 2, "agent-3"), (2, 3, "agent-3"), (0, 1, "agent-3")],
)
def test_earlier_attempt_has_its_number(recorded: int, attempt: int, name: str) -> None:
    """Another tool may have made a later attempt than the recorded one."""
    sid = SessionId("s1")
    state = {"agents": {"agent-3": {"attempt": recorded}}}
    session = Session(sid, Config({}), State.RUNNING, state)
    assert describe_attempt(session, AgentBranch(sid, 3, attempt)) == name
