"""`merge` refuses a winner that is not better than the baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pexpect
import pytest

from tests.support.cleanup import everything
from tests.support.evaluated_sessions import protected_state
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import agent_worktree, create_measurable_session

MEASURE = ("--eval", "cat ms", "--metric", "ms")


def evaluate(hub: Hub, *options: str, direction: str = "lower") -> None:
    """Measure and rank the agents of the session s1."""
    arguments = (*MEASURE, "--direction", direction, *options)
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)


def measured_session(hub: Hub, metrics: Sequence[str], *options: str, **keywords: Any) -> None:
    """Create the session s1, whose agents have these metrics, and evaluate it."""
    create_measurable_session(hub, *(f"ms: {metric}\n" for metric in metrics))
    evaluate(hub, *options, **keywords)


def edit_state(hub: Hub, key: str, value: object) -> None:
    """Replace a value in `evaluation` of state.json."""
    path = hub.directory() / "state.json"
    state = json.loads(path.read_text())
    state["evaluation"][key] = value
    path.write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("metrics", "direction", "baseline", "best"),
    [
        (["8", "7"], "lower", "5", "7 (agent-2)"),
        (["8", "5"], "lower", "5", "5 (agent-2)"),
        (["3", "4"], "higher", "5", "4 (agent-2)"),
        (["5.0000001"], "lower", "5", "5.0000001 (agent-1)"),
    ],
)
def test_no_agent_improves(
    hub: Hub, metrics: list[str], direction: str, baseline: str, best: str
) -> None:
    """Neither `merge` nor its dry run changes anything. An equal metric is not better."""
    measured_session(hub, metrics, "--baseline", baseline, direction=direction)
    before = everything(hub)
    refused = Result(
        1,
        "",
        f"error: no agent improves on the baseline: the best 'ms' is {best}, the baseline is 5\n"
        "hint: git hub-session archive s1\nhint: git hub-session merge --allow-regression --yes s1\n",
    )
    assert hub.run("merge", "--yes", "s1") == refused
    assert hub.run("merge", "-n", "--yes", "s1") == refused
    assert everything(hub) == before
    assert hub.run("archive", "-q", "s1") == Result(0)


def test_regression_is_merged_on_request(hub: Hub) -> None:
    measured_session(hub, ["8", "7"], "--baseline", "5")
    result = hub.run("merge", "--yes", "--allow-regression", "s1")
    assert (result.code, result.err) == (0, "warning: agent-2 does not improve on the baseline\n")
    assert hub.git("show", "-s", "--format=%B", "main") == (
        "hub: merge agent-2 from session s1\n\nTask: t\nWinner: agent-2\nSession: s1\n\n"
        "Hub-Session: s1\nHub-Agent: agent-2\nHub-Metric: ms 5 -> 7\n"
    )
    assert (hub.state()["state"], (hub.top / "ms").read_text()) == ("merged", "ms: 7\n")


def test_requested_winner(hub: Hub) -> None:
    """The hint keeps all options."""
    measured_session(hub, ["8", "4"], "--baseline", "5")
    hub.git("branch", "release", "main")
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "--agent", "1", "--into=release", "--squash", "s1")
    command = (
        "git hub-session merge --agent agent-1 --into release --squash --allow-regression --yes s1"
    )
    assert result == Result(
        1,
        "",
        "error: agent-1 does not improve on the baseline: its 'ms' is 8, the baseline is 5\n"
        f"hint: git hub-session archive s1\nhint: {command}\n",
    )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", f"{command} --yes").code == 0
    assert hub.git("show", "release:ms") == "ms: 8"


def evaluate_values(hub: Hub, values: str, *options: str) -> None:
    """Measure agent-1 once for each of the values, which the eval command prints in turn."""
    create_measurable_session(hub, "x\n")
    script = "n=$(cat ../n 2>/dev/null || echo 1); echo $((n+1)) >../n; set -- $VALUES; shift $((n-1)); echo ms: $1"
    hub.environ["VALUES"] = values
    repeat = str(len(values.split()))
    arguments = ("--eval", script, "--metric", "ms", "--direction", "lower", "--repeat", repeat)
    assert hub.run("eval", "-q", *arguments, *options, "s1") == Result(0)


@pytest.mark.parametrize(
    ("values", "baseline", "margin"),
    [
        ("95 100 105", "110", ", margin 14.7756"),
        ("95 100 105", "115", ", margin 15.4472"),
        ("95 100 105", "118", None),
        ("95 100 105 95 100 105 95 100 105 95 100 105", "108", None),
        ("100 100 100", "100.1", None),
        ("100 100 100", "100", ""),
    ],
)
def test_gain_must_exceed_the_margin(
    hub: Hub, values: str, baseline: str, margin: str | None
) -> None:
    """Repeated measurements have to differ by more than noise. More of them need less."""
    evaluate_values(hub, values, "--baseline", baseline)
    before = protected_state(hub)
    result = hub.run("merge", "--yes", "s1")
    if margin is None:
        assert (result.code, result.err) == (0, "")
        return
    assert result == Result(
        1,
        "",
        f"error: no agent improves on the baseline: the best 'ms' is 100 (agent-1{margin}), "
        f"the baseline is {baseline}\n"
        "hint: git hub-session archive s1\nhint: git hub-session merge --allow-regression --yes s1\n",
    )
    assert protected_state(hub) == before


def evaluate_without_comparison(hub: Hub, metrics: Sequence[str], baseline: str) -> str:
    """Evaluate a session whose baseline cannot be compared. Return the reason."""
    create_measurable_session(hub, *(f"ms: {metric}\n" for metric in metrics))
    result = hub.run("eval", "-q", *MEASURE, "--direction=lower", "--baseline", baseline, "s1")
    assert (result.code, result.out, hub.state()["evaluation"]["baseline"]) == (0, "", None)
    return result.err.removeprefix("warning: ").rstrip("\n")


def refused_without_comparison(reason: str) -> Result:
    """Return the result of a merge without a baseline that can be compared."""
    return Result(
        1,
        "",
        f"error: no agent is compared with the baseline: {reason}\n"
        "hint: git hub-session archive s1\nhint: git hub-session merge --allow-regression --yes s1\n",
    )


def test_baseline_that_cannot_be_compared(hub: Hub) -> None:
    """The user has asked for a comparison: a merge without one needs the option."""
    reason = evaluate_without_comparison(hub, ["5 s", "7000 ms"], "1")
    before = protected_state(hub)
    assert reason == "the baseline 1 has no unit"
    assert hub.run("merge", "--yes", "s1") == refused_without_comparison(reason)
    assert protected_state(hub) == before
    result = hub.run("merge", "--yes", "--allow-regression", "s1")
    warning = f"warning: agent-1 does not improve on the baseline: {reason}\n"
    assert (result.code, result.err) == (0, warning)


def test_baseline_that_could_not_be_measured(hub: Hub) -> None:
    """The base branch has no file 'ms'. Another evaluation ends the refusal."""
    reason = evaluate_without_comparison(hub, ["4"], "measure")
    assert reason == "the baseline could not be measured: exit code 1"
    assert hub.run("merge", "--yes", "s1") == refused_without_comparison(reason)
    evaluate(hub)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def test_known_baseline_replaces_a_failed_measurement(hub: Hub) -> None:
    """`run` has measured the base branch before. The measurement in the rounds fails."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    measured = hub.top.with_name("measured")
    script = f"test $HUB_AGENT != baseline || mkdir {measured} || exit 5; cat ms"
    options = ("--agent-cmd", "echo ms: 60 >ms", "--agents=1", "--yes", "--metric=ms")
    arguments = ("--id=s1", "--task=t", *options, "--eval", script, "--direction=lower")
    result = hub.run("run", "--no-guard", *arguments)
    failure = "the baseline could not be measured: exit code 5 (compared with 50)"
    assert (result.code, f"warning: {failure}\n" in result.err) == (1, True)
    assert "error: no agent improves on the baseline: the best 'ms' is 60" in result.err
    assert (hub.top / "ms").read_text() == "ms: 50\n"
    evaluation = hub.state()["evaluation"]
    assert (evaluation["baseline"], "baseline_failure" in evaluation) == (50, False)


def test_result_of_an_older_version(hub: Hub) -> None:
    """The result has no margin. The gain must exceed the spreads of the agent and the baseline."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    measured_session(hub, ["4"], "--baseline", "measure", "--repeat", "2")
    assert hub.state()["evaluation"]["baseline_spread"] == 0
    path = hub.directory() / "state.json"
    state = hub.state()
    assert state["agents"]["agent-1"]["result"].pop("margin") == 0
    path.write_text(json.dumps(state))
    edit_state(hub, "baseline_spread", 1)
    assert hub.run("merge", "--yes", "s1").err.startswith(
        "error: no agent improves on the baseline: the best 'ms' is 4 (agent-1, margin 1), "
    )
    edit_state(hub, "baseline_spread", 0.9)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def test_margin_to_a_measured_baseline(hub: Hub) -> None:
    """A load that is the same for the baseline and the agent is no noise."""
    create_measurable_session(hub, "x\n")
    script = "f=../n-$HUB_AGENT; n=$(cat $f 2>/dev/null || echo 1); echo $((n+1)) >$f; "
    script += "set -- 100 150 120 200; shift $((n-1)); "
    script += "test $HUB_AGENT = baseline && echo ms: $1 || echo ms: $(($1 * 9 / 10))"
    arguments = ("--eval", script, "--metric", "ms", "--direction", "lower", "--repeat", "4")
    assert hub.run("eval", "-q", *arguments, "--baseline", "measure", "s1") == Result(0)
    result = hub.state()["agents"]["agent-1"]["result"]
    assert (result["values"], result["delta"]) == ([90, 135, 108, 180], -13.5)
    assert 0 <= result["margin"] < 1e-9
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def test_unit_of_the_metric(hub: Hub) -> None:
    measured_session(hub, ["142 us", "200 us"], "--baseline", "0.18 ms")
    document = hub.json("merge", "-n", "s1")
    assert (document["value"], document["unit"]) == (0.142, "ms")
    line = "  ms: 0.18 ms → 0.142 ms (−21.1 %)\n"
    refused = hub.run("merge", "--yes", "--agent", "2", "s1")
    assert refused.err.startswith(
        "error: agent-2 does not improve on the baseline: its 'ms' is 0.2 ms, the baseline is 0.18 ms\n"
    )
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, result.out.count(line)) == (0, 2)
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main") == (
        "Hub-Metric: ms 0.18 ms -> 0.142 ms\n"
    )


def test_tie_in_which_only_the_second_improves(hub: Hub) -> None:
    """The smaller diff ranks first, but only the other agent is better than the baseline."""
    create_measurable_session(hub, "x\n", "x\ny\n")
    script = "case $HUB_AGENT in agent-1) set -- 98 96 98;; *) set -- 97 97 97;; esac; "
    script += "f=../n-$HUB_AGENT; n=$(cat $f 2>/dev/null || echo 1); echo $((n+1)) >$f; "
    script += "shift $((n-1)); echo ms: $1"
    arguments = ("--eval", script, "--metric", "ms", "--direction", "lower", "--repeat", "3")
    assert hub.run("eval", "-q", *arguments, "--baseline", "99", "s1").code == 0
    ranks = {name: agent["result"]["rank"] for name, agent in hub.state()["agents"].items()}
    assert ranks == {"agent-1": 1, "agent-2": 2}
    result = hub.run("merge", "-n", "s1")
    assert (result.code, result.out.splitlines()[:3]) == (
        0,
        [
            "Merging hub/s1/agent-2/attempt-1 into main",
            "  Rank: 2",
            "  ms: 99 → 97 (−2.0 %)",
        ],
    )


def test_no_floor_without_a_baseline(hub: Hub) -> None:
    measured_session(hub, ["8"])
    assert "  Rank: 1\n  ms: 8\n" in hub.run("merge", "-n", "s1").out
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main") == (
        "Hub-Metric: ms 8\n"
    )


def test_floor_after_a_ranking_by_a_judge(hub: Hub) -> None:
    """The ranking keeps the metrics, and with them the limit."""
    measured_session(hub, ["8"], "--baseline", "5")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(
        1,
        "",
        "error: agent-1 does not improve on the baseline: its 'ms' is 8, the baseline is 5\n"
        "hint: git hub-session archive s1\nhint: git hub-session merge --allow-regression --yes s1\n",
    )
    assert hub.run("merge", "-q", "--yes", "--allow-regression", "s1").code == 0
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main") == (
        "Hub-Metric: ms 5 -> 8\n"
    )


def test_no_floor_for_an_agent_that_was_never_measured(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 8\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main") == ""


def test_baseline_of_another_metric(hub: Hub) -> None:
    """The baseline in config.yaml belongs to the metric in config.yaml."""
    arguments = ("--metric", "ms", "--direction", "lower", "--baseline", "5", "--eval", "cat ms")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1", *arguments)
    hub.run("spawn", "-q", "s1")
    hub.commit(agent_worktree(hub, 1), "ms", "ms: 8\nrps: 2\n")
    assert hub.run("eval", "-q", "--metric", "rps", "s1") == Result(0)
    assert hub.state()["evaluation"]["baseline"] is None
    assert hub.run("eval", "-q", "--metric", "ms", "s1") == Result(0)
    assert hub.state()["evaluation"]["baseline"] == 5


def test_commit_after_the_evaluation(hub: Hub) -> None:
    """The trailer does not claim the metric of another commit."""
    measured_session(hub, ["8"], "--baseline", "5")
    hub.commit(agent_worktree(hub, 1), "ms", "ms: 4\n")
    refused = hub.run("merge", "--yes", "s1")
    assert (refused.code, refused.err.splitlines()[1]) == (1, "hint: git hub-session eval s1")
    arguments = ("merge", "-q", "--yes", "--allow-regression", "--unmeasured", "s1")
    assert hub.run(*arguments) == Result(0)
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Metric)", "main") == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("baseline", "5"),
        ("baseline", [5]),
        ("baseline", True),
        ("baseline", 10**400),
        ("direction", "sideways"),
        ("direction", ["lower"]),
    ],
)
def test_invalid_values_in_state_json_are_no_floor(hub: Hub, key: str, value: object) -> None:
    measured_session(hub, ["8"], "--baseline", "5")
    edit_state(hub, key, value)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def test_control_characters_in_the_name_of_the_metric(hub: Hub) -> None:
    measured_session(hub, ["4"], "--baseline", "5")
    edit_state(hub, "metric", "ms\nHub-Agent: agent-9\x1b[2J")
    assert "  ms\\nHub-Agent: agent-9\\x1b[2J: 5 → 4" in hub.run("merge", "-n", "s1").out
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "-s", "--format=%(trailers:key=Hub-Agent,valueonly)", "main") == (
        "agent-1\n"
    )


def test_change_of_the_metric_is_shown(hub: Hub) -> None:
    """The question, the dry run, the result and the JSON have the change."""
    measured_session(hub, ["142"], "--baseline", "180")
    line = "  ms: 180 → 142 (−21.1 %)\n"
    assert line in hub.run("merge", "-n", "s1").out
    document = hub.json("merge", "-n", "s1")
    fields = {key: document[key] for key in ("metric", "value", "baseline", "delta", "unit")}
    assert fields == {"metric": "ms", "value": 142, "baseline": 180, "delta": -38, "unit": None}
    record = hub.run("merge", "-n", "s1", "--format=porcelain").out
    assert "\nmetric ms\nvalue 142.0\nbaseline 180.0\ndelta -38.0\n" in record
    terminal = pexpect.spawn(
        "git-hub-session", ["merge", "s1"], cwd=str(hub.top), env=hub.environ, timeout=120
    )
    terminal.expect_exact(line.strip().encode())
    terminal.expect_exact("Merge agent-1 into 'main'? [y/N] ")
    terminal.sendline("n")
    terminal.expect(pexpect.EOF)
    hub.environ["LC_ALL"] = "C"
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, result.out.count("  ms: 180 -> 142 (-21.1 %)\n")) == (0, 2)
    merged = hub.git("rev-parse", "--short=12", "main")
    assert f"Merged agent-1 into main: {merged}\n  ms: 180 -> 142" in result.out
