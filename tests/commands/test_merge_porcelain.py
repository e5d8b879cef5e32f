"""`merge` and the other commands do around git's plumbing what git's porcelain does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    protected_state,
)
from tests.support.hub import Hub, Result


@pytest.mark.parametrize("kind", ["--squash", "--ff", "--rebase", "--signoff"])
def test_orig_head(hub: Hub, kind: str) -> None:
    """`git reset --hard ORIG_HEAD` undoes the merge, as after `git merge`."""
    create_evaluated_session(hub)
    base = hub.git("rev-parse", "main")
    hub.commit(hub.top, "old", "x\n")
    hub.git("reset", "-q", "--hard", "HEAD^")
    assert hub.git("rev-parse", "ORIG_HEAD") != base
    assert hub.run("merge", "-q", "--yes", kind, "s1") == Result(0)
    assert hub.git("rev-parse", "ORIG_HEAD") == base
    hub.git("reset", "-q", "--hard", "ORIG_HEAD")
    assert (hub.git("rev-parse", "main"), git_status(hub)) == (base, "## main")


def test_orig_head_of_a_linked_worktree(hub: Hub) -> None:
    create_evaluated_session(hub)
    release = hub.top.parent / "release"
    hub.git("worktree", "add", "-q", "-b", "release", release)
    hub.commit(release, "later", "x\n")
    base = hub.git("rev-parse", "release")
    assert hub.run("merge", "-q", "--yes", "--into=release", "s1") == Result(0)
    assert hub.git("rev-parse", "ORIG_HEAD", cwd=release) == base
    assert not (hub.top / ".git" / "ORIG_HEAD").exists()


def test_orig_head_of_a_refused_merge(hub: Hub) -> None:
    create_evaluated_session(hub)
    (hub.top / "file").write_text("mine\n")
    before = protected_state(hub)
    assert hub.run("merge", "-q", "--yes", "s1").code == 1
    assert protected_state(hub) == before


def test_current_directory_is_kept(hub: Hub) -> None:
    """The winner deletes the directory of the user. git keeps the empty directory."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    hub.git("rm", "-q", "-r", "sub", cwd=winner)
    hub.git("commit", "-q", "-m", "without sub", cwd=winner)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1", cwd=hub.top / "sub") == Result(0)
    assert (list((hub.top / "sub").iterdir()), git_status(hub)) == ([], "## main")


def test_file_in_the_place_of_the_current_directory(hub: Hub) -> None:
    """As `git merge`, the command does not replace the directory of the user."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    hub.git("rm", "-q", "-r", "sub", cwd=winner)
    hub.commit(winner, "sub", "a file\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    before = protected_state(hub)
    result = hub.run("merge", "-q", "--yes", "s1", cwd=hub.top / "sub")
    assert (result.code, "current working directory" in result.err) == (1, True), result
    assert protected_state(hub) == before
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


def add_submodule(hub: Hub) -> Path:
    """Add a submodule `lib` with a second commit, and set submodule.recurse."""
    library = hub.top.parent / "library"
    hub.git("init", "-q", library)
    hub.commit(library, "code", "1\n")
    hub.git("submodule", "--quiet", "add", library, "lib")
    hub.git("commit", "-q", "-m", "lib")
    hub.commit(library, "code", "2\n")
    hub.git("pull", "-q", cwd=hub.top / "lib")
    hub.git("checkout", "-q", "HEAD^", cwd=hub.top / "lib")
    hub.git("config", "submodule.recurse", "true")
    return hub.top / "lib"


@pytest.mark.parametrize("change", ["move", "remove"])
def test_merge_leaves_submodules_alone(hub: Hub, change: str) -> None:
    """`git merge` never changes the files of a submodule, even with submodule.recurse=true."""
    lib = add_submodule(hub)
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    if change == "move":
        new = hub.git("rev-parse", "main", cwd=hub.top.parent / "library")
        hub.git("update-index", "--cacheinfo", f"160000,{new},lib", cwd=winner)
    else:
        hub.git("rm", "-q", "--cached", "lib", cwd=winner)
    hub.git("commit", "-q", "-m", "lib", cwd=winner)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    (lib / "code").write_text("not committed\n")
    head = hub.git("rev-parse", "HEAD", cwd=lib)
    hub.git("branch", "theirs", "hub/s1/agent-2/attempt-1")
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert (hub.git("rev-parse", "HEAD", cwd=lib), (lib / "code").read_text()) == (
        *(head, "not committed\n"),
    )
    ours = git_status(hub)
    hub.git("-c", "submodule.recurse=false", "reset", "-q", "--hard", "main^")
    hub.git("merge", "-q", "--no-ff", "--no-edit", "theirs")
    assert ours == git_status(hub)


def test_restore_leaves_submodules_alone(hub: Hub) -> None:
    """The files come back, and no temporary worktree stays."""
    add_submodule(hub)
    create_evaluated_session(hub)
    (agent_worktree(hub, 1) / "file").write_text("not committed\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert git_status(hub, agent_worktree(hub, 1)) == "## hub/s1/agent-1/attempt-1\n M file"
    assert sorted(path.name for path in agent_worktree(hub, 1).parent.iterdir()) == [
        *("agent-1", "agent-2"),
    ]


@pytest.mark.parametrize("command", ["merge", "archive"])
def test_settings_of_a_deleted_branch(hub: Hub, command: str) -> None:
    """As `git branch -D`. The settings of the branches that stay are kept."""
    create_evaluated_session(hub)
    gone, kept = "hub/s1/agent-1/attempt-1", "hub/s1/agent-2/attempt-1"
    for branch in (gone, kept, "main"):
        hub.git("config", f"branch.{branch}.remote", ".")
        hub.git("config", f"branch.{branch}.merge", "refs/heads/main")
    yes = ["--yes"] * (command == "merge")
    assert hub.run(command, "-q", *yes, "s1") == Result(0)
    sections = hub.call("git", "config", "--get-regexp", "--name-only", r"^branch\..*merge$").out
    existing = [branch for branch in (kept, "main") if f"refs/heads/{branch}" in hub.refs()]
    assert sections.splitlines() == [f"branch.{branch}.merge" for branch in existing]


def test_settings_of_a_branch_that_cannot_be_removed(hub: Hub) -> None:
    """Another git writes the configuration. The branch is archived, and a warning says so."""
    create_evaluated_session(hub)
    branch = "hub/s1/agent-1/attempt-1"
    hub.git("config", f"branch.{branch}.description", "first")
    lock = hub.top / ".git" / "config.lock"
    lock.touch()
    result = hub.run("archive", "-q", "s1")
    lock.unlink()
    assert result.code == 0
    assert result.err.startswith(f"warning: cannot remove 'branch.{branch}': error: could not lock")
    assert f"refs/heads/{branch}" not in hub.refs()


def test_reflogs(hub: Hub) -> None:
    create_evaluated_session(hub)
    agent = "hub/s1/agent-2/attempt-1"
    assert hub.git("reflog", "--format=%gs", agent).splitlines()[-1] == "hub-session spawn: created"
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    for ref in ("main", "HEAD"):
        assert hub.git("reflog", "-1", "--format=%gs", ref) == "hub-session merge: agent-2 of s1"


def test_dry_run_in_a_path_with_a_newline(hub: Hub) -> None:
    """objects/info/alternates cannot hold such a path."""
    top = hub.top.parent / 'a\nb"c:d\\e'
    os.rename(hub.top, top)
    moved = Hub(top, hub.environ)
    moved.session("s1", agents=1)
    moved.commit(moved.worktree(1), "new", "1\n")
    moved.git("worktree", "list")
    assert moved.run("update", "-q", "--state", "running", "s1").code == 0
    assert moved.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    moved.commit(moved.top, "later", "x\n")
    result = moved.run("merge", "-n", "--unmeasured", "s1")
    assert (result.code, "new | 1 +" in result.out) == (0, True), result
