"""Records of clones merge to one record, in any order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from git_hub_session.sharing.merge_records import OtherSession, merge_records
from git_hub_session.sharing.record import (
    Entry,
    Record,
    Stamp,
    make_record,
    parse_record,
    record_files,
)
from git_hub_session.sharing.session_record import with_stamps
from git_hub_session.sharing.session_values import CONFIG_KEYS
from git_hub_session.sharing.values import canonical
from tests.support.examples import many_examples
from tests.support.shared_records import CONFIG, OID, SID, records


@many_examples(200)
@given(records(), records())
def test_the_order_of_two_records_does_not_matter(first: Record, second: Record) -> None:
    assert merge_records(first, second) == merge_records(second, first)


@many_examples(200)
@given(records(), records(), records())
def test_the_grouping_of_three_records_does_not_matter(a: Record, b: Record, c: Record) -> None:
    assert merge_records(merge_records(a, b), c) == merge_records(a, merge_records(b, c))


@many_examples(200)
@given(records(), records())
def test_a_merge_again_changes_nothing(first: Record, second: Record) -> None:
    merged = merge_records(first, second)
    assert merge_records(first, first) == first
    assert merge_records(merged, first) == merged


@many_examples(200)
@given(records(), records())
def test_a_merged_record_is_the_same_after_it_was_written_and_read(
    first: Record, second: Record
) -> None:
    merged = merge_records(first, second)
    assert parse_record(record_files(merged), SID) == merged


def entry(text: str, counter: int, clone: str = "a" * 32) -> Entry:
    return Entry(Stamp(1, counter, clone), text)


def test_an_entry_gets_a_new_stamp_only_if_it_differs() -> None:
    known = {"agent-1": entry('{"attempt":1}', 4), "agent-2": entry('{"attempt":1}', 4)}
    values = {"agent-1": '{"attempt":1}', "agent-2": '{"attempt":2}', "agent-3": '{"attempt":1}'}
    clone = "b" * 32
    assert with_stamps(values, known, clone) == {
        "agent-1": known["agent-1"],
        "agent-2": Entry(Stamp(2, 5, clone), '{"attempt":2}'),
        "agent-3": Entry(Stamp(1, 1, clone), '{"attempt":1}'),
    }


def test_the_newest_entry_wins_without_a_clock() -> None:
    old = Record(CONFIG, "running", entries={"agent-1": entry('{"attempt":1,"z":9}', 1)})
    new = Record(CONFIG, "init", entries={"agent-1": entry('{"attempt":1,"a":0}', 2)})
    merged = merge_records(old, new)
    assert (merged.entries, merged.state) == (new.entries, "running")


def ended(state: str, *decisions: tuple[int, str]) -> Record:
    steps = tuple(
        f'{{"from":"merged","number":{number},"to":"{target}","verb":"resolve"}}'
        for number, target in decisions
    )
    return make_record(config=CONFIG, state=state, history=steps)


@pytest.mark.parametrize(
    ("first", "second", "state", "is_conflict"),
    [
        (ended("merged"), ended("merged"), "merged", False),
        (ended("merged"), ended("archived"), "merged", True),
        (ended("merged", (1, "archived")), ended("archived"), "archived", False),
        (ended("merged", (1, "archived")), ended("archived", (1, "merged")), "merged", True),
        (ended("merged", (1, "merged")), ended("archived", (2, "archived")), "archived", False),
    ],
)
def test_two_endings_are_a_conflict_until_a_decision(
    first: Record, second: Record, state: str, *, is_conflict: bool
) -> None:
    merged = merge_records(first, second)
    assert (merged.state, merged.conflict is not None) == (state, is_conflict)


def merge_of(agent: int, commit: str = "1") -> str:
    values = {"agent": agent, "attempt": 1, "tip": OID, "into": "main", "commit": commit * 40}
    return canonical(values)


def merged_by(*agents: int, chosen: tuple[int, int] | None = None, state: str = "merged") -> Record:
    """Return the record of a clone that has merged agents, and has chosen (number, agent)."""
    step = {"from": "merged", "to": "merged", "verb": "resolve", "attempt": 1}
    history = [canonical({**step, "number": chosen[0], "agent": chosen[1]})] if chosen else []
    merges = tuple(map(merge_of, agents))
    return make_record(config=CONFIG, state=state, merges=merges, history=tuple(history))


@pytest.mark.parametrize(
    ("records", "winner", "conflict"),
    [
        ([merged_by(1), merged_by(1)], 1, []),
        ([merged_by(1), merged_by(2)], 2, [1, 2]),
        ([merged_by(1, chosen=(1, 1)), merged_by(2)], 1, []),
        ([merged_by(1, 2, chosen=(1, 1)), merged_by(1, 2, chosen=(2, 2))], 2, []),
        ([merged_by(1, 2, chosen=(1, 1)), merged_by(1, 2, chosen=(1, 2))], 2, [1, 2]),
        ([merged_by(1, 2, chosen=(1, 3)), merged_by(2)], 2, [1, 2]),
        ([merged_by(1, 2), ended("archived", (1, "archived"))], 2, []),
        ([merged_by(1, 2, chosen=(1, 1)), ended("archived", (2, "merged"))], 2, [1, 2]),
    ],
)
def test_different_winners_are_a_conflict_until_a_decision(
    records: list[Record], winner: int, conflict: list[int]
) -> None:
    merged = merge_records(*records)
    assert json.loads(merged.merge)["agent"] == winner
    shown = [merge["agent"] for merge in merged.conflict.merges] if merged.conflict else []
    assert shown == conflict


def test_two_merges_of_one_winner_are_no_conflict() -> None:
    first = make_record(config=CONFIG, state="merged", merges=(merge_of(1, "1"),))
    second = make_record(config=CONFIG, state="merged", merges=(merge_of(1, "2"),))
    merged = merge_records(first, second)
    assert merged.conflict is None
    assert merged.merges == (merge_of(1, "1"), merge_of(1, "2"))


@pytest.mark.parametrize("key", [key for key in CONFIG_KEYS if key != "baseline"])
def test_two_sessions_with_one_id_are_not_merged(key: str) -> None:
    first, second = Record(CONFIG, "init"), Record({**CONFIG, key: "!"}, "init")
    for pair in ((first, second), (second, first)):
        with pytest.raises(OtherSession) as caught:
            merge_records(*pair)
        assert caught.value.message.endswith(
            f" is another session on the remote: '{key}' differs in config.yaml"
        )


def test_a_wrong_clock_changes_neither_the_state_nor_the_order_of_the_history() -> None:
    def step(at: str, source: str, target: str) -> str:
        return f'{{"at":"{at}","from":"{source}","to":"{target}"}}'

    early = step("1999-01-01T00:00:00Z", "running", "evaluating")
    late = step("2099-01-01T00:00:00Z", "init", "running")
    first = make_record(config=CONFIG, state="running", history=(late,))
    second = make_record(config=CONFIG, state="evaluating", history=(late, early))
    merged = merge_records(first, second)
    assert (merged.state, merged.history) == ("evaluating", (late, early))
