"""What does not go, or goes another way: each reason is said, and what is refused changes nothing."""

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


def refused(hub: Hub, said: str, *words: str, code: int = 1, cwd: Path | None = None) -> None:
    """The command says so, and every byte is as it was."""
    before = everything(hub)
    assert hub.run(*words, cwd=cwd) == Result(code, "", said)
    assert everything(hub) == before


def change_state(hub: Hub, **facts: object) -> None:
    """Write into state.json what no command of ours would."""
    file = hub.directory() / "state.json"
    file.write_text(json.dumps({**hub.state(), **facts}))


def stopped_rebase(hub: Hub, where: Path) -> None:
    """A rebase of what is checked out there that has stopped in the middle."""
    stopped = hub.call("git", "rebase", "--no-ff", "--exec", "false", "HEAD~1", cwd=where)
    assert stopped.code == 1, stopped


# spawn


def test_spawn_of_a_session_that_does_not_say_how_many(hub: Hub) -> None:
    hub.session()
    config = hub.directory() / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("agent_count")))
    refused(
        hub,
        "error: config.yaml of session 's1' has no valid number of agents\n"
        "hint: use --agents <list>\n",
        *("spawn", "s1"),
    )


def test_spawn_from_a_commit_that_is_gone(hub: Hub) -> None:
    hub.session()
    gone = "1" * 40
    change_state(hub, base_commit=gone)
    said = f"error: the commit that the agents start from is missing: {gone}\n"
    refused(hub, f"{said}hint: git hub-session spawn s1 --base main\n", "spawn", "s1")


def test_spawn_from_a_branch_that_is_gone(hub: Hub) -> None:
    hub.git("branch", "side")
    base = ("--base-branch", "side")
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", *base).code == 0
    hub.git("branch", "-D", "side")
    refused(
        hub,
        "error: no such branch: 'side', the base branch of session 's1'\nhint: name a commit with --base\n",
        *("spawn", "s1"),
    )


def test_a_number_that_no_agent_has(hub: Hub) -> None:
    hub.session(agents=2)
    said = "error: no such agent: '0'\nhint: the session has agents 1 to 2\n"
    before = everything(hub)
    result = hub.run("spawn", "s1", "--retry", "0")
    assert (result.code, result.err.startswith(said)) == (129, True), result
    assert everything(hub) == before


# init


def test_init_where_head_is_no_branch(hub: Hub) -> None:
    hub.git("symbolic-ref", "HEAD", "refs/other/main")
    refused(
        hub,
        "fatal: HEAD does not point to a branch\nhint: use --base-branch <branch>\n",
        *("init", "--task", "x"),
        code=128,
    )


def test_init_where_refs_are_in_a_table(hub: Hub) -> None:
    """Called by itself: a git that does not know the format refuses first."""
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


# spawn: what comes along


def test_what_is_listed_and_not_ignored_does_not_come_along(hub: Hub) -> None:
    """Of a list that names nothing, and of one that names only what git does not ignore."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "2").code == 0
    (hub.top / ".worktreeinclude").write_text("nothing-of-that-name\n")
    assert hub.run("spawn", "-q", "--agents", "1", "s1") == Result(0)
    (hub.top / "notes").write_text("untracked\n")
    (hub.top / ".worktreeinclude").write_text("notes\n")
    assert hub.run("spawn", "-q", "--agents", "2", "s1") == Result(0)
    for agent in (1, 2):
        assert set(snapshot(agent_worktree(hub, agent))) == {".git", "file", "sub/other"}


def test_what_is_in_the_way_of_a_copy_stays(hub: Hub) -> None:
    """A hook has made a file where the list has a directory, and a pipe is nothing to copy."""
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
    found = snapshot(agent_worktree(hub, 1))
    assert found["deps"] == b"mine\n"
    assert "pipe" not in found


# exec


@pytest.mark.parametrize(
    ("dot_git", "fault"),
    [
        ("gitdir: /nowhere\n", "its .git file names another git dir"),
        ("nonsense\n", "its .git file does not name a git dir"),
        (None, "its .git is not a file"),
    ],
)
def test_a_damaged_worktree(hub: Hub, dot_git: str | None, fault: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    where = agent_worktree(hub, 1)
    (where / ".git").unlink()
    if dot_git is None:
        (where / ".git").symlink_to(hub.top / ".git")
    else:
        (where / ".git").write_text(dot_git)
    link = f"printf 'gitdir: %s\\n' {hub.top}/.git/worktrees/agent-1 >{where}/.git"
    repair = f"hint: {link}\n" if dot_git else f"hint: rm {where}/.git && {link}\n"
    refused(hub, f"error: '{where}': {fault}\n{repair}", "exec", "s1", "--", "true")
    refused(hub, f"error: agent-1: '{where}': {fault}\n{repair}", "restore", "s1")


def test_who_is_no_agent_and_which_attempt_is_the_last(hub: Hub) -> None:
    """A branch of the session that is no agent's, and a later attempt whose entry comes first."""
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.git("worktree", "add", "-q", "-b", "hub/s1/notes", hub.top.parent / "notes", "main")
    hub.git("worktree", "add", "-q", "-b", "hub/s1/agent-1/attempt-2", hub.top.parent / "a", "main")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", "pwd").code == 0
    log = hub.directory() / "output" / "exec-1"
    assert [path.name for path in log.iterdir()] == ["agent-1.log"]
    assert (log / "agent-1.log").read_text() == f"{hub.top.parent / 'a'}\n"
    assert hub.run("restore", "s1") == Result(0, "", "nothing to restore: all worktrees exist\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert list(hub.state()["agents"]) == ["agent-1"]


def test_head_as_a_link(hub: Hub) -> None:
    """As git made it until 2005, and still reads it."""
    head = hub.top / ".git" / "HEAD"
    head.unlink()
    head.symlink_to("refs/heads/main")
    assert hub.run("init", "-q", "--id", "s1", "--task", "x") == Result(0, "s1\n")
    assert "base_branch: main\n" in (hub.directory() / "config.yaml").read_text()


def test_exec_while_the_session_is_evaluated(hub: Hub) -> None:
    """The command that measures calls it: nothing has to be waited for."""
    create_measurable_session(hub, "ms: 1\n")
    said = hub.top.parent / "said"
    command = f"git hub-session exec s1 -- true 2>'{said}'; echo $? >>'{said}'; cat ms"
    measured = hub.run("eval", "-q", "--eval", command, *MEASURE[2:], "--baseline", "1", "s1")
    assert measured.code == 0, measured
    assert said.read_text() == (
        "error: session 's1' is being evaluated\nhint: wait for the evaluation to end, or stop it\n1\n"
    )


def test_a_line_that_does_not_end(hub: Hub) -> None:
    """It is handed on in pieces, and kept whole."""
    create_measurable_session(hub, "ms: 1\n")
    result = hub.run("exec", "s1", "--", "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x")
    shown = [line for line in result.out.splitlines() if line.startswith("agent-1 | ")]
    assert len(shown) > 1
    assert sum(len(line.removeprefix("agent-1 | ")) for line in shown) == 200000
    log = hub.directory() / "output" / "exec-1" / "agent-1.log"
    assert log.read_text() == "x" * 200000


def test_a_task_that_no_variable_holds(hub: Hub, tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.write_text("long" * 30_000)
    assert hub.run("init", "-q", "--id", "s1", "-F", task).code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    script = 'echo "${HUB_TASK-none}"; wc -c <"$HUB_TASK_FILE"'
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", script).code == 0
    log = hub.directory() / "output" / "exec-1" / "agent-1.log"
    assert log.read_text().split() == ["none", str(4 * 30_000 + 1)]


# eval


def test_eval_of_a_session_without_branches(hub: Hub) -> None:
    hub.session()
    hub.run("update", "-q", "s1", "--state", "running")
    refused(
        hub,
        "error: session 's1' has no agent branches\nhint: git hub-session spawn s1\n",
        *("eval", "--ranking", "1", "s1"),
    )


def test_eval_without_a_commit_to_start_from(hub: Hub) -> None:
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


def test_eval_beside_worktrees_that_are_not_as_they_were(hub: Hub) -> None:
    """In the middle of a rebase, and damaged: their tips are measured all the same, elsewhere."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    stopped_rebase(hub, agent_worktree(hub, 1))
    (agent_worktree(hub, 2) / ".git").write_text("gitdir: /nowhere\n")
    result = hub.run("eval", *MEASURE, "--baseline", "3", "s1")
    assert result.code == 0, result
    own = "was measured in a temporary worktree"
    first, second = result.err.splitlines()
    assert first == f"warning: agent-1 {own}: its worktree is in the middle of a rebase"
    assert second.startswith(f"warning: agent-2 {own}: its .git file ")
    assert [one[:2] for one in recorded_ranks(hub).values()] == [(1, 1), (2, 2)]


def test_a_session_that_ends_while_it_is_measured(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    command = "git hub-session update -q s1 --state evaluating && git hub-session update -q s1 --state archived; cat ms"
    result = hub.run("eval", "--eval", command, *MEASURE[2:], "--baseline", "1", "s1")
    assert result == Result(1, "", "error: session 's1' became 'archived' during the evaluation\n")
    assert (hub.state()["state"], recorded_ranks(hub)) == ("archived", {})


# merge


def test_merge_of_who_was_not_measured(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    again = hub.spawn("s1", 1, 2)
    hub.commit(again, "ms", "ms: 0\n")
    document = hub.json("merge", "-n", "--agent", "2", "s1")
    assert document["remarks"] == ["agent-2 was not evaluated"]
    shown = hub.run("merge", "-n", "--agent", "2", "s1")
    assert "Rank:" not in shown.out
    document = hub.json("merge", "-n", "--agent", "1", "s1")
    assert document["remarks"] == ["agent-1 made another attempt since the evaluation"]


def test_merge_into_a_branch_that_is_being_rebased(hub: Hub) -> None:
    hub.commit(hub.top, "second", "x\n")
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    stopped_rebase(hub, hub.top)
    refused(
        hub,
        f"error: 'main' is in the middle of a rebase in '{hub.top}'\nhint: finish it first\n",
        *("merge", "--yes", "s1"),
    )


def test_merge_into_a_branch_whose_worktree_is_missing(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    aside = hub.top.parent / "aside"
    hub.git("worktree", "add", "-q", "-b", "side", aside)
    rmtree(aside)
    link = f"printf 'gitdir: %s\\n' {hub.top}/.git/worktrees/aside >{aside}/.git"
    refused(
        hub,
        f"error: 'side' is checked out in '{aside}', and its directory is missing\n"
        f"hint: mkdir -p {aside} && {link} && git -C {aside} checkout-index -a\n",
        *("merge", "--yes", "--into", "side", "s1"),
    )


# board


def test_a_hub_without_a_board(hub: Hub) -> None:
    """As an older AgentHub left it: there is nothing to read, and the first post makes it."""
    hub.session()
    rmtree(hub.top / ".agenthub" / "board")
    assert hub.run("board", "read", "results") == Result(0, "", "no posts in 'results'\n")
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0)
    assert sorted(os.listdir(hub.top / ".agenthub" / "board")) == [
        "_index.json",
        *("dispatch", "progress", "results"),
    ]


@pytest.mark.parametrize("index", ['{"channels": 5}', '{"counters": []}'])
def test_an_index_that_is_none(hub: Hub, index: str) -> None:
    hub.session()
    file = hub.top / ".agenthub" / "board" / "_index.json"
    file.write_text(index)
    warning = "warning: the posts were counted again: _index.json: not an index\n"
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0, "", warning)
    assert json.loads(file.read_text()) == {
        "channels": ["dispatch", "progress", "results"],
        "counters": {"dispatch": 0, "progress": 0, "results": 1},
    }


def test_a_channel_that_the_index_does_not_know(hub: Hub) -> None:
    hub.session()
    file = hub.top / ".agenthub" / "board" / "_index.json"
    file.write_text('{"channels": [], "counters": {}}')
    assert hub.run("board", "post", "-q", "results", "-m", "x") == Result(0)
    assert json.loads(file.read_text()) == {"channels": ["results"], "counters": {"results": 1}}
