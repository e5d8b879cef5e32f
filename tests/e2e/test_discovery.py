"""Repositories are found, and untrusted ones rejected, as by git."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.hub import COMMAND, PYTHON, Hub, Result

ROOT = os.geteuid() == 0


def session_ids(hub: Hub, *words: str | Path, cwd: Path, code: int = 0) -> list[str]:
    """Return the session ids that `git <words> hub-session list` prints in `cwd`."""
    result = hub.call("git", *words, "hub-session", "list", "--format=porcelain", cwd=cwd)
    assert result.code == code, result
    return [line[11:] for line in result.out.splitlines() if line.startswith("session_id ")]


def test_every_way_to_name_the_repository(hub: Hub, tmp_path: Path) -> None:
    """Subdirectories, -C, --git-dir, --work-tree and linked worktrees lead to the same hub."""
    hub.session("s1", agents=1)
    git_dir = hub.top / ".git"
    assert session_ids(hub, cwd=hub.top / "sub") == ["s1"]
    assert session_ids(hub, cwd=git_dir) == ["s1"]
    assert session_ids(hub, "-C", hub.top / "sub", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "-C", "project", "-C", "sub", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "--git-dir", git_dir, cwd=tmp_path) == ["s1"]
    assert session_ids(hub, "--git-dir=project/.git", "--work-tree=project", cwd=tmp_path) == ["s1"]
    assert session_ids(hub, cwd=hub.worktree(1) / "sub") == ["s1"]


def test_stale_copy_in_a_linked_worktree_is_never_read(hub: Hub) -> None:
    """A committed hub is checked out in every worktree. Only that of the main worktree is used."""
    hub.session("s1")
    hub.git("add", "-f", ".agenthub")
    hub.git("commit", "-q", "-m", "the hub, by mistake")
    path = hub.spawn("s1", 1)
    stale = path / ".agenthub" / "sessions" / "s1" / "state.json"
    before = stale.read_bytes()
    assert hub.run("update", "--state", "running", cwd=path).code == 0
    assert hub.run("init", "-q", "--id", "s2", "--task", "x", cwd=path) == Result(0, "s2\n")
    assert stale.read_bytes() == before
    assert hub.state("s1")["state"] == "running"
    assert sorted(os.listdir(stale.parent.parent)) == ["s1"]
    assert session_ids(hub, cwd=path) == ["s1", "s2"]


def test_git_dir_that_is_a_symbolic_link(hub: Hub, tmp_path: Path) -> None:
    """The worktree with the link and its linked worktrees use the same hub."""
    store, linked = tmp_path / "store", tmp_path / "linked"
    store.mkdir()
    (hub.top / ".git").rename(store / ".git")
    (hub.top / ".git").symlink_to(store / ".git")
    hub.session("s1")
    hub.git("worktree", "add", "-q", linked)
    for cwd in (hub.top, hub.top / "sub", linked):
        assert [row["session_id"] for row in hub.json("list", cwd=cwd)["sessions"]] == ["s1"]


def test_decoy_in_the_current_directory(hub: Hub) -> None:
    """A .agenthub is a hub only at the top of the main worktree."""
    shutil.copytree(hub.session("s1").top / ".agenthub", hub.top / "sub" / ".agenthub")
    (hub.top / "sub" / ".agenthub" / "sessions" / "s1").rename(
        hub.top / "sub" / ".agenthub" / "sessions" / "decoy"
    )
    assert session_ids(hub, cwd=hub.top / "sub") == ["s1"]


def test_bare_repository_and_its_worktrees(hub: Hub, tmp_path: Path) -> None:
    """A session works in a bare repository, also from its linked worktree."""
    bare = tmp_path / "bare"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    linked = tmp_path / "linked"
    hub.git("worktree", "add", "-q", linked, "-b", "hub/s1/agent-1/attempt-1", cwd=bare)
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", cwd=bare).out == "s1\n"
    assert (bare / "agenthub" / "sessions" / "s1" / "state.json").is_file()
    assert session_ids(hub, cwd=linked) == session_ids(hub, cwd=bare / "refs") == ["s1"]
    assert session_ids(hub, "--git-dir", bare, cwd=tmp_path) == ["s1"]
    assert hub.run("update", "--state", "running", cwd=linked).code == 0
    assert hub.run("cleanup", "s1", cwd=bare) == Result(
        0, f"Removed worktree: {linked}\nCleaned up 1 worktree for session s1\n"
    )
    assert not linked.exists()


def test_the_current_branch_is_that_of_the_worktree(hub: Hub) -> None:
    """The base branch of a new session is the branch of the current worktree."""
    path = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", "-b", "topic", path)
    assert hub.run("init", "--id", "s1", "-q", "--task", "x", cwd=path / "sub").code == 0
    assert "base_branch: topic\n" in (hub.directory("s1") / "config.yaml").read_text()


def test_named_hub(hub: Hub, tmp_path: Path) -> None:
    """GIT_HUB_SESSION_DIR names the hub in any directory. A symbolic link is not followed."""
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
    """The message and the exit status are git's, and nothing is created. Ceilings are respected."""
    outside = tmp_path / "outside"
    outside.mkdir()
    words = ("init", "--task", "x")
    nothing = "fatal: not a git repository (or any of the parent directories): .git\n"
    assert hub.run(*words, cwd=outside) == Result(128, "", nothing)
    assert os.listdir(outside) == []
    ceiling = {"GIT_CEILING_DIRECTORIES": str(hub.top)}
    assert hub.run("list", cwd=hub.top / "sub", environ=ceiling) == Result(128, "", nothing)
    (outside / ".git").write_text("nonsense\n")
    damaged = f"fatal: invalid gitfile format: '{outside}/.git'\n"
    # git fails before it starts the command.
    assert hub.call(COMMAND, "list", cwd=outside) == Result(128, "", damaged)


def test_current_directory_was_deleted(hub: Hub) -> None:
    """The error has no traceback."""
    deleted = hub.top / "gone"
    deleted.mkdir()
    script = 'rmdir ../gone && exec "$0" list'
    # A checkout without .venv takes this python3.
    environ = {"PATH": f"{Path(PYTHON).parent}:{hub.environ['PATH']}"}
    result = hub.call("sh", "-c", script, COMMAND, cwd=deleted, environ=environ)
    assert (result.code, result.out) == (128, "")
    # The shell may print its own error first.
    assert result.err.endswith(
        "fatal: the current directory does not exist\nhint: cd to another directory\n"
    )
    assert "Traceback" not in result.err


def dubious_ownership(top: Path, foreign: Path) -> Result:
    return Result(
        128,
        "",
        f"fatal: detected dubious ownership in repository at '{top}': '{foreign}' belongs to another user\n"
        f"hint: git config --global --add safe.directory {top}\n",
    )


OTHER_UID = 12345


def change_owner(hub: Hub, path: Path) -> dict[str, str]:
    """Give the path to another user, or make git assume it. Return the variables for that."""
    if ROOT:
        os.chown(path, OTHER_UID, OTHER_UID)
        return {}
    return {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}


def test_repository_of_another_user(hub: Hub) -> None:
    """It is rejected, as by git, unless safe.directory allows it from any source."""
    hub.session("s1")
    environ = change_owner(hub, hub.top)
    allowed = hub.run("list", environ={**environ, "GIT_DIR": str(hub.top / ".git")})
    # As in git: GIT_DIR shows that the user trusts the repository.
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
    hub.git("config", "--global", "safe.directory", hub.top, cwd=hub.top.parent)
    assert hub.run("list", cwd=hub.top / "sub", environ=environ) == allowed
    assert hub.run("status", "s1", environ=environ).code == 0  # libgit2 allows it too


@pytest.mark.skipif(not ROOT, reason="only root can change the owner of a file")
def test_each_owner_counts(hub: Hub) -> None:
    """The error names the foreign path: the worktree, its .git or its git dir."""
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


def test_our_own_repository_starts_no_git(hub: Hub, tmp_path: Path) -> None:
    """The ownership check starts git only for a foreign repository."""
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


def test_embedded_bare_repository(hub: Hub) -> None:
    """A committed bare repository can have dangerous settings. safe.bareRepository rejects it."""
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
    assert hub.call("git-hub-session", "list").code == 0
