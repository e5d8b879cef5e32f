"""`update` with each pair of states."""

from __future__ import annotations

import json

import pytest

from tests.support.hub import Hub, Result
from tests.support.stores import STATES, create_session

ALLOWED = {
    "init": ["running"],
    "running": ["evaluating"],
    "evaluating": ["merged", "archived"],
    "merged": [],
    "archived": [],
}
# The clock of the tests, 2026-03-17T14:30:22Z.
NOW_TEXT = "2026-03-17T14:30:22.000000+00:00"
PAIRS = [(source, target) for source in STATES for target in STATES]


def refused(source: str, target: str) -> Result:
    """Return the result of an illegal transition."""
    allowed = ", ".join(f"'{state}'" for state in ALLOWED[source])
    hint = (
        f"from '{source}' a session can go to {allowed}"
        if allowed
        else f"'{source}' is a final state"
    )
    return Result(1, "", f"error: cannot go from '{source}' to '{target}'\nhint: {hint}\n")


def document_after(before: bytes, source: str, target: str) -> bytes:
    """Return state.json after one transition."""
    document = json.loads(before)
    step = {
        "at": NOW_TEXT,
        "from": source,
        "to": target,
        "by": "Ada <ada@example.com>",
        "verb": "update",
    }
    document |= {"state": target, "updated": NOW_TEXT, "history": [step]}
    return (json.dumps(document, indent=2) + "\n").encode()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_each_pair_of_states(hub: Hub, source: str, target: str) -> None:
    """A legal transition is recorded. Another one leaves state.json unchanged."""
    before = create_session(hub, source)
    file = hub.directory() / "state.json"
    is_legal = target in ALLOWED[source]

    # --if-state is checked first: another process may have changed the state.
    other = STATES[(STATES.index(source) + 1) % len(STATES)]
    assert hub.run("update", "s1", "--state", target, "--if-state", other) == Result(
        1, "", f"error: session 's1' is '{source}', not '{other}'\n"
    )
    assert hub.run("update", "-n", "s1", "--state", target) == (
        Result(0, f"Would update session s1: {source} → {target}\n")
        if is_legal
        else refused(source, target)
    )
    assert file.read_bytes() == before

    # Half of the pairs use --if-state, and all use AgentHub's spelling of the command.
    condition = ["--if-state", source] if (len(source) + len(target)) % 2 else []
    assert hub.run("--update", "s1", "--state", target, *condition) == (
        Result(0, f"Session s1: {source} → {target}\n") if is_legal else refused(source, target)
    )
    assert file.read_bytes() == (document_after(before, source, target) if is_legal else before)
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.yaml", "state.json"]


@pytest.mark.parametrize("state", STATES)
def test_if_state_does_not_allow_an_illegal_transition(hub: Hub, state: str) -> None:
    before = create_session(hub, state)
    assert hub.run("update", "s1", "--state", "init", "--if-state", state) == refused(state, "init")
    assert (hub.directory() / "state.json").read_bytes() == before


def test_unknown_state(hub: Hub) -> None:
    before = create_session(hub, "init")
    for arguments in (
        ["--state", "done"],
        ["--state", ""],
        ["--state", "running", "--if-state", "x"],
    ):
        result = hub.run("update", "s1", *arguments)
        first, hint = result.err.splitlines()[:2]
        assert (result.code, result.out) == (129, "")
        assert first == f"error: not a state: '{arguments[-1]}'"
        assert hint == "hint: the states are init, running, evaluating, merged, archived"
    assert (hub.directory() / "state.json").read_bytes() == before
