"""Hooks run as with git's own commands: their output is shown, and nobody waits for their children."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    write_hook,
)
from tests.support.hub import Hub, Result, is_alive


@pytest.fixture
def pids(hub: Hub) -> Iterator[Path]:
    """Yield the file for the process ids of background processes. End the processes."""
    file = hub.top.parent / "pids"
    file.write_text("")
    yield file
    for pid in map(int, file.read_text().split()):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_hook_that_creates_a_repository(hub: Hub) -> None:
    """`git init` and `git commit` in another directory do not touch the user's repository."""
    create_evaluated_session(hub)
    (hub.top / "sub" / "other").write_text("not committed\n")
    elsewhere = hub.top.parent / "elsewhere"
    elsewhere.mkdir()
    write_hook(
        hub,
        "post-merge",
        f"set -e; cd {elsewhere}; git init -q; echo x >x; git add x; git commit -q -m x",
    )
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    assert git_status(hub) == "## main\n M sub/other"
    assert hub.git("ls-files", cwd=elsewhere) == "x"


@pytest.mark.parametrize("hook", ["post-merge", "commit-msg", "reference-transaction"])
def test_background_process_of_a_hook_of_merge(hub: Hub, pids: Path, hook: str) -> None:
    """The command ends before the process that the hook has left."""
    create_evaluated_session(hub)
    write_hook(hub, hook, f"sleep 100 & echo $! >>{pids}")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    started = pids.read_text().split()
    assert started
    assert all(is_alive(int(pid)) for pid in started)


@pytest.mark.parametrize("hook", ["post-checkout", "reference-transaction"])
def test_background_process_of_a_hook_of_spawn(hub: Hub, pids: Path, hook: str) -> None:
    hub.session("s1")
    write_hook(hub, hook, f"sleep 100 & echo $! >>{pids}")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    started = pids.read_text().split()
    assert started
    assert all(is_alive(int(pid)) for pid in started)


def test_background_process_of_a_merge_driver(hub: Hub, pids: Path) -> None:
    (hub.top / ".gitattributes").write_text("file merge=slow\n")
    hub.git("add", "-A")
    hub.git("commit", "-q", "-m", "a driver")
    create_evaluated_session(hub)
    hub.commit(hub.top, "file", "first\nby main\n")
    driver = f"sleep 100 & echo $! >>{pids}; cat %B >%A"
    hub.git("config", "merge.slow.driver", driver)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:file") == "first\nby agent 2"
    started = pids.read_text().split()
    assert started
    assert all(is_alive(int(pid)) for pid in started)


@pytest.mark.parametrize("options", [["-q"], ["--format=json"]])
def test_output_of_hooks_is_shown(hub: Hub, options: list[str]) -> None:
    """As in git, it is on standard error, also with -q, and as it is."""
    create_evaluated_session(hub)
    write_hook(hub, "post-merge", 'printf "\\033[1mrun npm install\\033[m\\n"')
    write_hook(hub, "reference-transaction", 'test "$1" != committed || echo moved')
    result = hub.run("merge", *options, "--yes", "--no-cleanup", "s1")
    assert (result.code, result.err) == (0, "moved\n\033[1mrun npm install\033[m\n")
    if options == ["--format=json"]:
        assert json.loads(result.out)["state"] == "merged"


def test_worktree_whose_post_checkout_hook_failed_is_kept(hub: Hub) -> None:
    """git keeps such a worktree, too. The warning names the hook."""
    hub.session("s1")
    write_hook(hub, "post-checkout", "echo no modules; exit 3")
    warning = "warning: agent-1: the post-checkout hook failed (exit 3)\n"
    assert hub.run("spawn", "-q", "s1") == Result(1, "", f"no modules\n{warning}")
    worktree = agent_worktree(hub, 1)
    assert git_status(hub, worktree) == "## hub/s1/agent-1/attempt-1"
    assert hub.state()["agents"]["agent-1"]["status"] == "ready"
    assert hub.state()["state"] == "running"
    assert hub.run("spawn", "s1").code == 0
    (worktree / "new").write_text("work\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("restore", "-q", "s1") == Result(1, "", f"no modules\n{warning}")
    assert (worktree / "new").read_text() == "work\n"
    assert "locked" not in hub.git("worktree", "list", "--porcelain")


def test_post_checkout_hook_of_adopt(hub: Hub) -> None:
    """The commit is adopted, and its worktree exists. The warning names the hook."""
    create_evaluated_session(hub)
    write_hook(hub, "post-checkout", "echo no modules; exit 3")
    warning = "warning: agent-1: the post-checkout hook failed (exit 3)\n"
    result = hub.run("adopt", "-q", "s1", "agent-1", "main")
    assert result == Result(1, "", f"no modules\n{warning}")
    worktree = agent_worktree(hub, 1).with_name("agent-1-2")
    assert git_status(hub, worktree) == "## hub/s1/agent-1/attempt-2"


@pytest.mark.parametrize("status", [130, 255])
def test_post_checkout_hook_with_a_status_as_of_a_signal(hub: Hub, status: int) -> None:
    hub.session("s1")
    write_hook(hub, "post-checkout", f"exit {status}")
    assert hub.run("spawn", "-q", "s1") == Result(
        1, "", f"warning: agent-1: the post-checkout hook failed (exit {status})\n"
    )
    assert agent_worktree(hub, 1).exists()


def test_evaluation_names_a_failed_hook(hub: Hub) -> None:
    """A hook can prepare a worktree. Measurements in an unprepared one would not be right."""
    create_evaluated_session(hub)
    write_hook(hub, "post-checkout", "echo no modules; exit 3")
    result = hub.run(
        "eval", "-q", "--eval", "wc -c <file", "--direction", "lower", "--metric", "n", "s1"
    )
    assert (result.code, "the post-checkout hook failed (exit 3)" in result.err) == (128, True)


def test_hook_that_is_not_executable(hub: Hub) -> None:
    """git's hint is shown."""
    create_evaluated_session(hub)
    write_hook(hub, "commit-msg", "exit 1")
    (hub.top / ".git" / "hooks" / "commit-msg").chmod(0o644)
    result = hub.run("merge", "-q", "--yes", "--no-cleanup", "s1")
    assert result.code == 0
    assert result.err.startswith("hint: The '.git/hooks/commit-msg' hook was ignored")


def test_hint_about_hooks_that_is_turned_off(hub: Hub) -> None:
    create_evaluated_session(hub)
    write_hook(hub, "commit-msg", "exit 1")
    (hub.top / ".git" / "hooks" / "commit-msg").chmod(0o644)
    hub.git("config", "advice.ignoredHook", "false")
    assert hub.run("merge", "-q", "--yes", "--no-cleanup", "s1") == Result(0)


@pytest.mark.parametrize("command", ["archive", "spawn"])
def test_relative_hooks_path_from_a_subdirectory(hub: Hub, command: str) -> None:
    """The hook refuses from each directory of the worktree."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    if command == "archive":
        assert hub.run("spawn", "-q", "s1") == Result(0)
    hooks = hub.top / ".githooks"
    hooks.mkdir()
    hook = hooks / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo "not today"; exit 1; }\n')
    hook.chmod(0o755)
    hub.git("config", "core.hooksPath", ".githooks")
    refs = hub.refs()
    change = "archive" if command == "archive" else "new branches"
    for cwd in (hub.top, hub.top / "sub"):
        assert hub.run(command, "-q", "s1", cwd=cwd) == Result(
            1,
            "",
            "not today\n"
            f"error: the reference-transaction hook rejected the {change}; nothing was changed\n",
        )
    assert hub.refs() == refs


@pytest.mark.parametrize("value", ["~/hooks", "%(prefix)/"])
def test_hooks_path_that_git_expands(hub: Hub, value: str) -> None:
    """`git hook run` finds the directory, so the program does not have to."""
    hub.session("s1", agents=1)
    hooks = hub.top.parent / "home" / "hooks"
    if value == "%(prefix)/":
        prefix = hub.git("-c", f"x.y={value}", "config", "--type=path", "x.y")
        value += os.path.relpath(hooks, prefix)
    hooks.mkdir()
    hook = hooks / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared\n')
    hook.chmod(0o755)
    hub.git("config", "core.hooksPath", value)
    refs = hub.refs()
    error = "error: the reference-transaction hook rejected the archive; nothing was changed\n"
    assert hub.run("archive", "-q", "s1", cwd=hub.top / "sub") == Result(1, "", error)
    assert hub.refs() == refs


def test_directory_variable_of_a_command(hub: Hub) -> None:
    """`make` takes the directory from PWD."""
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    seen = hub.top.parent / "seen"
    show = ("git", "hub-session", "exec", "-q", "s1", "--", "sh", "-c")
    result = hub.call(
        *show, f"tr '\\0' '\\n' </proc/$$/environ >{seen}", environ={"PWD": str(hub.top)}
    )
    assert result == Result(0)
    assert f"PWD={hub.worktree(1)}" in seen.read_text().splitlines()


def test_filter_in_the_locale_of_the_user(hub: Hub) -> None:
    """The filter replaces one character, and not one byte: `spawn` writes what git writes."""
    hub.commit(hub.top, ".gitattributes", "*.l filter=one\n")
    hub.commit(hub.top, "name.l", "\u00e9cu\n")
    hub.git("config", "filter.one.smudge", "sed 's/./X/'")
    hub.environ["LC_ALL"] = "C.UTF-8"
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    hub.git("worktree", "add", "-q", "--detach", hub.top.parent / "by-git")
    written = (agent_worktree(hub, 1) / "name.l").read_bytes()
    assert written == (hub.top.parent / "by-git" / "name.l").read_bytes() == b"Xcu\n"


def test_author_of_the_commit_whose_hook_runs_agents(hub: Hub) -> None:
    """The agents get the author of their own, but an author that the user has exported."""
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    seen = hub.top.parent / "seen"
    show = ("exec", "-q", "s1", "--", "sh", "-c", f"echo $GIT_AUTHOR_NAME >>{seen}")
    author = {"GIT_AUTHOR_NAME": "Eve"}
    assert hub.run(*show, environ=author) == Result(0)
    assert hub.run(*show, environ={**author, "GIT_INDEX_FILE": ".git/index"}) == Result(0)
    assert seen.read_text() == "Eve\n\n"


def test_relative_path_of_the_hub_is_handed_on_as_absolute(hub: Hub) -> None:
    """A hook and a command of an agent run in other directories."""
    environ = {"GIT_HUB_SESSION_DIR": "../hub"}
    seen = hub.top.parent / "seen"
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", environ=environ).code == 0
    write_hook(hub, "post-checkout", f"echo $GIT_HUB_SESSION_DIR >>{seen}")
    assert hub.run("spawn", "-q", "s1", environ=environ).code == 0
    show = ("exec", "-q", "s1", "--", "sh", "-c", f"echo $GIT_HUB_SESSION_DIR >>{seen}")
    assert hub.run(*show, environ=environ).code == 0
    paths = {os.path.normpath(line) for line in seen.read_text().splitlines()}
    assert paths == {str(hub.top.parent / "hub")}


@pytest.mark.parametrize("phase", ["prepared", "committed"])
def test_hook_that_kills_git_before_work_is_saved(hub: Hub, phase: str) -> None:
    """The worktree is kept, and the next cleanup saves the work."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    write_hook(hub, "reference-transaction", f'[ "$1" = {phase} ] && kill -9 $PPID; exit 0')
    result = hub.run("cleanup", "s1")
    assert result.code == 1
    assert "cannot save the work: 'git update-ref' was ended by signal 9 (Killed)" in result.out
    assert (worktree / "new").read_text() == "new\n"
    (hub.top / ".git" / "hooks" / "reference-transaction").unlink()
    for lock in (hub.top / ".git").rglob("*.lock"):
        lock.unlink()
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}") == Result(0)
    assert (worktree / "new").read_text() == "new\n"
