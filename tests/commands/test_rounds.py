"""`run --rounds` and `run --after`: each round starts from the winner of the last one."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.cli.parser import parse_arguments
from git_hub_session.commands import run as run_command
from git_hub_session.commands._run.continue_commands import Continuation
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import SessionId
from tests.support.continued_runs import start, type_commands
from tests.support.evaluated_sessions import protected_state
from tests.support.hints import follow_hint, hints, type_hint, types
from tests.support.hub import Hub, Result, wait_for

pytestmark = pytest.mark.slow

IMPROVE = 'echo "ms: $(($(cut -c5- ms) - 4 * ${HUB_AGENT#agent-}))" >ms'
RUN = ("run", "--id", "s1", "--task", "Be quick", "--agents", "2")
MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")
OPTIONS = ("-j", "1", "--timeout", "90s", "--repeat", "2", "--yes", "-m", "Be quick", "-m", "x y")


@pytest.fixture
def project(hub: Hub) -> Hub:
    """Return a hub whose project has the metric `ms` 50."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    return hub


def states(hub: Hub) -> dict[str, str]:
    """Return the state of each session."""
    return {row["session_id"]: row["state"] for row in hub.json("list")["sessions"]}


def archive_tags(hub: Hub) -> list[str]:
    """Return the names of the archive tags after `hub/archive/`."""
    return [tag.removeprefix("hub/archive/") for tag in hub.git("tag").splitlines()]


def test_rounds_until_there_is_no_improvement(project: Hub) -> None:
    """The third round gains nothing, so the winner of the second one is merged."""
    agent = f"case $HUB_SESSION_ID in *-r3) date >>ms2;; *) {IMPROVE};; esac"
    result = project.run(
        *RUN, "--agent-cmd", agent, *MEASURE, "--rounds", "5", "--yes", "--format=json"
    )
    assert (result.code, result.err) == (
        0,
        "no agent of session 's1-r3' improves on the baseline: the winner is agent-2 of session s1-r2\n",
    )
    document: dict[str, Any] = json.loads(result.out)
    assert (document["session_id"], document["stopped"], document["alternative"]) == (
        *("s1", None, None),
    )
    assert list(document["steps"]) == ["init", "baseline", "spawn", "exec", "eval"]
    names = ["init", "spawn", "exec", "eval"]
    assert [(each["session_id"], list(each["steps"])) for each in document["rounds"]] == [
        *(("s1-r2", names), ("s1-r3", [*names, "merge", "archive"])),
    ]
    merged = document["rounds"][1]["steps"]["merge"]
    assert (merged["session_id"], merged["agent"]) == ("s1-r2", 2)
    assert [each["session_id"] for each in merged["ancestors"]] == ["s1"]

    assert states(project) == {"s1": "archived", "s1-r2": "merged", "s1-r3": "archived"}
    assert archive_tags(project) == [
        # The branch of the merged winner is kept.
        *("s1-r2/agent-1", "s1-r3/agent-1", "s1-r3/agent-2", "s1/agent-1", "s1/agent-2"),
    ]
    assert project.git("log", "--format=%s", "main^..main") == (
        "hub: merge agent-2 from session s1-r2\nagent-2: Be quick\nagent-2: Be quick"
    )
    assert project.git("show", "main:ms") == "ms: 34"
    message = project.git("show", "-s", "--format=%B", "main")
    assert message.partition("\n\n")[2] == (
        "Task: Be quick\nWinner: agent-2\nSession: s1-r2\nEarlier rounds: agent-2 of s1\n\n"
        "Hub-Session: s1-r2\nHub-Agent: agent-2\nHub-Metric: ms 50 -> 34\n"
    )
    reasons = {
        step["to"]: step["reason"] for sid in ("s1", "s1-r3") for step in project.state(sid)["history"]
        if "reason" in step
    }  # fmt: skip
    assert reasons == {"archived": "no agent improves on the baseline"}
    winner = project.git("rev-parse", "main^2~")
    assert project.git("rev-parse", "refs/hub/archive/s1/agent-2/attempt-1/1") == winner
    assert project.git("rev-parse", "refs/tags/hub/archive/s1/agent-2") == winner
    assert project.run("restore", "-q", "s1", "--agent", "2") == Result(0)
    assert project.git("rev-parse", "hub/s1/agent-2/attempt-1") == winner


def test_tag_of_the_winner_of_an_earlier_round(project: Hub) -> None:
    """`doctor` creates the tag again, and `prune` deletes it, as those of the other agents."""
    assert project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE, "--rounds", "2", "--yes").code == 0
    tags = project.refs("refs/tags/hub")
    names = [*(f"s1/agent-{agent}" for agent in (1, 2)), "s1-r2/agent-1"]
    assert sorted(tags) == sorted(f"refs/tags/hub/archive/{name}" for name in names)
    assert project.git("tag", "--merged", "main", "--list", "hub/*") == "hub/archive/s1/agent-2"
    assert project.run("doctor").code == 0
    for name in names:
        project.git("tag", "-d", f"hub/archive/{name}")
    findings = project.json("doctor", code=1)["findings"]
    assert [finding["code"] for finding in findings] == ["archive-tag-missing"] * 3
    assert project.run("doctor", "--fix", "-q").code == 0
    assert project.refs("refs/tags/hub") == tags
    assert project.run("prune", "-q", "--older-than", "0d", "--archived", "--yes") == Result(0)
    assert project.refs("refs/tags/hub") == {}


def test_later_archive_of_an_ancestor(project: Hub) -> None:
    """The winner gets its tag also from `archive`, with a damaged session in the hub."""
    assert project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE, "--rounds", "2").code == 1
    assert project.run("init", "-q", "--id", "damaged", "--task", "t").code == 0
    (project.directory("damaged") / "state.json").write_text("{")
    assert project.run("merge", "-q", "--yes", "--no-cleanup", "s1-r2").code == 0
    assert project.run("archive", "-q", "s1") == Result(0)
    assert archive_tags(project) == ["s1/agent-1", "s1/agent-2"]


@pytest.mark.parametrize("second", ["true", "echo x >ms"])
def test_round_without_a_result(project: Hub, second: str) -> None:
    """The second round changes nothing or breaks the metric. The first winner is merged."""
    agent = f"case $HUB_SESSION_ID in *-r2) {second};; *) {IMPROVE};; esac"
    result = project.run(*RUN, "--agent-cmd", agent, *MEASURE, "--rounds", "3", "--yes", "-q")
    assert result == Result(0, "s1\n")
    assert states(project) == {"s1": "merged", "s1-r2": "archived"}
    assert project.git("show", "main:ms") == "ms: 42"


@pytest.mark.parametrize("metric", ["10", "x"])
def test_round_with_an_agent_on_another_branch(project: Hub, metric: str) -> None:
    """The rounds stop before the other branch is left behind. The printed commands go on.

    In the second case no agent of the round improves: only the adopted work does.
    """
    agent = (
        "if test $HUB_SESSION_ID$HUB_AGENT = s1-r2agent-2; then git switch -qc mine;"
        f" echo ms: 7 >ms; git commit -qam faster; elif test $HUB_SESSION_ID = s1-r2; then"
        f" echo ms: {metric} >ms; else {IMPROVE}; fi"
    )
    result = project.run(*RUN, "--agent-cmd", agent, *MEASURE, "--rounds", "3", "--yes")
    assert states(project) == {"s1": "evaluating", "s1-r2": "evaluating"}
    lines = result.err.splitlines()
    hint = "git hub-session adopt s1-r2 agent-2"
    assert (result.code, f"hint: {hint}" in lines) == (1, True)
    hints = [line.removeprefix("hint: ").partition(": ") for line in lines]
    commands = [command for label, _, command in hints if label in ("continue with", "then")]
    assert [command.split()[2] for command in commands] == ["eval", "run"]
    for command in (hint, *commands):
        assert project.call("sh", "-c", command).code == 0
    assert states(project) == {"s1": "archived", "s1-r2": "archived", "s1-r3": "merged"}
    assert project.git("show", "main:ms") == "ms: -1"


@pytest.mark.slow
def test_failed_and_interrupted_rounds(project: Hub) -> None:
    """All agents of the second round fail, and a signal ends the third one."""
    place = project.top.parent
    wait = f"test -e {place}/go3 || {{ touch {place}/at; exec sleep 300; }}"
    agent = f"case $HUB_SESSION_ID in *-r2) test -e {place}/go2;; *-r3) {wait};; esac && {IMPROVE}"
    rounds = ("--rounds", "3")
    result = project.run(*RUN, "--agent-cmd", agent, *MEASURE, *OPTIONS, *rounds)
    quoted = shlex.quote(agent)
    run_options = "--repeat 2 --jobs 1 --timeout 90s"
    merge_options = "--message 'Be quick' --message 'x y' --yes"
    expected = [
        f"git hub-session exec --failed --jobs 1 --timeout 90s --commit s1-r2 -- sh -c {quoted}",
        "git hub-session eval --baseline measure --repeat 2 --timeout 90s s1-r2",
        f"git hub-session run --after s1-r2 --agent-cmd {quoted} {run_options} {merge_options}",
    ]
    best = f"git hub-session merge {merge_options} s1"
    assert result.code == 1
    assert result.err == (
        "warning: agent-1 of session s1-r2: failed with exit code 1\n"
        "warning: agent-2 of session s1-r2: failed with exit code 1\n"
        "error: the run stopped at 'exec'\n"
        f"hint: continue with: {expected[0]}\nhint: then: {expected[1]}\n"
        f"hint: then: {expected[2]}\nhint: or merge the best winner so far: {best}\n"
    )
    (place / "go2").touch()
    for command in expected[:2]:
        assert project.call("sh", "-c", command).code == 0
    process = start(project, *shlex.split(expected[2])[2:])
    wait_for((place / "at").exists, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    (place / "go3").touch()
    commands = type_commands(project, err)
    assert [command.split()[2] for command in commands] == ["exec", "eval", "merge"]
    assert states(project) == {"s1": "archived", "s1-r2": "archived", "s1-r3": "merged"}
    assert project.git("show", "main:ms") == "ms: 26"
    assert project.git("show", "-s", "--format=%B", "main").startswith("Be quick\n\nx y\n")
    agents = project.state("s1-r3")["agents"]
    assert len(agents["agent-2"]["result"]["values"]) == 2


@types("or merge the best winner so far: {}")
def test_merge_of_the_best_winner_so_far(project: Hub) -> None:
    """Type the printed commands of a round without a winner, and those of `merge`."""
    agent = f"test $HUB_SESSION_ID = s1 && {IMPROVE}"
    result = project.run(*RUN, "--agent-cmd", agent, *MEASURE, "--yes", "--rounds", "2")
    line = result.err.splitlines()[-1]
    assert line == "hint: or merge the best winner so far: git hub-session merge --yes s1"
    worse = ("--", "sh", "-c", "echo ms: 43 >ms")
    assert project.run("exec", "-q", "--commit", "s1-r2", *worse).code == 0
    assert project.run("eval", "-q", "s1-r2") == Result(0)
    hints = [
        "git hub-session archive s1-r2",
        "git hub-session merge --yes s1",
        "git hub-session merge --allow-regression --yes s1-r2",
    ]
    assert project.run("merge", "--yes", "s1-r2") == Result(
        1,
        "",
        "error: no agent improves on the baseline: the best 'ms' is 43 (agent-1), the baseline is 42\n"
        + "".join(f"hint: {hint}\n" for hint in hints),
    )
    for hint in hints[:2]:
        assert project.call("sh", "-c", f"{hint} --yes" if "merge" in hint else hint).code == 0
    follow_hint(line.removeprefix("hint: "))  # hints[1] is the same command
    assert states(project) == {"s1": "merged", "s1-r2": "archived"}
    assert project.git("show", "main:ms") == "ms: 42"


def test_ancestor_that_cannot_be_archived(project: Hub) -> None:
    """The merge is made. Its exit status is 1, and the command archives the session later."""
    result = project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE, "--rounds", "2")
    assert (result.code, states(project)) == (1, {"s1": "evaluating", "s1-r2": "evaluating"})
    worktree = Path(project.run("path", "s1", "1").out.strip())
    project.git("worktree", "lock", worktree)
    merged = project.run("merge", "--yes", "s1-r2")
    assert merged.code == 1
    assert merged.err == (
        "session s1 stays 'evaluating': its cleanup is not complete\n"
        "hint: then: git hub-session archive s1\n"
    )
    assert states(project) == {"s1": "evaluating", "s1-r2": "merged"}
    project.git("worktree", "unlock", worktree)
    again = project.run("merge", "--yes", "s1-r2", "--format=porcelain")
    assert again.code == 0
    assert "\n\nsession s1\nstate archived\n\nsession s1\noutcome removed\n" in again.out
    assert states(project) == {"s1": "archived", "s1-r2": "merged"}


@types("then: git hub-session archive {}")
def test_hints_archive_the_ancestor(project: Hub) -> None:
    """The hint of its worktree comes first."""
    project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE, "--rounds", "2")
    project.git("worktree", "lock", project.run("path", "s1", "1").out.strip())
    unlock, then = hints(project.run("merge", "--yes", "s1-r2"))
    type_hint(project, unlock)
    type_hint(project, then.removeprefix("then: "))
    follow_hint(then)
    assert states(project) == {"s1": "archived", "s1-r2": "merged"}


def test_command_lines_of_rounds(project: Hub) -> None:
    before = protected_state(project)
    run = (*RUN, "--agent-cmd", IMPROVE)
    preview = project.run(*run, *MEASURE, "--rounds", "3", "-n")
    assert (preview.code, preview.out.splitlines()[-2:]) == (
        0,
        [
            "Would then start from the winner and repeat this up to 2 times",
            "Would then ask, and merge the winner",
        ],
    )
    for number in ("0", "x", "101"):
        result = project.run(*run, *MEASURE, "--rounds", number)
        assert (result.code, result.err.splitlines()[0]) == (
            *(129, f"error: not a number of rounds: '{number}'"),
        )
    assert project.run(*run, "--rounds", "2").err.splitlines()[0] == (
        "error: --rounds requires --eval or --judge"
    )
    assert protected_state(project) == before
    assert project.run(*run, *MEASURE).code == 1
    refused = project.run("run", "--after", "s1", "--agent-cmd", "true", "--agents", "0")
    assert refused.err.splitlines()[0] == "error: not a number of agents: '0'"
    merged = project.run(
        "run", "--after", "s1", "--agent-cmd", IMPROVE, "--agents", "1", "--yes", "-q"
    )
    assert merged == Result(0, "s1-r2\n")
    assert states(project) == {"s1": "archived", "s1-r2": "merged"}
    assert project.git("show", "main:ms") == "ms: 38"


def test_ancestors_that_are_not_archived(project: Hub) -> None:
    """A merge archives only sessions whose winner it contains, and for which no command runs."""
    result = project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE, "--rounds", "2")
    assert (result.code, result.out.count("  Rank: 1\n  ms: 50 → 34 (−32.0 %)")) == (1, 1)
    for branch in ("s1", "s1-r2"):
        into = project.run("merge", "--into", f"hub/{branch}/agent-1/attempt-1", "--yes", "s1-r2")
        owner = "the session itself" if branch == "s1-r2" else "the earlier session 's1'"
        assert into == Result(
            1,
            "",
            f"error: 'hub/{branch}/agent-1/attempt-1' is a branch of {owner}\n"
            "hint: name another branch with --into\n",
        )

    assert project.run("init", "-q", "--after", "s1", "--id", "other") == Result(0, "other\n")
    assert project.run("spawn", "-q", "other", "--base", "main").code == 0
    faster = ("exec", "-q", "--commit", "other", "--", "sh", "-c", "echo ms: 9 >ms")
    assert (project.run(*faster).code, project.run("eval", "-q", "other").code) == (0, 0)
    assert project.run("merge", "-q", "--yes", "other") == Result(0)
    assert states(project) == {"other": "merged", "s1": "evaluating", "s1-r2": "evaluating"}
    message = project.git("show", "-s", "--format=%B", "main")
    assert ("Earlier rounds" in message, "Hub-Metric: ms 42 -> 9" in message) == (False, True)

    project.git("reset", "-q", "--hard", "main~")
    place = project.top.parent
    wait = f"touch {place}/at; test $HUB_AGENT = agent-1 && exec sleep 300"
    process = start(project, "exec", "s1", "--", "sh", "-c", wait)
    wait_for((place / "at").exists, process)
    state = project.directory("s1") / "state.json"
    later = "(later: git hub-session archive s1)\n"
    merged = project.run("merge", "-q", "--yes", "s1-r2")
    assert merged == Result(
        1,
        "",
        f"warning: cannot archive session 's1': agent-1 is still running {later}",
    )
    process.terminate()
    process.communicate(timeout=120)
    text = state.read_text()
    state.write_text("{")
    damaged = project.run("merge", "-q", "--yes", "s1-r2")
    assert (damaged.code, damaged.err.startswith("warning: cannot archive session 's1': ")) == (
        1,
        True,
    )
    assert damaged.err.endswith(later)
    state.write_text(text)
    assert project.run("merge", "-q", "--yes", "s1-r2") == Result(0)
    assert states(project) == {"other": "merged", "s1": "archived", "s1-r2": "merged"}


def test_run_after_a_session_that_does_not_improve(project: Hub) -> None:
    """Only a comparison with the parent itself shows that the parent is better."""
    assert project.run(*RUN, "--agent-cmd", IMPROVE, *MEASURE).code == 1
    run = ("run", "--agents", "1", "--yes", "--repeat", "2", "--after")
    refusal = "error: no agent improves on the baseline"
    other = project.run(*run, "s1", "--agent-cmd", "echo ms: 45 >ms", "--baseline", "30")
    assert (other.code, other.err.splitlines()) == (
        1,
        [
            f"{refusal}: the best 'ms' is 45 (agent-1), the baseline is 30",
            "hint: git hub-session archive s1-r2",
            "hint: git hub-session merge --yes s1",
            "hint: git hub-session merge --allow-regression --yes s1-r2",
        ],
    )
    before = protected_state(project)
    assert project.run(*run, "s1-r2", "--agent-cmd", "true") == Result(
        1,
        "",
        "error: no agent of session 's1-r2' improves on the baseline\n"
        "hint: git hub-session archive s1-r2\n"
        "hint: or merge the best winner so far: git hub-session merge --yes s1\n",
    )
    assert protected_state(project) == before

    moving = f"git -C {project.top} commit -q --allow-empty -m x; echo ms: 99 >ms"
    moved = project.run(*run, "s1", "--id", "s3", "--agent-cmd", moving)
    assert (moved.code, moved.err.splitlines()[1:]) == (
        1,
        [
            "error: 'main' moved since the evaluation: the result of the merge was not measured",
            "hint: git hub-session merge --unmeasured --yes s1",
            "hint: continue with: git hub-session eval --baseline measure --repeat 2 --timeout 60s s1",
            "hint: then: git hub-session merge --yes s1",
            "hint: then: git hub-session archive --reason 'no agent improves on the baseline' s3",
        ],
    )
    assert states(project)["s3"] == "evaluating"
    for line in moved.err.splitlines()[3:]:
        assert project.call("sh", "-c", line.rpartition(": ")[2]).code == 0
    assert states(project) == {"s1": "merged", "s1-r2": "evaluating", "s3": "archived"}


def test_rounds_without_a_metric_end_with_the_first_pass(project: Hub) -> None:
    """No later round can be better than a pass. `run --after` is explicit, and runs a round."""
    agent = "echo $HUB_SESSION_ID >>fixed"
    options = ("--agent-cmd", agent, "--eval", "test -e fixed")
    result = project.run(*RUN, *options, "--rounds", "3", "--yes", "-q")
    assert (result, states(project)) == (Result(0, "s1\n"), {"s1": "merged"})
    second = ("run", "--id", "s2", "--task", "t", "--agents", "1", "--eval", "grep s2 fixed")
    assert project.run(*second, "--agent-cmd", agent, "-q").code == 1  # nobody confirms the merge
    after = ("run", "--after", "s2", "--agent-cmd", agent, "--rounds", "2", "--yes", "-q")
    assert project.run(*after) == Result(0, "s2-r2\n")
    assert states(project) == {"s1": "merged", "s2": "archived", "s2-r2": "merged"}


@pytest.mark.parametrize("agents", ["1", "2"])
def test_rounds_end_when_the_judge_finds_no_improvement(project: Hub, agents: str) -> None:
    """The third round only renames. The winner of the second one is merged."""
    judge = (
        "python3 -c 'import json, sys; seen = json.load(sys.stdin);"
        ' print(json.dumps({"ranking": [each["agent"] for each in seen["candidates"]],'
        ' "verdict": seen["session_id"], "improves": not seen["session_id"].endswith("-r3")}))\''
    )
    run = ("run", "--id=s1", "--task=t", "--agents", agents, "--agent-cmd", "date >>file")
    result = project.run(*run, "--judge", judge, "--rounds=5", "--yes", "--format=json")
    note = "no agent of session 's1-r3' improves on the baseline: the winner is agent-1 of session s1-r2"
    assert (result.code, result.err) == (0, f"{note}\n")
    assert states(project) == {"s1": "archived", "s1-r2": "merged", "s1-r3": "archived"}
    assert len(project.git("show", "main:file").splitlines()) == 3


def test_first_round_without_improvement_for_the_judge(project: Hub) -> None:
    run = ("run", "--id=s1", "--task=t", "--agents=1", "--agent-cmd", "date >>file")
    judge = """echo '{"ranking": [1], "improves": false}'"""
    result = project.run(*run, "--judge", judge, "--rounds=3", "--yes")
    assert result.code == 1
    assert result.err == (
        "error: no agent improves on the baseline, according to the judge\n"
        "hint: git hub-session archive s1\n"
        "hint: git hub-session merge --allow-regression --yes s1\n"
    )
    assert states(project) == {"s1": "evaluating"}


def test_time_limit_of_later_rounds_without_a_baseline(project: Hub) -> None:
    """The limit of the second round is that of the first evaluation, as with `run --after`."""
    result = project.run(
        *RUN, "--agent-cmd", IMPROVE, *MEASURE, "--baseline", "none", "--rounds", "3", "--yes"
    )
    lines = [line for line in result.out.splitlines() if "ime limit" in line]
    assert (result.code, lines) == (
        0,
        [
            "No time limit for the agents and the measurements (to set one: --timeout <time>)",
            "Time limit for each measurement: 60 s",
        ],
    )


def test_continuation_without_a_baseline() -> None:
    """The winner conflicts with the base branch: the next command does not measure the baseline."""
    args = parse_arguments(
        run_command.USAGE, ["--after", "s1", "--eval", "cat ms", "--metric", "ms"]
    )
    continuation = Continuation(SessionId("s2"), args, run_command._usages())
    hint = "give a number with --baseline <number>"
    error = HubError("cannot measure the baseline", hint=hint)
    steps = ["spawn", "exec", "eval", "merge"]
    assert continuation.add_hints(error, "eval", steps).hint.splitlines() == [
        hint,
        "continue with: git hub-session eval s2",
        "then: git hub-session merge s2",
    ]
