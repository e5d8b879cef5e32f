"""`init --after`: a session that starts from the winner of another session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.evaluated_sessions import protected_state
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import recorded_ranks

INIT = ("init", "-q", "--id", "s1", "--task", 'Be "quick"', "--agents", "2")
METRIC = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower", "--baseline", "50")
IMPROVE = 'echo "ms: $(($(cut -c5- ms) - 4 * ${HUB_AGENT#agent-}))" >ms'


@pytest.fixture
def project(hub: Hub) -> Hub:
    """Return a hub whose project has the metric `ms` 50. The session s1 has no agents yet."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    assert hub.run(*INIT, *METRIC, "--guard", "ms2").code == 128
    assert hub.run(*INIT, *METRIC, "--no-guard") == Result(0, "s1\n")
    return hub


def work(hub: Hub, sid: str, command: str, *options: str) -> Result:
    """Spawn the agents of a session, let each of them work, and evaluate them."""
    assert hub.run("spawn", "-q", sid).code == 0
    assert hub.run("exec", "-q", "--commit", sid, "--", "sh", "-c", command).code == 0
    return hub.run("eval", sid, *options)


def previous(hub: Hub, sid: str) -> list[dict[str, Any]]:
    """Return the rounds in the file of HUB_PREVIOUS."""
    document = json.loads((hub.directory(sid) / "previous.json").read_text())
    rounds: list[dict[str, Any]] = document["rounds"]
    return rounds


def test_session_after_a_winner(project: Hub) -> None:
    assert work(project, "s1", IMPROVE).code == 0
    winner = project.git("rev-parse", "hub/s1/agent-2/attempt-1")
    before = project.state("s1")
    assert project.run("init", "--after", "s1", "--agents", "3") == Result(
        0,
        "Initialized session s1-r2 in .agenthub/sessions/s1-r2\n"
        '  Task: Be "quick"\n  Agents: 3\n  Base branch: main\n'
        f"  After: agent-2 of session s1 ({winner[:12]})\n"
        "  Eval: cat ms\n  Metric: ms (lower)\n  Baseline: 42\n  State: init\n",
    )
    assert project.state("s1") == before
    state = project.state("s1-r2")
    parent = {"session_id": "s1", "agent": 2, "attempt": 1, "commit": winner}
    assert (state["base_commit"], state["parent"]) == (winner, parent)

    # agent-3 has no commit of its own. The others see the file, and are measured against 42.
    record = 'cp "$HUB_PREVIOUS" ../previous-$HUB_AGENT'
    agent = f"{record}; test $HUB_AGENT = agent-3 || {{ {IMPROVE}; }}"
    result = work(project, "s1-r2", agent, "--baseline", "measure")
    assert result.out == (
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-2      34     -8       -      1  +1/-1\n"
        "   2  agent-1      38     -4       -      1  +1/-1\n"
        "   3  agent-3       -      -       -      0  +0/-0  no commit of its own, not measured\n"
        "Session s1-r2: running → evaluating\n"
    )
    copies = [project.top.parent / "project.hub" / "s1-r2" / f"previous-agent-{n}" for n in (1, 2)]
    assert {path.read_text() for path in copies} == {
        (project.directory("s1-r2") / "previous.json").read_text()
    }
    assert project.git("log", "--format=%s", "main..hub/s1-r2/agent-2/attempt-1") == (
        'agent-2: Be "quick"\nagent-2: Be "quick"'
    )
    assert_earlier_sessions(project, winner)


def assert_earlier_sessions(project: Hub, winner: str) -> None:
    """Assert what `init`, `list`, `status`, `log` and HUB_PREVIOUS say about the third session."""
    document = json.loads(project.run("init", "--after", "s1-r2", "--format=json").out)
    second = project.git("rev-parse", "hub/s1-r2/agent-2/attempt-1")
    parent = {key: value for key, value in document.items() if key.startswith("parent")}
    assert parent == {
        "parent": "s1-r2",
        "parent_agent": 2,
        "parent_attempt": 1,
        "parent_commit": second,
    }
    assert project.run("list").out.splitlines()[-1] == (
        's1-r3       init        3       0 seconds ago  (after s1-r2) Be "quick"'
    )
    assert project.run("list", "--format=porcelain").out.endswith("\nparent s1-r2\n\n")
    assert f"\n  After: agent-2 of session s1-r2 ({second[:12]})\n" in project.run("status").out
    assert project.run("log", "s1-r3").out == (
        f"Started from\n    agent-2 of session s1-r2 ({second[:12]})\n"
        f"    agent-2 of session s1 ({winner[:12]})\n"
    )
    assert project.run("log", "s1-r3", "--format=porcelain").out == (
        f"ancestor s1\nagent 2\nattempt 1\ncommit {winner}\n\n"
        f"ancestor s1-r2\nagent 2\nattempt 1\ncommit {second}\n\n"
    )
    rounds = previous(project, "s1-r3")
    assert [(each["session_id"], each["baseline"]) for each in rounds] == [
        *(("s1", 50.0), ("s1-r2", 42.0)),
    ]
    assert [attempt["delta"] for attempt in rounds[1]["attempts"]] == [-8.0, -4.0, None]
    diff = rounds[1]["attempts"][0]
    assert (diff["files"], diff["diff"][-16:], diff["diff_truncated"]) == (
        *(1, "-ms: 42\n+ms: 34\n", False),
    )


def test_earlier_attempts_and_large_diffs_in_the_digest(project: Hub) -> None:
    """The log of evaluations has an attempt that the last evaluation did not measure."""
    large = "printf '%090000d\\n' 0 >large; git add large"
    assert work(project, "s1", f"{IMPROVE}; {large}").code == 0
    tip = "hub/s1/agent-1/attempt-1"
    commit = project.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "again")
    assert project.run("adopt", "-q", "s1", "agent-1", commit).code == 0
    assert project.run("eval", "-q", "s1").code == 0
    assert project.run("init", "-q", "--after", "s1", "--id", "next") == Result(0, "next\n")
    [only] = previous(project, "next")
    keys = ("agent", "attempt", "rank", "value", "diff_truncated")
    assert [tuple(each[key] for key in keys) for each in only["attempts"]] == [
        *((2, 1, 1, 42.0, True), (1, 2, 2, 46.0, True), (1, 1, None, 46.0, True)),
    ]
    assert {len(each["diff"]) for each in only["attempts"]} == {64 << 10}


def test_baseline_is_the_merge_with_the_base_branch(project: Hub) -> None:
    """The base branch moved: the start of the agents is measured as `merge` would land it."""
    assert work(project, "s1", IMPROVE).code == 0
    assert project.run("init", "-q", "--after", "s1").code == 0
    project.commit(project.top, "other", "x\n")
    measure = ("--eval", "cat ms; test -e other", "--baseline", "measure")
    assert work(project, "s1-r2", IMPROVE, *measure).code == 0
    assert project.state("s1-r2")["evaluation"]["baseline"] == 42
    assert recorded_ranks_of(project, "s1-r2") == [34.0, 38.0]
    project.commit(project.top, "ms", "ms: 49\n")
    result = project.run("eval", "s1-r2", "--baseline", "measure")
    assert (result.code, "conflicts with 'main' in 'ms'" in result.err) == (1, True)


def recorded_ranks_of(hub: Hub, sid: str) -> list[float | None]:
    """Return the metrics of the agents of a session, best first."""
    results = [agent["result"] for agent in hub.state(sid)["agents"].values()]
    return [result["metric"] for result in sorted(results, key=lambda result: result["rank"])]


def test_sessions_without_a_winner(project: Hub) -> None:
    """Nothing changes, and the hint is the command that helps."""
    refusal = "no session can start from its winner"
    assert_refused(project, f"session 's1' is 'init': {refusal}", "git hub-session spawn s1")
    assert project.run("spawn", "-q", "s1").code == 0
    assert_refused(project, f"session 's1' is 'running': {refusal}", "git hub-session eval s1")
    exec_worse = ("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo ms: 60 >ms")
    assert project.run(*exec_worse).code == 0
    assert project.run("eval", "-q", "s1").code == 0
    assert_refused(
        project, "no agent of session 's1' improves on the baseline", "git hub-session archive s1"
    )
    assert project.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo ms: 9 >ms").code == 0
    assert_refused(project, "agent-1 committed since the evaluation", "git hub-session eval s1")
    assert recorded_ranks(project)["agent-1"][1] == 60
    assert project.run("init", "--after", "s1", "--base-branch", "main").err.startswith(
        "error: --after and --base-branch exclude each other\n"
    )
    assert project.run("init", "--after", "none").err == (
        "fatal: no such session: 'none'\nhint: git hub-session list\n"
    )
    assert project.run("archive", "-q", "s1").code == 0
    assert_refused(
        project,
        f"session 's1' is 'archived': {refusal}",
        "git hub-session init --task <text>",
    )


def assert_refused(hub: Hub, message: str, hint: str) -> None:
    """Assert that `init --after s1` is refused, and that nothing changes."""
    before = protected_state(hub)
    assert hub.run("init", "--after", "s1") == Result(1, "", f"error: {message}\nhint: {hint}\n")
    assert protected_state(hub) == before
