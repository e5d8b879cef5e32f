"""`eval`: eval commands that run at the commits of the agents, and the ranking."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pytest

from git_hub_session.worktree.locks import EVAL_LOCK
from tests.support.cleanup import everything
from tests.support.hub import Hub, Result, wait_for
from tests.support.interrupt import DIE, run_with_injected_code
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    count_worktrees,
    create_measurable_session,
    recorded_ranks,
)


def rows(result: Result) -> list[list[str]]:
    """Return the cells of each row of the table."""
    return [line.split() for line in result.out.splitlines() if not line.startswith("Session")]


def test_best_agent_is_first(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 20\n", "ms: 7.5\n")
    result = hub.run("eval", *MEASURE, "--baseline", "30", "s1")
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-2     7.5  -22.5       -      1  +1/-0\n"
        "   2  agent-1      20    -10       -      1  +1/-0\n"
        "Session s1: running → evaluating\n",
    )
    state = hub.state()
    tips = [hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2)]
    assert state["agents"]["agent-2"]["result"] == {
        "rank": 1,
        "attempt": 1,
        "commit": tips[1],
        "metric": 7.5,
        "tie": False,
        "tree": hub.git("rev-parse", f"{tips[1]}^{{tree}}"),
        "reason": "",
        "values": [7.5],
        "spread": 0.0,
        "delta": -22.5,
        "margin": 0.0,
        "files": 1,
        "insertions": 1,
        "deletions": 0,
    }
    assert state["agents"]["agent-1"]["result"]["commit"] == tips[0]
    assert {key: state["evaluation"][key] for key in state["evaluation"] if key != "at"} == {
        "base": hub.git("rev-parse", "main"),
        "run": "eval-1",
        "command": "cat ms",
        "metric": "ms",
        "direction": "lower",
        "baseline": 30.0,
        "time_limit": 60,
    }
    assert (state["state"], state["history"][-1]["verb"]) == ("evaluating", "eval")
    log = hub.directory() / "output" / "eval-1" / "agent-2.log"
    assert log.read_text() == "ms: 7.5\n"
    assert hub.git("status", "--porcelain", cwd=agent_worktree(hub, 1)) == ""


def test_settings_of_the_session_are_used(hub: Hub) -> None:
    """Without options, eval uses the command, metric, direction and baseline of the session."""
    hub.run(
        *("init", "-q", "--id", "s1", "--task", "t", "--agents", "2", "--eval", "cat ms"),
        *("--metric", "ms", "--direction", "higher", "--baseline", "10"),
    )
    hub.run("spawn", "-q", "s1")
    for agent in (1, 2):
        hub.commit(agent_worktree(hub, agent), "ms", f"ms={agent}0\n")
    result = hub.run("eval", "s1")
    assert rows(result)[1:] == [
        ["1", "agent-2", "20", "+10", "-", "1", "+1/-0"],
        ["2", "agent-1", "10", "+0", "-", "1", "+1/-0"],
    ]
    assert result.err == ""


def test_repeated_eval(hub: Hub) -> None:
    """A new eval replaces the results. The session stays `evaluating`."""
    create_measurable_session(hub, "ms: 1\nx: 9\n", "ms: 2\nx: 3\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 1, ""), "agent-2": (2, 2, "")}
    assert hub.run("eval", "-q", *MEASURE, "--metric", "x", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (2, 9, ""), "agent-2": (1, 3, "")}
    assert hub.state()["evaluation"]["run"] == "eval-2"
    assert [step["to"] for step in hub.state()["history"]] == ["running", "evaluating"]


def test_unmeasured_agents_are_last(hub: Hub) -> None:
    create_measurable_session(
        hub, "ms: 5\n", "exit 3\n", "sleep 300 & echo $! >../pid; wait\n", "echo ms: nan\n", ""
    )
    hub.commit(agent_worktree(hub, 1), "ms", "echo ms: 5\n")
    result = hub.run("eval", *MEASURE, "--eval", "sh ./ms", "--timeout", "1s", "s1")
    assert result.code == 0, result
    assert rows(result)[1:] == [
        ["1", "agent-1", "5", "-", "-", "1", "+1/-0"],
        ["2", "agent-2", "-", "-", "-", "1", "+1/-0", "exit", "code", "3"],
        ["3", "agent-3", "-", "-", "-", "1", "+1/-0", "timed", "out"],
        ["4", "agent-4", "-", "-", "-", "1", "+1/-0", "'ms'", "is", "nan"],
        [
            *("5", "agent-5", "-", "-", "-", "1", "+0/-0"),
            *["no", "'ms'", "in", "the", "output"],
        ],
    ]
    assert recorded_ranks(hub)["agent-3"] == (3, None, "timed out")
    pid = (agent_worktree(hub, 3).parent / "pid").read_text().strip()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_no_agent_can_be_measured(hub: Hub) -> None:
    create_measurable_session(hub, "none\n", "none\n")
    result = hub.run("eval", *MEASURE, "s1")
    assert result.code == 1
    assert [row[:3] for row in rows(result)[1:]] == [["1", "agent-1", "-"], ["2", "agent-2", "-"]]


@pytest.mark.parametrize(
    ("output", "name", "arguments"),
    [
        ('{"runs": [{"p50": 7}, {"p50": 8.25}]}', "runs[1].p50", []),
        ('{"a.b": {"c": 1}, "a": {"b": 8.25}}', "a.b", []),
        ('noise\n{"p50": 8.25}', "p50", []),
        ('pre "p50": 1\np50 = 8.25\n', "p50", []),
        ("p50: 3\np50: +825e-2", "p50", []),
        ("xp50: 1\np50: 8.25\np50x: 2", "p50", []),
        ("p50: 1", "p50", ["--metric-file", "result.json"]),
    ],
)
def test_metric_in_the_output(hub: Hub, output: str, name: str, arguments: list[str]) -> None:
    create_measurable_session(hub, output)
    hub.commit(agent_worktree(hub, 1), "result.json", '{"p50": 8.25}')
    command = "cat ms; touch result.json" if arguments else "cat ms"
    result = hub.run(
        *("eval", "--eval", command, "--metric", name, "--direction", "lower", *arguments, "s1")
    )
    assert rows(result)[1][:3] == ["1", "agent-1", "8.25"]


def test_metric_file_that_the_command_did_not_write(hub: Hub) -> None:
    """A committed file, a symbolic link and a FIFO are not read."""
    create_measurable_session(hub, "", "", "")
    hub.commit(agent_worktree(hub, 1), "result", "ms: 1")
    secret = hub.top.parent / "secret"
    secret.write_text("ms: 1")
    scripts = ("true", f"ln -s {secret} result", "mkfifo result")
    for agent, script in enumerate(scripts, start=1):
        hub.commit(agent_worktree(hub, agent), "run", script)
    arguments = (*MEASURE, "--eval", "sh ./run", "--metric-file", "result")
    result = hub.run("eval", *arguments, "s1", environ={"LC_ALL": "C"})
    assert result.code == 1
    assert [rank[2] for rank in recorded_ranks(hub).values()] == [
        "the command did not write 'result'",
        "'result': Too many levels of symbolic links",
        "'result' is not a regular file",
    ]


def test_metric_file_that_is_written_repeatedly(hub: Hub) -> None:
    """The file is recognized as new in each run, even if the command is very fast."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    arguments = (
        *MEASURE,
        "--eval",
        "echo ms: ${HUB_AGENT#agent-} >result",
        "--metric-file",
        "result",
    )
    for options in ((), ("--in-place",)):
        assert hub.run("eval", "-q", *arguments, *options, "--repeat", "20", "s1").code == 0
        assert recorded_ranks(hub) == {"agent-1": (1, 1, ""), "agent-2": (2, 2, "")}


def test_metric_file_behind_a_symbolic_link(hub: Hub) -> None:
    """The link may point into the worktree, but not out of it."""
    create_measurable_session(hub, "mkdir real; ln -s real out", "ln -s .. out")
    arguments = (*MEASURE, "--eval", "sh ms; echo ms: 1 >out/result", "--metric-file", "out/result")
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert recorded_ranks(hub) == {
        "agent-1": (1, 1, ""),
        "agent-2": (2, None, "'out/result' is outside the worktree"),
    }


def test_tie_is_won_by_the_smaller_diff(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 5\n", "ms: 5\n", "ms: 6\n")
    hub.commit(agent_worktree(hub, 1), "more", "lines\nlines\n")
    result = hub.run("eval", *MEASURE, "s1")
    assert rows(result)[1:] == [
        ["1", "agent-2", "5", "-", "-", "1", "+1/-0", "tie"],
        ["2", "agent-1", "5", "-", "-", "2", "+3/-0", "tie"],
        ["3", "agent-3", "6", "-", "-", "1", "+1/-0"],
    ]
    assert hub.state()["agents"]["agent-2"]["result"]["tie"] is True


def test_diff_has_no_changes_of_the_base_branch(hub: Hub) -> None:
    """One agent has rebased its branch on the base branch."""
    create_measurable_session(hub, "ms: 5\n", "ms: 5\n")
    hub.commit(agent_worktree(hub, 1), "more", "lines\nlines\n")
    hub.commit(hub.top, "base", "of\nthe\nbase\nbranch\n")
    hub.git("rebase", "-q", "main", cwd=agent_worktree(hub, 2))
    assert rows(hub.run("eval", *MEASURE, "s1"))[1:] == [
        ["1", "agent-2", "5", "-", "-", "1", "+1/-0", "tie"],
        ["2", "agent-1", "5", "-", "-", "2", "+3/-0", "tie"],
    ]


# The n-th run prints the n-th line of the file `ms`.
PRINT_NEXT_LINE = 'n=$(cat ../$HUB_AGENT-n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >../$HUB_AGENT-n; sed -n "${n}p" ms'


def test_difference_within_the_spread_is_a_tie(hub: Hub) -> None:
    """The medians of three runs are 10, 11 and 14. The largest spread is 2."""
    create_measurable_session(
        hub, "ms: 9\nms: 11\nms: 10\n", "ms: 11\nms: 11\nms: 11\n", "ms: 14\n" * 3
    )
    hub.commit(agent_worktree(hub, 1), "more", "lines\n" * 9)
    result = hub.run("eval", *MEASURE, "--eval", PRINT_NEXT_LINE, "--repeat", "3", "s1")
    assert rows(result)[1:] == [
        ["1", "agent-2", "11", "±0", "(3)", "-", "0", "1", "+3/-0", "tie"],
        ["2", "agent-1", "10", "±2.9", "(3)", "-", "2", "2", "+12/-0", "tie"],
        ["3", "agent-3", "14", "±0", "(3)", "-", "0", "1", "+3/-0"],
    ]
    assert hub.state()["agents"]["agent-1"]["result"]["values"] == [9, 11, 10]


def test_tie_names_the_repetitions_that_may_end_it(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 9\nms: 11\nms: 10\n", "ms: 11\nms: 11\nms: 10.2\n")
    result = hub.run("eval", *MEASURE, "--eval", PRINT_NEXT_LINE, "--repeat", "3", "s1")
    assert result.err == (
        "warning: 3 repetitions cannot tell agent-1 and agent-2 apart;"
        " about 82 more are likely to be enough\n"
    )


def test_race_repeats_only_the_agents_that_may_be_the_best(hub: Hub) -> None:
    noise = (0, 0.2, -0.1, 0.1, -0.2, 0, 0.3, -0.3, 0.1, -0.1)
    metrics = ["".join(f"ms: {base + value}\n" for value in noise * 4) for base in (10, 10.25, 30)]
    # The noise of agent-2 is in another order, so that its differences vary.
    metrics[1] = "\n".join(reversed(metrics[1].splitlines())) + "\n"
    create_measurable_session(hub, *metrics)
    arguments = ("eval", *MEASURE, "--eval", PRINT_NEXT_LINE, "--repeat", "auto", "s1")
    result = hub.run(*arguments)
    assert (result.code, result.err) == (0, "")
    results = [hub.state()["agents"][f"agent-{number}"]["result"] for number in (1, 2, 3)]
    assert [found["rank"] for found in results] == [1, 2, 3]
    assert [found["tie"] for found in results] == [False] * 3
    counts = [len(found["values"]) for found in results]
    assert counts[2] == 3
    assert 3 < counts[0] == counts[1] < 16


def test_race_ends_with_its_budget(hub: Hub) -> None:
    create_measurable_session(hub, *["ms: 9\nms: 11\nms: 10\nms: 12\nms: 8\n" * 4] * 2)
    arguments = ("eval", *MEASURE, "--eval", PRINT_NEXT_LINE, "--repeat=auto", "--budget=9", "s1")
    result = hub.run(*arguments)
    assert [row[-1] for row in rows(result)[1:]] == ["tie", "tie"]
    values = [hub.state()["agents"][f"agent-{number}"]["result"]["values"] for number in (1, 2)]
    assert values == [[9, 11, 10, 12]] * 2


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--repeat=auto", "--budget=0"], "not a number of measurements: '0'"),
        (["--repeat=3", "--budget=20"], "--budget needs '--repeat auto'"),
        (["--repeat=automatic"], "not a number of times: 'automatic'"),
    ],
)
def test_repetitions_that_are_not_valid(hub: Hub, options: list[str], error: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    result = hub.run("eval", *MEASURE, *options, "s1")
    assert (result.code, result.out, result.err.splitlines()[0]) == (129, "", f"error: {error}")
    assert hub.state()["state"] == "running"
    run_options = ("--task=t", "--agent-cmd=true", "--direction=lower", *MEASURE[:4], *options)
    result = hub.run("run", "--id=s2", *run_options)
    assert (result.code, result.err.splitlines()[0]) == (129, f"error: {error}")
    assert not hub.directory("s2").exists()


def test_agent_that_fails_once_is_not_measured_again(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\nnone\nms: 1\n", "ms: 2\n" * 3)
    result = hub.run("eval", *MEASURE, "--eval", PRINT_NEXT_LINE, "--repeat", "3", "s1")
    assert [row[1:3] for row in rows(result)[1:]] == [["agent-2", "2"], ["agent-1", "-"]]
    assert (agent_worktree(hub, 1).parent / "agent-1-n").read_text() == "2\n"


def test_tip_of_the_branch_is_measured(hub: Hub) -> None:
    """The files in the agents' worktrees do not count.

    An agent with commits on a detached HEAD is not measured.
    """
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n", "ms: 3\n", "ms: 4\n")
    (agent_worktree(hub, 1) / "ms").write_text("ms: 100\n")
    (agent_worktree(hub, 2) / "untracked").write_text("x\n")
    hub.git("worktree", "remove", "--force", agent_worktree(hub, 3))
    hub.git("checkout", "-q", "--detach", cwd=agent_worktree(hub, 4))
    hub.commit(agent_worktree(hub, 4), "ms", "ms: 100\n")
    before = count_worktrees(hub)
    result = hub.run("eval", *MEASURE, "s1")
    assert (result.code, result.err) == (0, "hint: git hub-session adopt s1 agent-4\n")
    assert [rank[1] for rank in recorded_ranks(hub).values()] == [1, 2, 3, None]
    assert (agent_worktree(hub, 1) / "ms").read_text() == "ms: 100\n"
    assert count_worktrees(hub) == before
    assert sorted(path.name for path in agent_worktree(hub, 1).parent.iterdir()) == [
        "agent-1",
        "agent-2",
        "agent-4",
    ]


def test_files_of_a_temporary_worktree(hub: Hub) -> None:
    """Files of .worktreeinclude are copied, and the setup command runs. A failed setup is fatal."""
    (hub.top / ".gitignore").write_text("/deps\n/made\n")
    (hub.top / ".worktreeinclude").write_text("deps\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "ignored")
    (hub.top / "deps").write_text("5\n")
    hub.git("config", "hubsession.setup", 'test -z "$FAIL" && echo "ms: $(cat deps)" >made')
    create_measurable_session(hub, "x\n")
    (agent_worktree(hub, 1) / "untracked").write_text("x\n")
    arguments = (*MEASURE, "--eval", "cat made", "--baseline=measure")
    assert rows(hub.run("eval", *arguments, "s1"))[1][:4] == ["1", "agent-1", "5", "+0"]
    state = hub.state()
    result = hub.run("eval", *arguments, "s1", environ={"FAIL": "1"})
    assert result.err == (
        "fatal: cannot set up the temporary worktree of baseline: hubsession.setup failed with exit code 1\n"
    )
    assert (hub.state(), count_worktrees(hub)) == (state, 2)


def test_last_attempt_is_measured(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    hub.run("spawn", "-q", "s1", "--retry", "1")
    hub.commit(Path(f"{agent_worktree(hub, 1)}-2"), "ms", "ms: 0.5\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    result = hub.state()["agents"]["agent-1"]["result"]
    assert (result["attempt"], result["metric"]) == (2, 0.5)


def test_baseline_is_measured_at_the_base_branch(hub: Hub) -> None:
    hub.commit(hub.top, "ms", "ms: 40\n")
    create_measurable_session(hub, "ms: 30\n")
    result = hub.run("eval", *MEASURE, "--baseline=measure", "s1")
    assert (result.err, rows(result)[1]) == (
        "",
        ["1", "agent-1", "30", "-10", "-", "1", "+1/-1"],
    )
    assert hub.state()["evaluation"]["baseline"] == 40
    assert count_worktrees(hub) == 2


def test_baseline_that_cannot_be_measured(hub: Hub) -> None:
    """If the measurement fails, a warning is printed and no baseline is recorded."""
    create_measurable_session(hub, "ms: 30\n")
    result = hub.run("eval", *MEASURE, "--baseline=measure", "s1")
    assert result.err == "warning: the baseline could not be measured: exit code 1\n"
    assert rows(result)[1] == ["1", "agent-1", "30", "-", "-", "1", "+1/-0"]
    assert hub.state()["evaluation"]["baseline"] is None


def test_eval_without_a_command_ranks_nothing(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\nmore\n")
    before = everything(hub)
    assert hub.run("eval", "s1") == Result(
        0,
        "AGENT    FILES  +/-\nagent-1      1  +1/-0\nagent-2      1  +2/-0\n",
        "nothing is ranked: the session has no eval command\n"
        "hint: record a ranking, best agent first: git hub-session eval s1 --ranking agent-1,agent-2\n",
    )
    assert everything(hub) == before


def test_ranking_by_a_judge(hub: Hub) -> None:
    create_measurable_session(hub, "a\n", "b\n", "c\n")
    result = hub.run("eval", "--ranking", "agent-3,1", "s1")
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3       -      -       -      1  +1/-0\n"
        "   2  agent-1       -      -       -      1  +1/-0\n"
        "Session s1: running → evaluating\n",
    )
    assert recorded_ranks(hub) == {"agent-3": (1, None, ""), "agent-1": (2, None, "")}
    assert hub.run("eval", "-q", "--ranking", "2", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-2": (1, None, "")}


def test_ranking_of_an_agent_without_a_branch(hub: Hub) -> None:
    create_measurable_session(hub, "a\n", agents=2)
    hub.git("worktree", "remove", agent_worktree(hub, 2))
    hub.git("branch", "-D", "hub/s1/agent-2/attempt-1")
    before = everything(hub)
    assert hub.run("eval", "--ranking", "1,2", "s1") == Result(
        1, "", "error: agent-2: its branch does not exist\nhint: git hub-session doctor s1\n"
    )
    assert hub.run("eval", "--ranking", "3", "s1").code == 128
    assert everything(hub) == before


def start_agent(hub: Hub) -> subprocess.Popen[bytes]:
    """Start a long command for agent-2."""
    process = subprocess.Popen(
        ["git-hub-session", "exec", "-q", "--only=2", "s1", "--", "sleep", "300"],
        cwd=hub.top,
        env=hub.environ,
    )
    wait_for(lambda: hub.state()["agents"]["agent-2"]["status"] == "running")
    return process


def test_agent_that_is_still_running(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    process = start_agent(hub)
    assert hub.run("eval", *MEASURE, "s1") == Result(
        1, "", "error: agent-2 is still running\nhint: wait for it, or use --force\n"
    )
    assert hub.run("eval", "--ranking", "1,2", "s1") == Result(
        1, "", "error: agent-2 is still running\nhint: wait for it, or use --force\n"
    )
    assert hub.state()["state"] == "running"
    assert hub.run("eval", "-q", "--force", *MEASURE, "s1") == Result(0)
    assert hub.run("eval", "-q", "--force", "--ranking", "1,2", "s1") == Result(0)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def test_agent_without_a_commit_that_is_still_running(hub: Hub) -> None:
    """`eval` does not propose to commit the files of the agent, because it still writes them."""
    create_measurable_session(hub, agents=2)
    (agent_worktree(hub, 2) / "new").write_text("half\n")
    process = start_agent(hub)
    assert hub.run("eval", *MEASURE, "s1") == Result(
        1, "", "error: agent-2 is still running\nhint: wait for it, or use --force\n"
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def create_unapproved_session(hub: Hub, command: str = "cat ms") -> Hub:
    """Create a session whose config.yaml has a command that the user has not approved."""
    create_measurable_session(hub, "ms: 1\n")
    with (hub.directory() / "config.yaml").open("a") as config:
        config.write(f'eval_cmd: "{command}"\nmetric: ms\ndirection: lower\n')
    return hub


def test_unapproved_command_does_not_run(hub: Hub) -> None:
    """The command came with the repository, in config.yaml."""
    create_unapproved_session(hub, "touch ../ran; cat ms")
    before = everything(hub)
    assert hub.run("eval", "s1") == Result(
        1,
        "",
        "error: the eval command of session 's1' is not approved: touch ../ran; cat ms\n"
        "hint: git hub-session eval s1 --eval 'touch ../ran; cat ms'\n",
    )
    assert everything(hub) == before
    # A command in --eval is approved from then on, in this repository and with this exact text.
    arguments = ["--eval", "touch ../ran; cat ms"]
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert hub.run("eval", "-q", "s1") == Result(0)
    config = hub.directory() / "config.yaml"
    config.write_text(config.read_text().replace("../ran;", "../ran ;"))
    assert hub.run("eval", "-q", "s1").code == 1


def test_approval_is_not_valid_in_another_repository(hub: Hub) -> None:
    create_unapproved_session(hub)
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    copy = hub.top.parent / "copy"
    hub.call("cp", "-a", hub.top, copy)
    assert hub.run("eval", "s1", cwd=copy).err.startswith(
        "error: the eval command of session 's1' is not approved"
    )


def test_approval_is_not_valid_for_another_repository_at_the_same_path(hub: Hub) -> None:
    """A clone and a new repository have no id. The approval of the first one stays valid."""
    create_unapproved_session(hub)
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    first = hub.top.rename(hub.top.parent / "first")
    hub.call("git", "clone", "-q", first, hub.top, cwd=hub.top.parent)
    hub.call("cp", "-a", first / ".agenthub", hub.top)
    hub.git("branch", "hub/s1/agent-1/attempt-1", "origin/hub/s1/agent-1/attempt-1")
    assert hub.run("eval", "-q", "--eval", "cat  ms", "s1") == Result(0)  # creates an id
    assert hub.run("eval", "s1") == Result(
        1,
        "",
        "error: the eval command of session 's1' is not approved: cat ms\n"
        "hint: git hub-session eval s1 --eval 'cat ms'\n",
    )
    hub.top.rename(hub.top.parent / "second")
    first.rename(hub.top)
    assert hub.run("eval", "-q", "s1") == Result(0)


def test_id_of_another_repository_approves_nothing(hub: Hub) -> None:
    """Neither a link to the id of an approved repository nor its copy at another path counts."""
    create_unapproved_session(hub)
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    identity = hub.top / ".git" / "hub-session-id"
    moved = identity.rename(hub.top.parent / "id")
    identity.symlink_to(moved)
    assert hub.run("eval", "-q", "s1").code == 1
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)  # no hint without its note
    result = hub.run("eval", "--eval", "cat ms", "s1")
    assert result.err == (
        "warning: 'git hub-session eval' will ask again, because the approval was not saved:"
        f" '{identity}' does not contain an id\n"
        f"hint: rm {identity}\n"
    )
    for text in ("", "x", "0" * 33):
        identity.unlink()
        identity.write_text(text)
        assert hub.run("eval", "-q", "s1").code == 1
    identity.unlink()
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    assert hub.run("eval", "-q", "s1") == Result(0)


def test_approval_of_a_copied_or_moved_repository(hub: Hub) -> None:
    """Links to the repository and its worktrees have the approval. Other paths do not."""
    create_unapproved_session(hub)
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    parent = hub.top.parent
    (parent / "link").symlink_to(hub.top)
    hub.git("worktree", "add", "-q", "--detach", parent / "linked")
    for place in ("link", "linked", hub.top.name):
        assert hub.run("eval", "-q", "s1", cwd=parent / place) == Result(0)
    shutil.copytree(hub.top, parent / "copy", symlinks=True)
    hub.top.rename(parent / "moved")
    for place in ("copy", "moved"):
        result = hub.run("eval", "-q", "s1", cwd=parent / place)
        assert result.code == 1
        assert "the eval command of session 's1' is not approved: cat ms\n" in result.err
    (parent / "moved").rename(hub.top)
    assert hub.run("eval", "-q", "s1") == Result(0)


def test_approval_is_saved_outside_the_repository(hub: Hub) -> None:
    create_unapproved_session(hub)
    approvals = Path(hub.environ["HOME"]) / ".local" / "state" / "git-hub-session" / "allowed"
    assert not approvals.exists()
    for answer, code, state in (("", 1, "running"), ("n", 1, "running"), ("y", 0, "evaluating")):
        terminal = pexpect.spawn(
            "git-hub-session", ["eval", "s1"], cwd=str(hub.top), env=hub.environ, timeout=120
        )
        terminal.expect_exact("Run the eval command of session 's1': cat ms? [y/N] ")
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert (terminal.exitstatus, hub.state()["state"]) == (code, state)
    assert len(approvals.read_text().splitlines()) == 1
    assert approvals.stat().st_mode & 0o777 == 0o600
    assert hub.run("eval", "-q", "s1") == Result(0)


def test_no_approval_without_a_home_directory(hub: Hub) -> None:
    """A list of approved commands in the repository itself is not read."""
    create_unapproved_session(hub)
    assert hub.run("eval", "-q", "--eval", "cat ms", "s1") == Result(0)
    home = Path(hub.environ["HOME"])
    (home / ".local").rename(hub.top / ".local")
    for environ in ({"HOME": ""}, {"HOME": "."}, {"XDG_STATE_HOME": ".local/state"}):
        result = hub.run("eval", "s1", environ=environ)
        assert (result.code, result.out) == (1, ""), (environ, result)
        assert result.err.startswith("error: the eval command of session 's1' is not approved")


def test_approval_that_cannot_be_saved(hub: Hub) -> None:
    """The approval is valid for this call only."""
    create_unapproved_session(hub)
    environ = {"XDG_STATE_HOME": "/dev/null/state"}
    result = hub.run("eval", "-q", "--eval", "cat ms", "s1", environ=environ)
    assert result.code == 0
    path = "/dev/null/state/git-hub-session/allowed"
    assert result.err == ""
    result = hub.run("eval", "--eval", "cat ms", "s1", environ=environ)
    assert result.err == (
        "warning: 'git hub-session eval' will ask again, because the approval was not saved:"
        f" cannot write '{path}': Not a directory\n"
    )
    assert hub.run("eval", "s1", environ=environ).code == 1


def test_control_character_in_a_command(hub: Hub) -> None:
    """The command is printed with escapes, so that it cannot control the terminal."""
    create_unapproved_session(hub)
    config = hub.directory() / "config.yaml"
    text = config.read_text().replace('eval_cmd: "cat ms"', "eval_cmd: 'cat ms;\x1b[2J evil'")
    config.write_text(text)
    result = hub.run("eval", "s1")
    assert result.code == 128 or "\\x1b[2J" in result.err
    assert "\x1b" not in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*MEASURE, "--metric", " "], "--direction requires --metric"),
        (["--eval", "x", "--baseline", "1"], "--baseline requires --metric"),
        (["--eval", "x", "--repeat", "auto"], "--repeat auto requires --metric"),
        (["--eval", "x", "--metric", "ms"], "--metric requires --direction"),
        ([*MEASURE, "--require", "errors=0"], "not a requirement: 'errors=0'"),
        ([*MEASURE, "--no-require", "--require", "a"], "not a requirement: 'a'"),
        ([*MEASURE, "--repeat", "0"], "not a number of times: '0'"),
        ([*MEASURE, "--baseline", "nan"], "not a number: 'nan'"),
        ([*MEASURE, "--metric-file", "../x"], "not a path in the worktree: '../x'"),
        ([*MEASURE, "--metric-file", "/x"], "not a path in the worktree: '/x'"),
        ([*MEASURE, "--timeout", "soon"], "not a time: 'soon'"),
        (["--ranking", "1", "--metric", "ms"], "--ranking and --metric exclude each other"),
        (["--direction", "up"], "option '--direction' expects one of lower, higher"),
    ],
)
def test_wrong_usage(hub: Hub, arguments: Sequence[str], message: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    before = everything(hub)
    result = hub.run("eval", "s1", *arguments)
    assert (result.code, result.out) == (129, "")
    assert result.err.startswith(f"error: {message}")
    assert everything(hub) == before


def test_eval_in_the_wrong_state(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("eval", *MEASURE, "s1") == Result(
        1,
        "",
        "error: session 's1' is 'init': there is nothing to evaluate\n"
        "hint: git hub-session spawn s1\n",
    )
    for state in ("running", "evaluating", "archived"):
        hub.run("update", "s1", "--state", state)
    assert hub.run("eval", *MEASURE, "s1") == Result(
        1,
        "",
        "error: session 's1' is 'archived': there is nothing to evaluate\n"
        "hint: git hub-session init --task <text>\n",
    )


def test_formats_and_dry_run(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 2\n", "ms: 1\n")
    (agent_worktree(hub, 1) / "untracked").write_text("x\n")
    tip = hub.git("rev-parse", "hub/s1/agent-1/attempt-1")
    before = everything(hub)
    assert hub.run("eval", "-n", *MEASURE, "s1").out == (
        f"Would measure agent-1 at {tip[:12]} in a temporary worktree\n"
        f"Would measure agent-2 at {hub.git('rev-parse', 'hub/s1/agent-2/attempt-1')[:12]}"
        " in a temporary worktree\n"
    )
    document = hub.json("eval", "-n", *MEASURE, "s1")
    assert (document["dry_run"], document["agents"][0]["rank"]) == (True, None)
    assert everything(hub) == before
    result = hub.run("eval", *MEASURE, "--baseline", "4", "--format=json", "s1")
    document = json.loads(result.out)
    last = document["agents"].pop()
    assert [document["agents"][0][key] for key in ("rank", "agent", "metric")] == [1, 2, 1.0]
    del document["agents"]
    assert document == {
        "version": 1,
        "session_id": "s1",
        "state": "evaluating",
        "run": "eval-1",
        "dry_run": False,
        "eval_cmd": "cat ms",
        "metric": "ms",
        "baseline": 4.0,
        "notes": [],
        "unit": None,
        "guard": [],
        "verdict": None,
        "judge": None,
        "improves": None,
        "require": [],
        "holdout": [],
        "by_ratio": False,
        "unmeasured": [],
        "workers": [],
    }
    assert result.err == ""
    assert last == {
        "rank": 2,
        "agent": 1,
        "attempt": 1,
        "branch": "hub/s1/agent-1/attempt-1",
        "commit": tip,
        "metric": 2.0,
        "values": [2.0],
        "base": None,
        "base_values": [],
        "ratio": None,
        "ratio_interval": None,
        "machine": None,
        "delta": -2.0,
        "spread": 0.0,
        "tie": False,
        "reason": None,
        "files": 1,
        "insertions": 1,
        "deletions": 0,
        "output": f"{hub.directory()}/output/eval-1/agent-1.log",
        "uncommitted": 1,
        "guarded": [],
        "failure": None,
        "hint": None,
        "passed": None,
        "interval": None,
        "counted": True,
        "uncommitted_attempts": [],
    }
    porcelain = hub.run("eval", *MEASURE, "--format=porcelain", "s1").out
    assert porcelain.startswith(
        "session s1\nrank 1\nagent 2\nattempt 1\nbranch hub/s1/agent-2/attempt-1\n"
    )


def test_interrupt_removes_temporary_worktrees(hub: Hub) -> None:
    """All processes end, the temporary worktrees are removed, and the session is unchanged."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    pid = hub.top.parent / "pid"
    command = f"sleep 300 & echo $! >{pid}.new; mv {pid}.new {pid}; wait"
    process = subprocess.Popen(
        ["git-hub-session", "eval", *MEASURE, "--eval", command, "s1"],
        cwd=hub.top,
        env=hub.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(pid.exists)
    state = hub.state()
    assert count_worktrees(hub) == 5
    for arguments in (MEASURE, ("--ranking", "1,2")):
        assert hub.run("eval", *arguments, "s1").err.startswith(
            "error: session 's1' is being evaluated\n"
        )
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == (b"", b"")
    assert process.returncode == -signal.SIGINT
    assert (count_worktrees(hub), hub.state()) == (3, state)
    wait_for(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())


def test_next_run_cleans_up_after_a_kill(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    killed = run_with_injected_code(hub, "eval", *MEASURE, "s1", code=DIE, nth=1, only="os.fork")
    assert (killed.code, count_worktrees(hub), hub.state()["state"]) == (-9, 3, "running")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert (count_worktrees(hub), hub.state()["state"]) == (2, "evaluating")


@pytest.mark.parametrize("remaining", ["index", "all"])
def test_git_dir_left_by_an_interrupted_git(hub: Hub, remaining: str) -> None:
    """After Ctrl-C git removes `gitdir`, while its child process may still write the index."""
    create_measurable_session(hub, "ms: 1\n")
    path = agent_worktree(hub, 1).parent / ".s1-eval-agent-1"
    reason = ("--lock", "--reason", EVAL_LOCK)
    hub.git("worktree", "add", "-q", "--detach", *reason, path, "hub/s1/agent-1/attempt-1")
    git_dirs = hub.top / ".git" / "worktrees"
    git_dir = git_dirs / "-s1-eval-agent-1"
    shutil.rmtree(path)
    removed = ["gitdir"] if remaining == "all" else ["gitdir", "locked", "HEAD", "commondir"]
    for name in removed:
        (git_dir / name).unlink()
    if remaining == "index":
        shutil.rmtree(git_dir / "logs")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert sorted(directory.name for directory in git_dirs.iterdir()) == ["agent-1"]
