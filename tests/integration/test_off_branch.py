"""An agent that leaves or renames its branch is known by its recorded worktree.

Every command names it, none acts on it silently, and the hint is one command that helps.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.doctor import list_findings
from tests.support.evaluated_sessions import protected_state
from tests.support.hub import Hub, Result, process_in, snapshot
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

FIRST, SECOND = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2))
ADOPT = "git hub-session adopt s1 agent-1"

# The ways in which an agent leaves its branch, with the name of the other branch.
WAYS = {
    "switch": (["git switch -q -c fix"], "fix"),
    "rename": (["git branch -m fix"], "fix"),
    "rename and switch": (["git branch -m mine", "git switch -q -c fix"], "fix"),
    "another agent": (
        [
            "git -C ../agent-2 switch -q --detach",
            "git switch -q hub/s1/agent-2/attempt-1",
        ],
        "hub/s1/agent-2/attempt-1",
    ),
    "symbolic ref": (["git branch fix", "git symbolic-ref HEAD refs/heads/fix"], "fix"),
    "orphan": (["git switch -q --orphan fix"], "fix"),
}


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create a session of three agents, each with a commit."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    return create_measurable_session(hub, "ms: 3\n", "ms: 4\n", "ms: 2\n")


def leave_branch(hub: Hub, way: str) -> str:
    """Let agent-1 leave its branch. Return the name of the other branch."""
    commands, other = WAYS[way]
    for command in commands:
        assert hub.call("sh", "-c", command, cwd=agent_worktree(hub, 1)).code == 0
    return other


@pytest.mark.parametrize("way", WAYS)
def test_every_command_names_the_agent(session: Hub, way: str) -> None:
    if way == "another agent":
        session.git("switch", "-q", "--detach", cwd=agent_worktree(session, 2))
    other = leave_branch(session, way)
    worktree = agent_worktree(session, 1)
    reason = f"another branch is checked out: '{other}'"
    hint = f"git -C {worktree} switch {FIRST}" if way == "another agent" else ADOPT
    files = snapshot(worktree)

    status = session.run("status", "s1")
    assert f"project.hub/s1/agent-1 ({reason}" in status.out
    assert status.err == f"hint: {hint}\n"
    [row] = [row for row in session.json("status", "s1")["worktrees"] if row["hint"]]
    assert (row["worktree"], row["off_branch"], row["hint"]) == (str(worktree), reason, hint)

    executed = session.run("exec", "s1", "--", "sh", "-c", "echo $HUB_AGENT >>ran")
    assert executed.code == 1
    assert re.search(f"^agent-1 [ -]+  {re.escape(reason)}$", executed.out, re.MULTILINE)
    assert f"error: agent-1: '{worktree}': {reason}\nhint: {hint}\n" in executed.err
    assert snapshot(worktree) == files
    assert (agent_worktree(session, 3) / "ran").read_text() == "agent-3\n"

    evaluated = session.run("eval", *MEASURE, "s1")
    assert evaluated.code == 0
    assert re.search(f"   3  agent-1 .*  {re.escape(reason)}, not measured", evaluated.out)
    assert f"hint: {hint}\n" in evaluated.err
    ranks = recorded_ranks(session)
    assert "agent-1" not in ranks or ranks["agent-1"][1:] == (None, f"{reason}, not measured")

    before = protected_state(session)
    error = f"error: agent-1: {reason}\nhint: {hint}\n"
    for options in (["--yes"], ["-n"], ["--yes", "--agent=3", "--force"]):
        assert session.run("merge", *options, "s1") == Result(1, "", error)
    assert protected_state(session) == before

    assert ("worktree-off-branch", str(worktree)) in [
        finding[:2] for finding in list_findings(session, code=1)
    ]
    [finding] = [
        finding
        for finding in session.json("doctor", code=1)["findings"]
        if finding["subject"] == str(worktree)
    ]
    assert (finding["evidence"], finding["advice"]) == (reason, hint)

    cleaned = session.run("cleanup", "--force", "s1")
    kept = "agent-1: kept ../project.hub/s1/agent-1\n"
    assert f"{kept}  {reason}\n  hint: {hint}\n" in cleaned.out
    assert snapshot(worktree) == files


@pytest.mark.parametrize("way", ["switch", "rename", "rename and switch", "symbolic ref"])
def test_adopt_makes_every_command_work_again(session: Hub, way: str) -> None:
    """The command in the hint keeps all files and both branches."""
    leave_branch(session, way)
    worktree = agent_worktree(session, 1)
    tip = session.commit(worktree, "ms", "ms: 1\n")
    (worktree / "new").write_text("new\n")
    refs, files = session.refs(), snapshot(worktree)
    result = session.call("sh", "-c", ADOPT)
    assert result == Result(0, f"Adopted fix in ../project.hub/s1/agent-1 as {SECOND}\n")
    assert session.refs() == {**refs, f"refs/heads/{SECOND}": tip}
    assert snapshot(worktree) == files
    assert session.git("status", "--porcelain", "-b", cwd=worktree) == f"## {SECOND}\n?? new"
    (worktree / "new").unlink()
    assert session.run("doctor").code == 0
    assert session.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(session)["agent-1"] == (1, 1.0, "")
    assert session.run("merge", "-q", "--yes", "s1") == Result(0)
    assert session.git("rev-parse", "main^2") == tip
    assert session.git("rev-parse", "fix") == tip


def test_commits_on_a_detached_head(session: Hub) -> None:
    """The commits are work of the agent. Without new commits, HEAD may be detached."""
    worktree = agent_worktree(session, 1)
    script = "test $HUB_AGENT != agent-1 || git switch -q --detach"
    assert session.run("exec", "-q", "s1", "--", "sh", "-c", script) == Result(0)
    assert session.run("eval", "-q", *MEASURE, "s1").code == 0
    assert session.run("merge", "-n", "s1").code == 0
    session.git("switch", "-q", FIRST, cwd=worktree)

    script = "test $HUB_AGENT != agent-1 || { git switch -q --detach; echo ms: 1 >ms; git commit -qam x; }"
    reason = f"its HEAD is detached from '{FIRST}'"
    executed = session.run("exec", "s1", "--", "sh", "-c", script)
    assert (executed.code, executed.err) == (
        *(1, f"error: agent-1: '{worktree}': {reason}\nhint: {ADOPT}\n"),
    )
    assert f"agent-1.log ({reason})\n" in executed.out
    status = session.run("status", "s1")
    assert (f"  {reason}  " in status.out, status.err) == (True, f"hint: {ADOPT}\n")
    evaluated = session.run("eval", *MEASURE, "s1")
    assert re.search(f"   3  agent-1 .*  {re.escape(reason)}, not measured", evaluated.out)
    assert f"hint: {ADOPT}\n" in evaluated.err
    refused = Result(1, "", f"error: agent-1: {reason}\nhint: {ADOPT}\n")
    assert session.run("merge", "--yes", "s1") == refused
    after = session.run("init", "--after", "s1")
    assert (after.code, after.err) == (1, refused.err)
    assert session.call("sh", "-c", ADOPT).code == 0
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(session)["agent-1"] == (1, 1.0, "")
    assert session.run("merge", "-q", "--yes", "s1") == Result(0)
    assert session.git("show", "main:ms") == "ms: 1"


def test_command_that_leaves_its_branch(session: Hub) -> None:
    """`exec` names the agent after the command, although the command succeeds."""
    script = "test $HUB_AGENT != agent-1 || git switch -q -c fix"
    result = session.run("exec", "s1", "--", "sh", "-c", script)
    reason = f"'{agent_worktree(session, 1)}': another branch is checked out: 'fix'"
    assert (result.code, result.err) == (1, f"error: agent-1: {reason}\nhint: {ADOPT}\n")
    row = result.out.splitlines()[1]
    assert row.startswith("agent-1  0 ")
    assert row.endswith("/agent-1.log (another branch is checked out: 'fix')")
    fields = session.state()["agents"]["agent-1"]
    assert (fields["status"], fields["exec"]["exit_code"]) == ("done", 0)


def test_agent_without_a_worktree(session: Hub) -> None:
    """`exec` runs for the other agents. The hint restores the worktree."""
    session.git("worktree", "remove", agent_worktree(session, 1))
    result = session.run("exec", "s1", "--", "touch", "here")
    hint = "git hub-session restore s1"
    assert result.code == 1
    assert re.fullmatch("agent-1 [ -]+  no worktree", result.out.splitlines()[1])
    assert result.err == f"error: agent-1: no worktree\nhint: {hint}\n"
    assert (agent_worktree(session, 2) / "here").exists()
    preview = session.run("exec", "-n", "--format=json", "s1", "--", "true")
    assert preview.code == 1
    rows = json.loads(preview.out)["agents"]
    assert [(row["agent"], row["reason"], row["hint"]) for row in rows] == [
        (1, "no worktree", hint),
        (2, None, None),
        (3, None, None),
    ]
    assert session.call("sh", "-c", hint).code == 0
    assert session.run("exec", "-q", "s1", "--", "true") == Result(0)


def test_requested_agent_on_another_branch(session: Hub) -> None:
    """No command runs if the agent was requested by its number."""
    leave_branch(session, "switch")
    before = everything(session)
    error = f"'{agent_worktree(session, 1)}': another branch is checked out: 'fix'"
    assert session.run("exec", "--only=1,2", "s1", "--", "touch", "here") == Result(
        1, "", f"error: {error}\nhint: {ADOPT}\n"
    )
    assert session.run("restore", "s1") == Result(
        1, "", f"error: agent-1: {error}\nhint: {ADOPT}\n"
    )
    assert everything(session) == before


def test_all_agents_on_other_branches(session: Hub) -> None:
    for agent in (1, 2, 3):
        session.git("switch", "-q", "-c", f"fix-{agent}", cwd=agent_worktree(session, agent))
    path = agent_worktree(session, 1)
    reason = "another branch is checked out: 'fix-1'"
    for command in (["exec", "s1", "--", "true"], ["eval", *MEASURE, "s1"]):
        result = session.run(*command)
        place = f"'{path}'" if command[0] == "exec" else "agent-1"
        assert result == Result(1, "", f"error: {place}: {reason}\nhint: {ADOPT}\n")
    result = session.run("eval", "--ranking=1,2", "s1")
    assert result == Result(1, "", f"error: agent-1: {reason}\nhint: {ADOPT}\n")


def test_branch_renamed_to_that_of_another_agent(session: Hub) -> None:
    """The hint creates the agent's branch again, because it does not exist."""
    worktree = agent_worktree(session, 1)
    other = "hub/s1/agent-7/attempt-1"
    session.git("branch", "-m", FIRST, other)
    result = session.run("exec", "--only=1", "s1", "--", "true")
    hint = f"git -C {worktree} switch -c {FIRST}"
    reason = f"'{worktree}': another branch is checked out: '{other}'"
    assert result == Result(1, "", f"error: {reason}\nhint: {hint}\n")
    assert session.call("sh", "-c", hint).code == 0
    assert session.run("exec", "-q", "--only=1", "s1", "--", "true") == Result(0)


def test_older_attempt_is_checked_out(session: Hub) -> None:
    """The worktree of the second attempt has the branch of the first attempt checked out."""
    assert session.run("spawn", "-q", "--retry=1", "s1") == Result(0)
    worktree = agent_worktree(session, 1).with_name("agent-1-2")
    session.git("switch", "-q", "--detach", cwd=agent_worktree(session, 1))
    session.git("switch", "-q", FIRST, cwd=worktree)
    result = session.run("exec", "--only=1", "s1", "--", "true")
    reason = f"another branch is checked out: '{FIRST}'"
    assert result == Result(1, "", f"error: '{worktree}': {reason}\nhint: {ADOPT}\n")
    assert session.call("sh", "-c", ADOPT).code == 0
    assert session.git("branch", "--show-current", cwd=worktree) == f"{SECOND[:-1]}3"


def test_deleted_branch_is_not_used(session: Hub) -> None:
    tip = session.git("rev-parse", FIRST)
    session.git("update-ref", "-d", f"refs/heads/{FIRST}")
    result = session.run("exec", "s1", "--", "true")
    hint = f"git branch {FIRST} {tip}"
    reason = "its branch does not exist"
    error = f"error: agent-1: '{agent_worktree(session, 1)}': {reason}\nhint: {hint}\n"
    assert (result.code, result.err) == (1, error)
    evaluated = session.run("eval", *MEASURE, "s1")
    assert re.search(f"   3  agent-1 .*  {reason}, not measured", evaluated.out)
    assert evaluated.err == f"hint: {hint}\n"
    assert session.run("merge", "--yes", "s1") == Result(
        1, "", f"error: agent-1: {reason}\nhint: {hint}\n"
    )
    status = session.run("status", "s1")
    assert re.search(f"agent-1 .*  {reason}", status.out)
    assert status.err == f"hint: {hint}\n"
    assert session.call("sh", "-c", hint).code == 0
    assert session.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert session.run("merge", "--yes", "s1").code == 0


def test_discarded_attempt_does_not_block_the_merge(session: Hub) -> None:
    """The user has deleted the branch and the directory."""
    assert session.run("eval", *MEASURE, "s1").code == 0
    session.git("update-ref", "-d", f"refs/heads/{FIRST}")
    shutil.rmtree(agent_worktree(session, 1))
    merged = session.run("merge", "--yes", "s1")
    assert merged.err == (
        "warning: agent-1: its branch does not exist\n"
        "session s1 is merged, but its cleanup is not complete\n"
    )
    assert session.state()["state"] == "merged"


def test_renamed_branch_blocks_the_spawn(session: Hub) -> None:
    leave_branch(session, "rename")
    error = f"error: '{agent_worktree(session, 1)}': another branch is checked out: 'fix'\n"
    assert session.run("spawn", "s1") == Result(1, "", f"{error}hint: {ADOPT}\n")


def test_worktree_in_use_is_not_reported_by_the_doctor(session: Hub) -> None:
    leave_branch(session, "switch")
    with process_in(agent_worktree(session, 1)):
        assert session.run("doctor").code == 0
    assert session.run("doctor").code == 1


def test_worktree_of_the_user_at_a_recorded_path(session: Hub) -> None:
    """A worktree that was created for another branch and switched is the user's."""
    worktree = agent_worktree(session, 1)
    session.git("worktree", "remove", worktree)
    session.git("worktree", "add", "-q", "-b", "mine", worktree)
    session.git("switch", "-q", "-c", "theirs", cwd=worktree)
    assert session.run("doctor").code == 0
    assert "no worktree" in session.run("exec", "s1", "--", "true").out
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert worktree.exists()


def test_branch_in_another_worktree(session: Hub) -> None:
    """The user has checked out the agent's branch elsewhere: the other worktree is free."""
    leave_branch(session, "switch")
    other = session.top.parent / "other"
    session.git("worktree", "add", "-q", other, FIRST)
    assert session.run("exec", "-q", "s1", "--", "touch", "here") == Result(0)
    assert (other / "here").exists()
    assert session.run("doctor").code == 0


def test_finished_session_records_no_owner(session: Hub) -> None:
    """After the end of the session its worktrees belong to the user."""
    assert session.run("archive", "-q", "s1") == Result(0)
    assert session.run("restore", "-q", "s1") == Result(0)
    leave_branch(session, "switch")
    before = snapshot(agent_worktree(session, 1))
    assert "another branch" not in session.run("status", "s1").out
    assert session.run("cleanup", "-q", "--force", "s1") == Result(0)
    assert snapshot(agent_worktree(session, 1)) == before


def test_directory_is_removed_while_on_another_branch(session: Hub) -> None:
    leave_branch(session, "switch")
    shutil.rmtree(agent_worktree(session, 1))
    result = session.run("exec", "s1", "--", "true")
    assert result.code == 1
    assert re.fullmatch("agent-1 [ -]+  no worktree", result.out.splitlines()[1])


def test_hostile_branch_name_is_escaped(session: Hub) -> None:
    worktree = agent_worktree(session, 1)
    name = "\u202efix\u0085$(touch${IFS}x)"
    session.git("switch", "-q", "-c", name, cwd=worktree)
    for command in (["status", "s1"], ["exec", "s1", "--", "true"], ["doctor"]):
        result = session.run(*command)
        assert "another branch is checked out: '\\u202efix" in result.out + result.err
        assert "\u202e" not in result.out + result.err
    assert not Path(worktree / "x").exists()
