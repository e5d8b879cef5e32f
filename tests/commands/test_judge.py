"""`eval --judge`: a command ranks the agents."""

from __future__ import annotations

import json
from shlex import quote
from typing import Any

import pytest

from tests.support.cleanup import everything
from tests.support.evaluated_sessions import agent_worktree
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import MEASURE, create_measurable_session

ANSWER = json.dumps({"ranking": ["agent-2", 1], "verdict": "less \x1b[1mcode\n"})


def judge(hub: Hub, answer: str) -> str:
    """Return a judge that keeps its input beside the repository, and prints an answer.

    It fails if a temporary worktree is left, or if a variable of an agent has no value.
    """
    check = (
        'test -z "${HUB_BRANCH+x}${HUB_ATTEMPT+x}" || exit 8; ! git worktree list | grep -e -eval-'
    )
    return f"{check} || exit 9; cat >{quote(str(hub.top.parent / 'input'))}; printf '%s\\n' {quote(answer)}"


def judge_input(hub: Hub) -> dict[str, Any]:
    document = json.loads((hub.top.parent / "input").read_text())
    assert isinstance(document, dict)
    return document


def test_judge_decides_among_the_best(hub: Hub) -> None:
    """The metric ranks first. Values are kept, and a failed agent is not judged."""
    create_measurable_session(hub, "ms: 100\n", "ms: 109\n", "ms: 111\n", "x\n")
    (agent_worktree(hub, 2) / "large").write_bytes(b"\xff\n" * (200 << 10))
    hub.git("add", "-A", cwd=agent_worktree(hub, 2))
    tip = hub.commit(agent_worktree(hub, 2), "é", "x\n")
    post = ("board", "post", "results", "--session=s1", "--author=agent-2", "-m", "I am fast")
    assert hub.run(*post).code == 0
    options = ("--judge", judge(hub, f"I think:\n```json\n{ANSWER}\n```"), "--tolerance=10%")
    done = hub.run("eval", *MEASURE, "--baseline=200", *options, "s1")
    rows = [line.split()[:4] for line in done.out.splitlines()[1:5]]
    assert (done.code, done.err, rows) == (
        *(0, ""),
        [
            ["1", "agent-2", "109", "-91"],
            ["2", "agent-1", "100", "-100"],
            ["3", "agent-3", "111", "-89"],
            ["4", "agent-4", "-", "-"],
        ],
    )
    assert "Verdict: less \\x1b[1mcode\n" in done.out
    seen = judge_input(hub)
    first, second = seen.pop("candidates")
    assert seen == {
        "session_id": "s1",
        "task": "t",
        "metric": "ms",
        "direction": "lower",
        "unit": None,
        "baseline": 200,
    }
    diff = second.pop("diff")
    assert second == {
        "agent": 2,
        "attempt": 1,
        "commit": tip,
        "base": hub.git("rev-parse", "main"),
        "rank": 2,
        "metrics": {"ms": 109},
        "values": [109],
        "delta": -91,
        "files": ["large", "ms", "é"],
        "truncated": True,
        "guarded": [],
        "post": "I am fast",
    }
    assert (list(diff), len(diff["large"])) == (["large"], 256 << 10)
    assert first["diff"]["ms"].endswith("@@ -0,0 +1 @@\n+ms: 100\n")
    assert [first[key] for key in ("agent", "truncated", "post")] == [1, False, None]
    verdict = hub.state()["evaluation"]["verdict"]
    assert [verdict[key] for key in ("ranking", "text", "judge")] == [
        *(["agent-2", "agent-1"], "less \x1b[1mcode", options[1]),
    ]
    entries = hub.json("log", "--evaluations", "s1")["evaluations"]
    assert [(entry["rank"], entry["value"], entry["verdict"]) for entry in entries[::-1]] == [
        *((1, 109, verdict["text"]), (2, 100, verdict["text"])),
        *((3, 111, verdict["text"]), (4, None, verdict["text"])),
    ]
    assert {entry["judge"] for entry in entries} == {options[1]}
    assert "    Verdict: less \\x1b[1mcode\n" in hub.run("status", "s1").out
    assert "Merging hub/s1/agent-2/attempt-1 into main\n" in hub.run("merge", "-n", "s1").out


def test_failed_judge_records_nothing(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    before = (hub.directory() / "state.json").read_bytes()
    faults = {
        "exit 3": "the judge failed: exit code 3",
        "echo [2, 1]": "the judge printed no JSON object with a 'ranking'",
        judge(hub, '{"ranking": [2, 3]}'): "the judge's ranking does not list each of"
        " agent-1, agent-2 once: [2.0, 3.0]",
        judge(hub, ANSWER.replace("1]", "1, 1]")): "the judge's ranking does not list each of"
        ' agent-1, agent-2 once: ["agent-2", 1.0, 1.0]',
        judge(hub, '{"ranking": [2, 1], "verdict": 5}'): "the judge's verdict is not a text: 5.0",
        judge(
            hub, '{"ranking": [2, 1], "improves": "no"}'
        ): "the judge's 'improves' is not true or false: \"no\"",
    }
    for number, (command, message) in enumerate(faults.items(), start=1):
        log = hub.directory() / "output" / f"eval-{number}" / "judge.log"
        hint = f"hint: read its output in {log}\n"
        result = hub.run("eval", "--judge", command, "s1")
        assert result == Result(1, "", f"error: {message}\n{hint}")
        assert log.exists()
    assert (hub.directory() / "state.json").read_bytes() == before
    assert not (hub.directory() / "evaluations.jsonl").exists()


def test_judge_without_a_metric(hub: Hub) -> None:
    """`run --judge` merges the first agent of the judge. One agent needs no judge."""
    hub.commit(hub.top, "file", "x\n")
    agent = 'echo "$HUB_AGENT" >file'
    run = ("run", "--id=s1", "--task=t", "--agents=2", "--agent-cmd", agent, "--yes")
    wrong = ("--judge= ",), ("--judge=x", "--tolerance=5%")
    assert [hub.run(*run, *options).code for options in wrong] == [129, 129]
    assert not hub.directory().exists()
    done = hub.run(*run, "--judge", judge(hub, '{"ranking": [2, 1], "verdict": null}'))
    assert (done.code, done.err) == (0, "")
    assert hub.git("show", "main:file") == "agent-2"
    assert [candidate["metrics"] for candidate in judge_input(hub)["candidates"]] == [{}, {}]
    create_measurable_session(hub, "ms: 1\n", "x\n", sid="s2")
    judged = hub.run("eval", *MEASURE, "--judge", "exit 1", "s2")
    assert (judged.code, judged.err) == (
        *(0, "warning: the judge did not run: only one agent can be ranked\n"),
    )
    assert hub.run("merge", "-n", "s2").code == 0
    ranked = hub.run("eval", "--ranking=1", "-m", " ", "s2")
    assert (ranked.code, "Verdict" in ranked.out) == (0, False)
    faults = {
        ("--tolerance=5%",): "--tolerance requires --judge",
        ("--judge=x", "--tolerance=some"): "not a percentage: 'some'",
        ("--judge=x", "--tolerance=5%"): "--tolerance requires --metric",
        ("--judge= ",): "the command of --judge is empty",
        ("--judge=x", "--ranking=1"): "--ranking and --judge exclude each other",
    }
    for options, message in faults.items():
        refused = hub.run("eval", *options, "s2")
        assert (refused.code, refused.err.splitlines()[0]) == (129, f"error: {message}")


def test_judge_without_a_metric_and_only_one_agent_that_can_be_ranked(hub: Hub) -> None:
    """The judge runs, because only the judge can tell if the agent improves. The other agent failed."""
    agent = "echo x >work; test $HUB_AGENT = agent-2"
    run = ("run", "--id=s1", "--task=t", "--agents=2", "--agent-cmd", agent, "--yes")
    done = hub.run(*run, "--judge", judge(hub, '{"ranking": [2], "improves": true}'))
    assert (done.code, "judge" in done.err) == (0, False), done
    assert "   1  agent-2       -      -       -      1  +1/-0\n" in done.out
    assert "Merged agent-2 into main: " in done.out
    assert hub.git("show", "main:work") == "x"
    verdict = hub.state()["evaluation"]["verdict"]
    assert (verdict["ranking"], verdict["text"], verdict["improves"]) == (["agent-2"], "", True)


def test_judge_without_any_agent_that_can_be_ranked(hub: Hub) -> None:
    create_measurable_session(hub, "x\n")
    done = hub.run("eval", *MEASURE, "--judge", "exit 1", "s1")
    note = "warning: the judge did not run: no agent can be ranked\n"
    assert (done.code, done.err) == (1, note)


@pytest.mark.parametrize("metric", [(), MEASURE])
def test_no_agent_improves_according_to_the_judge(hub: Hub, metric: tuple[str, ...]) -> None:
    """The verdict is a limit for `merge`, as a baseline is. The ranking of a person replaces it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    answer = '{"ranking": [2, 1], "verdict": "only renames", "improves": false}'
    command = judge(hub, answer)
    options = (*metric, "--judge", command)
    done = hub.run("eval", *options, "s1")
    shown = "Verdict: no agent improves on the baseline: only renames\n"
    assert (done.code, done.err, shown in done.out) == (0, "", True)
    assert f"    {shown}" in hub.run("status", "s1").out
    assert f"    {shown.partition(' ')[2]}" in hub.run("log", "--evaluations", "s1").out
    assert hub.json("eval", *options, "s1")["improves"] is False
    entries = hub.json("log", "--evaluations", "s1")["evaluations"]
    assert {entry["improves"] for entry in entries} == {False}
    before = everything(hub)
    archive, allow = (
        "git hub-session archive s1",
        "git hub-session merge --allow-regression --yes s1",
    )
    error = "error: no agent improves on the baseline, according to the judge"
    refused = Result(1, "", f"{error}\nhint: {archive}\nhint: {allow}\n")
    assert hub.run("merge", "--yes", "s1") == refused
    assert hub.run("merge", "-n", "--yes", "s1") == refused
    chosen = hub.run("merge", "--yes", "--agent=1", "s1")
    error = "error: agent-1 does not improve on the baseline, according to the judge\n"
    assert (chosen.code, chosen.err.startswith(error)) == (1, True)
    after = hub.run("init", "--after", "s1")
    assert (after.code, after.err.splitlines()[0]) == (
        *(1, "error: no agent of session 's1' improves on the baseline"),
    )
    assert everything(hub) == before
    merged = hub.call("sh", "-c", allow)
    assert (merged.code, merged.err) == (0, "warning: agent-2 does not improve on the baseline\n")


def test_ranking_of_a_person_replaces_the_verdict_of_the_judge(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    answer = judge(hub, '{"ranking": [2, 1], "improves": false}')
    assert hub.run("eval", "-q", "--judge", answer, "s1").code == 0
    assert hub.run("eval", "-q", "--ranking=1", "s1").code == 0
    assert hub.json("eval", "-n", "s1")["improves"] is None
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:ms") == "ms: 1"
