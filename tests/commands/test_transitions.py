"""Every pair of the transition table, through the command."""

from __future__ import annotations

import json

import pytest

from tests.support.hub import Hub, Result
from tests.support.stores import STATES, put

ALLOWED = {
    "init": ["running"],
    "running": ["evaluating"],
    "evaluating": ["merged", "archived"],
    "merged": [],
    "archived": [],
}
# 2026-03-17T14:30:22Z, as the tests' clock says it.
AT = "2026-03-17T14:30:22.000000+00:00"
PAIRS = [(source, target) for source in STATES for target in STATES]


def refusal(source: str, target: str) -> Result:
    allowed = ", ".join(f"'{state}'" for state in ALLOWED[source])
    hint = (
        f"from '{source}' a session can go to {allowed}"
        if allowed
        else f"'{source}' is a final state"
    )
    return Result(1, "", f"error: cannot go from '{source}' to '{target}'\nhint: {hint}\n")


def after(before: bytes, source: str, target: str) -> bytes:
    """The document that the one transition makes of `before`."""
    document = json.loads(before)
    step = {"at": AT, "from": source, "to": target, "by": "Ada <ada@example.com>", "verb": "update"}
    document |= {"state": target, "updated": AT, "history": [step]}
    return (json.dumps(document, indent=2) + "\n").encode()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_each_pair_of_states(hub: Hub, source: str, target: str) -> None:
    """The four legal ones move the session and record it; the others leave every byte."""
    before = put(hub, source)
    file = hub.directory() / "state.json"
    legal = target in ALLOWED[source]

    # Someone else was quicker: whatever the step, the condition decides first.
    other = STATES[(STATES.index(source) + 1) % len(STATES)]
    assert hub.run("update", "s1", "--state", target, "--if-state", other) == Result(
        1, "", f"error: session 's1' is '{source}', not '{other}'\n"
    )
    assert hub.run("update", "-n", "s1", "--state", target) == (
        Result(0, f"Would update session s1: {source} → {target}\n")
        if legal
        else refusal(source, target)
    )
    assert file.read_bytes() == before

    # With --if-state for a half of the pairs, without for the other half, and AgentHub's spelling.
    condition = ["--if-state", source] if (len(source) + len(target)) % 2 else []
    assert hub.run("--update", "s1", "--state", target, *condition) == (
        Result(0, f"Session s1: {source} → {target}\n") if legal else refusal(source, target)
    )
    assert file.read_bytes() == (after(before, source, target) if legal else before)
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.yaml", "state.json"]


@pytest.mark.parametrize("state", STATES)
def test_if_state_alone_swaps_nothing_that_the_table_forbids(hub: Hub, state: str) -> None:
    before = put(hub, state)
    assert hub.run("update", "s1", "--state", "init", "--if-state", state) == refusal(state, "init")
    assert (hub.directory() / "state.json").read_bytes() == before


def test_what_is_no_state(hub: Hub) -> None:
    before = put(hub, "init")
    for words in (["--state", "done"], ["--state", ""], ["--state", "running", "--if-state", "x"]):
        result = hub.run("update", "s1", *words)
        first, hint = result.err.splitlines()[:2]
        assert (result.code, result.out) == (129, "")
        assert first == f"error: not a state: '{words[-1]}'"
        assert hint == "hint: the states are init, running, evaluating, merged, archived"
    assert (hub.directory() / "state.json").read_bytes() == before
