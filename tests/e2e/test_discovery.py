"""Repositories are found, and untrusted repositories are rejected, as by git."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.hints import follow_hint, type_hint, types
from tests.support.hub import COMMAND, PYTHON, Hub, Result

ROOT = os.geteuid() == 0


def session_ids(hub: Hub, *options: str | Path, cwd: Path, code: int = 0) -> list[str]:
    """Return the session ids that `git <options> hub-session list` prints in `cwd`."""
    result = hub.call("git", *options, "hub-session", "list", "--format=porcelain", cwd=cwd)
    assert result.code == code, result
    return [line[11:] for line in result.out.splitlines() if line.startswith("session_id ")]


def test_ways_to_name_the_repository(hub: Hub, tmp_path: Path) -> None:
    """Subdirectories, -C, --git-dir, --work-tree and linked worktrees select the same hub."""
    hub.session("s1", agents=1)
    git_dir = hub.top / ".git"
    assert session_ids(hub, cwd=hub.top / "sub") == ["s1"]
    assert session_ids(hub, cwd=git_dir) == ["s1"]
    assert session_ids(hub, "-C", hub.top / "sub", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "-C", "project", "-C", "sub", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "--git-dir", git_dir, cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "--git-dir=project/.git", "--work-tree=project", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, cwd=hub.worktree(1) / "sub") == ["s1"]


def test_committed_hub_in_a_linked_worktree_is_not_read(hub: Hub) -> None:
    """git checks out a committed hub in each worktree. The hub of the main worktree is used."""
    hub.session("s1")
    hub.git("add", "-f", ".agenthub")
    hub.git("commit", "-q", "-m", "the hub, by mistake")
    worktree = hub.spawn("s1", 1)
    stale_state = worktree / ".agenthub" / "sessions" / "s1" / "state.json"
    before = stale_state.read_bytes()
    assert hub.run("update", "--state", "running", cwd=worktree).code == 0
    assert hub.run("init", "-q", "--id", "s2", "--task", "x", cwd=worktree) == Result(0, "s2\n")
    assert stale_state.read_bytes() == before
    assert hub.state("s1")["state"] == "running"
    assert sorted(os.listdir(stale_state.parent.parent)) == ["s1"]
    assert session_ids(hub, cwd=worktree) == ["s1", "s2"]


def test_git_dir_that_is_a_symbolic_link(hub: Hub, tmp_path: Path) -> None:
    """The worktree with the link and its linked worktrees use the same hub."""
    directory, worktree = tmp_path / "store", tmp_path / "linked"
    directory.mkdir()
    (hub.top / ".git").rename(directory / ".git")
    (hub.top / ".git").symlink_to(directory / ".git")
    hub.session("s1")
    hub.git("worktree", "add", "-q", worktree)
    for cwd in (hub.top, hub.top / "sub", worktree):
        assert [row["session_id"] for row in hub.json("list", cwd=cwd)["sessions"]] == ["s1"]


def test_agenthub_directory_in_a_subdirectory_is_ignored(hub: Hub) -> None:
    """The hub is the .agenthub at the top of the main worktree."""
    shutil.copytree(hub.session("s1").top / ".agenthub", hub.top / "sub" / ".agenthub")
    (hub.top / "sub" / ".agenthub" / "sessions" / "s1").rename(
        hub.top / "sub" / ".agenthub" / "sessions" / "decoy"
    )
    assert session_ids(hub, cwd=hub.top / "sub") == ["s1"]


def test_bare_repository_and_its_worktrees(hub: Hub, tmp_path: Path) -> None:
    """Sessions work in a bare repository, also from its linked worktree."""
    bare = tmp_path / "bare"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    linked = tmp_path / "linked"
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", cwd=bare) == Result(0, "s1\n")
    hub.git("worktree", "add", "-q", linked, "-b", "hub/s1/agent-1/attempt-1", cwd=bare)
    assert (bare / "agenthub" / "sessions" / "s1" / "state.json").is_file()
    assert session_ids(hub, cwd=linked) == session_ids(hub, cwd=bare / "refs") == ["s1"]
    assert session_ids(hub, "--git-dir", bare, cwd=tmp_path) == ["s1"]
    assert hub.run("update", "--state", "running", cwd=linked).code == 0
    assert hub.run("cleanup", "s1", cwd=bare) == Result(
        0,
        f"agent-1: removed {os.path.relpath(linked, bare)}, kept its branch\nCleaned up 1 worktree for session s1\n",
    )
    assert not linked.exists()


def test_base_branch_is_the_branch_of_the_current_worktree(hub: Hub) -> None:
    path = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", "-b", "topic", path)
    assert hub.run("init", "--id", "s1", "-q", "--task", "x", cwd=path / "sub").code == 0
    assert "base_branch: topic\n" in (hub.directory("s1") / "config.yaml").read_text()


def test_hub_that_the_environment_names(hub: Hub, tmp_path: Path) -> None:
    """GIT_HUB_SESSION_DIR can name any directory, but no symbolic link."""
    environ = {"GIT_HUB_SESSION_DIR": str(tmp_path / "away" / "hub")}
    created = hub.run("init", "-q", "--id", "s1", "--task", "x", environ=environ)
    assert created == Result(0, "s1\n")
    assert (tmp_path / "away" / "hub" / "sessions" / "s1").is_dir()
    assert not (hub.top / ".agenthub").exists()
    (tmp_path / "link").symlink_to(tmp_path / "away" / "hub")
    linked = {"GIT_HUB_SESSION_DIR": str(tmp_path / "link")}
    assert hub.run("list", environ=linked) == Result(
        128,
        "",
        f"fatal: '{tmp_path}/link' is a symbolic link: links in the hub are not followed\n",
    )


def test_not_a_repository(hub: Hub, tmp_path: Path) -> None:
    """The message and the exit status are git's, and nothing is created, also below a ceiling."""
    outside = tmp_path / "outside"
    outside.mkdir()
    arguments = ("init", "--task", "x")
    error = "fatal: not a git repository (or any of the parent directories): .git\n"
    assert hub.run(*arguments, cwd=outside) == Result(128, "", error)
    assert os.listdir(outside) == []
    ceiling = {"GIT_CEILING_DIRECTORIES": str(hub.top)}
    assert hub.run("list", cwd=hub.top / "sub", environ=ceiling) == Result(128, "", error)
    (outside / ".git").write_text("nonsense\n")
    gitfile_error = f"fatal: invalid gitfile format: '{outside}/.git'\n"
    # Call the command directly, because git would fail before it starts the command.
    assert hub.call(COMMAND, "list", cwd=outside) == Result(128, "", gitfile_error)


@types("cd to another directory")
def test_current_directory_was_deleted(hub: Hub) -> None:
    """The error has no traceback."""
    directory = hub.top / "gone"
    directory.mkdir()
    script = 'rmdir ../gone && exec "$0" list'
    # In a checkout without .venv, the command runs this python3.
    environ = {"PATH": f"{Path(PYTHON).parent}:{hub.environ['PATH']}"}
    result = hub.call("sh", "-c", script, COMMAND, cwd=directory, environ=environ)
    assert (result.code, result.out) == (128, "")
    # The shell may print its own error first.
    assert result.err.endswith(
        "fatal: the current directory does not exist\nhint: cd to another directory\n"
    )
    assert "Traceback" not in result.err
    follow_hint("cd to another directory")
    assert hub.run("list", cwd=hub.top).code == 0


def dubious_ownership(top: Path, foreign: Path) -> Result:
    """Return the result of a command in a repository of another user."""
    return Result(
        128,
        "",
        f"fatal: detected dubious ownership in repository at '{top}': '{foreign}' belongs to another user\n"
        f"hint: git config --global --add safe.directory {top}\n",
    )


OTHER_UID = 12345


def change_owner(hub: Hub, path: Path) -> dict[str, str]:
    """Change the owner of a path. Without root, return a variable that makes git assume this."""
    if ROOT:
        os.chown(path, OTHER_UID, OTHER_UID)
        return {}
    return {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}


@types("git config --global --add safe.directory {}")
def test_repository_of_another_user(hub: Hub) -> None:
    """The repository is rejected, as by git, unless safe.directory of any source allows it."""
    hub.session("s1")
    environ = change_owner(hub, hub.top)
    allowed = hub.run("list", environ={**environ, "GIT_DIR": str(hub.top / ".git")})
    # As in git, a user who sets GIT_DIR trusts the repository.
    assert allowed.code == 0
    assert hub.run("list", environ=environ) == dubious_ownership(hub.top, hub.top)
    assert hub.call("git", "status", environ=environ).code == 128
    for setting in (f"safe.directory={hub.top}", "safe.directory=*"):
        assert hub.call("git", "-c", setting, "hub-session", "list", environ=environ) == allowed
    unrelated = ("git", "-c", "safe.directory=/elsewhere", "hub-session", "list")
    assert hub.call(*unrelated, environ=environ) == dubious_ownership(hub.top, hub.top)
    # The configuration of the repository itself is ignored.
    config = hub.top / ".git" / "config"
    config.write_text(config.read_text() + "[safe]\n\tdirectory = *\n")
    assert hub.run("list", environ=environ) == dubious_ownership(hub.top, hub.top)
    type_hint(hub, f"git config --global --add safe.directory {hub.top}")
    assert hub.run("list", cwd=hub.top / "sub", environ=environ) == allowed
    assert hub.run("status", "s1", environ=environ).code == 0  # libgit2 also allows the repository


@pytest.mark.skipif(not ROOT, reason="only root can change the owner of a file")
def test_owner_of_the_worktree_the_git_file_and_the_git_dir(hub: Hub) -> None:
    """The error names the path that belongs to another user: the worktree, .git or the git dir."""
    hub.session("s1", agents=1)
    path = hub.worktree(1)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    for foreign, cwd in ((hub.top / ".git", hub.top), (path / ".git", path), (git_dir, path)):
        os.chown(foreign, OTHER_UID, OTHER_UID)
        assert hub.run("list", cwd=cwd) == dubious_ownership(cwd, foreign)
        assert hub.call("git", "status", cwd=cwd).code == 128
        os.chown(foreign, 0, 0)
    os.chown(hub.top, OTHER_UID, OTHER_UID)
    sudo = {"SUDO_UID": str(OTHER_UID)}
    assert hub.run("list", environ=sudo).code == hub.call("git", "status", environ=sudo).code == 0


def test_repository_of_the_user_is_read_without_git(hub: Hub, tmp_path: Path) -> None:
    """The ownership check starts git only if the repository belongs to another user."""
    hub.session("s1")
    programs = tmp_path / "failing"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\necho called >>{tmp_path}/called\nexit 1\n")
    (programs / "git").chmod(0o755)
    failing = {"PATH": f"{programs}:{hub.environ['PATH']}"}
    assert hub.call("git-hub-session", "list", environ=failing) == hub.run("list")
    assert not (tmp_path / "called").exists()
    environ = {**failing, **change_owner(hub, hub.top)}
    assert hub.call("git-hub-session", "list", environ=environ) == dubious_ownership(
        hub.top, hub.top
    )
    assert (tmp_path / "called").read_text() == "called\n"


@types("set GIT_DIR={}")
def test_embedded_bare_repository(hub: Hub) -> None:
    """safe.bareRepository rejects a bare repository below the worktree, which may be an attack."""
    hub.session("s1")
    inner = hub.top / "docs" / "innocent"
    hub.git("init", "-q", "--bare", inner)
    assert hub.run("list", cwd=inner).code == 0  # as git: safe.bareRepository is 'all'
    hub.git("config", "--global", "safe.bareRepository", "explicit")
    assert hub.call("git", "rev-parse", cwd=inner).code == 128
    rejected = hub.call("git-hub-session", "list", cwd=inner)
    assert rejected == Result(
        128,
        "",
        f"fatal: cannot use the bare repository '{inner}' without GIT_DIR (safe.bareRepository)\n"
        f"hint: set GIT_DIR={inner}\n",
    )
    assert hub.call("git-hub-session", "list", cwd=inner, environ={"GIT_DIR": str(inner)}).code == 0
    follow_hint(f"set GIT_DIR={inner}")
    assert hub.call("git-hub-session", "list").code == 0


@pytest.mark.parametrize("is_bare", [True, False])
def test_merge_with_the_files_in_another_directory(hub: Hub, is_bare: bool) -> None:
    """`git --git-dir=X --work-tree=Y` updates the files in Y, as `git merge` does (dotfiles)."""
    git_dir, home = hub.top.parent / "dotfiles", hub.top.parent / "directory"
    hub.git("clone", "-q", *["--bare"] * is_bare, hub.top, git_dir)
    git_dir = git_dir if is_bare else git_dir / ".git"
    home.mkdir()
    place = (f"--git-dir={git_dir}", f"--work-tree={home}")
    hub.git(*place, "checkout", "-q", "--force", "main")
    for words in (
        ("init", "-q", "--id=s1", "--agents=1", "--task=t"),
        ("spawn", "-q", "s1"),
        ("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo 1 >new; rm file"),
        ("eval", "-q", "--ranking=1", "s1"),
        ("merge", "-q", "--yes", "s1"),
    ):
        result = hub.call("git", *place, "hub-session", *words, cwd=home)
        assert (result.code, result.err) == (0, ""), result
    assert hub.git(*place, "status", "--porcelain", cwd=home) == ""
    assert sorted(path.name for path in home.iterdir() if path.name[0] != ".") == ["new", "sub"]
