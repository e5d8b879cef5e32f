"""`run`: a session from init to merge, and the steps that can stop it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pexpect
import pytest

from tests.support.cleanup import everything
from tests.support.hub import Hub, Result

AGENT = 'echo "ms: ${HUB_AGENT#agent-}0" >ms && git commit -qam "By $HUB_AGENT" && echo "$HUB_TASK"'
MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")
RUN_ARGUMENTS = ("run", "--id", "s1", "--task", "Be quick", "--agents", "2", "--agent-cmd")


@pytest.fixture
def slow_project(hub: Hub) -> Hub:
    """Return a hub whose project has the metric `ms` 50."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    return hub


def worktree_path(hub: Hub, agent: int) -> Path:
    """Return the path of the worktree of an agent."""
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def normalize_output(text: str) -> str:
    """Replace every duration with 0.0s, and sort the output lines of the agents."""
    lines = re.sub(r"\b\d+\.\d+s", "0.0s", text).splitlines()
    positions = [index for index, line in enumerate(lines) if re.match(r"agent-\d+ \|", line)]
    for index, line in zip(positions, sorted(lines[index] for index in positions), strict=True):
        lines[index] = line
    return "".join(f"{line}\n" for line in lines)


def test_run_from_a_task_to_a_merge(slow_project: Hub) -> None:
    base = slow_project.git("rev-parse", "main")
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "--yes")
    merged = slow_project.git("rev-parse", "main")
    output = ".agenthub/sessions/s1/output/exec-1"
    assert result._replace(out=normalize_output(result.out)) == Result(
        0,
        "Initialized session s1 in .agenthub/sessions/s1\n"
        "  Task: Be quick\n  Agents: 2\n  Base branch: main\n  Eval: cat ms\n  Metric: ms (lower)\n"
        "  State: init\n"
        "Baseline: ms 50\n"
        "Time limit for each measurement: 60 s (10 times the longest run of the baseline, at least 60 s)\n"
        "Spawned agent-1 in ../project.hub/s1/agent-1 on hub/s1/agent-1/attempt-1\n"
        "Spawned agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n"
        f"  Base: {base[:12]}\n"
        "Session s1: init → running\n"
        "agent-1 | Be quick\nagent-2 | Be quick\n"
        "AGENT    EXIT  TIME  COMMITS  OUTPUT\n"
        f"agent-1  0     0.0s        1  {output}/agent-1.log\n"
        f"agent-2  0     0.0s        1  {output}/agent-2.log\n"
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-1      10    -40       -      1  +1/-1\n"
        "   2  agent-2      20    -30       -      1  +1/-1\n"
        "Session s1: running → evaluating\n"
        "Merging hub/s1/agent-1/attempt-1 into main\n  Rank: 1\n"
        "  ms: 50 → 10 (−80.0 %)\n"
        "  ms | 2 +-\n  1 file changed, 1 insertion(+), 1 deletion(-)\n"
        f"Merged agent-1 into main: {merged[:12]}\n  ms: 50 → 10 (−80.0 %)\n"
        "agent-1: removed ../project.hub/s1/agent-1, kept its branch\n"
        "agent-2: removed ../project.hub/s1/agent-2, tagged as hub/archive/s1/agent-2\n"
        "Cleaned up 2 worktrees for session s1\n"
        "Session s1: evaluating → merged\n",
    )
    assert (slow_project.top / "ms").read_text() == "ms: 10\n"
    assert slow_project.state()["state"] == "merged"
    assert (
        (slow_project.directory() / "config.yaml")
        .read_text()
        .endswith("direction: lower\nbaseline: 50\n")
    )


NO_LIMIT = "No time limit for the agents and the measurements (to set one: --timeout <time>)"


def limit_lines(result: Result) -> list[str]:
    """Return the lines of the output that name a time limit."""
    return [line for line in result.out.splitlines() if "ime limit" in line]


@pytest.mark.parametrize(
    "options",
    [
        [*MEASURE, "--baseline", "none"],
        [*MEASURE, "--baseline", "90"],
        ["--eval", "grep 10 ms"],  # fails for the base branch
    ],
)
def test_run_without_a_time_limit(slow_project: Hub, options: list[str]) -> None:
    """`run` says so, unless the user has set the limit or measures nothing."""
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *options, "--yes")
    assert (result.code, limit_lines(result)) == (0, [NO_LIMIT])
    assert result.out.index(NO_LIMIT) < result.out.index("Spawned agent-1")
    other = [argument if argument != "s1" else "s2" for argument in RUN_ARGUMENTS]
    limited = slow_project.run(*other, "true", *options, "--timeout", "1h")
    assert (limited.code, limit_lines(limited)) == (1, [])
    other = [argument if argument != "s1" else "s3" for argument in RUN_ARGUMENTS]
    unmeasured = slow_project.run(*other, AGENT)
    assert (unmeasured.code, limit_lines(unmeasured)) == (0, [])


def test_question_before_the_merge(slow_project: Hub) -> None:
    terminal = pexpect.spawn(
        "git-hub-session",
        [*RUN_ARGUMENTS, AGENT, *MEASURE],
        cwd=str(slow_project.top),
        env=slow_project.environ,
        timeout=120,
    )
    terminal.expect_exact("Merge agent-1 into 'main'? [y/N] ")
    terminal.sendline("n")
    terminal.expect_exact("agent-1 was not merged")
    terminal.expect_exact("continue with: git hub-session merge s1")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, slow_project.state()["state"]) == (1, "evaluating")
    assert slow_project.run("merge", "-q", "--yes", "s1") == Result(0)


def test_formats(slow_project: Hub) -> None:
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "--yes", "--format=json")
    document = json.loads(result.out)
    assert (result.code, result.err, document["session_id"], document["stopped"]) == (
        *(0, "", "s1", None),
    )
    steps = document["steps"]
    assert list(steps) == ["init", "baseline", "spawn", "exec", "eval", "merge"]
    assert steps["baseline"] == {
        "session_id": "s1",
        "metric": "ms",
        "baseline": 50.0,
        "unit": None,
        "notes": [],
        "passed": None,
        "reason": None,
        "time_limit": 60,
    }
    assert [row["agent"] for row in steps["eval"]["agents"]] == [1, 2]
    assert steps["merge"]["commit"] == slow_project.git("rev-parse", "main")


def test_option_quiet(slow_project: Hub) -> None:
    assert slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "--yes", "-q") == Result(0, "s1\n")
    assert slow_project.state()["state"] == "merged"


def test_dry_run(slow_project: Hub) -> None:
    before = everything(slow_project)
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "-n")
    assert result.out.startswith("Would initialize session s1 in .agenthub/sessions/s1\n")
    assert result.out.endswith(
        "Would then measure the base branch\n"
        "Would then create the agents' branches and worktrees\n"
        "Would then run the agent command in each worktree\n"
        "Would then measure and rank the agents\n"
        "Would then ask, and merge the winner\n"
    )
    assert everything(slow_project) == before


def test_run_without_a_metric(slow_project: Hub) -> None:
    result = slow_project.run(*RUN_ARGUMENTS, AGENT)
    assert result.code == 0
    assert result.err == (
        "nothing is ranked: the session has no eval command\n"
        "hint: record a ranking, best agent first: git hub-session eval s1 --ranking agent-1,agent-2\n"
    )
    assert slow_project.state()["state"] == "running"
    assert slow_project.run("run", "-n", "--task", "t", "--agent-cmd", AGENT).out.endswith(
        "Would then run the agent command in each worktree\nWould then show the agents' changes\n"
    )
    assert slow_project.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    assert slow_project.run("merge", "-q", "--yes", "s1") == Result(0)


@pytest.mark.parametrize(
    ("arguments", "step", "message", "state"),
    [
        (
            [*RUN_ARGUMENTS, AGENT, *MEASURE, "--eval", "cat nothing"],
            "git hub-session spawn s1",
            "error: the eval command cannot measure 'main': exit code 1\nhint: read its output in",
            "init",
        ),
        (
            [*RUN_ARGUMENTS, "exit 3", *MEASURE],
            "git hub-session exec --failed --commit s1 -- sh -c 'exit 3'",
            "warning: agent-1: failed with exit code 3\n",
            "running",
        ),
        (
            [*RUN_ARGUMENTS, "git rm -q ms && git commit -qm gone", *MEASURE],
            "git hub-session eval --eval 'cat ms' --baseline measure --timeout 60s s1",
            "error: the run stopped at 'eval'\n",
            "evaluating",
        ),
        (
            [*RUN_ARGUMENTS, AGENT, *MEASURE],
            "git hub-session merge --yes s1",
            "error: cannot ask for confirmation: standard input is not a terminal (use --yes)\nhint: git hub-session merge --yes s1\n",
            "evaluating",
        ),
        (
            [*RUN_ARGUMENTS, "true", *MEASURE, "--yes"],
            "continue with: git hub-session exec --commit s1 -- sh -c true",
            "error: no agent has a commit of its own\nhint: continue with: ",
            "running",
        ),
    ],
)
def test_failed_step_stops_the_run(
    slow_project: Hub, arguments: list[str], step: str, message: str, state: str
) -> None:
    """The message names the command that continues the session."""
    base = slow_project.git("rev-parse", "main")
    result = slow_project.run(*arguments)
    assert (result.code, slow_project.state()["state"]) == (1, state)
    assert result.err.startswith(message), result.err
    assert step in result.err
    assert slow_project.git("rev-parse", "main") == base


def test_run_without_an_improvement(slow_project: Hub) -> None:
    """`run` stops before the merge. Each hint works, and keeps the message."""
    agent = 'echo "ms: 6${HUB_AGENT#agent-}" >ms && git commit -qam "By $HUB_AGENT"'
    base = slow_project.git("rev-parse", "main")
    result = slow_project.run(*RUN_ARGUMENTS, agent, *MEASURE, "--yes", "-m", "Be slow", "-m", "x")
    assert result.code == 1
    assert result.err == (
        "error: no agent improves on the baseline: the best 'ms' is 61 (agent-1), the baseline is 50\n"
        "hint: git hub-session archive s1\n"
        "hint: git hub-session merge -m 'Be slow' -m x --allow-regression --yes s1\n"
    )
    assert "Merging" not in result.out
    assert slow_project.git("rev-parse", "main") == base
    assert slow_project.state()["state"] == "evaluating"
    command = result.err.splitlines()[-1].removeprefix("hint: ")
    assert slow_project.call("sh", "-c", f"{command} --yes").code == 0
    assert slow_project.git("show", "-s", "--format=%B", "main") == (
        "Be slow\n\nx\n\nHub-Session: s1\nHub-Agent: agent-1\nHub-Metric: ms 50 -> 61\n"
    )


def test_regression_that_is_allowed(slow_project: Hub) -> None:
    arguments = ("--baseline", "9", "--yes", "--allow-regression", "-m", "Be slow")
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, *arguments)
    assert (result.code, result.err) == (
        *(0, "warning: agent-1 does not improve on the baseline\n"),
    )
    assert slow_project.git("show", "-s", "--format=%B", "main") == (
        "Be slow\n\nHub-Session: s1\nHub-Agent: agent-1\nHub-Metric: ms 9 -> 10\n"
    )


def test_worktree_path_that_exists(slow_project: Hub) -> None:
    worktree_path(slow_project, 2).mkdir(parents=True)
    (worktree_path(slow_project, 2) / "mine").write_text("x\n")
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE)
    assert result.err == (
        f"error: '{worktree_path(slow_project, 2)}' exists already\nhint: choose another --path\n"
        "hint: continue with: git hub-session spawn s1\n"
        f"hint: then: git hub-session exec --commit s1 -- sh -c {shlex.quote(AGENT)}\n"
        "hint: then: git hub-session eval --eval 'cat ms' --baseline measure --timeout 60s s1\nhint: then: git hub-session merge s1\n"
    )
    assert slow_project.state()["state"] == "init"


def test_baseline_is_measured_in_the_rounds_of_the_agents(slow_project: Hub) -> None:
    """`merge` compares with these values, and not with the measurement before the agents."""
    order = slow_project.top.parent / "order"
    # The base branch gets better with each measurement, as a machine does when other work ends.
    command = f"echo $HUB_AGENT >>{order}; echo ms: $(($(tr -dc 0-9 <ms) - $(wc -l <{order})))"
    arguments = (*MEASURE, "--eval", command, "--no-guard", "--repeat", "2", "-q", "--yes")
    assert slow_project.run(*RUN_ARGUMENTS, AGENT, *arguments).code == 0
    rounds = ["baseline", "agent-1", "agent-2"]
    assert order.read_text().split() == ["baseline", "baseline", *rounds, *rounds]
    document = slow_project.state()
    assert document["evaluation"]["baseline"] == (50 - 3 + 50 - 6) / 2
    assert "baseline: 48.5\n" in (slow_project.directory() / "config.yaml").read_text()


@pytest.mark.parametrize(("second", "is_noted"), [(30, True), (43, True), (70, False)])
def test_baseline_that_changes_as_much_as_the_winner(
    slow_project: Hub, second: int, *, is_noted: bool
) -> None:
    """The base branch is measured twice: 50, and then another value. The winner has 40."""
    first = slow_project.top.parent / "first"
    command = (
        f"case $HUB_AGENT in baseline) [ -e {first} ] && echo ms: {second} || cat ms; >{first} ;;"
        " *) cat ms ;; esac"
    )
    agent = 'echo "ms: 4${HUB_AGENT#agent-}" >ms'
    arguments = (*RUN_ARGUMENTS, agent, *MEASURE, "--eval", command, "--no-guard", "--yes")
    result = slow_project.run(*arguments, "--allow-regression")
    note = (
        "warning: one run for each agent may be too few:"
        f" the baseline was 50 and is now {second} (to repeat the runs: --repeat auto)\n"
    )
    assert (result.code, note in result.err) == (0, is_noted), result


def test_given_baseline(slow_project: Hub) -> None:
    """A number is recorded unchanged. With 'none' no baseline is recorded."""
    assert (
        slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "-q", "--yes", "--baseline", "40").code
        == 0
    )
    assert slow_project.state()["evaluation"]["baseline"] == 40
    arguments = [argument if argument != "s1" else "s2" for argument in RUN_ARGUMENTS]
    agent = AGENT.replace("ms: ", "ms: 0")
    assert slow_project.run(*arguments, agent, *MEASURE, "-q", "--yes", "--baseline=none").code == 0
    assert slow_project.state("s2")["evaluation"]["baseline"] is None


def test_approval_that_cannot_be_saved(slow_project: Hub) -> None:
    """The eval command on the command line is approved for this run, without a question."""
    environ = {"XDG_STATE_HOME": "/dev/null/state"}
    result = slow_project.run(*RUN_ARGUMENTS, AGENT, *MEASURE, "-q", "--yes", environ=environ)
    assert (result, slow_project.state()["state"]) == (Result(0, "s1\n"), "merged")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--task", "t"], "option '--agent-cmd' is required\nhint: --agent-cmd <command>"),
        (["run", "--task", "t", "--agent-cmd", " "], "option '--agent-cmd' is required"),
        (["run", "--agent-cmd", "x"], "option '--task' is required"),
        ([*RUN_ARGUMENTS, "x", "--metric", "m"], "--metric requires --eval"),
        ([*RUN_ARGUMENTS, "x", "--repeat", "auto"], "--repeat auto requires --metric"),
        ([*RUN_ARGUMENTS, "x", *MEASURE, "--baseline", "some"], "not a number: 'some'"),
        ([*RUN_ARGUMENTS, "x", "--agents", "0"], "not a number of agents: '0'"),
        ([*RUN_ARGUMENTS, "x", "--jobs", "0"], "not a number of jobs: '0'"),
        ([*RUN_ARGUMENTS, "x", "--timeout", "soon"], "not a time: 'soon'"),
        ([*RUN_ARGUMENTS, "x", "--retries", "-1"], "not a number of retries: '-1'"),
        ([*RUN_ARGUMENTS, "x", "--retry-delay", "x"], "not a time: 'x'"),
    ],
)
def test_wrong_usage(slow_project: Hub, arguments: list[str], message: str) -> None:
    before = everything(slow_project)
    result = slow_project.run(*arguments)
    assert (result.code, result.out) == (129, "")
    assert result.err.startswith(f"error: {message}\n")
    assert everything(slow_project) == before
