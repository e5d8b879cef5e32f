"""An agent has lost its worktree and its branch. Every command names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluated_sessions import agent_worktree, create_evaluated_session
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import MEASURE, create_measurable_session, recorded_ranks

BRANCH = "hub/s1/agent-2/attempt-1"


def lose_agent(hub: Hub) -> str:
    """Remove the worktree and the branch of agent-2. Return its commit."""
    commit = hub.git("rev-parse", BRANCH)
    hub.git("worktree", "remove", "--force", agent_worktree(hub, 2))
    hub.git("branch", "-q", "-D", BRANCH)
    return commit


@pytest.fixture
def commit(hub: Hub) -> str:
    """Create an evaluated session with three agents. agent-2, the winner, has lost its branch."""
    create_evaluated_session(hub, agents=3)
    return lose_agent(hub)


def test_exec(hub: Hub, commit: str) -> None:
    """The command runs for the others. The printed command and `restore` bring the agent back."""
    result = hub.run("exec", "s1", "--", "true")
    assert result.code == 1
    assert "agent-2: its branch does not exist" in result.err.replace("error: ", "")
    hint = f"git branch {BRANCH} {commit}"
    assert hint in result.err
    assert hub.run("exec", "-q", "--agents", "2", "s1", "--", "true").code == 1
    hub.git(*hint.split()[1:])
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)


@pytest.mark.parametrize("commit_option", [(), ("--commit",)])
def test_exec_of_a_command_that_deletes_its_worktree(
    hub: Hub, commit_option: tuple[str, ...]
) -> None:
    """The printed commands bring it back, one after the other."""
    create_evaluated_session(hub, agents=2)
    worktree = agent_worktree(hub, 2)
    script = 'test $HUB_AGENT = agent-1 || rm -rf "$PWD"'
    result = hub.run("exec", *commit_option, "s1", "--", "sh", "-c", script)
    hint = "git hub-session doctor --fix s1"
    error = f"error: agent-2: '{worktree}': its worktree is missing\nhint: {hint}\n"
    assert (result.code, result.err.endswith(error)) == (1, True), result
    assert hub.call("sh", "-c", hint).code == 0
    again = hub.run("exec", "s1", "--", "true")
    assert (again.code, again.err) == (
        *(1, "error: agent-2: no worktree\nhint: git hub-session restore s1\n"),
    )
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)


def test_eval(hub: Hub, commit: str) -> None:
    """The row stays, without a rank. Its commit stays in state.json."""
    result = hub.run("eval", "s1", "--eval", "true")
    assert "agent-2" in result.out
    assert "its branch does not exist, not measured" in result.out
    record = hub.state()["agents"]["agent-2"]["result"]
    assert (record["rank"], record["commit"]) == (None, commit)
    again = hub.run("exec", "s1", "--", "true")
    assert f"git branch {BRANCH} {commit}" in again.err


def test_agent_that_was_never_evaluated(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    lose_agent(hub)
    result = hub.run("exec", "s1", "--", "true")
    assert (result.code, "hint: git hub-session doctor s1" in result.err) == (1, True)
    assert "agent-2  ready  its branch does not exist" in hub.run("status", "s1").out


def test_status(hub: Hub, commit: str) -> None:
    assert "its branch does not exist" in hub.run("status", "s1").out
    [agent] = [each for each in hub.json("status", "s1")["agents"] if each["agent"] == 2]
    assert agent["off_branch"] == "its branch does not exist"


def test_merge_of_another_agent(hub: Hub, commit: str) -> None:
    """The user may have deleted the branch on purpose: the merge says it, and goes on."""
    assert hub.run("eval", "-q", "--ranking", "1,3", "s1").code in (0, 1)
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, "warning: agent-2: its branch does not exist\n" in result.err) == (0, True)


def test_merge_of_the_agent(hub: Hub, commit: str) -> None:
    """The last evaluation ranked the agent first: no other one replaces it silently."""
    before = hub.git("rev-parse", "main")
    result = hub.run("merge", "-q", "--yes", "s1")
    assert result.code == 1, result
    assert hub.git("rev-parse", "main") == before


def test_archived_agent_is_not_lost(hub: Hub) -> None:
    create_evaluated_session(hub, agents=2)
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert "does not exist" not in hub.run("status", "s1").out
    assert not Path(agent_worktree(hub, 2)).exists()


def test_doctor(hub: Hub, commit: str) -> None:
    """The commit in state.json recreates the branch. The worktree and its reflog are gone."""
    [finding] = hub.json("doctor", "s1", code=1)["findings"]
    command = f"git branch {BRANCH} {commit}"
    assert (finding["code"], finding["advice"]) == ("agent-without-branch", command)
    assert hub.call("sh", "-c", command) == Result(0)
    assert hub.git("rev-parse", BRANCH) == commit
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hub.run("doctor", "s1").code == 0


def test_lost_last_attempt_beside_an_earlier_one(hub: Hub) -> None:
    """Each command names it. The advice of `doctor` goes on with the earlier attempt."""
    create_measurable_session(hub, "ms: 3\n", "ms: 6\n")
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
    hub.git("worktree", "remove", f"{agent_worktree(hub, 1)}-2")
    hub.git("branch", "-q", "-D", "hub/s1/agent-1/attempt-2")
    reason = "its branch does not exist"
    error = f"error: agent-1: attempt-2: {reason}\nhint: git hub-session doctor s1\n"
    assert hub.run("exec", "--only=1", "s1", "--", "true") == Result(1, "", error)
    assert hub.run("exec", "s1", "--", "true").err == error
    assert f"agent-1  ready  attempt-2: {reason}  -\n" in hub.run("status", "s1").out
    evaluated = hub.run("eval", *MEASURE, "s1")
    assert (evaluated.code, evaluated.err) == (0, "hint: git hub-session doctor s1\n")
    assert evaluated.out == (
        "RANK  AGENT              METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-1/attempt-1       3      -       -      1  +1/-0\n"
        "   2  agent-2                 6      -       -      1  +1/-0\n"
        "   -  agent-1/attempt-2       -      -       -      ?  ?      "
        f"{reason}, not measured, attempt-1 counts\n"
        "Session s1: running → evaluating\n"
    )
    again = hub.run("eval", *MEASURE, "s1")
    assert again == evaluated._replace(out=evaluated.out.partition("Session ")[0])
    assert recorded_ranks(hub) == {"agent-1": (1, 3, ""), "agent-2": (2, 6, "")}
    merge = hub.run("merge", "-n", "s1")
    assert (merge.code, merge.err) == (0, f"warning: agent-1/attempt-2: {reason}\n")
    [finding] = hub.json("doctor", "s1", code=1)["findings"]
    adopt = "git hub-session adopt s1 agent-1 hub/s1/agent-1/attempt-1"
    problem = "attempt-2 of agent-1 is 'ready', but it has no branch and no archive tag"
    assert (finding["code"], finding["evidence"], finding["advice"]) == (
        "agent-without-branch",
        f"{problem}; find its commits: git fsck --lost-found",
        adopt,
    )
    assert hub.call("sh", "-c", adopt).code == 0
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert hub.run("doctor", "s1").code == 0


def test_archived_last_attempt_beside_a_restored_one(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 3\n")
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    assert hub.run("restore", "-q", "s1", "--agent=agent-1/attempt-1") == Result(0)
    hint = "git hub-session restore s1 --agent agent-1/attempt-2"
    error = f"error: agent-1: attempt-2 is archived\nhint: {hint}\n"
    assert hub.run("exec", "s1", "--", "true") == Result(1, "", error)
    assert "does not exist" not in hub.run("status", "s1").out
    assert hub.run("doctor", "s1").code == 0
    assert hub.call("sh", "-c", hint).code == 0
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)


def test_worktree_without_a_recorded_path(hub: Hub) -> None:
    """Git's file with the path was deleted. The hint of `exec` restores it."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    path = Path(hub.run("path", "s1", "1").out.strip())
    (Path((path / ".git").read_text().removeprefix("gitdir: ").strip()) / "gitdir").unlink()
    result = hub.run("exec", "s1", "--", "true")
    hint = "git hub-session doctor --fix s1"
    assert (result.code, result.err.splitlines()[-1]) == (1, f"hint: {hint}")
    assert hub.call("sh", "-c", hint).code == 0
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)


def test_idle_agents_whose_branches_git_deleted(hub: Hub) -> None:
    """`git branch --merged | xargs git branch -d` deletes branches without commits of their own."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    command = "git branch --merged main | grep hub/ | xargs git branch -q -d"
    assert hub.call("sh", "-c", command) == Result(0)
    findings = hub.json("doctor", "s1", code=1)["findings"]
    spawn = "git hub-session spawn s1"
    assert [(each["code"], each["subject"], each["advice"]) for each in findings] == [
        ("agent-without-branch", "s1 agent-1", spawn),
        ("agent-without-branch", "s1 agent-2", spawn),
    ]
    assert hub.run("restore", "s1").err == "nothing to restore: no agent has a branch or a tag\n"
    assert hub.call("sh", "-c", spawn).code == 0
    assert hub.run("doctor", "s1").code == 0
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
