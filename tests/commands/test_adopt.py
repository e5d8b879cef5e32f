"""`adopt` records a branch, a commit or a worktree as an agent's next attempt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.hints import type_hint
from tests.support.hub import Hub, Result, snapshot
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

FIRST, SECOND, THIRD = (f"hub/s1/agent-1/attempt-{number}" for number in (1, 2, 3))


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create a session of two agents, each with a commit."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    return create_measurable_session(hub, "ms: 3\n", "ms: 4\n")


@pytest.fixture
def other(session: Hub) -> Path:
    """Create a worktree as another tool does, with a commit and uncommitted changes."""
    path = session.top / ".claude" / "worktrees" / "plan"
    session.git("worktree", "add", "-q", "-b", "worktree-plan", path)
    session.commit(path, "ms", "ms: 1\n")
    (path / "file").write_text("staged\n")
    session.git("add", "file", cwd=path)
    (path / "file").write_text("changed\n")
    (path / "new").write_text("new\n")
    return path


def index_and_files(hub: Hub, worktree: Path) -> tuple[str, dict[str, bytes | str]]:
    return hub.git("ls-files", "--stage", cwd=worktree), snapshot(worktree)


@pytest.mark.parametrize("form", ["path", "relative path", "branch", "full ref"])
def test_worktree_of_another_tool(session: Hub, other: Path, form: str) -> None:
    sources = {
        "path": str(other),
        "relative path": ".claude/worktrees/plan",
        "branch": "worktree-plan",
        "full ref": "refs/heads/worktree-plan",
    }
    source = sources[form]
    refs, files = session.refs(), index_and_files(session, other)
    tip = session.git("rev-parse", "worktree-plan")
    result = session.run("adopt", "s1", "agent-1", source)
    assert result == Result(0, f"Adopted worktree-plan in .claude/worktrees/plan as {SECOND}\n")
    assert session.refs() == {**refs, f"refs/heads/{SECOND}": tip}
    assert index_and_files(session, other) == files
    assert session.git("symbolic-ref", "HEAD", cwd=other) == f"refs/heads/{SECOND}"
    reflog = session.git("reflog", "-1", "--format=%gs", cwd=other)
    assert reflog == "hub-session: adopt"
    record = session.state()["agents"]["agent-1"]
    first = {"status": "ready", "worktree": str(agent_worktree(session, 1))}
    assert record.pop("attempts") == {"attempt-1": first}
    assert record == {"status": "ready", "attempt": 2, "worktree": str(other)}
    again = session.run("adopt", "s1", "agent-1", str(other))
    assert again == Result(0, "", f"nothing to adopt: agent-1 has '{SECOND}' checked out\n")
    session.git("reset", "-q", "--hard", cwd=other)
    (other / "new").unlink()
    assert session.run("path", "s1", "1") == Result(0, f"{other}\n")
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(session)["agent-1"] == (1, 1.0, "")
    assert session.run("merge", "-q", "--yes", "s1") == Result(0)
    assert session.git("rev-parse", "main^2") == tip
    assert not other.exists()


def test_detached_worktree(session: Hub, other: Path) -> None:
    session.git("switch", "-q", "--detach", cwd=other)
    tip = session.git("rev-parse", "HEAD", cwd=other)
    files = index_and_files(session, other)
    result = session.run("adopt", "s1", "1", str(other))
    assert result == Result(0, f"Adopted {tip[:12]} in .claude/worktrees/plan as {SECOND}\n")
    assert index_and_files(session, other) == files
    assert session.git("rev-parse", SECOND) == tip


@pytest.mark.parametrize("kind", ["branch", "commit", "abbreviated commit"])
def test_work_without_a_worktree_gets_one(session: Hub, kind: str) -> None:
    """The branch of the user stays, also if the main worktree has it checked out."""
    session.git("switch", "-q", "-c", "mine")
    tip = session.commit(session.top, "ms", "ms: 1\n")
    source = {"branch": "mine", "commit": tip, "abbreviated commit": tip[:9]}[kind]
    refs = session.refs()
    path = agent_worktree(session, 1).with_name("agent-1-2")
    name = "mine" if kind == "branch" else tip[:12]
    line = f"in ../project.hub/s1/agent-1-2 as {SECOND}\n"
    before = everything(session)
    dry = session.run("adopt", "-n", "s1", "agent-1", source)
    assert dry == Result(0, f"Would adopt {name} {line}")
    assert everything(session) == before
    assert session.run("adopt", "s1", "agent-1", source) == Result(0, f"Adopted {name} {line}")
    assert session.refs() == {**refs, f"refs/heads/{SECOND}": tip}
    assert session.git("branch", "--show-current") == "mine"
    assert session.state()["agents"]["agent-1"]["worktree"] == str(path)
    assert session.git("rev-parse", "HEAD", cwd=path) == tip
    again = session.run("adopt", "s1", "agent-1", source)
    assert again == Result(0, "", f"nothing to adopt: agent-1 has '{SECOND}' checked out\n")
    assert session.run("doctor").code == 0


def test_json_and_porcelain(session: Hub, other: Path) -> None:
    tip = session.git("rev-parse", "worktree-plan")
    expected = {
        "session_id": "s1",
        "state": "running",
        "dry_run": True,
        "agent": 1,
        "attempt": 2,
        "branch": SECOND,
        "oid": tip,
        "source": "worktree-plan",
        "path": str(other),
        "adopted": True,
    }
    assert session.json("adopt", "-n", "s1", "agent-1", other) == expected
    assert session.json("adopt", "s1", "agent-1", other) == {**expected, "dry_run": False}
    assert session.json("adopt", "s1", "agent-1", other)["adopted"] is False
    session.git("switch", "-q", "-c", "more", cwd=other)
    result = session.run("adopt", "--format=porcelain", "s1", "agent-1")
    assert result == Result(
        0,
        f"session_id s1\nstate running\nagent 1\nattempt 3\nbranch {THIRD}\noid {tip}\n"
        f"source more\npath {other}\nadopted\n\n",
    )


def test_session_without_agents_starts(hub: Hub) -> None:
    """A tournament of worktrees that another tool has created."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    base = hub.git("rev-parse", "main")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    for agent in (1, 2):
        path = hub.top.parent / f"tool-{agent}"
        hub.git("worktree", "add", "-q", "-b", f"tool-{agent}", path)
        hub.commit(path, "ms", f"ms: {agent}\n")
        result = hub.run("adopt", "s1", f"agent-{agent}", path)
        line = f"Adopted tool-{agent} in ../tool-{agent} as hub/s1/agent-{agent}/attempt-1\n"
        assert result == Result(0, line + "Session s1: init → running\n" * (agent == 1))
    state = hub.state()
    assert (state["state"], state["base_commit"]) == ("running", base)
    assert [step["verb"] for step in state["history"]] == ["adopt"]
    assert hub.run("doctor").code == 0
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert (hub.top / "ms").read_text() == "ms: 1\n"
    assert {"refs/heads/tool-1", "refs/heads/tool-2"} <= set(hub.refs())


def refusal(hub: Hub, *arguments: str | Path) -> str:
    """Return the error of an adopt that is refused and changes nothing."""
    before = everything(hub)
    for options in ([], ["-n"]):
        result = hub.run("adopt", *options, "s1", *arguments)
        assert (result.code, result.out) == (1, ""), result
    assert everything(hub) == before
    return result.err


def test_refuses_a_worktree_that_is_not_ready(session: Hub, other: Path) -> None:
    session.git("worktree", "lock", "--reason", "mine", other)
    assert refusal(session, "agent-1", other) == (
        f"error: '{other}' is locked: mine\nhint: git worktree unlock {other}\n"
    )
    session.git("worktree", "unlock", other)
    session.git("stash", "-q", "-u", cwd=other)
    session.commit(session.top, "ms", "ms: 9\n")
    assert session.call("git", "merge", "-q", "main", cwd=other).code == 1
    assert refusal(session, "agent-1", other) == (
        f"error: '{other}' is in the middle of a merge\nhint: git -C {other} status\n"
    )
    session.git("merge", "--abort", cwd=other)
    lock = session.top / ".git" / "worktrees" / "plan" / "index.lock"
    lock.touch()
    assert f"'{other}': the index is locked" in refusal(session, "agent-1", other)
    lock.unlink()
    session.git("switch", "-q", "--orphan", "empty", cwd=other)
    for source in (str(other), "empty"):
        assert refusal(session, "agent-1", source) == (
            f"error: '{other}': HEAD points to no commit\nhint: git -C {other} commit\n"
        )
    shutil.rmtree(other)
    assert f"'{other}': its directory is missing" in refusal(session, "agent-1", "empty")


def test_refuses_the_work_of_another_agent(session: Hub, other: Path) -> None:
    hint = "git hub-session adopt s1 agent-1 <commit>"
    owner = f"belongs to agent-2 of session 's1'\nhint: {hint}\n"
    second = "hub/s1/agent-2/attempt-1"
    worktree = agent_worktree(session, 2)
    assert refusal(session, "agent-1", second) == f"error: '{second}' {owner}"
    assert refusal(session, "agent-1", worktree) == f"error: '{worktree}' {owner}"
    session.git("switch", "-q", "-c", "fix", cwd=worktree)
    assert refusal(session, "agent-1", "fix") == f"error: '{worktree}' {owner}"
    session.git("switch", "-q", "--detach", second, cwd=worktree)
    assert refusal(session, "agent-1", worktree) == f"error: '{worktree}' {owner}"
    session.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    session.run("spawn", "-q", "s2")
    path = session.top.parent / "project.hub" / "s2" / "agent-1"
    assert "belongs to agent-1 of session 's2'" in refusal(session, "agent-1", path)
    session.git("switch", "-q", "-c", "theirs", cwd=path)
    assert "belongs to agent-1 of session 's2'" in refusal(session, "agent-1", "theirs")


@pytest.mark.parametrize("state", ["running", "archived"])
@pytest.mark.parametrize("head", ["on a branch", "detached"])
def test_refuses_a_worktree_of_another_session(session: Hub, head: str, state: str) -> None:
    """`cleanup --discard` of the session must not delete changes of the other session's agent."""
    create_measurable_session(session, "ms: 2\n", sid="s2")
    if state == "archived":
        assert session.run("archive", "-q", "s2").code == 0
        assert session.run("restore", "-q", "s2").code == 0
    path = agent_worktree(session, 1, "s2")
    switch = ["-c", "theirs"] if head == "on a branch" else ["--detach"]
    session.git("switch", "-q", *switch, cwd=path)
    (path / "new").write_text("new\n")
    assert refusal(session, "agent-1", path) == (
        f"error: '{path}' belongs to agent-1 of session 's2'\n"
        "hint: git hub-session adopt s1 agent-1 <commit>\n"
    )


def test_takes_a_worktree_that_was_created_again(session: Hub) -> None:
    """Another tool uses the path of a worktree of a finished session."""
    create_measurable_session(session, "ms: 2\n", sid="s2")
    assert session.run("archive", "-q", "s2").code == 0
    path = agent_worktree(session, 1, "s2")
    session.git("worktree", "add", "-q", "-b", "new", path)
    result = session.run("adopt", "s1", "agent-1", path)
    assert result == Result(0, f"Adopted new in ../project.hub/s2/agent-1 as {SECOND}\n")


def test_refuses_to_forget_other_work(session: Hub, other: Path) -> None:
    """The agent's worktree has work on another branch, and the user names something else."""
    worktree = agent_worktree(session, 1)
    session.git("switch", "-q", "-c", "fix", cwd=worktree)
    assert refusal(session, "agent-1", other) == (
        f"error: '{worktree}': another branch is checked out: 'fix'\n"
        "hint: git hub-session adopt s1 agent-1\n"
    )


def test_worktree_that_was_moved(session: Hub, tmp_path: Path) -> None:
    """The hint tells git the new path. `doctor` does not find a directory that was moved far away."""
    old, new = agent_worktree(session, 1), tmp_path / "far" / "away"
    new.parent.mkdir()
    shutil.move(old, new)
    (new / "new").write_text("not committed\n")
    git_dir = session.top / ".git" / "worktrees" / "agent-1"
    hint = f"printf '%s\\n' {new}/.git >{git_dir}/gitdir"
    error = f"error: '{new}' was moved from '{old}'\nhint: {hint}\n"
    assert refusal(session, "agent-1", new) == error
    type_hint(session, hint)
    assert session.run("adopt", "-q", "s1", "agent-1", new) == Result(0)
    assert session.run("path", "s1", "1") == Result(0, f"{new}\n")
    assert (new / "new").read_text() == "not committed\n"
    assert session.run("exec", "-q", "--only=1", "s1", "--", "test", "-f", "new") == Result(0)


def test_refuses_other_paths_and_unknown_names(session: Hub, tmp_path: Path) -> None:
    assert refusal(session, "agent-1", session.top) == (
        "error: the main worktree cannot be an agent's worktree\n"
        "hint: git hub-session adopt s1 agent-1 <branch>\n"
    )
    foreign = tmp_path / "foreign"
    session.git("init", "-q", foreign)
    session.git("init", "-q", "--bare", tmp_path / "bare.git")
    for path in (foreign, tmp_path / "bare.git"):
        assert refusal(session, "agent-1", path) == (
            f"error: '{path}' is not a worktree of this repository\nhint: git worktree list\n"
        )
    result = session.run("adopt", "s1", "agent-1", "nothing")
    assert result == Result(128, "", "fatal: no such commit: 'nothing'\n")
    assert session.run("adopt", "s1").code == 129
    assert session.run("adopt", "s1", "agent-3", "main") == Result(
        128,
        "",
        "fatal: no such agent: 'agent-3'\nhint: choose one of the session: agent-1 to agent-2\n",
    )


def test_refuses_a_finished_session(session: Hub, other: Path) -> None:
    assert session.run("archive", "-q", "s1") == Result(0)
    assert refusal(session, "agent-1", other) == (
        "error: session 's1' is 'archived': it accepts no more attempts\n"
        "hint: git hub-session init --task <text>\n"
    )


def test_refuses_a_running_agent(session: Hub, other: Path) -> None:
    """Another program has marked the agent as running. `--force` ignores the mark."""
    path = session.directory() / "state.json"
    path.write_text(path.read_text().replace('"ready"', '"running"', 1))
    before = session.refs()
    result = session.run("adopt", "s1", "agent-1", other)
    assert result == Result(
        1, "", "error: agent-1 is still running\nhint: wait for it, or use --force\n"
    )
    assert session.refs() == before
    assert session.run("adopt", "-q", "--force", "s1", "agent-1", other) == Result(0)


def test_agent_without_a_worktree(session: Hub) -> None:
    session.git("worktree", "remove", agent_worktree(session, 1))
    assert refusal(session, "agent-1") == (
        "error: agent-1 has no worktree\nhint: git hub-session adopt s1 agent-1 <branch>\n"
    )


def test_hook_that_rejects_the_branch(session: Hub, other: Path) -> None:
    hook = session.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || ! grep -q attempt-2\n')
    hook.chmod(0o755)
    before = session.refs(), session.state(), session.git("symbolic-ref", "HEAD", cwd=other)
    result = session.run("adopt", "s1", "agent-1", other)
    assert result == Result(
        1, "", "error: the reference-transaction hook rejected the change of the refs\n"
    )
    after = session.refs(), session.state(), session.git("symbolic-ref", "HEAD", cwd=other)
    assert after == before


def test_bare_repository(hub: Hub, tmp_path: Path) -> None:
    """A bare repository has linked worktrees, too."""
    bare = Hub(tmp_path / "bare.git", hub.environ)
    hub.git("clone", "-q", "--bare", hub.top, bare.top)
    bare.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1", "--base-branch", "main")
    path = tmp_path / "tool"
    bare.git("worktree", "add", "-q", "-b", "tool", path)
    assert bare.run("adopt", "-q", "s1", "agent-1", path) == Result(0)
    assert bare.git("symbolic-ref", "HEAD", cwd=path) == f"refs/heads/{FIRST}"
