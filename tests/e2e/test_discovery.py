"""The hub is found as git finds the repository; what is not ours is refused as git refuses it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.hub import COMMAND, PYTHON, Hub, Result

ROOT = os.geteuid() == 0


def ids(hub: Hub, *words: str | Path, cwd: Path, code: int = 0) -> list[str]:
    """The sessions that `git <words> hub-session list` shows from `cwd`."""
    result = hub.call("git", *words, "hub-session", "list", "--format=porcelain", cwd=cwd)
    assert result.code == code, result
    return [line[11:] for line in result.out.splitlines() if line.startswith("session_id ")]


def test_every_way_in(hub: Hub, tmp_path: Path) -> None:
    """Subdirectories, -C, --git-dir, --work-tree, linked worktrees: one hub."""
    hub.session("s1", agents=1)
    git_dir = hub.top / ".git"
    assert ids(hub, cwd=hub.top / "sub") == ["s1"]
    assert ids(hub, cwd=git_dir) == ["s1"]
    assert ids(hub, "-C", hub.top / "sub", cwd=tmp_path) == ["s1"]
    assert ids(hub, "-C", "project", "-C", "sub", cwd=tmp_path) == ["s1"]
    assert ids(hub, "--git-dir", git_dir, cwd=tmp_path) == ["s1"]
    assert ids(hub, "--git-dir=project/.git", "--work-tree=project", cwd=tmp_path) == ["s1"]
    assert ids(hub, cwd=hub.worktree(1) / "sub") == ["s1"]


def test_stale_copy_in_a_linked_worktree_is_never_read(hub: Hub) -> None:
    """A hub that was committed once is checked out into every worktree; only the main one's counts."""
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
    assert ids(hub, cwd=path) == ["s1", "s2"]


def test_a_git_directory_that_is_a_link(hub: Hub, tmp_path: Path) -> None:
    """There is one hub, from the worktree whose .git is the link as from its linked worktrees."""
    store, linked = tmp_path / "store", tmp_path / "linked"
    store.mkdir()
    (hub.top / ".git").rename(store / ".git")
    (hub.top / ".git").symlink_to(store / ".git")
    hub.session("s1")
    hub.git("worktree", "add", "-q", linked)
    for cwd in (hub.top, hub.top / "sub", linked):
        assert [one["session_id"] for one in hub.json("list", cwd=cwd)["sessions"]] == ["s1"]


def test_decoy_in_the_current_directory(hub: Hub) -> None:
    """A .agenthub in any directory but the main worktree's top is no hub."""
    shutil.copytree(hub.session("s1").top / ".agenthub", hub.top / "sub" / ".agenthub")
    (hub.top / "sub" / ".agenthub" / "sessions" / "s1").rename(
        hub.top / "sub" / ".agenthub" / "sessions" / "decoy"
    )
    assert ids(hub, cwd=hub.top / "sub") == ["s1"]


def test_bare_repository_and_its_worktrees(hub: Hub, tmp_path: Path) -> None:
    """A whole session in a bare repository, from a linked worktree of it too."""
    bare = tmp_path / "bare"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    linked = tmp_path / "linked"
    hub.git("worktree", "add", "-q", linked, "-b", "hub/s1/agent-1/attempt-1", cwd=bare)
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", cwd=bare).out == "s1\n"
    assert (bare / "agenthub" / "sessions" / "s1" / "state.json").is_file()
    assert ids(hub, cwd=linked) == ids(hub, cwd=bare / "refs") == ["s1"]
    assert ids(hub, "--git-dir", bare, cwd=tmp_path) == ["s1"]
    assert hub.run("update", "--state", "running", cwd=linked).code == 0
    assert hub.run("cleanup", "s1", cwd=bare) == Result(
        0, f"Removed worktree: {linked}\nCleaned up 1 worktree for session s1\n"
    )
    assert not linked.exists()


def test_the_current_branch_is_that_of_the_worktree(hub: Hub) -> None:
    """The base of a session that is made in a linked worktree is what is checked out there."""
    path = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", "-b", "topic", path)
    assert hub.run("init", "--id", "s1", "-q", "--task", "x", cwd=path / "sub").code == 0
    assert "base_branch: topic\n" in (hub.directory("s1") / "config.yaml").read_text()


def test_named_hub(hub: Hub, tmp_path: Path) -> None:
    """GIT_HUB_SESSION_DIR is the hub wherever one stands; a link in its place is not followed."""
    environ = {"GIT_HUB_SESSION_DIR": str(tmp_path / "away" / "hub")}
    made = hub.run("init", "-q", "--id", "s1", "--task", "x", environ=environ)
    assert made == Result(0, "s1\n")
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
    """git's words, 128, and nothing made; a ceiling hides what is above it."""
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
    # git itself ends before it would start the command.
    assert hub.call(COMMAND, "list", cwd=outside) == Result(128, "", damaged)


def test_current_directory_was_deleted(hub: Hub) -> None:
    """An error that says so, and no traceback."""
    gone = hub.top / "gone"
    gone.mkdir()
    script = 'rmdir ../gone && exec "$0" list'
    # A checkout without .venv takes this python3.
    environ = {"PATH": f"{Path(PYTHON).parent}:{hub.environ['PATH']}"}
    result = hub.call("sh", "-c", script, COMMAND, cwd=gone, environ=environ)
    assert (result.code, result.out) == (128, "")
    # Before it the shell that starts us may have its own word for it.
    assert result.err.endswith(
        "fatal: the current directory does not exist\nhint: cd to another directory\n"
    )
    assert "Traceback" not in result.err


def dubious(top: Path, owned: Path) -> Result:
    return Result(
        128,
        "",
        f"fatal: detected dubious ownership in repository at '{top}': '{owned}' belongs to another user\n"
        f"hint: git config --global --add safe.directory {top}\n",
    )


OTHER = 12345


def disown(hub: Hub, path: Path) -> dict[str, str]:
    """Give `path` to somebody else, or have git (and us) assume it; what the environment needs."""
    if ROOT:
        os.chown(path, OTHER, OTHER)
        return {}
    return {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}


def test_repository_of_somebody_else(hub: Hub) -> None:
    """Refused, as by git, unless safe.directory allows it, however git is told so."""
    hub.session("s1")
    environ = disown(hub, hub.top)
    allowed = hub.run("list", environ={**environ, "GIT_DIR": str(hub.top / ".git")})
    assert allowed.code == 0  # as git: who names the directory means it
    assert hub.run("list", environ=environ) == dubious(hub.top, hub.top)
    assert hub.call("git", "status", environ=environ).code == 128
    ways: list[list[str | Path]] = [[f"safe.directory={hub.top}"], ["safe.directory=*"]]
    for way in ways:
        assert hub.call("git", "-c", *way, "hub-session", "list", environ=environ) == allowed
    unrelated = ("git", "-c", "safe.directory=/elsewhere", "hub-session", "list")
    assert hub.call(*unrelated, environ=environ) == dubious(hub.top, hub.top)
    # What the repository says of itself does not count.
    config = hub.top / ".git" / "config"
    config.write_text(config.read_text() + "[safe]\n\tdirectory = *\n")
    assert hub.run("list", environ=environ) == dubious(hub.top, hub.top)
    hub.git("config", "--global", "safe.directory", hub.top, cwd=hub.top.parent)
    assert hub.run("list", cwd=hub.top / "sub", environ=environ) == allowed
    assert hub.run("status", "s1", environ=environ).code == 0  # libgit2 is of the same mind


@pytest.mark.skipif(not ROOT, reason="only root can give a file to somebody else")
def test_each_owner_counts(hub: Hub) -> None:
    """The worktree, its .git and the git directory: one that is foreign is enough, and is named."""
    hub.session("s1", agents=1)
    path = hub.worktree(1)
    entry = hub.top / ".git" / "worktrees" / "agent-1"
    for owned, cwd in ((hub.top / ".git", hub.top), (path / ".git", path), (entry, path)):
        os.chown(owned, OTHER, OTHER)
        assert hub.run("list", cwd=cwd) == dubious(cwd, owned)
        assert hub.call("git", "status", cwd=cwd).code == 128
        os.chown(owned, 0, 0)
    os.chown(hub.top, OTHER, OTHER)
    sudo = {"SUDO_UID": str(OTHER)}
    assert hub.run("list", environ=sudo).code == hub.call("git", "status", environ=sudo).code == 0


def test_our_own_repository_starts_no_git(hub: Hub, tmp_path: Path) -> None:
    """The common case asks nobody: with a git on PATH that fails, all is as before."""
    hub.session("s1")
    programs = tmp_path / "failing"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\necho called >>{tmp_path}/called\nexit 1\n")
    (programs / "git").chmod(0o755)
    failing = {"PATH": f"{programs}:{hub.environ['PATH']}"}
    assert hub.call("git-hub-session", "list", environ=failing) == hub.run("list")
    assert not (tmp_path / "called").exists()
    environ = {**failing, **disown(hub, hub.top)}
    assert hub.call("git-hub-session", "list", environ=environ) == dubious(hub.top, hub.top)
    assert (tmp_path / "called").read_text() == "called\n"


def test_a_bare_repository_that_was_cloned_along(hub: Hub) -> None:
    """Anybody can commit one, with settings that run commands: git refuses it where the user says so."""
    hub.session("s1")
    inner = hub.top / "docs" / "innocent"
    hub.git("init", "-q", "--bare", inner)
    assert hub.run("list", cwd=inner).code == 0  # as git: safe.bareRepository is 'all'
    hub.git("config", "--global", "safe.bareRepository", "explicit")
    assert hub.call("git", "rev-parse", cwd=inner).code == 128
    refused = hub.call("git-hub-session", "list", cwd=inner)
    assert refused == Result(
        128,
        "",
        f"fatal: cannot use the bare repository '{inner}' without GIT_DIR (safe.bareRepository)\n"
        f"hint: set GIT_DIR={inner}\n",
    )
    assert hub.call("git-hub-session", "list", cwd=inner, environ={"GIT_DIR": str(inner)}).code == 0
    assert hub.call("git-hub-session", "list").code == 0
