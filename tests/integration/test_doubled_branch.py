"""Two worktrees have the branch of one attempt, by `git worktree add --force`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluated_sessions import agent_worktree, create_evaluated_session
from tests.support.hub import Hub, Result

BRANCH = "hub/s1/agent-1/attempt-1"


@pytest.fixture(params=["a-second", "z-second"])
def second(hub: Hub, request: pytest.FixtureRequest) -> Path:
    """Create a second worktree of agent-1, which git lists before or after the recorded one."""
    create_evaluated_session(hub)
    path = hub.top.parent / str(request.param)
    hub.git("worktree", "add", "-q", "--force", path, BRANCH)
    return path


def test_command_runs_in_the_recorded_worktree(hub: Hub, second: Path) -> None:
    assert hub.run("exec", "-q", "s1", "--", "touch", "here").code == 0
    assert (agent_worktree(hub, 1) / "here").exists()
    assert not (second / "here").exists()
    assert hub.run("path", "s1", "1") == Result(0, f"{agent_worktree(hub, 1)}\n")


def test_each_worktree_keeps_its_own_work(hub: Hub, second: Path) -> None:
    """`restore` applies the work of the recorded worktree. The printed line restores the other."""
    (agent_worktree(hub, 1) / "recorded").write_text("1\n")
    (second / "other").write_text("2\n")
    cleanup = hub.run("cleanup", "s1")
    assert cleanup.code == 0
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert (agent_worktree(hub, 1) / "recorded").read_text() == "1\n"
    assert not (agent_worktree(hub, 1) / "other").exists()
    [line] = [line for line in cleanup.out.splitlines() if "add --detach" in line]
    hub.call("sh", "-c", line.partition(": ")[2])
    assert (second / "other").read_text() == "2\n"
    assert not (second / "recorded").exists()


def test_work_of_the_other_worktree_only(hub: Hub, second: Path) -> None:
    """The recorded worktree had no work: `restore` applies none."""
    (second / "other").write_text("2\n")
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert not (agent_worktree(hub, 1) / "other").exists()
