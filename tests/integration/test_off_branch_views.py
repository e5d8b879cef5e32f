"""Commands about one attempt, the graph, the frontier and `update` name work off its branch.

A session that another program has ended while an agent was off its branch still owns the work.
"""

from __future__ import annotations

import json

import pytest

from tests.support.doctor import list_findings
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot
from tests.support.measured_sessions import agent_worktree, create_measurable_session

FIRST, SECOND = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2))
ADOPT = "git hub-session adopt s1 agent-1"
REASON = "another branch is checked out: 'fix'"
WARNING = f"warning: agent-1: {REASON}\nhint: {ADOPT}\n"
WAYS = {"switch": "git switch -q -c fix", "rename": "git branch -m fix"}


@pytest.fixture(params=WAYS)
def session(request: pytest.FixtureRequest, hub: Hub) -> Hub:
    """Create a session of two agents. Agent 1 has left its branch and made a commit."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    create_measurable_session(hub, "ms: 3\n", "ms: 4\n")
    worktree = agent_worktree(hub, 1)
    assert hub.call("sh", "-c", WAYS[request.param], cwd=worktree).code == 0
    hub.commit(worktree, "ms", "ms: 1\n")
    return hub


def end_session(hub: Hub, state: str) -> None:
    """Write the final state into state.json, as AgentHub's script does."""
    path = hub.top / ".agenthub/sessions/s1/state.json"
    path.write_text(json.dumps({**hub.state(), "state": state}))


def test_path(session: Hub) -> None:
    worktree = agent_worktree(session, 1)
    assert session.run("path", "s1", "1") == Result(0, f"{worktree}\n", WARNING)
    assert session.run("path", "-q", "s1", "1").err == WARNING
    fields = session.json("path", "s1", "1")
    assert (fields["off_branch"], fields["hint"]) == (REASON, ADOPT)
    other = session.json("path", "s1", "2")
    assert (other["off_branch"], other["hint"]) == (None, None)
    assert session.run("path", "s1", "2").err == ""


def test_shell_and_open(session: Hub) -> None:
    environ = {"SHELL": "/bin/pwd", "GIT_EDITOR": "echo"}
    worktree = agent_worktree(session, 1)
    for command in ("shell", "open"):
        result = session.run(command, "s1", "1", environ=environ)
        assert result == Result(0, f"{worktree}\n", WARNING)
        assert session.run(command, "s1", "2", environ=environ).err == ""


def test_diff_and_show(session: Hub) -> None:
    """The diff is that of the untouched branch. A renamed branch leaves no commits to compare."""
    result = session.run("diff", "--name-only", "s1", "1")
    if FIRST in session.git("branch", "--format=%(refname:short)"):
        assert result == Result(0, "ms\n", WARNING)
        both = session.run("diff", "--name-only", "s1", "2", "1")
        assert both == Result(0, "ms\n", WARNING)
    else:
        error = f"fatal: agent-1/attempt-1 of session 's1': {REASON}\nhint: {ADOPT}\n"
        assert result == Result(128, "", error)
        assert session.run("show", "s1", "1") == Result(128, "", error)
    assert session.run("diff", "--name-only", "s1", "2").err == ""


def test_graph_and_frontier(session: Hub) -> None:
    assert session.run("log", "--graph", "s1").err == WARNING
    frontier = session.run("log", "--frontier", "s1")
    assert frontier.err == WARNING.replace("agent-1", "s1: agent-1", 1)
    assert session.run("log", "--frontier").err == frontier.err
    [fields] = session.json("log", "--frontier", "s1")["sessions"]
    assert fields["off_branch"] == [
        {"agent": 1, "attempt": 1, "branch": FIRST, "reason": REASON, "hint": ADOPT}
    ]
    porcelain = session.run("log", "--frontier", "--format=porcelain", "s1").out
    assert porcelain.endswith(
        f"agent 1\nattempt 1\nbranch {FIRST}\nreason {REASON}\nhint {ADOPT}\n\n"
    )


@types("git hub-session adopt {} {}")
@pytest.mark.parametrize("state", ["merged", "archived"])
def test_update_to_a_final_state(session: Hub, state: str) -> None:
    """The session would end without the work. `adopt` is the next step, and then the update."""
    assert session.run("update", "s1", "--state", "evaluating").code == 0
    before = (session.state(), session.refs())
    refused = Result(1, "", f"error: agent-1: {REASON}\nhint: {ADOPT}\n")
    for options in ([], ["-n"], ["--if-state=evaluating"]):
        assert session.run("update", *options, "s1", "--state", state) == refused
    assert (session.state(), session.refs()) == before
    type_hint(session, ADOPT)
    assert session.run("update", "-q", "s1", "--state", state) == Result(0)


def test_update_with_a_detached_head(hub: Hub) -> None:
    """A detached HEAD with new commits is work. Without new commits it is none."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.run("update", "-q", "s1", "--state", "evaluating")
    worktree = agent_worktree(hub, 1)
    hub.git("switch", "-q", "--detach", "HEAD~0", cwd=worktree)
    assert hub.run("update", "-n", "s1", "--state", "archived").code == 0
    hub.commit(worktree, "file", "new\n")
    result = hub.run("update", "s1", "--state", "archived")
    reason = f"its HEAD is detached from '{FIRST}'"
    assert result == Result(1, "", f"error: agent-1: {reason}\nhint: {ADOPT}\n")


@pytest.mark.parametrize("state", ["merged", "archived"])
def test_session_that_ended_without_the_work(session: Hub, state: str) -> None:
    """`adopt` records the work also in a finished session. Then `cleanup` removes the worktree."""
    end_session(session, state)
    worktree = agent_worktree(session, 1)
    tip = session.git("rev-parse", "fix")
    files = snapshot(worktree)

    status = session.run("status", "s1")
    assert f"project.hub/s1/agent-1 ({REASON}" in status.out
    assert f"hint: {ADOPT}\n" in status.err

    finding = ("worktree-of-finished", str(worktree))
    assert finding in [row[:2] for row in list_findings(session, code=1)]
    [advice] = [
        (row["evidence"], row["advice"])
        for row in session.json("doctor", code=1)["findings"]
        if row["subject"] == str(worktree)
    ]
    evidence = f"session 's1' is '{state}', {REASON}"
    assert advice == (evidence, f"{ADOPT} && git hub-session cleanup s1")

    cleaned = session.run("cleanup", "--force", "s1")
    assert cleaned.code == 1
    assert f"  {REASON}\n  hint: {ADOPT}\n" in cleaned.out
    assert snapshot(worktree) == files

    refused = session.run("adopt", "s1", "agent-1", "main")
    assert f"session 's1' is '{state}': it accepts no more attempts" in refused.err
    assert session.call("sh", "-c", advice[1]).code == 0
    assert session.refs()[f"refs/heads/{SECOND}"] == tip
    assert (session.state()["state"], worktree.exists()) == (state, False)
    assert list_findings(session, code=0) == []
