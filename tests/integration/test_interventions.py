"""Another tool or a user makes a change between two commands. The hints lead to the end."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.hub import Hub, Result, wait_for
from tests.support.interrupt import LONG
from tests.support.interventions import (
    COMMON_CHANGES,
    MEASURE,
    RARE_CHANGES,
    edit_state,
    run_with_hints,
    worktree_path,
)

CHANGES = {**COMMON_CHANGES, **RARE_CHANGES}
TESTED_CHANGES = CHANGES if LONG else COMMON_CHANGES


def start_session(hub: Hub) -> Hub:
    """Create two agents, each with one commit and one untracked file."""
    hub.commit(hub.top, "early", "early\n")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2", *MEASURE).code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "file", "x\n" * 10 * agent)
        (worktree_path(hub, agent) / "new").write_text(f"{agent}\n")
    return hub


@pytest.mark.parametrize("name", TESTED_CHANGES)
def test_merge_after_a_change_between_the_commands(hub: Hub, name: str) -> None:
    """The hints lead to a merge, and every commit is kept."""
    start_session(hub)
    tips = {hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2)}
    CHANGES[name](hub)
    arguments: tuple[str, ...] = ("merge", "--yes", "s1")
    if name == "the base branch is deleted":
        arguments = ("merge", "--yes", "--into", "other", "s1")
        hub.git("branch", "other", hub.git("rev-parse", "HEAD"))
    assert hub.run("status", "s1").code == 0
    assert hub.run("list").code == 0
    if hub.state()["state"] != "evaluating":
        run_with_hints(hub, "spawn", "s1")
    run_with_hints(hub, "exec", "s1", "--", "true")
    run_with_hints(hub, "eval", *MEASURE, "s1")
    if name == "rm -rf, prune, branch -D":  # the new agents of `spawn` have nothing to merge
        assert hub.git("for-each-ref", "refs/heads/hub").count("\n") == 1
        run_with_hints(hub, "archive", "s1")
        assert hub.state()["state"] == "archived"
        return
    run_with_hints(hub, *arguments)
    assert hub.state()["state"] == "merged"
    reachable = set(hub.git("rev-list", "--all", "--reflog").split())
    assert tips <= reachable


@pytest.mark.parametrize("name", TESTED_CHANGES)
def test_archive_after_a_change_between_the_commands(hub: Hub, name: str) -> None:
    """The hints lead through cleanup and restore to an archive."""
    start_session(hub)
    CHANGES[name](hub)
    run_with_hints(hub, "cleanup", "s1")
    run_with_hints(hub, "restore", "s1")
    run_with_hints(hub, "archive", "s1")
    assert hub.state()["state"] == "archived"
    assert hub.run("status", "s1").code == 0
    assert hub.run("list").code == 0


@pytest.mark.parametrize("name", ["state.json", "config.yaml"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
def test_commands_on_a_session_with_a_damaged_file(
    hub: Hub, name: str, content: bytes | None
) -> None:
    """The errors name the file, and cleanup works. All commands work once the file is restored."""
    start_session(hub)
    file = hub.directory() / name
    before = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    repair = "git hub-session doctor --fix s1"
    if name == "config.yaml":
        repair = f"fix the file in '{hub.directory()}'"
    hints = f"hint: {repair}\nhint: git hub-session cleanup s1\n"
    for command in ("status s1", "merge --yes s1", "exec s1 -- true", "archive s1", "restore s1"):
        result = hub.run(*command.split())
        assert (result.code, result.out) == (128, ""), result
        assert result.err.startswith(f"fatal: session 's1': {name}: "), result
        assert result.err.endswith(hints), result
    assert hub.run("list").code == 1
    cleanup = hub.run("cleanup", "s1")
    assert cleanup.code == 0, cleanup
    assert cleanup.out.count("bring it back: ") == 2
    file.write_bytes(before)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert [(worktree_path(hub, agent) / "new").read_text() for agent in (1, 2)] == ["1\n", "2\n"]


def test_merge_after_the_merge_was_reset(hub: Hub) -> None:
    """The base branch was reset to the commit before a merge. The same call merges again."""
    start_session(hub)
    before = hub.git("rev-parse", "main")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "--no-cleanup", "s1").code == 0
    hub.git("reset", "-q", "--hard", before)
    edit_state(hub, lambda state: state.update(state="evaluating"))
    assert run_with_hints(hub, "merge", "--yes", "s1").code == 0
    assert hub.state()["state"] == "merged"
    assert hub.git("show", "main:file") == "x\n" * 19 + "x"


def test_merge_without_a_terminal_prints_the_same_command(hub: Hub) -> None:
    """The hint is the same call with --yes. It merges the same agent with the same options."""
    start_session(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    options = ("--agent", "1", "--squash", "-m", "it's done", "--no-cleanup")
    refused = hub.run("merge", *options, "s1")
    command = (
        "git hub-session merge --agent agent-1 -m 'it'\"'\"'s done' --squash --no-cleanup --yes s1"
    )
    assert refused.code == 1
    assert refused.err.endswith(
        f"error: cannot ask for confirmation: standard input is not a terminal (use --yes)\nhint: {command}\n"
    )
    assert hub.call("sh", "-c", command).code == 0
    assert hub.git("log", "-1", "--format=%s %p", "main").split()[:2] == ["it's", "done"]
    assert hub.git("show", "main:file") == "x\n" * 9 + "x"
    assert worktree_path(hub, 2).exists()


def test_force_does_not_disturb_a_running_exec(hub: Hub) -> None:
    start_session(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    ready = hub.top.parent / "ready"
    command = ["git-hub-session", "exec", "-q", "--only=1", "s1", "--"]
    with subprocess.Popen(
        [*command, "sh", "-c", f"touch {ready}; exec sleep 300"], cwd=hub.top, env=hub.environ
    ) as process:
        wait_for(ready.exists, process)
        refused = Result(1, "", "error: agent-1 is still running\nhint: wait for it, or end it\n")
        assert hub.run("exec", "--force", "s1", "--", "true") == refused
        assert hub.run("merge", "--force", "--yes", "s1") == refused
        process.terminate()
