"""core.bare or core.worktree hides the main worktree: each command names the setting and its correction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.doctor import list_findings
from tests.support.hub import Hub, Result, snapshot

COMMANDS = [
    ["list"],
    ["status", "s1"],
    ["cleanup", "s1"],
    ["merge", "s1"],
    ["archive", "s1"],
    ["init", "--id", "s1", "--task", "t"],
    ["doctor", "s1"],
]


@pytest.fixture
def session(hub: Hub) -> Hub:
    hub.session("s1", agents=1)
    hub.commit(hub.worktree(1), "work", "work\n")
    return hub


def correct(hub: Hub, hint: str) -> None:
    """Type the command of the hint."""
    assert hub.call("sh", "-c", hint) == Result(0)
    assert hub.run("list").code == 0
    assert hub.run("doctor").out == "1 session, 1 worktree: no problems found\n"


@pytest.mark.parametrize("from_worktree", [False, True])
def test_bare(session: Hub, *, from_worktree: bool) -> None:
    session.git("config", "core.bare", "true")
    before = snapshot(session.top), snapshot(session.worktrees)
    hint = f"git -C / config --file {session.top}/.git/config --replace-all core.bare false"
    error = f"core.bare is true, but the hub is in the main worktree: '{session.top}/.agenthub'"
    cwd = session.worktree(1) if from_worktree else session.top
    for command in COMMANDS:
        result = session.run(*command, cwd=cwd)
        assert result == Result(128, "", f"fatal: {error}\nhint: {hint}\n"), command
    for arguments in ([], ["--fix"]):
        result = session.run("doctor", *arguments, cwd=cwd)
        end = "0 fixed" if arguments else "--fix can fix 0"
        assert result.out == (
            f"hub-hidden: the repository\n  {error}\n  manual fix: {hint}\n"
            f"0 sessions, 0 worktrees: 1 found, {end}\n"
        )
    assert (snapshot(session.top), snapshot(session.worktrees)) == before
    correct(session, hint)


@pytest.mark.parametrize("target", ["../missing", "/missing", "../worktrees/s1/agent-1", "sub"])
@pytest.mark.parametrize("file", ["config", "config.worktree"])
def test_worktree(session: Hub, target: str, file: str) -> None:
    if file != "config":
        session.git("config", "extensions.worktreeConfig", "true")
    path = session.top / ".git" / file
    session.git("config", "--file", path, "core.worktree", target)
    hint = f"git -C / config --file {path} --unset-all core.worktree"
    error = f"core.worktree is '{target}', but the hub is '{session.top}/.agenthub'"
    for command in COMMANDS:
        result = session.run(*command)
        assert result == Result(128, "", f"fatal: {error}\nhint: {hint}\n"), command
    assert list_findings(session, code=1) == [("hub-hidden", "the repository", False)]
    correct(session, hint)


def test_setting_that_was_added_twice(session: Hub) -> None:
    session.git("config", "--add", "core.bare", "true")
    result = session.run("list")
    assert result.code == 128
    correct(session, result.err.splitlines()[1].removeprefix("hint: "))


def test_separate_git_dir(hub: Hub, tmp_path: Path) -> None:
    git_dir = tmp_path / "separate"
    hub.git("init", "-q", "--separate-git-dir", git_dir)
    hub.session("s1", agents=1)
    hub.git("config", "core.bare", "true")
    result = hub.run("list")
    assert result.code == 128
    correct(hub, result.err.splitlines()[1].removeprefix("hint: "))


def test_bare_repository_beside_a_foreign_hub(hub: Hub, tmp_path: Path) -> None:
    """A bare repository can be called .git. AgentHub's script may have created a hub beside it."""
    top = tmp_path / "bare"
    hub.git("clone", "-q", "--bare", hub.top, top / ".git")
    (top / ".agenthub" / "sessions").mkdir(parents=True)
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", cwd=top) == Result(0, "s1\n")
    assert (top / ".git" / "agenthub" / "sessions" / "s1").is_dir()


def test_separate_git_dir_from_a_linked_worktree(hub: Hub, tmp_path: Path) -> None:
    """The linked worktree does not know the main worktree. No second hub is created."""
    git_dir = tmp_path / "separate.git"
    hub.git("init", "-q", f"--separate-git-dir={git_dir}")
    hub.session("s1", agents=1)
    linked = hub.worktree(1)
    hub.git("config", "core.bare", "true")
    hint = f"git -C / config --file {git_dir}/config --replace-all core.bare false"
    error = f"core.bare is true, but '{git_dir}' has the index of a main worktree"
    for command in (["list"], ["init", "--id", "s2", "--task", "t"]):
        result = hub.run(*command, cwd=linked)
        assert result == Result(128, "", f"fatal: {error}\nhint: {hint}\n")
    assert not (git_dir / "agenthub").exists()
    correct(hub, hint)


def test_bare_repository_with_an_index(hub: Hub, tmp_path: Path) -> None:
    """A bare repository that is used with --work-tree has an index, and its hub is in its git dir."""
    bare = tmp_path / "bare.git"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    hub.git(f"--git-dir={bare}", f"--work-tree={hub.top}", "read-tree", "HEAD")
    linked = tmp_path / "linked"
    hub.git("worktree", "add", "-q", "-b", "topic", linked, cwd=bare)
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", cwd=linked) == Result(0, "s1\n")
    hub.git("branch", "hub/s1/agent-1/attempt-1", cwd=bare)
    assert hub.run("list", cwd=linked).code == 0
    assert (bare / "agenthub" / "sessions" / "s1").is_dir()
