"""Sessions after a winner that was measured in place, or was not: values are never mixed."""

from __future__ import annotations

import pytest

from tests.support.hints import follow_hint, types
from tests.support.hub import Hub, Result

METRIC = ("--metric", "ms", "--direction", "lower")
WITH_CACHE = ("--eval", "test -e cache && echo ms: 10 || echo ms: 100", *METRIC)
AGENT = "touch cache; echo $HUB_SESSION_ID >new"
RUN = ("run", "-q", "--agents=1", "--agent-cmd", AGENT, "--yes")
HINT = "give --in-place or --baseline measure"
FROM_PLACE = Result(
    129,
    "",
    "error: a baseline that was measured in place cannot be compared with new worktrees\n"
    f"hint: {HINT}\n",
)
FROM_NEW_WORKTREE = Result(
    129,
    "",
    "error: --in-place cannot be compared with a baseline that is measured in a new worktree\n"
    "hint: leave out --in-place, or give --baseline <number>\n",
)


def create_evaluated(hub: Hub, *options: str) -> None:
    """Create the session s1 with one agent, and evaluate it."""
    hub.commit(hub.top, ".gitignore", "/cache\n")
    hub.run("init", "-q", "--id=s1", "--task=x", "--agents=1", *WITH_CACHE)
    work(hub, "s1")
    assert hub.run("eval", "-q", "s1", *options) == Result(0)


def work(hub: Hub, sid: str) -> None:
    """Spawn the agents of a session, and let each of them work."""
    hub.run("spawn", "-q", sid)
    assert hub.run("exec", "-q", "--commit", sid, "--", "sh", "-c", AGENT).code == 0


@types(HINT)
def test_session_after_a_winner_in_place(hub: Hub) -> None:
    create_evaluated(hub, "--in-place")
    assert hub.run("init", "-q", "--after", "s1") == Result(0, "s1-r2\n")
    state = hub.state("s1-r2")
    assert (state["in_place_baseline"], "measured_baseline" in state) == ("10", False)
    work(hub, "s1-r2")
    assert hub.run("eval", "s1-r2") == FROM_PLACE
    follow_hint(HINT)
    assert hub.run("eval", "-q", "--in-place", "s1-r2") == Result(0)
    evaluation = hub.state("s1-r2")["evaluation"]
    assert (evaluation["in_place"], evaluation["baseline"]) == (True, 10)
    assert hub.run("eval", "-q", "--baseline", "measure", "s1-r2") == Result(0)
    evaluation = hub.state("s1-r2")["evaluation"]
    assert ("in_place" in evaluation, evaluation["baseline"]) == (False, 100)
    assert hub.run("eval", "-q", "--baseline", "70", "s1-r2") == Result(0)


def test_session_after_a_winner_from_a_new_worktree(hub: Hub) -> None:
    create_evaluated(hub)
    hub.run("init", "-q", "--after", "s1")
    work(hub, "s1-r2")
    assert hub.run("eval", "--in-place", "s1-r2") == FROM_NEW_WORKTREE
    assert hub.run("eval", "-q", "s1-r2") == Result(0)
    # Another metric has another baseline, and a person may give any number.
    options = ("--after", "s1", "--metric", "ms", "--direction", "lower", "--baseline", "20")
    assert hub.run("init", "-q", "--id=other", *options).code == 0
    work(hub, "other")
    assert hub.run("eval", "-q", "--in-place", "other") == Result(0)


@pytest.mark.parametrize("first", ["", "--in-place"])
def test_run_after_a_winner_that_was_measured_otherwise(hub: Hub, first: str) -> None:
    """`run` refuses before an agent has worked."""
    create_evaluated(hub, *filter(None, [first]))
    second = [] if first else ["--in-place"]
    refused = FROM_PLACE if first else FROM_NEW_WORKTREE
    after = (*RUN, "--after", "s1", "--baseline", "none")
    assert hub.run(*after, *second) == refused
    assert not hub.directory("s1-r2").exists()
    same = hub.run(*after, *filter(None, [first]))
    assert (same.code, hub.state("s1-r2")["evaluation"]["baseline"]) == (0, 10 if first else 100)


def test_rounds_in_place(hub: Hub) -> None:
    """The baseline of the second round is the value of the first winner in its own worktree."""
    hub.commit(hub.top, ".gitignore", "/cache\n")
    improve = "touch cache; echo $HUB_SESSION_ID >>new"
    command = ("--eval", "test -e cache; echo ms: $((50 - $(stat -c %s new)))", *METRIC)
    run = ("run", "-q", "--id=s1", "--task=x", "--agents=1", "--agent-cmd", improve, *command)
    options = ("--in-place", "--baseline", "50", "--rounds", "2", "--yes")
    assert hub.run(*run, *options).code == 0
    assert hub.state("s1-r2")["in_place_baseline"] == "47"
    assert hub.state("s1-r2")["evaluation"]["in_place"] is True
    assert "Hub-Metric: ms 50 -> 41\n" in hub.git("log", "-1", "--format=%B", "main") + "\n"


def test_rounds_that_were_measured_otherwise(hub: Hub) -> None:
    """The change over both rounds is unknown, so the merge shows that of the last round."""
    hub.commit(hub.top, ".gitignore", "/cache\n")
    value = "test -e fast && echo ms: 60 || echo ms: 100"
    command = f"test -e cache && echo ms: 10 || {{ {value}; }}"
    run = ("run", "-q", "--id=s1", "--task=x", "--agents=1", "--eval", command, *METRIC)
    options = ("--agent-cmd", AGENT, "--in-place", "--baseline", "5")
    assert hub.run(*run, *options).code == 1  # no improvement
    assert hub.run("eval", "-q", "--in-place", "--baseline=50", "s1") == Result(0)
    result = hub.run("run", "-q", "--after", "s1", "--agent-cmd", "touch fast", "--yes")
    assert result.code == 0, result
    assert "Hub-Metric: ms 100 -> 60\n" in hub.git("log", "-1", "--format=%B", "main") + "\n"
