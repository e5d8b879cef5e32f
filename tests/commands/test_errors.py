"""Errors of all commands: the message, and no change. Unusual but valid situations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import rmtree

import pytest

from tests.support.cleanup import everything
from tests.support.hub import COMMAND, Hub, Result, snapshot
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    count_worktrees,
    create_measurable_session,
    recorded_ranks,
)


def assert_refused(
    hub: Hub, message: str, *arguments: str, code: int = 1, cwd: Path | None = None
) -> None:
    """Run a command that must fail with this message and change nothing."""
    before = everything(hub)
    assert hub.run(*arguments, cwd=cwd) == Result(code, "", message)
    assert everything(hub) == before


def edit_state(hub: Hub, **fields: object) -> None:
    """Write fields into state.json that no command writes."""
    file = hub.directory() / "state.json"
    file.write_text(json.dumps({**hub.state(), **fields}))


def stop_rebase(hub: Hub, worktree: Path) -> None:
    """Start a rebase that stops in the middle."""
    result = hub.call("git", "rebase", "--no-ff", "--exec", "false", "HEAD~1", cwd=worktree)
    assert result.code == 1, result


# spawn


def test_spawn_without_a_number_of_agents(hub: Hub) -> None:
    hub.session()
    config = hub.directory() / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("agent_count")))
    assert_refused(
        hub,
        "error: config.yaml of session 's1' has no valid number of agents\n"
        "hint: use --only <list>\n",
        *("spawn", "s1"),
    )


def test_spawn_from_a_missing_commit(hub: Hub) -> None:
    hub.session()
    missing = "1" * 40
    edit_state(hub, base_commit=missing)
    message = f"error: the commit that the agents start from is missing: {missing}\n"
    assert_refused(hub, f"{message}hint: git hub-session spawn s1 --base main\n", "spawn", "s1")


def test_spawn_from_a_missing_branch(hub: Hub) -> None:
    hub.git("branch", "side")
    base = ("--base-branch", "side")
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", *base).code == 0
    hub.git("branch", "-D", "side")
    assert_refused(
        hub,
        "fatal: no such branch: 'side', the base branch of session 's1'\nhint: git hub-session spawn s1 --base HEAD\n",
        *("spawn", "s1"),
        code=128,
    )


def test_spawn_of_an_invalid_agent_number(hub: Hub) -> None:
    hub.session(agents=2)
    message = (
        "fatal: no such agent: 'agent-0'\nhint: choose one of the session: agent-1 to agent-2\n"
    )
    before = everything(hub)
    result = hub.run("spawn", "s1", "--retry", "0")
    assert (result.code, result.err.startswith(message)) == (128, True), result
    assert everything(hub) == before


# init


def test_init_with_head_outside_of_refs_heads(hub: Hub) -> None:
    hub.git("symbolic-ref", "HEAD", "refs/other/main")
    assert_refused(
        hub,
        "fatal: HEAD does not point to a branch\nhint: use --base-branch <branch>\n",
        *("init", "--task", "x"),
        code=128,
    )


def test_init_with_the_reftable_format(hub: Hub) -> None:
    """The test calls the command directly, because an older git refuses the format itself."""
    (hub.top / ".git" / "reftable").mkdir()
    before = everything(hub)
    assert hub.call(COMMAND, "init", "--task", "x") == Result(
        128,
        "",
        "fatal: the repository uses the reftable format, which is not supported\n"
        "hint: git refs migrate --ref-format=files\n"
        "hint: if git refuses because of worktrees, remove each one: "
        "git worktree remove (its branch stays)\n",
    )
    assert everything(hub) == before


# spawn: the copied files


def test_worktreeinclude_without_ignored_files(hub: Hub) -> None:
    """The list matches no file, or only a file that git does not ignore. Nothing is copied."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "2").code == 0
    (hub.top / ".worktreeinclude").write_text("nothing-of-that-name\n")
    assert hub.run("spawn", "-q", "--only", "1", "s1") == Result(0)
    (hub.top / "notes").write_text("untracked\n")
    (hub.top / ".worktreeinclude").write_text("notes\n")
    assert hub.run("spawn", "-q", "--only", "2", "s1") == Result(0)
    for agent in (1, 2):
        assert set(snapshot(agent_worktree(hub, agent))) == {".git", "file", "sub/other"}


def test_copy_does_not_replace_an_existing_file(hub: Hub) -> None:
    """A hook has created a file at the path of a listed directory. A pipe is not copied."""
    (hub.top / ".gitignore").write_text("/deps/\n/pipe\n")
    hub.git("add", ".gitignore")
    hub.git("commit", "-q", "-m", "what is ignored")
    (hub.top / ".worktreeinclude").write_text("deps/\npipe\n")
    (hub.top / "deps").mkdir()
    (hub.top / "deps" / "tool").write_text("x\n")
    os.mkfifo(hub.top / "pipe")
    hook = hub.top / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\necho mine >deps\n")
    hook.chmod(0o755)
    assert hub.run("init", "-q", "--id", "s1", "--task", "x").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    files = snapshot(agent_worktree(hub, 1))
    assert files["deps"] == b"mine\n"
    assert "pipe" not in files


# exec


@pytest.mark.parametrize(
    ("dot_git", "reason"),
    [
        ("gitdir: /nowhere\n", "its .git file names another git dir"),
        ("nonsense\n", "its .git file does not name a git dir"),
        (None, "its .git is not a file"),
    ],
)
def test_damaged_git_file(hub: Hub, dot_git: str | None, reason: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    worktree = agent_worktree(hub, 1)
    (worktree / ".git").unlink()
    if dot_git is None:
        (worktree / ".git").symlink_to(hub.top / ".git")
    else:
        (worktree / ".git").write_text(dot_git)
    link = f"printf 'gitdir: %s\\n' {hub.top}/.git/worktrees/agent-1 >{worktree}/.git"
    repair = f"hint: {link}\n" if dot_git else f"hint: rm {worktree}/.git && {link}\n"
    assert_refused(hub, f"error: '{worktree}': {reason}\n{repair}", "exec", "s1", "--", "true")
    assert_refused(hub, f"error: agent-1: '{worktree}': {reason}\n{repair}", "restore", "s1")


def test_branch_of_no_agent_and_a_later_attempt(hub: Hub) -> None:
    """The other branch is ignored, and the last attempt is used.

    Its git dir comes first in the list.
    """
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.git("worktree", "add", "-q", "-b", "hub/s1/notes", hub.top.parent / "notes", "main")
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-2", hub.top.parent / "a", "main")
    hub.commit(hub.top.parent / "a", "new", "1\n")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", "pwd").code == 0
    log = hub.directory() / "output" / "exec-1"
    assert [path.name for path in log.iterdir()] == ["agent-1.log"]
    assert (log / "agent-1.log").read_text() == f"{hub.top.parent / 'a'}\n"
    assert hub.run("restore", "s1") == Result(0, "", "nothing to restore: all worktrees exist\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert list(hub.state()["agents"]) == ["agent-1"]


def test_head_that_is_a_symbolic_link(hub: Hub) -> None:
    """Git created such a HEAD until 2005, and still reads it."""
    head = hub.top / ".git" / "HEAD"
    head.unlink()
    head.symlink_to("refs/heads/main")
    assert hub.run("init", "-q", "--id", "s1", "--task", "x") == Result(0, "s1\n")
    assert "base_branch: main\n" in (hub.directory() / "config.yaml").read_text()


def test_commands_during_an_evaluation(hub: Hub) -> None:
    """The eval command calls commands that refuse."""
    create_measurable_session(hub, "ms: 1\n")
    hub.run("update", "-q", "s1", "--state", "evaluating")
    log = hub.top.parent / "said"
    commands = ("exec s1 -- true", "merge --agent=1 --yes s1", "archive s1", "archive -n s1")
    parts = [f"git hub-session {command} 2>>'{log}'; echo $? >>'{log}'" for command in commands]
    command = "; ".join([*parts, "cat ms"])
    result = hub.run("eval", "-q", "--eval", command, *MEASURE[2:], "--baseline", "1", "s1")
    assert result.code == 0, result
    assert log.read_text() == (
        "error: session 's1' is being evaluated\nhint: wait for the evaluation to end, or stop it\n1\n"
    ) * len(commands)
    assert hub.state()["state"] == "evaluating"


def test_long_line_in_the_output(hub: Hub) -> None:
    """The line is printed in parts. The log has the complete line."""
    create_measurable_session(hub, "ms: 1\n")
    result = hub.run("exec", "s1", "--", "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x")
    shown = [line for line in result.out.splitlines() if line.startswith("agent-1 | ")]
    assert len(shown) > 1
    assert sum(len(line.removeprefix("agent-1 | ")) for line in shown) == 200000
    log = hub.directory() / "output" / "exec-1" / "agent-1.log"
    assert log.read_text() == "x" * 200000


def test_texts_that_are_too_long_for_a_variable(hub: Hub, tmp_path: Path) -> None:
    task, strategies = tmp_path / "task", tmp_path / "strategies"
    task.write_text("long" * 40_000)
    strategies.write_text(f"agent-2: {'x' * 140_000}\n")
    init = ("init", "-q", "--id", "s1", "-F", task, "--strategies", strategies)
    assert hub.run(*init).code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    script = 'echo "${HUB_TASK-none}"; wc -c <"$HUB_TASK_FILE"'
    result = hub.run("exec", "-q", "s1", "--", "sh", "-c", script, environ={"HUB_TASK": "other"})
    reason = "the system does not accept the task as a variable"
    warning = f"HUB_TASK is not set: {reason} (read HUB_TASK_FILE)"
    other = "HUB_STRATEGY is not set: the system does not accept its value as a variable"
    assert result == Result(0, "", f"warning: {warning}\nwarning: {other}\n")
    log = hub.directory() / "output" / "exec-1" / "agent-1.log"
    assert log.read_text().split() == ["none", str(4 * 40_000 + 1)]
    hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-2", "new", "x\n")
    measured = hub.run("eval", "--eval", "true", "s1")
    assert (measured.code, measured.err) == (0, f"warning: {warning}\nwarning: {other}\n")


# eval


def test_eval_of_a_session_without_branches(hub: Hub) -> None:
    hub.session()
    hub.run("update", "-q", "s1", "--state", "running")
    assert_refused(
        hub,
        "error: session 's1' has no agent branches\nhint: git hub-session spawn s1\n",
        *("eval", "--ranking", "1", "s1"),
    )


def test_eval_without_a_base_commit(hub: Hub) -> None:
    hub.git("branch", "side")
    base = ("--base-branch", "side")
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", *base).code == 0
    hub.spawn("s1", 1)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.git("branch", "-D", "side")
    before = hub.state()
    result = hub.run("eval", *MEASURE, "--baseline=measure", "s1")
    assert result == Result(
        1,
        "",
        "error: cannot measure the baseline: the base commit is missing\nhint: give a number with --baseline <number>\n",
    )
    assert (hub.state(), count_worktrees(hub)) == (before, 2)


def test_eval_with_unusable_worktrees(hub: Hub) -> None:
    """A worktree in a rebase and a damaged one. The tips are measured in temporary worktrees."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    stop_rebase(hub, agent_worktree(hub, 1))
    (agent_worktree(hub, 2) / ".git").write_text("gitdir: /nowhere\n")
    result = hub.run("eval", *MEASURE, "--baseline", "3", "s1")
    assert result.code == 0, result
    assert result.err == ""
    assert [ranks[:2] for ranks in recorded_ranks(hub).values()] == [(1, 1), (2, 2)]


def test_session_that_is_archived_during_the_evaluation(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    command = "git hub-session update -q s1 --state evaluating && git hub-session update -q s1 --state archived; cat ms"
    result = hub.run("eval", "--eval", command, *MEASURE[2:], "--baseline", "1", "s1")
    assert result == Result(1, "", "error: session 's1' became 'archived' during the evaluation\n")
    assert (hub.state()["state"], recorded_ranks(hub)) == ("archived", {})


# merge


def test_merge_of_an_agent_without_a_measurement(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    second = hub.spawn("s1", 1, 2)
    hub.commit(second, "ms", "ms: 0\n")
    document = hub.json("merge", "-n", "--agent", "2", "s1")
    assert document["remarks"] == ["agent-2 was not evaluated"]
    shown = hub.run("merge", "-n", "--agent", "2", "s1")
    assert "Rank:" not in shown.out
    document = hub.json("merge", "-n", "--agent", "1", "--unmeasured", "s1")
    assert document["remarks"] == ["agent-1 made another attempt since the evaluation"]


def test_merge_into_a_branch_in_a_rebase(hub: Hub) -> None:
    hub.commit(hub.top, "second", "x\n")
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    stop_rebase(hub, hub.top)
    assert_refused(
        hub,
        f"error: 'main' is in the middle of a rebase in '{hub.top}'\nhint: finish it first\n",
        *("merge", "--yes", "s1"),
    )


def test_merge_into_a_branch_with_a_missing_worktree(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    worktree = hub.top.parent / "aside"
    hub.git("worktree", "add", "-q", "-b", "side", worktree)
    rmtree(worktree)
    link = f"printf 'gitdir: %s\\n' {hub.top}/.git/worktrees/aside >{worktree}/.git"
    assert_refused(
        hub,
        f"error: 'side' is checked out in '{worktree}', and its directory is missing\n"
        f"hint: mkdir -p {worktree} && {link} && git -C {worktree} checkout-index -a\n",
        *("merge", "--yes", "--into", "side", "s1"),
    )


# board


def test_hub_without_a_board(hub: Hub) -> None:
    """An older AgentHub created no board. Nothing is read, and the first post creates the board."""
    hub.session()
    rmtree(hub.top / ".agenthub" / "board")
    assert hub.run("board", "read", "results") == Result(0, "", "no posts in 'results'\n")
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0)
    assert sorted(os.listdir(hub.top / ".agenthub" / "board")) == [
        "_index.json",
        *("dispatch", "progress", "results"),
    ]


@pytest.mark.parametrize("index", ['{"channels": 5}', '{"counters": []}'])
def test_invalid_board_index(hub: Hub, index: str) -> None:
    hub.session()
    file = hub.top / ".agenthub" / "board" / "_index.json"
    file.write_text(index)
    warning = "warning: the posts were counted again: _index.json: not an index\n"
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0, "", warning)
    assert json.loads(file.read_text()) == {
        "channels": ["dispatch", "progress", "results"],
        "counters": {"dispatch": 0, "progress": 0, "results": 1},
    }


def test_channel_that_is_missing_in_the_index(hub: Hub) -> None:
    hub.session()
    file = hub.top / ".agenthub" / "board" / "_index.json"
    file.write_text('{"channels": [], "counters": {}}')
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0)
    assert json.loads(file.read_text()) == {"channels": ["results"], "counters": {"results": 1}}
