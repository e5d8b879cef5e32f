"""Agents whose command fails: `exec --failed`, `exec --retries`, `eval`, `merge` and `run`."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from tests.support.hub import Hub, Result, wait_for
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

NEVER_RAN = "error: no agent of session 's1' failed, was interrupted, or never ran\n"


def run_script(hub: Hub, script: str, *options: str, code: int = 0) -> Result:
    """Run a shell script for the agents, without output."""
    result = hub.run("exec", "-q", *options, "s1", "--", "sh", "-c", script)
    assert result.code == code, result
    return result


def agent_runs(hub: Hub, run: str) -> list[str]:
    """Return the agents that have a log in a run, such as ["agent-1.log"]."""
    return sorted(path.name for path in (hub.directory() / "output" / run).iterdir())


def exec_record(hub: Hub, agent: int) -> dict[str, Any]:
    """Return the last run of an agent in state.json."""
    record = hub.state()["agents"][f"agent-{agent}"]["exec"]
    assert isinstance(record, dict)
    return record


def edit_agents(hub: Hub, **changes: dict[str, Any]) -> None:
    """Change agents in state.json as another program does: edit_agents(hub, agent_1={...})."""
    document = hub.state()
    for name, fields in changes.items():
        document["agents"].setdefault(name.replace("_", "-"), {}).update(fields)
    (hub.directory() / "state.json").write_text(json.dumps(document))


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Return a hub with an agent that failed, one that timed out, and one that succeeded.

    The failed agent has the best metric, and the third agent has the worst.
    """
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n", "ms: 9\n")
    script = "case $HUB_AGENT in agent-1) exit 7;; agent-2) exec sleep 300;; esac"
    run_script(hub, script, "--timeout=1s", code=1)
    return hub


# --- eval -----------------------------------------------------------------------------------------


def test_failed_agents_are_not_ranked(session: Hub) -> None:
    result = session.run("eval", *MEASURE, "s1")
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3       9      -       -      1  +1/-0\n"
        "   -  agent-1       -      -       -      1  +1/-0  failed with exit code 7\n"
        "   -  agent-2       -      -       -      1  +1/-0  timed out after 1 s\n"
        "Session s1: running → evaluating\n",
    )
    assert recorded_ranks(session) == {
        "agent-1": (None, None, "failed with exit code 7"),
        "agent-2": (None, None, "timed out after 1 s"),
        "agent-3": (1, 9, ""),
    }
    assert agent_runs(session, "eval-1") == ["agent-3.log"]
    assert session.run("merge", "-q", "--yes", "s1") == Result(0)
    assert session.state()["merge"]["agent"] == 3


def test_failed_agents_can_be_included(session: Hub) -> None:
    """The reason is still shown, also in JSON and before the merge."""
    result = session.run("eval", *MEASURE, "--include-failed", "s1")
    assert result.out.splitlines()[1:3] == [
        "   1  agent-1       1      -       -      1  +1/-0  failed with exit code 7",
        "   2  agent-2       2      -       -      1  +1/-0  timed out after 1 s",
    ]
    agents = session.json("eval", *MEASURE, "--include-failed", "s1")["agents"]
    assert [(agent["rank"], agent["reason"], agent["failure"]) for agent in agents] == [
        (1, None, "failed with exit code 7"),
        (2, None, "timed out after 1 s"),
        (3, None, None),
    ]
    tip = session.git("rev-parse", "main")
    preview = session.run("merge", "-n", "s1")
    assert "  Rank: 1\n  ms: 1\n  Last run: failed with exit code 7\n" in preview.out
    assert preview.err == "warning: the last run of agent-1: failed with exit code 7\n"
    assert session.json("merge", "-n", "s1")["remarks"] == [
        "the last run of agent-1: failed with exit code 7"
    ]
    merged = session.run("merge", "--yes", "s1")
    assert (merged.code, merged.err) == (0, preview.err)
    assert merged.out.count("  Last run: failed with exit code 7\n") == 2
    assert session.git("rev-parse", "main^1") == tip


def test_dry_run_and_unranked_list(session: Hub) -> None:
    lines = session.run("eval", "-n", *MEASURE, "s1").out.splitlines()
    assert lines[:2] == [
        "Would not measure agent-1: failed with exit code 7",
        "Would not measure agent-2: timed out after 1 s",
    ]
    result = session.run("eval", "s1")
    assert result.out.splitlines()[1] == "agent-1      1  +1/-0  failed with exit code 7"
    assert result.err.endswith(": git hub-session eval s1 --ranking agent-3\n")
    command = result.err.splitlines()[-1].rpartition(": ")[2]
    assert session.call("sh", "-c", f"{command} -q") == Result(0)


def test_judge_cannot_rank_a_failed_agent(session: Hub) -> None:
    before = session.state()
    result = session.run("eval", "-q", "--ranking", "1,3", "s1")
    hint = "git hub-session eval --ranking 1,3 --include-failed --quiet s1"
    error = f"error: cannot rank agent-1: failed with exit code 7\nhint: {hint}\n"
    assert result == Result(1, "", error)
    assert session.state() == before
    assert session.call("sh", "-c", hint) == Result(0)
    assert [result[0] for result in recorded_ranks(session).values()] == [1, 2]


def test_no_agent_succeeded(session: Hub) -> None:
    run_script(session, "exit 1", "--agents=3", code=1)
    before = session.state()
    hint = (
        "git hub-session eval --eval 'cat ms' --metric ms --direction lower --include-failed"
        " --quiet s1"
    )
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(
        1,
        "",
        "error: no agent can be ranked: agent-1: failed with exit code 7;"
        f" agent-2: timed out after 1 s; agent-3: failed with exit code 1\nhint: {hint}\n",
    )
    assert session.state() == before
    assert session.call("sh", "-c", hint) == Result(0)
    # The hint of a merge measures the failed agents again too.
    session.commit(session.top, "other", "1\n")
    outdated = session.run("merge", "--yes", "s1").err.splitlines()[1]
    assert outdated == "hint: git hub-session eval --include-failed s1"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "failed"}, "marked as failed"),
        ({"status": "failed", "exec": {"run": "exec-8"}}, "interrupted"),
        ({"status": "running", "exec": {"run": "exec-8"}}, "interrupted"),
        ({"status": "waiting", "exec": {"run": "exec-8"}}, "interrupted"),
        ({"status": "failed", "exec": {"exit_code": 10**30}}, "marked as failed"),
        ({"status": "failed", "exec": {"cut_off": "timed out", "seconds": -1}}, "timed out"),
        ({"status": "ready", "exec": {"cut_off": "timed out", "time_limit": 7200}}, "timed out after 2 h"),
        (
            {"status": "failed", "exec": {"exit_code": 0, "not_committed": "\x1b[2Jhook"}},
            "changes not committed: \\x1b[2Jhook",
        ),
        ({"status": "done", "exec": {"exit_code": 3}}, ""),
        ({"status": "ready", "exec": {"exit_code": 0}}, ""),
        ({"status": "sleeping", "exec": [1]}, ""),
    ],
)  # fmt: skip
def test_failures_in_state_json(hub: Hub, fields: dict[str, Any], reason: str) -> None:
    """Another program can mark an agent as failed. Its text is escaped."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    edit_agents(hub, agent_1=fields)
    is_uncommitted = "not committed" in reason
    if is_uncommitted:
        agent_worktree(hub, 1).joinpath("new").touch()
    result = hub.run("eval", *MEASURE, "s1")
    rows = {line.split()[1]: line for line in result.out.splitlines()[1:3]}
    remarks = rows["agent-1"].partition("+1/-0")[2].strip()
    assert remarks == reason + (", 1 file uncommitted, not measured" if is_uncommitted else "")
    assert (rows["agent-1"].split()[0] == "-") == bool(reason)


def test_failure_is_kept_by_a_cleanup_and_a_restore(session: Hub) -> None:
    """A new attempt starts without a result. The one before keeps its failure."""
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert session.run("restore", "-q", "s1") == Result(0)
    agents = session.json("eval", "-n", *MEASURE, "s1")["agents"]
    assert [agent["failure"] for agent in agents] == [
        "failed with exit code 7",
        "timed out after 1 s",
        None,
    ]
    assert session.run("spawn", "-q", "--retry", "1", "s1").code == 0
    agents = session.json("eval", "-n", *MEASURE, "s1")["agents"]
    assert [agent["failure"] for agent in agents][:2] == ["failed with exit code 7", None]


# --- exec -----------------------------------------------------------------------------------------


def test_exec_runs_only_what_is_left(session: Hub) -> None:
    """Failed agents run, and agents of an interrupted run or without a run. Running agents do not."""
    run_script(session, "true", "--failed", "--agents=2,3")
    assert agent_runs(session, "exec-2") == ["agent-2.log"]
    run_script(session, "exit 4", "--failed", code=1)
    assert agent_runs(session, "exec-3") == ["agent-1.log"]
    edit_agents(
        session,
        agent_1={"status": "running", "exec": {"run": "exec-3"}},
        agent_2={"status": "running", "exec": {}},
        agent_3={"status": "ready", "exec": {}},
    )
    preview = session.run("exec", "-n", "--failed", "s1", "--", "true").out
    assert re.findall(r"agent-\d in", preview) == ["agent-1 in", "agent-3 in"]
    run_script(session, "true", "--failed")
    assert agent_runs(session, "exec-4") == ["agent-1.log", "agent-3.log"]
    before = session.state()
    assert session.run("exec", "--failed", "s1", "--", "true") == Result(1, "", NEVER_RAN)
    assert session.state() == before


def test_success_counts_only_for_the_agents_of_the_run(session: Hub) -> None:
    """The last command that ran for an agent decides, also `true`."""
    run_script(session, "true", "--commit", "--agents=3")
    failures = [agent["failure"] for agent in session.json("eval", "-n", *MEASURE, "s1")["agents"]]
    assert failures == ["failed with exit code 7", "timed out after 1 s", None]
    run_script(session, "true", "--commit", "--agents=1")
    failures = [agent["failure"] for agent in session.json("eval", "-n", *MEASURE, "s1")["agents"]]
    assert failures == [None, "timed out after 1 s", None]


def test_agent_that_did_not_start_keeps_its_last_run(session: Hub) -> None:
    """A signal ends the command of agent-1, before the others start."""
    place = agent_worktree(session, 1).parent
    process = subprocess.Popen(
        ["git-hub-session", "exec", "-q", "-j1", "s1", "--", "sh", "-c", "touch ../at; sleep 300"],
        cwd=session.top,
        env=session.environ,
    )
    wait_for((place / "at").exists, process)
    process.terminate()
    process.wait(timeout=120)
    failures = [agent["failure"] for agent in session.json("eval", "-n", *MEASURE, "s1")["agents"]]
    assert failures == ["interrupted", "timed out after 1 s", None]
    assert exec_record(session, 3)["run"] == "exec-1"


FAIL_TWICE = 'echo x >>../tries-$HUB_AGENT; printf "try"; test $(wc -l <../tries-$HUB_AGENT) -ge 3'


def test_failed_command_runs_again(session: Hub) -> None:
    """The log has all tries, and state.json counts them. A command that succeeds runs once."""
    script = f"test $HUB_AGENT = agent-1 || exit 0; {FAIL_TWICE}"
    result = session.run(
        *("exec", "--retries", "5", "--retry-delay", "0", "s1", "--", "sh", "-c", script)
    )
    assert (result.code, result.err) == (0, "")
    assert re.search(r"^agent-1  0 \(try 3\)  +\d", result.out, re.MULTILINE)
    log = session.directory() / "output" / "exec-2" / "agent-1.log"
    assert log.read_text() == (
        "try\ngit hub-session: exit code 1; try 2 of 6 starts in 0 s\n"
        "try\ngit hub-session: exit code 1; try 3 of 6 starts in 0 s\ntry"
    )
    assert (exec_record(session, 1)["tries"], exec_record(session, 1)["exit_code"]) == (3, 0)
    assert "tries" not in exec_record(session, 2)
    assert session.state()["agents"]["agent-1"]["status"] == "done"


def test_retries_end(session: Hub) -> None:
    """A command that times out, or cannot start, runs again too."""
    options = ("--agents=1", "--retries=1", "--retry-delay=0")
    run_script(session, "exec sleep 300", *options, "--timeout=1s", code=1)
    assert (exec_record(session, 1)["tries"], exec_record(session, 1)["cut_off"]) == (
        *(2, "timed out"),
    )
    agents = session.run("exec", "--format=json", *options, "s1", "--", "no-such-command")
    assert [agent["tries"] for agent in json.loads(agents.out)["agents"]] == [2]
    assert exec_record(session, 1)["exit_code"] == 127


def test_agents_run_while_another_waits_for_its_next_try(session: Hub) -> None:
    """With one job, agent-2 starts during the delay, and lets the next try of agent-1 succeed."""
    script = "if test $HUB_AGENT = agent-2; then touch ../go; else test -e ../go; fi"
    run_script(
        session, script, "-j1", "--agents=1,2", "--retries=1000", "--retry-delay=1s"
    )  # fmt: skip
    assert exec_record(session, 1)["tries"] >= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--retries", "x"), "not a number of retries: 'x'\nhint: use 0 to 1000\n"),
        (("--retries", "1001"), "not a number of retries: '1001'\nhint: use 0 to 1000\n"),
        (("--retry-delay", "soon"), "not a time: 'soon'\nhint: use a number with s, m, h, d or w, such as 90s\n"),
    ],
)  # fmt: skip
def test_wrong_usage(session: Hub, options: tuple[str, ...], message: str) -> None:
    assert session.run("exec", *options, "s1", "--", "true") == Result(129, "", f"error: {message}")
