"""`eval` and `merge`: the best attempt of an agent counts."""

from __future__ import annotations

import json

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)


def add_attempt(hub: Hub, metric: str) -> str:
    """Let agent-1 commit a metric on a branch of its own, and adopt the branch as an attempt."""
    worktree = agent_worktree(hub, 1)
    hub.git("switch", "-q", "-c", f"fix-{len(hub.refs('refs/heads'))}", cwd=worktree)
    tip = hub.commit(worktree, "ms", metric)
    assert hub.run("adopt", "s1", "agent-1").code == 0
    return tip


def test_earlier_attempt_wins(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 50\n", "ms: 70\n")
    last = add_attempt(hub, "ms: 90\n")
    result = hub.run("eval", *MEASURE, "-j2", "s1")
    assert result == Result(
        0,
        "RANK  AGENT              METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-1/attempt-1      50      -       -      1  +1/-0\n"
        "   2  agent-2                70      -       -      1  +1/-0\n"
        "   -  agent-1/attempt-2      90      -       -      1  +1/-0  attempt-1 counts\n"
        "Session s1: running → evaluating\n",
    )
    recorded = hub.state()["agents"]["agent-1"]["result"]
    first = hub.git("rev-parse", "hub/s1/agent-1/attempt-1")
    keys = ("rank", "attempt", "last_attempt", "commit", "metric")
    assert [recorded[key] for key in keys] == [1, 1, 2, first, 50]
    entries = hub.json("log", "--evaluations", "s1")["evaluations"]
    assert [
        (entry["agent"], entry["attempt"], entry["rank"], entry["commit"], entry["value"])
        for entry in entries[::-1]
    ][::2] == [(1, 1, 1, first, 50), (1, 2, None, last, 90)]
    log = hub.run("log", "--evaluations", "s1").out
    assert f"       -  agent-1/attempt-2  {last[:12]}  ms: 90\n" in log
    logs = (hub.directory() / "output" / "eval-1").glob("agent-1*")
    assert sorted(path.name for path in logs) == ["agent-1-attempt-1.log", "agent-1.log"]
    agent = hub.json("status", "s1")["agents"][0]
    assert [agent[key] for key in ("attempt", "ranked_attempt", "value", "outdated")] == [
        *(2, 1, 50, False),
    ]
    assert "attempt-1 counts" in hub.run("status", "s1").out
    # A person ranks the same attempt, and the user can name another one.
    assert hub.run("eval", "-q", "--ranking", "1,2", "s1").code == 0
    assert recorded_ranks(hub)["agent-1"] == (1, 50, "")
    other = hub.run("merge", "-n", "--agent=agent-1/attempt-2", "s1")
    assert other.err == "warning: agent-1/attempt-2 was not ranked\n"
    assert other.out.startswith("Merging hub/s1/agent-1/attempt-2 into main\n  ms | 1 +\n")
    done = hub.run("merge", "--yes", "s1")
    assert (done.code, done.err) == (0, "")
    assert "Merged agent-1/attempt-1 into main: " in done.out
    assert hub.git("show", "main:ms") == "ms: 50"
    assert "Hub-Agent: agent-1/attempt-1\nHub-Metric: ms 50" in hub.git("log", "-1", "--format=%B")
    assert last in hub.refs("refs/tags/hub/archive/s1").values()
    wrong = {
        "1/attempt-9": (1, "agent-1/attempt-9 has no branch"),
        "1/last": (129, "not an attempt: '1/last'"),
        "1/0": (129, "not an attempt: '1/0'"),
    }
    create_measurable_session(hub, "ms: 1\n", sid="s2")
    assert hub.run("eval", "-q", *MEASURE, "s2").code == 0
    for name, (code, message) in wrong.items():
        refused = hub.run("merge", "--agent", name, "s2")
        assert (refused.code, refused.err.splitlines()[0]) == (code, f"error: {message}")


def test_conflict_of_an_earlier_attempt(hub: Hub) -> None:
    """`path` returns the worktree of the last attempt, so the first hint is `adopt`."""
    create_measurable_session(hub, "ms: 50\n")
    add_attempt(hub, "ms: 60\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    hub.commit(hub.top, "ms", "ms: 9\n")
    tip = hub.git("rev-parse", "hub/s1/agent-1/attempt-1")
    result = hub.run("merge", "--unmeasured", "--yes", "s1")
    adopt = f"git hub-session adopt s1 agent-1 {tip[:12]}"
    merge = 'dir=$(git hub-session path s1 agent-1) && git -C "$dir" merge main'
    assert (result.code, result.out, result.err.splitlines()[-4:]) == (
        1,
        "agent-1/attempt-1 and 'main' conflict in\n  ms\n",
        [
            f"hint: {adopt}",
            f"hint: {merge}",
            "hint: resolve and commit the conflicts there, then: git hub-session eval s1",
            "nothing was changed",
        ],
    )
    fast_forward = hub.run("merge", "--ff", "--yes", "s1").err.splitlines()
    assert fast_forward[0].endswith("it has commits that agent-1/attempt-1 does not have")
    assert hub.call("sh", "-c", f"{adopt} && {merge} -q -X ours").code == 0
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:ms") == "ms: 50"


def test_last_of_equal_attempts_counts(hub: Hub) -> None:
    """A tree is measured once. A newer attempt makes the result outdated."""
    create_measurable_session(hub, "ms: 50\n", "ms: 70\n")
    add_attempt(hub, "ms: 60\n")
    add_attempt(hub, "ms: 60 \n")
    hub.git("branch", "hub/s1/agent-2/attempt-2", "hub/s1/agent-2/attempt-1")
    passed = json.loads(hub.run("eval", "--eval=cat ms", "--format=json", "s1").out)
    assert [(row["agent"], row["attempt"], row["counted"]) for row in passed["agents"]] == [
        *((1, 3, True), (2, 2, True), (1, 1, False), (1, 2, False)),
    ]
    tied = hub.run("eval", *MEASURE, "--eval", "grep -q 60 ms && echo ms: 5 || echo ms: 9", "s1")
    assert tied.out.splitlines()[1].split()[:3] == ["1", "agent-1/attempt-3", "5"]
    add_attempt(hub, "ms: 1\n")
    assert hub.json("status", "s1")["agents"][0]["outdated"] is True
    refused = hub.run("merge", "--yes", "s1")
    message = "agent-1 made another attempt since the evaluation"
    assert refused.code == 1
    assert refused.err.startswith(f"error: {message}: the result of the merge was not measured\n")
