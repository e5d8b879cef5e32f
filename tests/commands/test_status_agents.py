"""`status`: the state, the rank, the metric and the log of each agent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from typing import Any

import pexpect
import pytest

from git_hub_session.system.procfs import pids_with_environment
from tests.support.hub import NOW, Hub, is_alive, snapshot, wait_for
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
)

LOGS = ".agenthub/sessions/s1/output"


def agent_section(hub: Hub, *arguments: str, **keywords: Any) -> list[str]:
    """Return the lines of the section of the agents in the output of `status`."""
    result = hub.run("status", *arguments, "s1", **keywords)
    assert (result.code, result.err) == (0, "")
    _, found, rest = result.out.partition("\n  Agents:\n")
    return rest.partition("\n\n")[0].splitlines() if found else []


def agent_fields(hub: Hub, agent: int) -> dict[str, Any]:
    """Return the JSON fields of an agent."""
    agents = {fields["agent"]: fields for fields in hub.json("status", "s1")["agents"]}
    return dict(agents[agent])


def run_agents(hub: Hub, script: str, *options: str) -> None:
    """Run a shell script for each agent. It may fail."""
    hub.run("exec", "-q", *options, "s1", "--", "sh", "-c", script)


def test_agents_before_the_first_run(hub: Hub) -> None:
    hub.session(agents=2)
    assert agent_section(hub) == [
        "    AGENT    STATE    REMARKS",
        "    agent-1  waiting  no commit of its own",
        "    agent-2  waiting  no commit of its own",
    ]
    assert agent_fields(hub, 2) == {
        "agent": 2,
        "attempt": 1,
        "status": "ready",
        "failure": None,
        "running_for": None,
        "log": None,
        "rank": None,
        "metric": None,
        "value": None,
        "unit": None,
        "baseline": None,
        "delta": None,
        "ratio": None,
        "machine": None,
        "tie": False,
        "reason": None,
        "outdated": False,
        "own_commit": False,
        "uncommitted": 0,
        "off_branch": None,
        "conflicts": False,
        "passed": None,
        "command": None,
        "ranked_attempt": None,
        "uncommitted_attempts": [],
    }


def test_where_each_agent_stands_before_the_evaluation(hub: Hub) -> None:
    """`status` names branches, files, conflicts and guarded paths. It writes no object."""
    hub.commit(hub.top, "bench.sh", "echo ms: 1\n")
    arguments = ("--task", "t", "--agents", "6", "--eval", "sh bench.sh", "--metric", "ms")
    hub.run("init", "-q", "--id", "s1", *arguments, "--direction", "lower")
    assert agent_section(hub) == []
    hub.run("spawn", "-q", "s1")
    hub.commit(agent_worktree(hub, 1), "file", "agent\n")
    hub.commit(agent_worktree(hub, 2), "bench.sh", "echo ms: 0\n")
    hub.commit(agent_worktree(hub, 3), "more", "x\n")
    (agent_worktree(hub, 4) / "new").write_text("x\n")
    hub.git("switch", "-q", "-c", "fix", cwd=agent_worktree(hub, 5))
    hub.commit(hub.top, "file", "main\n")
    before = snapshot(hub.top / ".git" / "objects")
    status = hub.run("status", "s1")
    assert (status.code, status.err) == (0, "hint: git hub-session adopt s1 agent-5\n")
    assert status.out.partition("\n  Agents:\n")[2].partition("\n\n")[0].splitlines() == [
        "    AGENT    STATE    REMARKS",
        "    agent-1  ready    conflicts with the base branch",
        "    agent-2  ready    changed guarded path 'bench.sh'",
        "    agent-3  ready    -",
        "    agent-4  ready    1 file uncommitted, not measured, no commit of its own",
        "    agent-5  ready    another branch is checked out: 'fix', no commit of its own",
        "    agent-6  waiting  no commit of its own",
    ]
    assert snapshot(hub.top / ".git" / "objects") == before
    document = hub.json("status", "s1")
    assert [branch["guarded"] for branch in document["branches"]] == [
        *([], ["bench.sh"], [], [], [], []),
    ]
    assert [agent["conflicts"] for agent in document["agents"]] == [True, *[False] * 5]


def test_guarded_path_that_is_missing(hub: Hub) -> None:
    """`status` shows the agents, although `eval` refuses the path."""
    hub.commit(hub.top, "bench", "1\n")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1", "--guard", "bench")
    hub.run("spawn", "-q", "s1")
    hub.git("rm", "-q", "bench")
    hub.git("commit", "-q", "-m", "remove")
    hub.commit(agent_worktree(hub, 1), "more", "x\n")
    assert agent_section(hub)[1:] == ["    agent-1  ready"]
    assert hub.run("eval", *MEASURE, "s1").code == 128


def test_finished_session_without_runs(hub: Hub) -> None:
    """Its agents have nothing to report."""
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("archive", "-q", "s1").code == 0
    assert agent_section(hub) == []


def test_evaluated_session(hub: Hub) -> None:
    """Each kind of end of a command, with the ranks and the metrics of the evaluation."""
    create_measurable_session(hub, "ms: 142 ms\n", "ms: 200 ms\n", "ms: 160 ms\n", agents=4)
    (agent_worktree(hub, 4) / "new").write_text("x\n")
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "180", "s1").code == 0
    run_agents(hub, "test $HUB_AGENT = agent-2 && exit 3 || true")
    (agent_worktree(hub, 3) / "file").write_text("changed\n")
    hub.commit(agent_worktree(hub, 3), "more", "x\n")
    rows = [re.split(" {2,}", row.strip()) for row in agent_section(hub)]
    logs = [f"{LOGS}/exec-1/agent-{agent}.log" for agent in (1, 2, 3, 4)]
    uncommitted = "1 file uncommitted, not measured"
    outdated = f"{uncommitted}, changed since the evaluation"
    without_commit = f"{uncommitted}, no commit of its own"
    assert rows == [
        ["AGENT", "STATE", "RANK", "METRIC", "REMARKS", "LOG"],
        ["agent-1", "done", "1", "142 ms (−21.1 %)", "-", logs[0]],
        ["agent-2", "failed (3)", "3", "200 ms (+11.1 %)", "-", logs[1]],
        ["agent-3", "done", "2", "160 ms (−11.1 %)", outdated, logs[2]],
        ["agent-4", "done", "4", "-", without_commit, logs[3]],
    ]
    fields = agent_fields(hub, 2)
    assert fields == fields | {
        "status": "failed",
        "failure": "failed with exit code 3",
        "log": str(hub.top / LOGS / "exec-1" / "agent-2.log"),
        "rank": 3,
        "metric": "ms",
        "value": 200,
        "unit": "ms",
        "baseline": 180,
        "delta": 20,
    }
    assert agent_fields(hub, 3)["outdated"] is True
    assert agent_fields(hub, 4)["reason"] == "1 file uncommitted, not measured"
    record = hub.run("status", "s1", "--format=porcelain").out.split("\n\n")[-2].splitlines()
    assert record == [
        "agent 4",
        "attempt 1",
        "status done",
        f"log {hub.top / LOGS / 'exec-1' / 'agent-4.log'}",
        "rank 4",
        "reason 1 file uncommitted, not measured",
        "uncommitted 1",
        "command sh -c 'test $HUB_AGENT = agent-2 && exit 3 || true'",
    ]


def test_running_and_waiting_agents(hub: Hub) -> None:
    """One command runs, the other waits for it. After kills both are interrupted."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    process = subprocess.Popen(
        ["git-hub-session", "exec", "-q", "-j", "1", "s1", "--", "sleep", "300"],
        cwd=hub.top,
        env={**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)},
    )
    run = {"HUB_RUN": f"{hub.directory()}/output/exec-1"}
    try:
        wait_for(lambda: pids_with_environment(run), process)  # state.json says it before
        rows = agent_section(hub, now=NOW + 120)
        assert rows[1:] == [
            f"    agent-1  running for 2 minutes  no commit of its own  {LOGS}/exec-1/agent-1.log",
            f"    agent-2  waiting                no commit of its own  {LOGS}/exec-1/agent-2.log",
        ]
        fields = agent_fields(hub, 1)
        assert (fields["status"], fields["running_for"]) == ("running", 0.0)
    finally:
        process.kill()
        process.wait()
    states = [agent_fields(hub, agent)["status"] for agent in (1, 2)]
    assert states == ["running", "interrupted"]  # Only `exec` was killed.
    [pid] = pids_with_environment(run)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))
    assert agent_fields(hub, 1)["status"] == "interrupted"


def test_command_that_timed_out(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    run_agents(hub, "sleep 300", "--timeout", "1")
    assert agent_fields(hub, 1)["status"] == "timed out"
    assert agent_section(hub)[1].startswith("    agent-1  timed out after ")


@pytest.mark.parametrize("code", [1, 127])
def test_command_that_failed(hub: Hub, code: int) -> None:
    """The state has the exit code, and the remarks do not repeat it."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    run_agents(hub, f"exit {code}")
    row = f"    agent-1  failed ({code})  no commit of its own  {LOGS}/exec-1/agent-1.log"
    assert agent_section(hub)[1:] == [row]
    fields = agent_fields(hub, 1)
    assert (fields["status"], fields["failure"]) == ("failed", f"failed with exit code {code}")


def test_agent_on_another_branch(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    run_agents(hub, "git switch -q -c fix")
    reason = "another branch is checked out: 'fix'"
    assert agent_fields(hub, 1)["off_branch"] == reason
    row = f"    agent-1  done   {reason}, no commit of its own  {LOGS}/exec-1/agent-1.log\n"
    assert row in hub.run("status", "s1").out


def test_conflict_with_the_base_branch(hub: Hub) -> None:
    """`status` finds the conflict without a change of the repository."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.commit(agent_worktree(hub, 1), "file", "agent\n")
    hub.commit(hub.top, "file", "main\n")
    assert [agent_fields(hub, agent)["conflicts"] for agent in (1, 2)] == [True, False]
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    before = snapshot(hub.top)
    rows = agent_section(hub)
    assert ["conflicts with 'main' in 'file'" in row for row in rows[1:]] == [True, False]
    assert [agent_fields(hub, agent)["conflicts"] for agent in (1, 2)] == [True, False]
    assert snapshot(hub.top) == before
    conflicts = hub.run("merge", "-n", "--agent", "1", "s1")
    assert (conflicts.code, conflicts.out.splitlines()[0]) == (1, "agent-1 and 'main' conflict in")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"file": "a\n"}, {"file": "b\n"}, True),
        ({"file": "a\n"}, {"file": "a\n"}, False),
        ({"long": "1\n" * 50 + "x\n"}, {"long": "y\n" + "1\n" * 50}, False),
        ({"new": "a\n"}, {"new/below": "b\n"}, True),
        ({"sub/other": "a\n"}, {"sub/new": "b\n"}, False),
    ],
)
def test_conflicts_are_those_of_git(
    hub: Hub, ours: dict[str, str], theirs: dict[str, str], expected: bool
) -> None:
    """The merge happens in memory: also a merged file is not written into the repository."""
    hub.commit(hub.top, "long", "1\n" * 50)
    create_measurable_session(hub, "ms: 1\n")
    for name, text in theirs.items():
        hub.commit(agent_worktree(hub, 1), name, text)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    for name, text in ours.items():
        hub.commit(hub.top, name, text)
    hub.commit(hub.top, "other", "the base moves\n")
    before = snapshot(hub.top / ".git" / "objects")
    assert agent_fields(hub, 1)["conflicts"] is expected
    assert snapshot(hub.top / ".git" / "objects") == before
    merge = hub.call("git", "merge-tree", "--write-tree", "main", "hub/s1/agent-1/attempt-1")
    assert (merge.code == 1) is expected


def test_narrow_terminals(hub: Hub) -> None:
    """Rows fit 80 columns. At 40 columns, the cells that do not fit are below the row."""
    create_measurable_session(hub, "ms: 142 ms\n", "ms: 200 ms\n")
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "180", "s1").code == 0
    run_agents(hub, "test $HUB_AGENT = agent-1")
    hub.commit(agent_worktree(hub, 1), "more", "x\n")
    assert terminal_section(hub, 80) == [
        "    AGENT    STATE       RANK  METRIC            REMARKS",
        "    agent-1  done           1  142 ms (−21.1 %)  changed since the evaluation",
        f"      {LOGS}/exec-1/agent-1.log",
        "    agent-2  failed (1)     2  200 ms (+11.1 %)  -",
        f"      {LOGS}/exec-1/agent-2.log",
    ]
    assert terminal_section(hub, 40) == [
        "    AGENT    STATE       RANK",
        "    agent-1  done           1",
        "      metric 142 ms (−21.1 %)",
        "      changed since the evaluation",
        "      exec-1/agent-1.log",
        "    agent-2  failed (1)     2",
        "      metric 200 ms (+11.1 %)",
        "      exec-1/agent-2.log",
        f"    Logs: {LOGS}",
    ]


def test_long_session_id_on_a_narrow_terminal(hub: Hub) -> None:
    sid = "a-session-with-a-name-of-forty-character"
    logs = f".agenthub/sessions/{sid}/output"
    hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", sid)
    hub.run("exec", "-q", sid, "--only", "1", "--", "true")
    assert terminal_section(hub, 80, sid) == [
        "    AGENT    STATE    REMARKS               LOG",
        "    agent-1  done     no commit of its own  exec-1/agent-1.log",
        "    agent-2  waiting  no commit of its own  -",
        f"    Logs: {logs}",
    ]
    # A path is never broken: the user copies it.
    assert terminal_section(hub, 40, sid)[-4:] == [
        *("    agent-2  waiting", "      no commit of its own", "    Logs:", f"      {logs}"),
    ]
    assert max(map(len, status_on_terminal(hub, 80, sid).splitlines())) <= 80


def status_on_terminal(hub: Hub, columns: int, sid: str = "s1") -> str:
    """Return the output of `status` on a terminal."""
    child = pexpect.spawn(
        "git",
        ["hub-session", "status", sid],
        cwd=str(hub.top),
        env={**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=120,
    )
    output = "\n".join(str(child.read()).splitlines())
    child.close()
    assert child.exitstatus == 0
    return output


def terminal_section(hub: Hub, columns: int, sid: str = "s1") -> list[str]:
    """Return the lines of the section of the agents on a terminal."""
    output = status_on_terminal(hub, columns, sid)
    return output.partition("\n  Agents:\n")[2].partition("\n\n")[0].splitlines()


def test_agents_of_a_finished_session(hub: Hub) -> None:
    """The entries of state.json are shown without branches and worktrees."""
    create_measurable_session(hub, "ms: 142\n", "ms: 200\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("archive", "-q", "s1").code == 0
    assert agent_section(hub) == [
        "    AGENT    STATE  RANK  METRIC",
        "    agent-1  ready     1  142",
        "    agent-2  ready     2  200",
    ]


def test_hostile_values(hub: Hub) -> None:
    """Values of state.json are escaped, and a name of a run leads nowhere."""
    create_measurable_session(hub, "ms: 142\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    state = hub.state()
    agent = state["agents"]["agent-1"]
    agent["exec"] = {
        "run": "../../../../../etc",
        "exit_code": 0,
        "not_committed": "\x1b[2J\nx" * 100,
        "started": "\x1b",
    }
    agent["status"] = "failed"
    agent["result"]["reason"] = "\x1b]0;x\x07"
    state["evaluation"] |= {"unit": "\x1b[1m", "metric": "\u202e", "baseline": 1e-300}
    state["agents"]["agent-\u202e2"] = {"status": "running"}
    state["agents"]["agent-999999999"] = {"status": "running", "result": 3, "exec": "x"}
    (hub.directory() / "state.json").write_text(json.dumps(state))
    agent_worktree(hub, 1).joinpath("new").touch()
    result = hub.run("status", "s1")
    assert (result.code, result.err) == (0, "")
    assert all(char == "\n" or char.isprintable() for char in result.out)
    fields = agent_fields(hub, 1)
    assert (fields["status"], fields["log"]) == ("failed", None)
    assert agent_fields(hub, 999999999)["status"] == "running"
