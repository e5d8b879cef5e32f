"""`eval` and `run` without a metric: the exit status is the result. Required metrics."""

from __future__ import annotations

from typing import Any

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import MEASURE, create_measurable_session, recorded_ranks

# agent-3 does not fix the error, and agent-4 makes two others.
AGENT = (
    "case $HUB_AGENT in agent-3) echo x >x;; *) echo errors: 0 >fixed;; esac;"
    " case $HUB_AGENT in agent-1) seq 20 >large;; agent-4) echo errors: 2 >fixed;; esac"
)
RUN = ("run", "--id=s1", "--task=t", "--agents=4", "--agent-cmd", AGENT, "--eval", "cat fixed")


def results(hub: Hub) -> dict[str, Any]:
    return {name: agent["result"] for name, agent in hub.state()["agents"].items()}


def test_run_merges_the_smallest_diff_that_passes(hub: Hub) -> None:
    done = hub.run(*RUN, "--require", "errors==0", "--yes", "--no-guard")
    assert (done.code, done.err) == (0, "")
    assert "  Require: errors==0\n" in done.out
    assert "Baseline: fail (exit code 1)\n" in done.out
    table = (
        "RANK  AGENT    RESULT  FILES  +/-\n"
        "   1  agent-2    pass      1  +1/-0\n"
        "   2  agent-1    pass      2  +21/-0\n"
        "   3  agent-3    fail      1  +1/-0   exit code 1\n"
        "   4  agent-4    fail      1  +1/-0   'errors' is 2 (required: errors==0)\n"
    )
    assert table in done.out
    assert "  Rank: 1\n  Result: pass\n" in done.out
    message = hub.git("log", "-1", "--format=%B", "main")
    assert message.rstrip().endswith("Hub-Agent: agent-2\nHub-Result: pass")
    assert [result["passed"] for result in results(hub).values()] == [True, True, False, False]
    evaluation = hub.state()["evaluation"]
    assert [evaluation[key] for key in ("metric", "direction", "baseline", "require")] == [
        *(None, None, None, ["errors==0"]),
    ]
    log = hub.run("log", "--evaluations", "s1").out.splitlines()
    assert [line.split("  ")[-1] for line in log[2:]] == [
        *("pass", "pass", "exit code 1", "'errors' is 2 (required: errors==0)"),
    ]
    status = hub.run("status", "s1").out
    assert [line.split()[:4] for line in status.splitlines() if "done" in line] == [
        ["agent-1", "done", "2", "pass"],
        ["agent-2", "done", "1", "pass"],
        ["agent-3", "done", "3", "fail"],
        ["agent-4", "done", "4", "fail"],
    ]


def test_no_agent_passes(hub: Hub) -> None:
    """A failed agent is never the winner, but the user may merge it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    command = ("eval", "--eval=grep ms: ms", "--repeat=2", "--no-guard", "--require=errors==0")
    assert hub.run(*command, "-q", "s1").code == 1
    reason = "no 'errors' in the output"
    assert recorded_ranks(hub) == {"agent-1": (1, None, reason), "agent-2": (2, None, reason)}
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: no agent of session 's1' passed the evaluation\n"
        "hint: git hub-session merge --yes s1 --agent <agent>\n",
    )
    warned = hub.run("merge", "-n", "--agent=2", "s1")
    assert warned.err == f"warning: agent-2 failed the evaluation: {reason}\n"
    assert "  Result: fail\n" in warned.out
    # The values of a person's ranking keep the result, and --no-require drops the condition.
    assert hub.run("eval", "-q", "--ranking=2,1", "s1").code == 0
    assert results(hub)["agent-2"]["passed"] is False
    assert hub.run(*command[:-1], "-q", "--no-require", "s1").code == 0
    assert recorded_ranks(hub) == {"agent-1": (1, None, ""), "agent-2": (2, None, "")}


def test_required_metric_beside_a_metric(hub: Hub) -> None:
    """The condition of the session counts, and the baseline has to meet none."""
    hub.commit(hub.top, "ms", "ms: 9\nerrors: 1\n")
    create_measurable_session(hub, "ms: 5\nerrors: 1\n", "ms: 7\nerrors: 0\n")
    config = hub.directory() / "config.yaml"
    text = config.read_text()
    config.write_text(f"{text}require: 'errors<1'\n")
    evaluate = ("eval", *MEASURE, "--no-guard", "--baseline=measure")
    document = hub.json(*evaluate, "s1")
    assert (document["baseline"], document["require"]) == (9, ["errors<1"])
    assert [(row["agent"], row["metric"], row["passed"]) for row in document["agents"]] == [
        *((2, 7, True), (1, None, False)),
    ]
    assert "Merging hub/s1/agent-2/attempt-1 into main\n" in hub.run("merge", "-n", "s1").out
    config.write_text(f"{text}require: 'errors'\n")
    refused = hub.run(*evaluate, "s1")
    hint = "hint: correct config.yaml, or use --no-require\n"
    assert refused == Result(
        *(128, "", f"fatal: config.yaml: require: not a requirement: 'errors'\n{hint}")
    )
