"""`spawn` and `path`: create a branch and a worktree for all agents or for none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cleanup import everything
from tests.support.hub import Hub, Result, is_alive, snapshot, wait_for
from tests.support.interrupt import (
    DIE,
    LONG,
    Template,
    count_changes,
    kill_at_changes,
    run_with_injected_code,
)


def worktree_path(hub: Hub, agent: int, sid: str = "s1") -> Path:
    """Return the default path of a worktree."""
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def git_dirs(hub: Hub) -> list[str]:
    """Return the names of the git dirs of all linked worktrees."""
    directory = hub.top / ".git" / "worktrees"
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def agent_records(hub: Hub, sid: str = "s1") -> dict[str, Any]:
    """Return the agents in state.json."""
    records = hub.state(sid)["agents"]
    assert isinstance(records, dict)
    return records


def test_spawn_of_all_agents(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    base = hub.git("rev-parse", "main")
    assert hub.run("spawn", "s1") == Result(
        0,
        "Spawned agent-1 in ../project.hub/s1/agent-1 on hub/s1/agent-1/attempt-1\n"
        "Spawned agent-2 in ../project.hub/s1/agent-2 on hub/s1/agent-2/attempt-1\n"
        f"  Base: {base[:12]}\n"
        "Session s1: init → running\n",
    )
    assert hub.refs() == {
        "refs/heads/hub/s1/agent-1/attempt-1": base,
        "refs/heads/hub/s1/agent-2/attempt-1": base,
        "refs/heads/main": base,
    }
    for agent in (1, 2):
        assert hub.git("status", "--porcelain", "--branch", cwd=worktree_path(hub, agent)) == (
            f"## hub/s1/agent-{agent}/attempt-1"
        )
        assert (worktree_path(hub, agent) / "sub" / "other").read_text() == "second\n"
    state = hub.state()
    assert state["base_commit"] == base
    assert state["agents"] == {
        f"agent-{agent}": {
            "status": "ready",
            "attempt": 1,
            "worktree": str(worktree_path(hub, agent)),
        }
        for agent in (1, 2)
    }
    assert [
        {key: step[key] for key in ("from", "to", "by", "verb")} for step in state["history"]
    ] == [{"from": "init", "to": "running", "by": "Ada <ada@example.com>", "verb": "spawn"}]
    assert (hub.directory() / "task.txt").read_text() == "Make it fast\n"
    assert hub.git("config", "--local", "--list").find("branch.") == -1


def test_formats(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    base = hub.git("rev-parse", "main")
    hub.run("spawn", "-q", "s1", "--only", "2")
    first = {"agent": 1, "attempt": 1, "branch": "hub/s1/agent-1/attempt-1"}
    second = {"agent": 2, "attempt": 1, "branch": "hub/s1/agent-2/attempt-1"}
    before = everything(hub)
    expected = {
        "session_id": "s1",
        "state": "running",
        "base_commit": base,
        "dry_run": True,
        "spawned": [{**first, "path": str(worktree_path(hub, 1)), "base": base}],
        "present": [second],
    }
    assert hub.json("spawn", "s1", "-n") == expected
    assert hub.run("spawn", "s1", "-n").out == (
        "Would spawn agent-1 in ../project.hub/s1/agent-1 on hub/s1/agent-1/attempt-1\n"
        f"  Base: {base[:12]}\n"
    )
    assert everything(hub) == before
    assert hub.run("spawn", "s1", "--format=porcelain") == Result(
        0,
        "session s1\noutcome spawned\nagent 1\nattempt 1\nbranch hub/s1/agent-1/attempt-1\n"
        f"path {worktree_path(hub, 1)}\nbase {base}\n\n"
        "session s1\noutcome present\nagent 2\nattempt 1\nbranch hub/s1/agent-2/attempt-1\n\n",
    )
    assert hub.run("spawn", "s1") == Result(0, "", "nothing to spawn: all agents exist\n")


def test_base_commit_is_recorded_and_does_not_change(hub: Hub) -> None:
    """All agents start from one commit. `status` compares the branches with the base branch."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    base = hub.git("rev-parse", "main")
    assert hub.run("spawn", "-q", "s1", "--only", "1,3") == Result(0)
    hub.commit(worktree_path(hub, 1), "by-one", "x\n")
    moved = hub.commit(hub.top, "later", "x\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.git("rev-parse", "hub/s1/agent-2/attempt-1") == base
    branches = {branch["branch"]: branch for branch in hub.json("status", "s1")["branches"]}
    assert {
        name[7:14]: (branch["ahead"], branch["behind"]) for name, branch in branches.items()
    } == {
        "agent-1": (1, 1),
        "agent-2": (0, 1),
        "agent-3": (0, 1),
    }
    assert hub.run("spawn", "s1", "--base", moved).err == (
        "error: agent-1 exists already, and starts from another commit\n"
        f"hint: git hub-session spawn --retry agent-1 --base {moved} s1\n"
    )


def test_agents_with_different_starts(hub: Hub) -> None:
    """An agent starts from an attempt of another one. Each printed command works."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    base = hub.git("rev-parse", "main")
    hub.run("spawn", "-q", "s1", "--only", "1")
    first = hub.commit(worktree_path(hub, 1), "by-one", "x\n")
    assert hub.run("spawn", "s1", "--only=2", "--base=agent-1").out.endswith(
        f"\n  Base: {first[:12]}\n"
    )
    again = hub.run("spawn", "s1", "--only=2", "--base=hub/s1/agent-1/attempt-1")
    assert again == Result(0, "", "nothing to spawn: all agents exist\n")
    refused = hub.run("spawn", "s1", "--only=2", "--base=main")
    command = f"git hub-session spawn --retry agent-2 --base {base} s1"
    assert (refused.code, refused.err) == (
        1,
        f"error: agent-2 exists already, and starts from another commit\nhint: {command}\n",
    )
    assert hub.call("sh", "-c", f"{command} -q") == Result(0)
    document = hub.json("spawn", "s1", "--retry=2", "--base=agent-2/attempt-1")
    assert [agent["base"] for agent in document["spawned"]] == [first]
    assert hub.json("spawn", "s1")["spawned"][0]["base"] == base
    assert hub.state()["agents"]["agent-2"]["starts"] == {"attempt-1": first, "attempt-3": first}
    assert (hub.state()["base_commit"], "starts" in hub.state()["agents"]["agent-3"]) == (
        base,
        False,
    )
    assert hub.run("exec", "-j1", "s1", "--", "sh", "-c", "echo $HUB_BASE").out.splitlines()[
        :3
    ] == [
        *(f"agent-1 | {base}", f"agent-2 | {first}", f"agent-3 | {base}"),
    ]
    own = {agent["agent"]: agent["own_commit"] for agent in hub.json("status", "s1")["agents"]}
    assert own == {1: True, 2: False, 3: False}
    assert hub.run("eval", "s1", "--ranking=2").code == 1
    assert hub.run("eval", "-q", "s1", "--ranking=1") == Result(0)
    retry = hub.run("spawn", "s1", "--retry=3")
    assert retry.err.endswith(f"\nhint: git hub-session adopt s1 agent-3 {base}\n")
    refused = hub.run("spawn", "s1", "--retry=3", "--base=agent-1")
    command = f"git hub-session adopt s1 agent-3 {first}"
    assert (refused.code, refused.err) == (
        1,
        f"error: session 's1' is 'evaluating': it accepts no more agents\nhint: {command}\n",
    )
    assert hub.call("sh", "-c", command).code == 0
    assert hub.git("rev-parse", "hub/s1/agent-3/attempt-2") == first


def test_interrupted_spawn_with_a_start(hub: Hub) -> None:
    """The next spawn finishes from the recorded commit, and refuses another one."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1", "--only", "1")
    first = hub.commit(worktree_path(hub, 1), "by-one", "x\n")
    killed = run_with_injected_code(
        hub, "spawn", "s1", "--base=agent-1", "--only=2", code=DIE, only="subprocess.Popen", nth=2
    )
    assert (killed.code, hub.state()["agents"]["agent-2"]["status"]) == (-9, "spawning")
    assert hub.run("spawn", "s1", "--only=2", "--base=main") == Result(
        1,
        "",
        f"error: agent-2 is incomplete: its spawn from {first[:12]} was interrupted\n"
        "hint: git hub-session spawn s1\n",
    )
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.git("rev-parse", "hub/s1/agent-2/attempt-1") == first


def test_option_base(hub: Hub) -> None:
    """HEAD means the HEAD of the current worktree. An invalid commit is refused."""
    first = hub.git("rev-parse", "main")
    hub.commit(hub.top, "second", "x\n")
    hub.session("s1")
    before = everything(hub)
    hint = "leave out --base to start from the session's base commit"
    assert hub.run("spawn", "s1", "--base", "nowhere") == Result(
        128, "", f"fatal: no such commit: 'nowhere'\nhint: {hint}\n"
    )
    assert hub.run("spawn", "s1", "--base", "--all").code == 128
    assert everything(hub) == before
    assert hub.run("spawn", "-q", "s1", "--base", "HEAD~1") == Result(0)
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-1") == first


def test_base_without_an_attempt(hub: Hub) -> None:
    """The hint is what the state of the session allows."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    error = "fatal: agent-{} of session 's1' has no attempt yet\nhint: {}\n"
    spawn = "git hub-session spawn --only agent-{} s1"
    for base in ("agent-1", "1", "agent-1/attempt-1"):
        expected = error.format(1, spawn.format(1))
        assert hub.run("spawn", "s1", "--base", base) == Result(128, "", expected)
    assert hub.call("sh", "-c", f"{spawn.format(1)} -q") == Result(0)
    refused = hub.run("spawn", "s1", "--base", "agent-2")
    assert refused == Result(128, "", error.format(2, spawn.format(2)))
    missing = hub.run("spawn", "s1", "--base", "agent-1/attempt-7")
    message = "fatal: no such commit: 'agent-1/attempt-7'\nhint: git hub-session status s1\n"
    assert missing == Result(128, "", message)
    hub.run("update", "-q", "s1", "--state", "evaluating")
    refused = hub.run("spawn", "s1", "--base", "agent-2")
    hint = "git hub-session init --task <text>"
    assert refused == Result(128, "", error.format(2, hint))


def test_next_attempt(hub: Hub) -> None:
    hub.session("s1")
    assert hub.run("spawn", "s1", "--retry", "1") == Result(
        1, "", "error: agent-1 has no attempt yet\nhint: git hub-session spawn --only agent-1 s1\n"
    )
    hub.run("spawn", "-q", "s1")
    hub.commit(worktree_path(hub, 1), "tried", "x\n")
    assert hub.run("spawn", "s1", "--retry", "agent-1").out.startswith(
        "Spawned agent-1 in ../project.hub/s1/agent-1-2 on hub/s1/agent-1/attempt-2\n"
    )
    assert hub.git("rev-parse", "hub/s1/agent-1/attempt-2") == hub.git("rev-parse", "main")
    assert agent_records(hub)["agent-1"]["attempt"] == 2
    assert hub.run("path", "s1", "1") == Result(0, f"{worktree_path(hub, 1)}-2\n")
    assert hub.run("path", "agent-1", cwd=worktree_path(hub, 1)) == Result(
        0, f"{worktree_path(hub, 1)}-2\n"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--only", "2-1"], "not a list of agents: '2-1'\nhint: use a list such as 1-3,5"),
        (["--only", "1-"], "not a list of agents: '1-'\nhint: use a list such as 1-3,5"),
        (["--only", ""], "not a list of agents: ''\nhint: use a list such as 1-3,5"),
        (["--agents", "x"], "not a list of agents: 'x'\nhint: use a list such as 1-3,5"),
        (["--retry", "1-2"], "not an agent: '1-2'"),
        (["--retry", "1", "--only", "1"], "--only and --retry exclude each other"),
        (["--agents", "1", "--only", "1"], "--only and --agents exclude each other"),
        (["-j", "0"], "not a number of jobs: '0'"),
        (["-j", "x"], "not a number of jobs: 'x'"),
    ],
)
def test_usage_errors(hub: Hub, arguments: list[str], error: str) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = everything(hub)
    result = hub.run("spawn", "s1", *arguments)
    assert (result.code, result.out) == (129, "")
    assert result.err.startswith(f"error: {error}\n")
    assert everything(hub) == before


def test_evaluated_session_accepts_no_agents(hub: Hub) -> None:
    hub.session("s1", agents=1)
    for state in ("running", "evaluating"):
        hub.run("update", "s1", "--state", state)
    assert hub.run("spawn", "s1") == Result(
        1,
        "",
        "error: session 's1' is 'evaluating': it accepts no more agents\n"
        "hint: git hub-session init --task <text>\n",
    )


def test_evaluated_session_accepts_only_interrupted_agents(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    assert hub.run("spawn", "-q", "s1", "--only", "1") == Result(0)
    document = hub.state()
    document["agents"]["agent-2"] = {"status": "spawning", "attempt": 1}
    document["state"] = "evaluating"
    (hub.directory() / "state.json").write_text(json.dumps(document))
    refused = hub.run("spawn", "s1", "--only", "2-3")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(
        "error: session 's1' is 'evaluating': it accepts no more agents\n"
    )
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert git_dirs(hub) == ["agent-1", "agent-2"]
    assert hub.run("spawn", "s1").code == 1


def test_session_set_to_evaluating_without_agents(hub: Hub) -> None:
    """Agents can still be created, also after an interrupted spawn."""
    hub.session("s1")
    for state in ("running", "evaluating"):
        hub.run("update", "s1", "--state", state)
    for arguments in ("exec s1 -- true", "eval s1 --ranking 1"):
        assert hub.run(*arguments.split()).err.endswith("hint: git hub-session spawn s1\n")
    run_with_injected_code(hub, "spawn", "s1", code=DIE, nth=1, only="subprocess.Popen")
    assert hub.state()["agents"]["agent-1"]["status"] == "spawning"
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.state()["agents"]["agent-1"]["status"] == "ready"
    assert hub.state()["state"] == "evaluating"
    assert hub.run("spawn", "s1").code == 1
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)


def test_archived_agents_are_restored_and_not_spawned(hub: Hub) -> None:
    hub.session("s1", agents=1)
    hub.run("update", "s1", "--state", "running")
    hub.commit(hub.worktree(1), "new", "1\n")
    hub.run("eval", "-q", "--ranking", "1", "s1")
    hub.run("cleanup", "-q", "--archive", "s1")
    for arguments in ("exec s1 -- true", "eval s1 --ranking 1", "merge --yes s1"):
        assert hub.run(*arguments.split()).err.endswith("hint: git hub-session restore s1\n"), (
            arguments
        )
    assert hub.run("spawn", "s1").code == 1


def test_path_of_worktrees(hub: Hub) -> None:
    """--path overrides hubsession.worktreePath. A path in the common dir or the hub is refused."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.git("config", "hubsession.worktreePath", "~/trees/{repo}-{id}-{n}-{m}")
    assert hub.run("spawn", "-q", "s1", "--only", "1", cwd=hub.top / "sub") == Result(0)
    assert hub.run("path", "s1", "1").out == f"{hub.environ['HOME']}/trees/project-s1-1-1\n"
    before = everything(hub)
    for template, error in (
        (
            "../same",
            "the path '../same' has no {n}\nhint: put {n} where the number of the agent belongs",
        ),
        (
            "../{n} ",
            f"'{hub.top.parent}/2 ' ends with white space: git would not find the worktree again",
        ),
        (".git/x{n}", f"'{hub.top}/.git/x2' is inside '{hub.top}/.git'"),
        (".agenthub/x{n}", f"'{hub.top}/.agenthub/x2' is inside '{hub.top}/.agenthub'"),
    ):
        assert hub.run("spawn", "s1", "--path", template).err.startswith(f"fatal: {error}\n")
    (hub.top.parent / "taken2").write_text("mine\n")
    assert hub.run("spawn", "s1", "--path", "../taken{n}") == Result(
        1,
        "",
        f"error: '{hub.top.parent}/taken2' exists already\nhint: choose another --path\n",
    )
    (hub.top.parent / "taken2").unlink()
    assert everything(hub) == before


def test_invalid_paths(hub: Hub) -> None:
    """Two agents with one path are refused, and so are a symbolic link and a path below a file."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    (hub.top.parent / "link1").symlink_to(elsewhere)
    (hub.top.parent / "taken").touch()
    before = everything(hub)
    assert hub.run("spawn", "s1", "--path", "../{n}/../same").err == (
        f"error: two agents cannot share '{hub.top.parent}/same'\nhint: choose another --path\n"
    )
    assert hub.run("spawn", "s1", "--path", "../link{n}").err == (
        f"error: '{hub.top.parent}/link1' exists already\nhint: choose another --path\n"
    )
    assert hub.run("spawn", "s1", "--path", "../taken/a/{n}").err == (
        f"error: cannot create a worktree in '{hub.top.parent}/taken': it is not a directory\n"
        "hint: choose another --path\n"
    )
    assert everything(hub) == before


@pytest.mark.parametrize("arguments", [[], ["--agents=1-99999999"]])
def test_too_many_agents(hub: Hub, arguments: list[str]) -> None:
    hub.session("s1")
    config = hub.directory() / "config.yaml"
    config.write_text(config.read_text().replace("agent_count: 1", "agent_count: 999999999"))
    result = hub.call(
        "sh", "-c", 'ulimit -t 5; exec git-hub-session spawn -n s1 "$@"', "", *arguments
    )
    assert result.code in (1, 128)
    assert "999" in result.err


def test_in_a_bare_repository(hub: Hub) -> None:
    bare = Hub(hub.top.parent / "bare.git", hub.environ)
    hub.git("clone", "-q", "--bare", hub.top, bare.top)
    assert bare.run("init", "-q", "--id", "b1", "--task", "t", "--agents", "1").code == 0
    assert bare.run("spawn", "-q", "b1") == Result(0)
    path = hub.top.parent / "bare.hub" / "b1" / "agent-1"
    assert bare.run("path", "b1", "1") == Result(0, f"{path}\n")
    assert bare.git("status", "--porcelain", cwd=path) == ""


def assert_unchanged(hub: Hub, before: dict[str, bytes | str]) -> None:
    """Compare all files except the objects, the directories and the new task.txt."""
    after = everything(hub)
    assert after.pop("project/.agenthub/sessions/s1/task.txt") == b"t\n"
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert {path for path in changed if not path.endswith("/") and "/objects/" not in path} == set()
    assert git_dirs(hub) == []
    assert not worktree_path(hub, 1).exists()


def test_error_undoes_everything(hub: Hub) -> None:
    """hubsession.setup fails for the second of three agents. No worktree and no branch remains."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    hub.git("config", "hubsession.setup", 'echo made >here; echo why; test "$HUB_AGENT" != agent-2')
    before = everything(hub)
    for jobs in ("1", "3"):
        result = hub.run("spawn", "s1", "-j", jobs)
        assert result == Result(
            128,
            "",
            "fatal: agent-2: hubsession.setup failed with exit code 1: why\n"
            "hint: nothing was changed\n",
        )
        assert_unchanged(hub, before)


def test_error_undoes_commits_of_the_setup(hub: Hub) -> None:
    """hubsession.setup commits and then fails for the second agent. No branch remains."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    script = 'git commit -q --allow-empty -m "set up" && test "$HUB_AGENT" = agent-1'
    hub.git("config", "hubsession.setup", script)
    before = everything(hub)
    assert hub.run("spawn", "s1").code == 128
    assert_unchanged(hub, before)


def test_interrupt_while_branches_are_created(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = everything(hub)
    code = "os.kill(os.getpid(), signal.SIGINT)"
    result = run_with_injected_code(hub, "spawn", "s1", code=code, only="subprocess.Popen")
    assert result == Result(-signal.SIGINT)
    assert_unchanged(hub, before)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert git_dirs(hub) == ["agent-1", "agent-2"]


def test_interrupt_during_a_fork(hub: Hub) -> None:
    """Python loses an exception that a signal handler raises in os.fork().

    The command raises it later.
    """
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = everything(hub)
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    code = f"os.register_at_fork(after_in_parent=lambda: {kill})"
    result = run_with_injected_code(hub, "spawn", "-j2", "s1", code=code, only="os.fork")
    assert result == Result(-signal.SIGINT)
    assert_unchanged(hub, before)


def test_signal_terminates_all_setup_commands(hub: Hub) -> None:
    """Only the main process gets the signal.

    It terminates its child processes and their commands.
    """
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "4")
    pids = hub.top.parent / "pids"
    pids.mkdir()
    hub.git("config", "hubsession.setup", f"echo $$ >{pids}/$HUB_AGENT; exec sleep 300")
    before = everything(hub)
    with subprocess.Popen(
        ["git-hub-session", "spawn", "-j2", "s1"],
        cwd=hub.top,
        env=hub.environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: sum(file.stat().st_size > 1 for file in pids.iterdir()) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == -signal.SIGTERM
    for file in pids.iterdir():
        assert not is_alive(int(file.read_text()))
        file.unlink()
    assert_unchanged(hub, before)


def test_next_call_uses_branches_that_could_not_be_deleted(hub: Hub) -> None:
    """A hook rejects the deletion of branches. The next call continues with them."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\n! { test "$1" = prepared && grep -q " 0*0 refs/heads/hub/"; }\n')
    hook.chmod(0o755)
    hub.git("config", "hubsession.setup", 'test "$HUB_AGENT" = agent-1')
    assert hub.run("spawn", "s1").code == 128
    assert [*hub.refs("refs/heads/hub")] == [
        f"refs/heads/hub/s1/agent-{agent}/attempt-1" for agent in (1, 2)
    ]
    hub.git("config", "--unset", "hubsession.setup")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.git("status", "--porcelain", cwd=worktree_path(hub, 2)) == ""


def test_hook_that_rejects_the_branches(hub: Hub) -> None:
    """The output of the reference-transaction hook is shown. No branch or worktree is created."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo "not today" >&2; exit 1; }\n')
    hook.chmod(0o755)
    state = hub.state()
    result = hub.run("spawn", "s1")
    assert result == Result(
        1,
        "",
        "not today\n"
        "error: the reference-transaction hook rejected the new branches; nothing was changed\n",
    )
    assert (git_dirs(hub), hub.state()) == ([], state)
    assert not worktree_path(hub, 1).exists()


def test_setup_command_and_hooks(hub: Hub) -> None:
    """hubsession.setup runs in the worktree with HUB_* variables. post-checkout runs as in git."""
    hub.run("init", "-q", "--id", "s1", "--task", "Two\nlines", "--agents", "1")
    base = hub.git("rev-parse", "main")
    hub.git(
        "config",
        "hubsession.setup",
        'pwd >seen; env | grep -E "^(HUB_[^P]|GIT_(DIR|INDEX))" | sort >>seen; cat "$HUB_TASK_FILE" >>seen',
    )
    hook = hub.top / ".git" / "hooks" / "post-checkout"
    hook.write_text('#!/bin/sh\necho "$1 $2 $3" >hooked\n')
    hook.chmod(0o755)
    git_variables = {
        "GIT_INDEX_FILE": str(hub.top / ".git" / "index"),
        "GIT_DIR": str(hub.top / ".git"),
    }
    assert hub.run("spawn", "-q", "s1", environ=git_variables) == Result(0)
    task = hub.directory() / "task.txt"
    board = hub.top / ".agenthub" / "board"
    assert (worktree_path(hub, 1) / "seen").read_text() == (
        f"{worktree_path(hub, 1)}\nHUB_AGENT=agent-1\nHUB_ATTEMPT=1\nHUB_BASE={base}\nHUB_BOARD={board}\n"
        "HUB_BRANCH=hub/s1/agent-1/attempt-1\nHUB_SESSION_ID=s1\n"
        f"HUB_TASK=Two\nHUB_TASK_FILE={task}\nTwo\nlines\n"
    )
    assert (worktree_path(hub, 1) / "hooked").read_text() == f"{'0' * 40} {base} 1\n"


def test_background_processes_of_the_setup_are_terminated(hub: Hub) -> None:
    """The processes end when the command ends. `spawn` does not wait for them."""
    hub.session("s1")
    pid = hub.top.parent / "pid"
    hub.git("config", "hubsession.setup", f"sleep 300 & echo $! >{pid}")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert not is_alive(int(pid.read_text()))


@pytest.mark.parametrize("code", [141, 137])
def test_setup_command_terminated_by_a_signal(hub: Hub, code: int) -> None:
    """Status 141 (SIGPIPE) of the command does not mean that `spawn` cannot write its output."""
    hub.session("s1")
    hub.git("config", "hubsession.setup", f"echo why; kill -{code - 128} $$")
    assert hub.run("spawn", "s1") == Result(
        128,
        "",
        f"fatal: agent-1: hubsession.setup failed with exit code {code}: why\n"
        "hint: nothing was changed\n",
    )
    assert git_dirs(hub) == []


def test_files_of_worktreeinclude_are_copied(hub: Hub) -> None:
    """Only ignored files are copied: no tracked file, no file through a link, and not the hub."""
    outside = hub.top.parent / "outside"
    outside.mkdir()
    (hub.top / ".gitignore").write_text(".env\n/deps/\n/linked\n*.secret\n")
    (hub.top / ".worktreeinclude").write_text("*\n!*.secret\n")
    (hub.top / "way").symlink_to(outside)  # tracked: it points outside of each worktree
    (hub.top / "tracked.env").write_text("committed\n")
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "what is ignored")
    (hub.top / ".git" / "info" / "exclude").write_text("/way2/\n")
    (hub.top / "tracked.env").write_text("changed here\n")
    (hub.top / "untracked").write_text("not ignored\n")
    (hub.top / ".env").write_text("S=1\n")
    (hub.top / "my.secret").write_text("no\n")
    (hub.top / "deps" / "bin").mkdir(parents=True)
    (hub.top / "deps" / "bin" / "tool").write_text("#!/bin/sh\n")
    (hub.top / "deps" / "bin" / "tool").chmod(0o750)
    (hub.top / "deps" / "out").symlink_to(outside)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    files = snapshot(worktree_path(hub, 1))
    assert {path for path in files if path not in (".git", "file", "sub/other")} == {
        ".env",
        ".gitignore",
        ".worktreeinclude",
        "deps/bin/tool",
        "deps/out",
        "tracked.env",
        "way",
    }
    assert files[".env"] == b"S=1\n"
    assert files["tracked.env"] == b"committed\n"
    assert files["deps/out"] == f"-> {outside}"
    assert (worktree_path(hub, 1) / "deps" / "bin" / "tool").stat().st_mode & 0o777 == 0o750
    assert hub.git("status", "--porcelain", cwd=worktree_path(hub, 1)) == ""
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_full_disk_during_a_copy(hub: Hub, jobs: int) -> None:
    """The error names the file, and everything is undone."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    for name in (".gitignore", ".worktreeinclude"):
        (hub.top / name).write_text("big\n")
    (hub.top / "big").write_bytes(b"x" * 300_000)
    result = hub.call("sh", "-c", f"ulimit -f 100; git hub-session spawn -j{jobs} s1")
    error = "cannot copy 'big': File too large"
    assert result == Result(128, "", f"fatal: agent-1: {error}\nhint: nothing was changed\n")
    assert (git_dirs(hub), list(hub.refs("refs/heads/hub"))) == ([], [])
    assert not worktree_path(hub, 1).exists()


def test_copy_does_not_follow_a_link(hub: Hub) -> None:
    """The directory is a symbolic link in the base commit. No file is written through the link."""
    outside = hub.top.parent / "outside"
    outside.mkdir()
    (hub.top / "deps").symlink_to(outside)
    hub.git("add", ".")
    hub.git("commit", "-q", "-m", "a link")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.git("rm", "-q", "deps")
    (hub.top / ".gitignore").write_text("/deps/\n")
    (hub.top / ".worktreeinclude").write_text("/deps/\n")
    (hub.top / "deps").mkdir()
    (hub.top / "deps" / "file").write_text("x\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert os.readlink(worktree_path(hub, 1) / "deps") == str(outside)
    assert list(outside.iterdir()) == []


def test_copy_does_not_replace_a_sparse_file(hub: Hub) -> None:
    """The base commit tracks the file.

    The file is ignored here, and outside of the sparse checkout.
    """
    hub.commit(hub.top, "conf/a.env", "public\n")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.git("checkout", "-q", "-b", "dev")
    hub.git("rm", "-q", "conf/a.env")
    for name in (".gitignore", ".worktreeinclude"):
        (hub.top / name).write_text("*.env\n")
    (hub.top / "conf").mkdir()
    (hub.top / "conf" / "a.env").write_text("secret\n")
    (hub.top / "conf" / "b.env").write_text("mine\n")
    hub.git("sparse-checkout", "set", "--no-cone", "/*", "!/conf/a.env")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert os.listdir(worktree_path(hub, 1) / "conf") == ["b.env"]
    assert (hub.top / "conf" / "a.env").read_text() == "secret\n"


@pytest.mark.slow
def test_killed_at_any_moment(hub: Hub) -> None:
    """The next call has the result of an uninterrupted call.

    Other refs and worktrees are unchanged.
    """
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    (hub.top / ".gitignore").write_text(".env\n")
    (hub.top / ".worktreeinclude").write_text(".env\n")
    (hub.top / ".env").write_text("S=1\n")
    hub.git("config", "hubsession.setup", "echo set up >ready.env; echo ready.env >.env")
    other = hub.spawn("other", 1)
    (hub.top.parent / "project.hub").mkdir()
    template = Template(hub, [hub.top, hub.worktrees, hub.top.parent / "project.hub"])
    arguments = ("spawn", "-q", "-j1", "s1")
    count = count_changes(hub, *arguments)
    assert count > 8
    expected = (
        hub.refs(),
        agent_records(hub),
        snapshot(worktree_path(hub, 1)).keys(),
        git_dirs(hub),
    )
    for moment in kill_at_changes(hub, template, arguments, count, short=4):
        assert hub.run("list").code == 0
        assert hub.run("spawn", "-q", "s1") == Result(0), moment
        assert (
            hub.refs(),
            agent_records(hub),
            snapshot(worktree_path(hub, 1)).keys(),
            git_dirs(hub),
        ) == expected
        assert hub.state()["state"] == "running"
        assert hub.git("rev-parse", "HEAD", cwd=other) == hub.git("rev-parse", "main")
        assert hub.call("git", "fsck", "--no-dangling", "--no-progress") == Result(0), moment


@pytest.mark.slow
def test_retry_killed_at_any_change(hub: Hub) -> None:
    """The next call creates one attempt, with or without --retry. The first attempt is kept."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    first = hub.commit(worktree_path(hub, 1), "tried", "x\n")
    hub.worktrees.mkdir()
    subprocess.run(["mv", worktree_path(hub, 1), hub.worktrees], check=True)
    hub.git("worktree", "repair", hub.worktrees / "agent-1")
    retry = ("spawn", "-q", "s1", "--retry", "1", "--path", "../worktrees/agent-{n}")
    template = Template(hub)
    count = count_changes(hub, *retry)
    expected = (hub.refs(), agent_records(hub), git_dirs(hub))
    assert list(expected[0])[:2] == [f"refs/heads/hub/s1/agent-1/attempt-{n}" for n in (1, 2)]
    for moment in kill_at_changes(hub, template, retry, count, short=4):
        record = agent_records(hub)["agent-1"]
        is_started = record["attempt"] == 2
        is_complete = is_started and record["status"] == "ready"  # --retry makes another attempt
        no_retry = [argument for argument in retry if argument not in ("--retry", "1")]
        is_repeated = not is_started or (moment % 2 and not is_complete)
        assert hub.run(*(retry if is_repeated else no_retry)) == Result(0), moment
        assert (hub.refs(), agent_records(hub), git_dirs(hub)) == expected, moment
        assert hub.git("rev-parse", "HEAD", cwd=hub.worktrees / "agent-1") == first
        assert (hub.worktrees / "agent-1-2" / "file").read_text() == "first\n"


def kill_spawn(hub: Hub) -> Path:
    """Kill `spawn` and its git. Return the path of the worktree, which git has locked."""
    hub.session("s1")
    assert (
        run_with_injected_code(
            hub, "spawn", "-j1", "s1", code=DIE, only="subprocess.Popen", nth=2
        ).code
        == -9
    )
    assert agent_records(hub)["agent-1"]["status"] == "spawning"
    path = worktree_path(hub, 1)
    hub.git("worktree", "add", "-q", "--no-checkout", path, "hub/s1/agent-1/attempt-1")
    (hub.top / ".git" / "worktrees" / "agent-1" / "locked").write_text("initializing\n")
    (path / "file").write_text("fir")  # git was writing "first"
    return path


def test_partial_worktree_is_replaced(hub: Hub) -> None:
    path = kill_spawn(hub)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert (path / "file").read_text() == "first\n"
    assert (git_dirs(hub), agent_records(hub)["agent-1"]["status"]) == (["agent-1"], "ready")
    assert [*path.parent.iterdir()] == [path]


def test_deleted_worktree_of_an_interrupted_spawn(hub: Hub) -> None:
    """The worktree was complete. It is created again, unless it is locked."""
    hub.session("s1")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    document = hub.state()
    document["agents"]["agent-1"]["status"] = "spawning"
    (hub.directory() / "state.json").write_text(json.dumps(document))
    hub.git("worktree", "lock", worktree_path(hub, 1))
    subprocess.run(["rm", "-r", worktree_path(hub, 1)], check=True)
    assert hub.run("spawn", "s1") == Result(
        1,
        "",
        f"error: '{worktree_path(hub, 1)}' is locked, but missing\n"
        f"hint: git worktree unlock {worktree_path(hub, 1)}\n",
    )
    hub.git("worktree", "unlock", worktree_path(hub, 1))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.git("status", "--porcelain", cwd=worktree_path(hub, 1)) == ""
    assert (git_dirs(hub), agent_records(hub)["agent-1"]["status"]) == (["agent-1"], "ready")


def test_git_dir_that_git_has_partly_removed(hub: Hub) -> None:
    """git was killed while it removed the git dir.

    HEAD is left, but not the path of the worktree.
    """
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1").code == 0
    document = hub.state()
    document["agents"]["agent-1"]["status"] = "spawning"
    (hub.directory() / "state.json").write_text(json.dumps(document))
    shutil.rmtree(worktree_path(hub, 1))
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    for name in ("gitdir", "index", "logs/HEAD"):
        (git_dir / name).unlink()
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert git_dirs(hub) == ["agent-1"]
    assert hub.git("status", "--porcelain", cwd=worktree_path(hub, 1)) == ""
    assert hub.run("doctor").code == 0


def test_archived_agent_is_not_spawned_again(hub: Hub) -> None:
    """The archive tag keeps its commit. An attempt without a commit of its own gets no tag."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    assert hub.run("spawn", "-q", "s1").code == 0
    tip = hub.commit(worktree_path(hub, 1), "work", "an agent's\n")
    assert hub.run("cleanup", "-q", "--archive", "s1").code == 0
    before = everything(hub)
    refused = "error: agent-1 is archived\nhint: git hub-session restore s1\n"
    assert hub.run("spawn", "s1") == Result(1, "", refused)
    assert hub.run("spawn", "--only", "1", "s1") == Result(1, "", refused)
    assert everything(hub) == before
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
    branches = [ref for ref in hub.refs("refs/heads/hub") if "agent-1" in ref]
    assert branches == ["refs/heads/hub/s1/agent-1/attempt-2"]
    assert hub.refs("refs/tags/hub/archive/s1/agent-1") == {"refs/tags/hub/archive/s1/agent-1": tip}
    assert hub.run("doctor").code == 0
    assert hub.run("archive", "-q", "s1").code == 0
    assert hub.refs("refs/tags/hub/archive/s1/agent-1") == {"refs/tags/hub/archive/s1/agent-1": tip}
    start = hub.git("rev-parse", "main")
    assert hub.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1": tip}
    assert hub.refs("refs/hub/archive") == {
        "refs/hub/archive/s1/agent-1/attempt-1/1": tip,
        "refs/hub/archive/s1/agent-1/attempt-2/1": start,
        "refs/hub/archive/s1/agent-2/attempt-1/1": start,
    }


def test_new_file_in_a_partial_worktree_is_kept(hub: Hub) -> None:
    """The directory is renamed, because it contains more than git wrote."""
    path = kill_spawn(hub)
    (path / "mine").write_text("mine\n")
    kept_path = f"{path}.cut-off-1"
    assert hub.run("spawn", "-q", "s1") == Result(
        0,
        "",
        f"warning: a spawn that was interrupted left files in '{path}': they are in '{kept_path}'\n",
    )
    assert Path(kept_path, "mine").read_text() == "mine\n"
    assert (path / "file").read_text() == "first\n"


def test_worktree_of_an_interrupted_call_is_kept(hub: Hub) -> None:
    """An error of the next call does not remove the worktree, which has new files and commits."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    code = f"os.path.exists('{worktree_path(hub, 1)}/file') and {DIE}; count = 0"
    killed = run_with_injected_code(hub, "spawn", "-j1", "s1", code=code, only="subprocess.Popen")
    assert killed.code == -9, killed
    (worktree_path(hub, 1) / "mine").write_text("mine\n")
    tip = hub.commit(worktree_path(hub, 1), "committed", "x\n")
    hub.git("config", "hubsession.setup", 'test "$HUB_AGENT" = agent-1')
    result = hub.run("spawn", "s1")
    assert (result.code, result.out) == (128, "")
    assert (worktree_path(hub, 1) / "mine").read_text() == "mine\n"
    assert hub.git("rev-parse", "HEAD", cwd=worktree_path(hub, 1)) == tip
    assert list(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-1/attempt-1"]
    assert git_dirs(hub) == ["agent-1"]
    hub.git("config", "--unset", "hubsession.setup")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert (worktree_path(hub, 1) / "mine").read_text() == "mine\n"
    assert hub.git("status", "--porcelain", cwd=worktree_path(hub, 2)) == ""


def test_recorded_path_is_not_trusted(hub: Hub) -> None:
    """state.json may come with a clone. No file is created or deleted at its paths."""
    hub.session("s1")
    foreign = hub.spawn("other", 1)
    (foreign / "mine").write_text("mine\n")
    (hub.top / ".git" / "worktrees" / "agent-1" / "locked").write_text("initializing\n")
    document = hub.state()
    for path in (foreign, hub.top.parent / "elsewhere"):
        record = {"status": "spawning", "attempt": 1, "worktree": str(path)}
        document["agents"] = {"agent-1": record}
        (hub.directory() / "state.json").write_text(json.dumps(document))
        hub.git("config", "hubsession.setup", "false")
        assert hub.run("spawn", "s1").code == 128
        assert (foreign / "mine").read_text() == "mine\n"
        assert not (hub.top.parent / "elsewhere").exists()
    hub.git("config", "--unset", "hubsession.setup")
    assert hub.run("spawn", "-q", "s1", "--only", "1") == Result(0)
    assert (worktree_path(hub, 1) / "file").exists()
    assert (foreign / "mine").read_text() == "mine\n"


@pytest.mark.parametrize("attempt", [0, -1, True, 1.0, "1", None, 7, [1]])
def test_invalid_recorded_attempt(hub: Hub, attempt: object) -> None:
    hub.session("s1")
    document = hub.state()
    document["agents"] = {"agent-1": {"status": "spawning", "attempt": attempt}}
    (hub.directory() / "state.json").write_text(json.dumps(document))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert list(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-1/attempt-1"]


def test_git_of_a_killed_spawn_is_still_running(hub: Hub) -> None:
    """The worktree is not removed while this git is running."""
    path = kill_spawn(hub)
    with subprocess.Popen(["sleep", "60"], env={**hub.environ, "GIT_WORK_TREE": str(path)}) as git:
        result = hub.run("spawn", "s1")
        git.kill()
    assert result == Result(
        1,
        "",
        f"error: agent-1 is still being created by process {git.pid}\n"
        "hint: try again when it has finished\n",
    )
    assert (path / "file").read_text() == "fir"
    assert hub.run("spawn", "-q", "s1") == Result(0)


ROUNDS = 20 if LONG else 2


@pytest.mark.slow
def test_eight_parallel_spawns(hub: Hub) -> None:
    """Parallel calls for eight sessions of one repository succeed."""
    for number in range(ROUNDS):
        ids = [f"r{number}-{index}" for index in range(8)]
        for sid in ids:
            hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", "3")
        processes = [
            subprocess.Popen(
                ["git", "hub-session", "spawn", "--format=json", sid],
                cwd=hub.top,
                env=hub.environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for sid in ids
        ]
        for sid, process in zip(ids, processes, strict=True):
            out, err = process.communicate(timeout=120)
            assert (process.returncode, err) == (0, ""), sid
            assert [agent["agent"] for agent in json.loads(out)["spawned"]] == [1, 2, 3]
            for agent in (1, 2, 3):
                assert hub.git("status", "--porcelain", cwd=worktree_path(hub, agent, sid)) == ""


def test_path_prints_the_worktree(hub: Hub) -> None:
    hub.session("s1", agents=2)
    worktree = hub.worktree(2)
    assert hub.run("path", "s1", "agent-2") == Result(0, f"{worktree}\n")
    assert hub.run("path", "2") == Result(
        0, f"{worktree}\n", "the newest unfinished session is 's1'\n"
    )
    assert hub.json("path", "s1", "2") == {
        "session_id": "s1",
        "branch": "hub/s1/agent-2/attempt-1",
        "path": str(worktree),
        "off_branch": None,
        "hint": None,
    }
    assert hub.run("path", "s1", "3") == Result(
        128,
        "",
        "fatal: no such agent: 'agent-3'\nhint: choose one of the session: agent-1 to agent-2\n",
    )
    for arguments in ([], ["s1", "1-2"], ["s1", "x"]):
        assert hub.run("path", *arguments).code == 129


def test_uncommitted_changes_of_the_main_worktree(hub: Hub) -> None:
    """Agents do not get them. Untracked files and a second `spawn` cause no warning."""
    hub.session()
    (hub.top / "untracked").write_text("x")
    (hub.top / "file").write_text("changed\n")
    (hub.top / "staged").write_text("new\n")
    hub.git("add", "staged")
    message = "the agents do not get the uncommitted changes of the main worktree: 'file', 'staged'"
    for words in (("-n",), ()):
        assert hub.run("spawn", *words, "s1").err == f"warning: {message}\n"
    assert hub.run("spawn", "-q", "s1", "--retry", "1") == Result(0)
    assert hub.run("spawn", "s1").err == "nothing to spawn: all agents exist\n"
    hub.git("reset", "-q", "--hard")
    assert hub.run("spawn", "s1", "--retry", "1").err == ""
