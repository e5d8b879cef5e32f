"""The order of sessions and agents in the live view, as tables."""

from __future__ import annotations

import pytest

from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession
from git_hub_session.watch.order import (
    SILENT_SECONDS,
    SORT_KEYS,
    Need,
    agent_need,
    order_snapshot,
    session_need,
)
from tests.support.watched import agent

NOW = 10_000.0


def session(sid: str, state: str, *agents: WatchedAgent) -> WatchedSession:
    return WatchedSession(sid, state, f"Task of {sid}", agents)


@pytest.mark.parametrize(
    ("state", "facts", "need"),
    [
        ("running", agent(state="failed"), Need.LOOK),
        ("running", agent(state="timed out"), Need.LOOK),
        ("running", agent(state="interrupted"), Need.LOOK),
        ("running", agent(off_branch="detached"), Need.LOOK),
        ("running", agent(uncommitted=1), Need.COMMIT),
        ("running", agent(uncommitted=0), Need.NOTHING),
        ("running", agent(state="ready", uncommitted=1), Need.NOTHING),
        ("running", agent(state="waiting"), Need.NOTHING),
        ("running", agent(state="running", started=NOW - 5), Need.NOTHING),
        ("running", agent(state="running", started=NOW - SILENT_SECONDS), Need.LOOK),
        (
            "running",
            agent(state="running", started=NOW - SILENT_SECONDS, output_time=NOW - 1),
            Need.NOTHING,
        ),
        ("evaluating", agent(state="failed"), Need.NOTHING),
        ("evaluating", agent(conflicts=True), Need.LOOK),
        ("evaluating", agent(off_branch="detached"), Need.LOOK),
        ("evaluating", agent(uncommitted=1), Need.NOTHING),
        ("merged", agent(state="failed"), Need.NOTHING),
    ],
)
def test_the_next_action_of_an_agent(state: str, facts: WatchedAgent, need: Need) -> None:
    assert agent_need(facts, session("s1", state, facts), NOW) is need


@pytest.mark.parametrize(
    ("facts", "need"),
    [
        (session("s1", "broken"), Need.LOOK),
        (session("s1", "init"), Need.SPAWN),
        (session("s1", "running"), Need.SPAWN),
        (session("s1", "running", agent(state="ready"), agent(2, "ready")), Need.EXEC),
        (session("s1", "running", agent(state="ready", pids=(7,))), Need.NOTHING),
        (session("s1", "running", agent(state="ready", commit_time=1)), Need.EVAL),
        (session("s1", "running", agent(), agent(2, "running")), Need.NOTHING),
        (session("s1", "running", agent(), agent(2, "waiting")), Need.NOTHING),
        (session("s1", "running", agent(), agent(2, "failed")), Need.EVAL),
        (session("s1", "evaluating", agent()), Need.EVAL),
        (session("s1", "evaluating", agent(rank=0)), Need.EVAL),
        (session("s1", "evaluating", agent(rank=1)), Need.MERGE),
        (session("s1", "merged", agent(rank=1)), Need.NOTHING),
        (session("s1", "archived"), Need.NOTHING),
    ],
)
def test_the_next_action_of_a_session(facts: WatchedSession, need: Need) -> None:
    assert session_need(facts) is need


SNAPSHOT = Snapshot(
    NOW,
    (
        session("s10", "running", agent(1, commit_time=500), agent(2, "running")),
        session(
            "s2",
            "running",
            agent(1, "running", output_time=900.0),
            agent(2, "failed", rank=2),
            agent(10, uncommitted=2, rank=1),
        ),
        session("s3", "init"),
        session("s4", "broken"),
    ),
)


def names(sort: str, pattern: str = "") -> list[str]:
    """Return the sessions and agents in their order, such as "s2: 2 1"."""
    groups = order_snapshot(SNAPSHOT, sort, pattern)
    return [
        f"{group.session.session_id}: {' '.join(str(one.progress.agent) for one, _ in group.agents)}".strip()
        for group in groups
    ]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("need", ["s2: 2 10 1", "s4:", "s3:", "s10: 1 2"]),
        ("name", ["s2: 1 2 10", "s3:", "s4:", "s10: 1 2"]),
        ("rank", ["s2: 10 2 1", "s3:", "s4:", "s10: 1 2"]),
        ("activity", ["s2: 1 2 10", "s10: 1 2", "s3:", "s4:"]),
    ],
)
def test_orders(sort: str, expected: list[str]) -> None:
    assert names(sort) == expected
    assert sort in SORT_KEYS


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["s2: 1 2 10", "s3:", "s4:", "s10: 1 2"]),
        ("AGENT-2", ["s2: 2", "s10: 2"]),
        ("of s10", ["s10: 1 2"]),
        ("fail", ["s2: 2"]),
        ("commit", ["s2: 10"]),
        ("broken", ["s4:"]),
        ("nothing", []),
    ],
)
def test_filters(pattern: str, expected: list[str]) -> None:
    assert names("name", pattern) == expected
