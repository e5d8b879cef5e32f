"""A session takes over a record, and keeps what belongs to this machine."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State
from git_hub_session.sharing.merge_records import merge_records
from git_hub_session.sharing.record import Entry, Record, Stamp, make_record
from git_hub_session.sharing.session_record import (
    SessionParts,
    merged_config,
    own_record,
    with_record,
)
from git_hub_session.sharing.values import canonical
from tests.support.examples import many_examples
from tests.support.shared_records import CONFIG, SID, records

CLONE = "c" * 32


def session(state: str = "init", **document: Any) -> Session:
    fields = {"session_id": SID, "state": state, "agents": {}, "history": [], **document}
    return Session(SID, Config(CONFIG), State(state), fields)


@many_examples(200)
@given(records(), records())
def test_a_session_that_took_over_a_record_differs_from_it_in_nothing(
    first: Record, second: Record
) -> None:
    """Otherwise the next push would count the difference as a change of this clone."""
    taken = with_record(session(), first, at="now", busy=())
    parts = SessionParts(taken, posts=first.posts, previous=first.previous)
    parts = parts._replace(log=[line.encode() for line in first.evaluations])
    assert merge_records(own_record(parts, first, CLONE), first) == first
    merged = merge_records(first, second)
    again = with_record(taken, merged, at="now", busy=())
    assert with_record(again, merged, at="later", busy=()) is again
    assert own_record(parts._replace(session=again), merged, CLONE).entries == merged.entries


def record(value: dict[str, Any]) -> Record:
    entry = Entry(Stamp(value["attempt"], 1, CLONE), canonical(value))
    return make_record(config=CONFIG, state="running", entries={"agent-1": entry})


LOCAL = {
    "status": "ready",
    "attempt": 1,
    "worktree": "/w/agent-1",
    "rescue": ["refs/hub/rescue/s1/agent-1/attempt-1/1"],
    "other": 1,
}


def test_the_worktree_of_an_earlier_attempt_is_kept() -> None:
    value = {"status": "done", "attempt": 2, "attempts": {"attempt-1": {"status": "failed"}}}
    taken = with_record(session(agents={"agent-1": LOCAL}), record(value), at="now", busy=())
    assert taken.document["agents"]["agent-1"] == {
        "status": "done",
        "attempt": 2,
        "attempts": {"attempt-1": {"status": "failed", "worktree": "/w/agent-1"}},
        "rescue": LOCAL["rescue"],
        "other": 1,
    }
    assert taken.document["updated"] == "now"


def test_an_agent_for_which_a_command_runs_is_kept() -> None:
    before = session("running", agents={"agent-1": {**LOCAL, "status": "running"}})
    changed = record({"status": "failed", "attempt": 1})
    assert with_record(before, changed, at="now", busy={"agent-1"}) is before
    assert with_record(before, changed, at="now", busy=()) is not before


def test_a_record_adds_a_baseline_and_facts_but_changes_none() -> None:
    facts = {"base_commit": canonical("0" * 40), "parent": canonical({"session": "s0"})}
    received = make_record(config={**CONFIG, "baseline": "1"}, state="running", facts=facts)
    own = session("running", base_commit="9" * 40)
    assert with_record(own, received, at="now", busy=()).document == {
        **own.document,
        "parent": {"session": "s0"},
        "updated": "now",
    }
    assert merged_config(own.config, received).values == {**CONFIG, "baseline": "1"}
    measured = Config({**CONFIG, "baseline": "2"})
    assert merged_config(measured, received) is measured
