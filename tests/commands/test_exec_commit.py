"""`exec --commit`: git commits what the agents leave uncommitted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot

CHANGE = "echo changed >file; echo new >new"


@pytest.fixture
def worktrees(hub: Hub) -> list[Path]:
    """Return the worktrees of the two agents of a running session."""
    hub.session("s1", agents=2)
    assert hub.run("update", "-q", "s1", "--state", "running") == Result(0)
    return [hub.worktree(1), hub.worktree(2)]


def exec_commit(hub: Hub, script: str, *options: str) -> Result:
    """Run a shell script for the agents with --commit, unless the options have another form."""
    options = options or ("--commit",)
    return hub.run("exec", "-q", *options, "s1", "--", "sh", "-c", script)


def log(hub: Hub, worktree: Path) -> list[str]:
    """Return the author and the subject of each commit of an agent, the newest first."""
    return hub.git("log", "--format=%an <%ae>: %s", "main..HEAD", cwd=worktree).splitlines()


def status(hub: Hub, worktree: Path) -> list[str]:
    """Return the uncommitted changes of a worktree as `git status` prints them."""
    return hub.git("status", "--porcelain", cwd=worktree).splitlines()


COMMIT = "git hub-session exec --only agent-{} --commit s1 -- true"


def not_committed(agent: int, reason: str, *, first: str = "", has_hint: bool = True) -> str:
    warning = f"warning: the changes of agent-{agent} are not committed: {reason}\n"
    hints = [*([first] if first else []), *([COMMIT.format(agent)] if has_hint else [])]
    return warning + "".join(f"hint: {hint}\n" for hint in hints)


def test_changes_of_a_successful_agent_are_committed(hub: Hub, worktrees: list[Path]) -> None:
    result = exec_commit(hub, f"{CHANGE}; test $HUB_AGENT = agent-1")
    assert result == Result(1)
    assert log(hub, worktrees[0]) == ["Ada <ada@example.com>: agent-1: Make it fast"]
    assert (status(hub, worktrees[0]), log(hub, worktrees[1])) == ([], [])
    assert status(hub, worktrees[1]) == [" M file", "?? new"]
    commit = hub.git("rev-parse", "HEAD", cwd=worktrees[0])
    records = hub.state()["agents"]
    assert (records["agent-1"]["status"], records["agent-2"]["status"]) == ("done", "failed")
    assert (records["agent-1"]["exec"]["commit"], records["agent-1"]["exec"]["commits"]) == (
        commit,
        1,
    )
    assert "commit" not in records["agent-2"]["exec"]


def test_changes_of_a_failed_agent_are_committed_on_request(
    hub: Hub, worktrees: list[Path]
) -> None:
    assert exec_commit(hub, f"{CHANGE}; exit 3", "--commit=always") == Result(1)
    for number, worktree in enumerate(worktrees, start=1):
        assert log(hub, worktree) == [f"Ada <ada@example.com>: agent-{number}: Make it fast"]
        assert status(hub, worktree) == []
        assert hub.state()["agents"][f"agent-{number}"]["status"] == "failed"


def test_text_and_json_name_the_commit(hub: Hub, worktrees: list[Path]) -> None:
    result = hub.run("exec", "--commit", "--only=1", "s1", "--", "sh", "-c", CHANGE)
    commit = hub.git("rev-parse", "HEAD", cwd=worktrees[0])
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith(f"Committed the changes of agent-1 as {commit[:12]}\n")
    result = hub.run("exec", "--commit", "--format=json", "s1", "--", "sh", "-c", CHANGE)
    agents = json.loads(result.out)["agents"]
    assert [(agent["commit"], agent["not_committed"]) for agent in agents] == [
        (None, None),  # agent-1 has committed the same content already
        (hub.git("rev-parse", "HEAD", cwd=worktrees[1]), None),
    ]


def test_a_commit_of_the_agent_itself_is_enough(hub: Hub, worktrees: list[Path]) -> None:
    assert exec_commit(hub, f"{CHANGE}; git add . && git commit -qm mine") == Result(0)
    assert log(hub, worktrees[0]) == ["Ada <ada@example.com>: mine"]
    assert "commit" not in hub.state()["agents"]["agent-1"]["exec"]


def test_a_hook_that_refuses_marks_the_agent_as_failed(hub: Hub, worktrees: list[Path]) -> None:
    hook = hub.top / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho 'tests fail' >&2\ntest ! -e forbidden\n")
    hook.chmod(0o755)
    result = exec_commit(hub, f"{CHANGE}; test $HUB_AGENT = agent-1 || touch forbidden")
    # The output of the hook that let agent-1 commit is shown too.
    assert result == Result(1, "", "tests fail\n" + not_committed(2, "tests fail"))
    assert (len(log(hub, worktrees[0])), log(hub, worktrees[1])) == (1, [])
    assert snapshot(worktrees[1])["new"] == b"new\n"
    record = hub.state()["agents"]["agent-2"]
    assert (record["status"], record["exec"]["not_committed"]) == ("failed", "tests fail")
    # `exec --failed` only commits again. The command would work on top of the finished work.
    refused = hub.run("exec", "-q", "--failed", "--commit", "s1", "--", "false")
    assert refused == Result(1, "", not_committed(2, "tests fail"))
    (worktrees[1] / "forbidden").unlink()
    preview = hub.run("exec", "--failed", "--commit", "--dry-run", "s1", "--", "false")
    assert preview == Result(0, "Would commit the changes of agent-2\n")
    committed = hub.run("exec", "-q", "--failed", "--commit", "s1", "--", "false")
    assert committed == Result(0, "", "tests fail\n")
    assert log(hub, worktrees[1]) == ["Ada <ada@example.com>: agent-2: Make it fast"]


def test_a_commit_by_hand_ends_the_failure(hub: Hub, worktrees: list[Path]) -> None:
    """The agent is measured then, and `exec --failed` leaves it alone."""
    hook = hub.top / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert exec_commit(hub, CHANGE).code == 1
    hub.git("add", ".", cwd=worktrees[1])
    hub.git("commit", "-q", "--no-verify", "-m", "mine", cwd=worktrees[1])
    table = hub.run("eval", "--eval=echo ms: 1", "--metric=ms", "--direction=lower", "s1").out
    assert re.search("   1  agent-2 +1 .*\n   -  agent-1 +- .*  changes not committed", table)
    agents = json.loads(hub.run("status", "--format=json", "s1").out)["agents"]
    assert [agent["status"] for agent in agents] == ["failed", "done"]
    preview = hub.run("exec", "--failed", "--commit", "--dry-run", "s1", "--", "false")
    assert preview == Result(0, "Would commit the changes of agent-1\n")


@types("git worktree unlock {}")
def test_nothing_is_committed_in_a_locked_worktree(hub: Hub, worktrees: list[Path]) -> None:
    hub.git("worktree", "lock", worktrees[0])
    result = exec_commit(hub, CHANGE)
    unlock = f"git worktree unlock {worktrees[0]}"
    assert result == Result(1, "", not_committed(1, "its worktree is locked", first=unlock))
    assert (log(hub, worktrees[0]), status(hub, worktrees[0])) == ([], [" M file", "?? new"])
    assert len(log(hub, worktrees[1])) == 1
    type_hint(hub, unlock)
    type_hint(hub, COMMIT.format(1))
    assert (len(log(hub, worktrees[0])), status(hub, worktrees[0])) == (1, [])


@types("git hub-session doctor {}")
def test_nothing_is_committed_with_a_locked_index(hub: Hub, worktrees: list[Path]) -> None:
    lock = hub.top / ".git" / "worktrees" / "agent-1" / "index.lock"
    result = exec_commit(hub, f"{CHANGE}; touch {lock}", "--commit", "--only=1")
    reason = "the index is locked: a git command is running or was killed"
    doctor = "git hub-session doctor s1"
    assert result == Result(1, "", not_committed(1, reason, first=doctor))
    os.utime(lock, (0, 0))
    assert f"rm {lock}" in type_hint(hub, f"{doctor} || true").out
    lock.unlink()
    type_hint(hub, COMMIT.format(1))
    assert (len(log(hub, worktrees[0])), status(hub, worktrees[0])) == (1, [])


@types("git -C {} status")
def test_nothing_is_committed_in_a_merge(hub: Hub, worktrees: list[Path]) -> None:
    """The first hint tells how to end the merge, and the second one commits."""
    merge = "git switch -qc x; git commit -qm x --allow-empty; git switch -q -; git merge -q --no-ff --no-commit x"
    result = exec_commit(hub, f"{merge}; {CHANGE}", "--commit", "--only=1")
    reason = "its worktree is in the middle of a merge"
    look = f"git -C {worktrees[0]} status"
    assert result == Result(1, "", not_committed(1, reason, first=look))
    assert "git commit" in type_hint(hub, look).out
    hub.git("commit", "-qm", "merge", cwd=worktrees[0])
    type_hint(hub, COMMIT.format(1))
    assert status(hub, worktrees[0]) == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("git switch -q -c fix", "'fix' is checked out in its worktree"),
        ("git checkout -q --detach", "its HEAD is detached"),
        (
            "git commit -q --allow-empty -m x; git revert --no-commit HEAD~0",
            "its worktree is in the middle of a revert",
        ),
    ],
)
def test_nothing_is_committed_elsewhere(
    hub: Hub, worktrees: list[Path], script: str, reason: str
) -> None:
    """The agent has another branch checked out, or an operation is not finished."""
    result = exec_commit(hub, f"{script}; {CHANGE}", "--commit", "--only=1")
    first = f"git -C {worktrees[0]} status" if "revert" in reason else ""
    expected = not_committed(1, reason, first=first, has_hint="fix" not in reason)
    if "fix" in reason:
        expected += f"error: agent-1: '{worktrees[0]}': another branch is checked out: 'fix'\n"
        expected += "hint: git hub-session adopt s1 agent-1\n"
    assert result == Result(1, "", expected)
    assert status(hub, worktrees[0])[-1] == "?? new"
    if "fix" in reason:  # the hint helps although another tool has created the worktree
        assert hub.run("adopt", "-q", "s1", "agent-1") == Result(0)
        assert exec_commit(hub, "true", "--commit", "--only=1") == Result(0)


def test_changes_of_an_agent_that_deleted_its_branch(hub: Hub, worktrees: list[Path]) -> None:
    result = exec_commit(hub, f"git update-ref -d HEAD; {CHANGE}", "--commit", "--only=1")
    assert (result.code, result.err.splitlines()[0]) == (
        *(1, "warning: the changes of agent-1 are not committed: its branch does not exist"),
    )
    assert f"error: agent-1: '{worktrees[0]}': its branch does not exist\n" in result.err


@pytest.mark.parametrize("staged", [False, True])
def test_files_of_the_hub_are_left_out(hub: Hub, worktrees: list[Path], staged: bool) -> None:
    script = f"{CHANGE}; mkdir -p .agenthub/board; echo x >.agenthub/board/post"
    if staged:
        script += "; git add --force .agenthub"
    assert exec_commit(hub, script) == Result(0)
    files = hub.git("diff", "--name-only", "main", "HEAD", cwd=worktrees[0]).splitlines()
    assert files == ["file", "new"]
    assert (worktrees[0] / ".agenthub" / "board" / "post").exists()


def test_first_line_of_a_long_task_is_the_subject(hub: Hub) -> None:
    hub.session("s1", agents=1, task="First line\x1b[2J\nsecond line\n")
    hub.run("update", "-q", "s1", "--state", "running")
    assert exec_commit(hub, CHANGE) == Result(0)
    message = hub.git("log", "-1", "--format=%B", cwd=hub.worktree(1)).strip()
    assert message == "agent-1: First line\\x1b[2J"


def test_run_commits_without_the_option_no_commit(hub: Hub) -> None:
    hub.commit(hub.top, "ms", "ms: 50\n")
    arguments = ("--task", "t", "--agents", "1", "--agent-cmd", "echo ms: 7 >ms", "--yes")
    measure = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")
    result = hub.run("run", "-q", "--id", "s1", *arguments, *measure)
    assert (result.code, result.err) == (0, ""), result
    assert (hub.top / "ms").read_text() == "ms: 7\n"
    other = ("--agent-cmd", "echo ms: 5 >ms", "--no-commit")
    hub.run("run", "-q", "--id", "s2", "--task", "t", "--agents", "1", *other)
    worktree = hub.top.parent / "project.hub" / "s2" / "agent-1"
    assert (status(hub, worktree), log(hub, worktree)) == ([" M ms"], [])
