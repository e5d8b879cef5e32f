"""An agent's worktree has a branch of another session checked out, or is in a rebase or a bisect.

The other session owns the worktree. The rows of the agent's own session name the branch, and no
command of this session acts on the worktree or on the untouched branch.
"""

from __future__ import annotations

import re

import pytest

from tests.support.doctor import list_findings
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

FIRST, SECOND = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2))
FOREIGN = "hub/other/agent-1/attempt-1"
REASON = f"another branch is checked out: '{FOREIGN}'"
WAYS = {
    "switch": f"git switch -q -c {FOREIGN}",
    "rename": f"git branch -m {FOREIGN}",
    "symbolic ref": f"git branch {FOREIGN}; git symbolic-ref HEAD refs/heads/{FOREIGN}",
}


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create a session of two agents, each with a commit."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    create_measurable_session(hub, "ms: 3\n", "ms: 4\n")
    assert hub.run("update", "-q", "s1", "--state", "evaluating") == Result(0)
    return hub


def leave_branch(hub: Hub, way: str = "switch") -> str:
    """Let agent-1 check out a branch of another session. Return the command that leaves it."""
    worktree = agent_worktree(hub, 1)
    assert hub.call("sh", "-c", WAYS[way], cwd=worktree).code == 0
    hub.commit(worktree, "ms", "ms: 1\n")
    create = "-c " if way == "rename" else ""
    return f"git -C {worktree} switch {create}{FIRST}"


@types("{} switch {}{}")
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_branch_of_another_session(session: Hub, way: str, *, exists: bool) -> None:
    """The other session may exist or not. The hint leaves its branch, and keeps the commits on it."""
    if exists:
        session.run("init", "-q", "--id", "other", "--task", "Other", "--agents", "1")
    hint = leave_branch(session, way)
    worktree = agent_worktree(session, 1)
    tip, files = session.git("rev-parse", FOREIGN), snapshot(worktree)
    refused = Result(1, "", f"error: agent-1: {REASON}\nhint: {hint}\n")

    status = session.run("status", "s1")
    assert f"project.hub/s1/agent-1 ({REASON})" in status.out
    assert status.err == f"hint: {hint}\n"
    [agent, _] = session.json("status", "s1")["agents"]
    assert agent["off_branch"] == REASON
    assert "another branch is" in session.run("watch", "s1").out

    evaluated = session.run("eval", *MEASURE, "s1")
    assert re.search(f"   2  agent-1 .*  {re.escape(REASON)}, not measured", evaluated.out)
    assert f"hint: {hint}\n" in evaluated.err

    executed = session.run("exec", "s1", "--", "touch", "here")
    assert executed.err == f"error: agent-1: '{worktree}': {REASON}\nhint: {hint}\n"
    assert session.run("path", "s1", "1") == Result(
        0, f"{worktree}\n", f"warning: agent-1: {REASON}\nhint: {hint}\n"
    )
    assert session.run("update", "s1", "--state", "archived") == refused
    assert session.run("update", "-n", "s1", "--state", "merged") == refused
    assert session.run("merge", "--yes", "s1") == refused
    cleaned = session.run("cleanup", "--force", "s1")
    kept = "agent-1: kept ../project.hub/s1/agent-1\n"
    assert (cleaned.code, f"{kept}  {REASON}\n  hint: {hint}\n" in cleaned.out) == (1, True)
    assert snapshot(worktree) == files

    type_hint(session, hint)
    assert session.git("rev-parse", FOREIGN) == tip
    assert session.run("update", "-n", "s1", "--state", "archived").code == 0


@types("{} switch {}{}")
@pytest.mark.parametrize("exists", [False, True])
def test_doctor_names_the_session_that_records_the_worktree(session: Hub, *, exists: bool) -> None:
    """The advice leaves the branch. It does not create the other session from the worktree."""
    if exists:
        session.run("init", "-q", "--id", "other", "--task", "Other", "--agents", "1")
    hint = leave_branch(session)
    findings = session.json("doctor", code=1)["findings"]
    [finding] = session.json("doctor", "s1", code=1)["findings"]
    orphans = [] if exists else ["branches-of-no-session"]
    assert [each["code"] for each in findings] == ["worktree-off-branch", *orphans]
    assert (finding, finding["session"], finding["evidence"]) == (findings[0], "s1", REASON)
    assert (finding["subject"], finding["advice"]) == (str(agent_worktree(session, 1)), hint)
    type_hint(session, hint)
    assert list_findings(session, "s1", code=0) == []


def test_worktree_of_the_other_session(session: Hub) -> None:
    """A worktree that the other session records at the path is not that of the agent any more."""
    worktree = agent_worktree(session, 1)
    session.git("worktree", "remove", worktree)
    session.run("init", "-q", "--id", "other", "--task", "Other", "--agents", "1")
    assert (
        session.run("spawn", "-q", "--path", str(worktree.with_name("agent-{n}")), "other").code
        == 0
    )
    assert REASON not in session.run("status", "s1").out
    assert session.run("update", "-n", "s1", "--state", "archived").code == 0
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert worktree.exists()


def test_archive_keeps_a_foreign_worktree(session: Hub) -> None:
    """The session ends without the worktree. The next cleanup still names the branch."""
    hint = leave_branch(session)
    files = snapshot(agent_worktree(session, 1))
    for command in (["archive", "s1"], ["cleanup", "--force", "--archive", "s1"]):
        result = session.run(*command)
        assert (result.code, f"  {REASON}\n  hint: {hint}\n" in result.out) == (1, True)
    assert snapshot(agent_worktree(session, 1)) == files
    type_hint(session, hint)
    assert session.run("cleanup", "-q", "--archive", "s1") == Result(0)


def commit_in_a_bisect(hub: Hub) -> str:
    """Commit in the middle of a bisect of agent-1. Return the commit."""
    worktree = agent_worktree(hub, 1)
    hub.git("bisect", "start", "HEAD", "HEAD~2", cwd=worktree)
    assert hub.run("update", "-n", "s1", "--state", "archived").code == 0
    assert "bisecting" in hub.run("status", "s1").out
    return hub.commit(worktree, "ms", "ms: 1\n")


def test_commits_in_a_bisect(session: Hub) -> None:
    """The hint records the commits as an attempt. `git bisect reset` would leave them behind."""
    tip = commit_in_a_bisect(session)
    worktree = agent_worktree(session, 1)
    reason = "in the middle of a bisect, with commits on no branch"
    hint = f"git hub-session adopt s1 agent-1 {tip}"
    refused = Result(1, "", f"error: agent-1: {reason}\nhint: {hint}\n")
    before = (session.state(), session.refs(), snapshot(worktree))
    assert session.run("update", "s1", "--state", "archived") == refused
    assert session.run("merge", "--yes", "s1") == refused
    assert (session.state(), session.refs(), snapshot(worktree)) == before
    status = session.run("status", "s1")
    assert (f"agent-1 ({reason})" in status.out, status.err) == (True, f"hint: {hint}\n")
    evaluated = session.run("eval", *MEASURE, "s1")
    assert f"{reason}, not measured" in evaluated.out

    type_hint(session, hint)
    assert session.refs()[f"refs/heads/{SECOND}"] == tip
    assert session.run("update", "-n", "s1", "--state", "archived").code == 0
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(session)["agent-1"][:2] == (1, 1.0)


@types("git -C {} status")
def test_commits_in_a_rebase(session: Hub) -> None:
    """The commits that a stopped rebase has made are on no branch until the rebase ends."""
    worktree = agent_worktree(session, 1)
    rebase = ["git", "rebase", "-q", "--force-rebase", "--exec", "false", "HEAD~"]
    assert session.call(*rebase, cwd=worktree).code == 1
    session.commit(worktree, "ms", "ms: 1\n")
    reason = "in the middle of a rebase, with commits on no branch"
    hint = f"git -C {worktree} status"
    refused = Result(1, "", f"error: agent-1: {reason}\nhint: {hint}\n")
    assert session.run("update", "s1", "--state", "archived") == refused
    assert "git rebase --continue" in type_hint(session, hint).out
    session.git("rebase", "--continue", cwd=worktree)
    assert session.run("update", "-n", "s1", "--state", "archived").code == 0
    assert list_findings(session, code=0) == []


@types("git -C {} {}")
def test_exec_in_a_bisect(session: Hub) -> None:
    """A command would commit on no branch. The other agents run."""
    worktree = agent_worktree(session, 1)
    session.git("bisect", "start", "HEAD", "HEAD~2", cwd=worktree)
    hint = f"git -C {worktree} bisect reset"
    result = session.run("exec", "s1", "--", "touch", "here")
    assert "agent-2  0 " in result.out
    error = f"error: agent-1: '{worktree}': in the middle of a bisect\nhint: {hint}\n"
    assert (result.code, result.err) == (1, error)
    assert not (worktree / "here").exists()
    type_hint(session, hint)
    assert session.run("exec", "-q", "--only=1", "s1", "--", "touch", "here") == Result(0)


@types("git -C {} {}")
def test_exec_of_a_command_that_leaves_a_bisect(session: Hub) -> None:
    """The agent has no commit outside its branch, but its next commit would be on no branch."""
    worktree = agent_worktree(session, 1)
    bisect = "git bisect start HEAD HEAD~2 >/dev/null"
    result = session.run("exec", "--only=1", "s1", "--", "sh", "-c", bisect)
    hint = f"git -C {worktree} bisect reset"
    error = f"error: agent-1: '{worktree}': in the middle of a bisect\nhint: {hint}\n"
    assert (result.code, result.err) == (1, error)
    type_hint(session, hint)
    assert session.run("exec", "-q", "--only=1", "s1", "--", "true") == Result(0)


@types("git -C {} {}")
def test_exec_in_a_rebase(session: Hub) -> None:
    """A rebase that has made no commit yet. The hint tells how to continue, and changes nothing."""
    worktree = agent_worktree(session, 1)
    rebase = ["git", "rebase", "-q", "--exec", "false", "HEAD~"]
    assert session.call(*rebase, cwd=worktree).code == 1
    hint = f"git -C {worktree} status"
    result = session.run("exec", "--only=1", "s1", "--", "touch", "here")
    error = f"error: '{worktree}': in the middle of a rebase\nhint: {hint}\n"
    assert result == Result(1, "", error)
    assert "git rebase --continue" in type_hint(session, hint).out
    session.git("rebase", "--continue", cwd=worktree)
    assert session.run("exec", "-q", "--only=1", "s1", "--", "touch", "here") == Result(0)


def test_exec_tells_of_the_commits_in_a_bisect(session: Hub) -> None:
    tip = commit_in_a_bisect(session)
    result = session.run("exec", "--only=1", "s1", "--", "touch", "here")
    reason = "in the middle of a bisect, with commits on no branch"
    hint = f"git hub-session adopt s1 agent-1 {tip}"
    assert result == Result(
        1, "", f"error: '{agent_worktree(session, 1)}': {reason}\nhint: {hint}\n"
    )
