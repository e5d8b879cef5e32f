"""`eval` and `merge`: the best attempt of an agent counts."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

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
    assert [entry["reason"] for entry in entries[::-1]] == [None, None, "attempt-1 counts"]
    log = hub.run("log", "--evaluations", "s1").out
    assert f"       -  agent-1/attempt-2  {last[:12]}  ms: 90, attempt-1 counts\n" in log
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
    refused = hub.run("merge", "-n", "--agent=agent-1/attempt-2", "s1")
    hint = "git hub-session merge --agent agent-1/attempt-2 --unmeasured s1"
    problem = "agent-1/attempt-2 has no rank: agent-1/attempt-1 counts in the evaluation"
    assert refused == Result(1, "", f"error: {problem}\nhint: {hint}\n")
    other = hub.call("sh", "-c", f"{hint} -n")
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
    """The attempt may have no worktree, so the first hint is `adopt`."""
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


def retry(hub: Hub, metric: str = "", *, options: tuple[str, ...] = ()) -> Path:
    """Let agent-1 commit a metric in the worktree of another attempt. Return its path."""
    assert hub.run("spawn", "-q", "--retry", "1", *options, "s1").code == 0
    worktree = agent_worktree(hub, 1).with_name("agent-1-2")
    if metric:
        hub.commit(worktree, "ms", metric)
    return worktree


def rows(result: Result) -> list[str]:
    """Return the rank, the agent, the metric and the remarks of each row."""
    assert (result.code, result.err) == (0, "")
    parts = [line.split(None, 7) for line in result.out.splitlines()[1:] if "/-" in line]
    return [" ".join([*part[:3], *part[7:]]) for part in parts]


def test_attempt_without_a_result_hides_no_other(hub: Hub) -> None:
    """An equal tree of the last attempt replaces an earlier one only if it is measured."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    worktree = retry(hub, options=("--base", "agent-1"))
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        "1 agent-1/attempt-1 3",
        "2 agent-2 6",
        "- agent-1/attempt-2 - no commit of its own, not measured, attempt-1 counts",
    ]
    hub.commit(worktree, "ms", "ms: 9\n")
    assert rows(hub.run("eval", *MEASURE, "--in-place", "s1")) == ["1 agent-2 6", "2 agent-1 9"]
    hub.commit(worktree, "ms", "ms: 3\n")
    hub.run("exec", "-q", "--only=1", "s1", "--", "false")
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        "1 agent-1/attempt-1 3",
        "2 agent-2 6",
        "- agent-1/attempt-2 - failed with exit code 1, attempt-1 counts",
    ]
    assert rows(hub.run("eval", *MEASURE, "--in-place", "s1")) == [
        "1 agent-2 6",
        "- agent-1 - failed with exit code 1",
    ]


def test_failed_attempt_before_a_successful_one(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 6\n")
    assert hub.run("exec", "-q", "--only=1", "s1", "--", "sh", "-c", "exit 7").code == 1
    retry(hub, "ms: 9\n")
    assert hub.run("exec", "-q", "--only=1", "s1", "--", "true").code == 0
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        "1 agent-2 6",
        "2 agent-1/attempt-2 9",
        "- agent-1/attempt-1 - failed with exit code 7, attempt-2 counts",
    ]
    agent = hub.state()["agents"]["agent-1"]
    kept = agent["attempts"]["attempt-1"]
    assert (agent["status"], kept["status"], kept["exec"]["exit_code"]) == ("done", "failed", 7)
    assert kept["worktree"] == str(agent_worktree(hub, 1))
    assert hub.run("eval", "-q", *MEASURE, "--include-failed", "s1").code == 0
    preview = hub.run("merge", "-n", "s1")
    assert "  Rank: 1\n  ms: 1\n  Last run: failed with exit code 7\n" in preview.out
    message = "the last run of agent-1/attempt-1: failed with exit code 7"
    assert preview.err == f"warning: {message}\n"


def test_earlier_attempt_leaves_its_branch(hub: Hub) -> None:
    """Each command names the work off the branch, and the hint adopts it."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    retry(hub, "ms: 9\n")
    worktree = agent_worktree(hub, 1)
    (worktree / "new").touch()
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    uncommitted = "agent-1/attempt-1: 1 file uncommitted, not measured: 'new'"
    assert hub.run("merge", "-n", "s1").err == f"warning: {uncommitted}\n"
    hub.git("switch", "-q", "-c", "other", cwd=worktree)
    lost = hub.commit(worktree, "ms", "ms: 2\n")
    reason = "another branch is checked out: 'other'"
    hint = "git hub-session adopt s1 agent-1"
    evaluated = hub.run("eval", *MEASURE, "s1")
    assert evaluated.err == f"hint: {hint}\n"
    assert rows(evaluated._replace(err="")) == [
        "1 agent-2 6",
        "2 agent-1/attempt-2 9",
        f"- agent-1/attempt-1 - {reason}, not measured, attempt-2 counts",
    ]
    refused = hub.run("merge", "--yes", "s1")
    assert refused == Result(1, "", f"error: agent-1/attempt-1: {reason}\nhint: {hint}\n")
    status = hub.run("status", "s1")
    assert f"attempt-1: {reason}, attempt-1: 1 file uncommitted, not measured\n" in status.out
    assert f"/agent-1 (1 file uncommitted, not measured, {reason})" in status.out
    [finding] = hub.json("doctor", code=1)["findings"]
    assert (finding["subject"], finding["advice"]) == (str(worktree), hint)
    assert hub.call("sh", "-c", hint).code == 0
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-3") == lost
    assert hub.run("doctor").code == 0
    (worktree / "new").unlink()
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        "1 agent-1/attempt-3 2",
        "2 agent-2 6",
        "- agent-1/attempt-1 3 attempt-3 counts",
        "- agent-1/attempt-2 9 attempt-3 counts",
    ]


def test_restore_of_the_attempt_that_counts(hub: Hub) -> None:
    """`restore` without options restores this attempt. `eval` prints how to resolve its conflicts."""
    hub.commit(hub.top, "ms", "ms: 10\n")
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    retry(hub, "ms: 8\n")
    (agent_worktree(hub, 1) / "new").write_text("new\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    first = "git hub-session restore s1 --agent agent-1/attempt-1"
    assert f"  bring it back: {first}\n" in hub.run("cleanup", "--archive", "--force", "s1").out
    assert hub.run("restore", "-q", "--agent=1", "s1").code == 0
    missing = Result(1, "", f"error: agent-1/attempt-1 has no branch\nhint: {first}\n")
    assert hub.run("merge", "--yes", "s1") == missing
    assert hub.run("path", "s1", "1/attempt-1").err.endswith(f"has no worktree\nhint: {first}\n")
    plan = hub.json("restore", "-n", "s1")
    assert [(item["agent"], item["attempt"]) for item in plan["restored"]] == [(1, 1), (2, 1)]
    assert hub.call("sh", "-c", first).code == 0
    assert (agent_worktree(hub, 1) / "new").read_text() == "new\n"
    fields = hub.state()["agents"]["agent-1"]
    paths = (fields["worktree"], fields["attempts"]["attempt-1"]["worktree"])
    assert paths == (f"{agent_worktree(hub, 1)}-2", str(agent_worktree(hub, 1)))
    assert "Rank: 1\n  ms: 3\n" in hub.run("merge", "-n", "s1").out
    unknown = hub.run("restore", "--agent=1/attempt-9", "s1")
    assert unknown.err.startswith("error: agent-1/attempt-9 has neither a branch nor an archive")
    hub.commit(hub.top, "ms", "ms: 7\n")
    assert "attempt-1 counts, conflicts with the base branch" in hub.run("status", "s1").out
    tip = hub.git("rev-parse", "--short=12", "hub/s1/agent-1/attempt-1")
    resolve = 'dir=$(git hub-session path s1 agent-1) && git -C "$dir" merge main'
    resolve = f"git hub-session adopt s1 agent-1 {tip} && {resolve}"
    assert hub.run("eval", *MEASURE, "s1").err.count(f"(to resolve: {resolve})\n") == 1
    assert hub.call("sh", "-c", f"{resolve} -q -X ours").code == 0
    remark = "attempt-1: 1 file uncommitted, not measured"
    evaluated = rows(hub.run("eval", *MEASURE, "s1")._replace(err=""))
    assert evaluated[0] == f"1 agent-1/attempt-3 3 {remark}"


def test_last_of_equal_attempts_counts(hub: Hub) -> None:
    """A tree is measured once. A newer attempt makes the result outdated."""
    create_measurable_session(hub, "ms: 50\n", "ms: 70\n")
    add_attempt(hub, "ms: 60\n")
    add_attempt(hub, "ms: 60 \n")
    hub.git("branch", "hub/s1/agent-2/attempt-2", "hub/s1/agent-2/attempt-1")
    passed = json.loads(hub.run("eval", "--eval=cat ms", "--format=json", "s1").out)
    assert [row["reason"] for row in passed["agents"]] == [None, None, *["attempt-3 counts"] * 2]
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


def test_exec_runs_only_in_the_last_attempt(hub: Hub) -> None:
    """If the last attempt has no worktree, the agent is named, and the hint restores the worktree."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    hub.git("worktree", "remove", retry(hub, "ms: 1\n"))
    command = ("--", "sh", "-c", "git commit --allow-empty -qm ran")
    first = hub.git("rev-parse", "hub/s1/agent-1/attempt-1")
    reason = "agent-1: attempt-2 has no worktree"
    hint = "git hub-session restore s1 --agent agent-1/attempt-2"
    result = hub.run("exec", "s1", *command)
    assert (result.code, result.err) == (1, f"error: {reason}\nhint: {hint}\n")
    assert hub.run("exec", "--only=1", "s1", *command) == result._replace(out="")
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-1") == first
    assert [agent["status"] for agent in hub.state()["agents"].values()] == ["ready", "done"]
    assert hub.call("sh", "-c", hint).code == 0
    assert hub.run("exec", "-q", "s1", *command) == Result(0)
    assert hub.git("show", "--format=%s", "-s", "hub/s1/agent-1/attempt-2") == "ran"
    assert [agent["status"] for agent in hub.state()["agents"].values()] == ["done", "done"]


def test_next_attempt_while_a_command_runs(hub: Hub) -> None:
    """Each attempt has its own status and result. Both can run at once."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    script = "echo started; read -r line <../release; exit 7"
    release = agent_worktree(hub, 1).with_name("release")
    os.mkfifo(release)
    with (
        subprocess.Popen(
            ["git-hub-session", "exec", "--only=1", "s1", "--", "sh", "-c", script],
            cwd=hub.top,
            env={**hub.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        release.open("r+b", buffering=0) as fifo,  # its end ends the command
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "agent-1 | started\n"
        worktree = retry(hub, "ms: 1\n")
        (agent_worktree(hub, 1) / "new").touch()
        agent = hub.json("status", "s1")["agents"][0]
        assert (agent["attempt"], agent["status"]) == (2, "ready")
        assert (
            "attempt-1: running, attempt-1: 1 file uncommitted, not measured\n"
            in hub.run("status", "s1").out
        )
        busy = hub.run("eval", *MEASURE, "s1")
        assert busy.err.splitlines()[0] == "error: agent-1/attempt-1 is still running"
        assert hub.run("merge", "--agent=1", "--yes", "s1").code == 1
        assert hub.run("exec", "-q", "--only=1", "s1", "--", "touch", "ran") == Result(0)
        assert (worktree / "ran").exists()
        fifo.close()
        assert (process.wait(), process.stderr.read()) == (1, "")
    fields = hub.state()["agents"]["agent-1"]
    kept = fields["attempts"]["attempt-1"]
    assert (fields["status"], fields["exec"]["run"]) == ("done", "exec-2")
    assert (kept["status"], kept["exec"]["run"], kept["exec"]["exit_code"]) == (
        *("failed", "exec-1", 7),
    )
    uncommitted = "1 file uncommitted, not measured"
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        f"1 agent-1/attempt-2 1 {uncommitted}",
        "2 agent-2 6",
        f"- agent-1/attempt-1 - failed with exit code 7, attempt-2 counts, {uncommitted}",
    ]


def test_uncommitted_files_of_an_attempt_that_is_not_measured(hub: Hub) -> None:
    """The row of the agent names the attempt, and JSON has its number."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    retry(hub)
    retry_again = agent_worktree(hub, 1).with_name("agent-1-3")
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
    hub.commit(retry_again, "ms", "ms: 2\n")
    second = agent_worktree(hub, 1).with_name("agent-1-2")
    (second / "new").touch()
    (agent_worktree(hub, 1) / "ms").write_text("ms: 1\n")
    remark = "attempt-2: 1 file uncommitted, not measured"
    assert rows(hub.run("eval", *MEASURE, "s1")) == [
        f"1 agent-1/attempt-3 2 {remark}",
        "2 agent-2 6",
        "- agent-1/attempt-1 3 attempt-3 counts, 1 file uncommitted, not measured",
    ]
    assert rows(hub.run("eval", *MEASURE, "--in-place", "s1")) == [
        f"1 agent-1 2 attempt-1: 1 file uncommitted, not measured, {remark}",
        "2 agent-2 6",
    ]
    agents = hub.json("eval", *MEASURE, "s1")["agents"]
    assert [(agent["attempt"], agent["uncommitted_attempts"]) for agent in agents] == [
        *((3, [2]), (1, []), (1, [])),
    ]
    agent = hub.json("status", "s1")["agents"][0]
    assert (agent["uncommitted"], agent["uncommitted_attempts"]) == (0, [1, 2])
    assert f"attempt-1: 1 file uncommitted, not measured, {remark}" in hub.run("status", "s1").out


def test_all_work_is_uncommitted_in_an_earlier_attempt(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t")
    hub.run("spawn", "-q", "s1")
    (agent_worktree(hub, 1) / "new").touch()
    retry(hub)
    problem = "no agent has a commit of its own; agent-1/attempt-1 has 1 file uncommitted: 'new'"
    hint = "git hub-session exec s1 -- <command>"
    assert hub.run("eval", *MEASURE, "s1") == Result(1, "", f"error: {problem}\nhint: {hint}\n")


def test_an_agent_with_the_largest_attempt_gets_no_other_one(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "2")
    hub.git("branch", "hub/s1/agent-2/attempt-999999999")
    before = hub.refs()
    assert hub.run("spawn", "--retry", "agent-2", "s1") == Result(
        1, "", "error: agent-2 has no attempt after attempt-999999999\n"
    )
    assert hub.refs() == before
