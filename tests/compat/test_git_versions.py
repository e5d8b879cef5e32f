"""Commands without git, and with a git that is too old."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.cleanup import shown_path
from tests.support.hints import follow_hint, types
from tests.support.hub import Hub, Result, snapshot

MISSING = "fatal: cannot find 'git'\nhint: put git on PATH\n"
MEASURE = ("--eval", "cat file", "--metric", "n", "--direction", "lower")


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create an evaluated session of two agents with commits. agent-1 has an untracked file."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2") == Result(0, "s1\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "file", f"n: {agent}\n")
    hub.commit(hub.top, "new-on-main", "new\n")  # else the merge has the tree of the tip
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    (worktree_path(hub, 1) / "new").write_text("new\n")
    return hub


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def environment_without_git(hub: Hub) -> Mapping[str, str]:
    """Return the environment of a command that finds sh and cat, but no git."""
    programs = hub.top.parent / "nogit"
    programs.mkdir()
    for name in ("sh", "cat", "git-hub-session"):
        program = shutil.which(name, path=hub.environ["PATH"])
        assert program
        (programs / name).symlink_to(program)
    return {"PATH": os.fspath(programs)}


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "status s1",
        "log s1",
        "board",
        "path s1 2",
        "init --task t",
        "update s1 --state merged",
    ],
)
def test_commands_that_need_no_git(session: Hub, command: str) -> None:
    with_git = session.run("status", "s1")
    assert with_git.code == 0
    environ = environment_without_git(session)
    result = session.call("git-hub-session", *command.split(), environ=environ)
    assert (result.code, result.err) == (0, "")
    if command == "status s1":
        assert result == with_git


@pytest.mark.parametrize(
    "command",
    [
        "exec -q s1 -- cat file",
        "cleanup -q --discard s1",
        "eval -q --force --ranking 2,1 s1",
    ],
)
def test_commands_that_create_no_object_and_no_ref(session: Hub, command: str) -> None:
    environ = environment_without_git(session)
    assert session.call("git-hub-session", *command.split(), environ=environ) == Result(0)


@pytest.mark.parametrize(
    "command",
    ["spawn s2", "merge --yes s1", "eval s1 --eval cat --metric n --direction lower", "restore s1"],
)
def test_commands_that_need_git(session: Hub, command: str) -> None:
    """Each command fails with a hint, and changes no ref and no file."""
    session.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    if command == "restore s1":
        assert session.run("cleanup", "-q", "s1") == Result(0)
    environ = environment_without_git(session)
    before = session.refs(), snapshot(session.top / ".git"), session.state()
    result = session.call("git-hub-session", *command.split(), environ=environ)
    if command == "restore s1":
        errors = [
            f"error: agent-{agent}: cannot find 'git'\nhint: put git on PATH\n" for agent in (1, 2)
        ]
        assert result == Result(1, "", "".join(errors))
        session.run("restore", "-q", "s1")
        assert (worktree_path(session, 1) / "new").read_text() == "new\n"
        return
    assert result == Result(128, result.out, MISSING)
    state = session.state()
    assert before == (
        session.refs(),
        snapshot(session.top / ".git"),
        {**state, "updated": before[2]["updated"]},
    )


def test_cleanup_without_git_keeps_uncommitted_work(session: Hub) -> None:
    environ = environment_without_git(session)
    result = session.call("git-hub-session", "cleanup", "s1", environ=environ)
    assert result == Result(
        1,
        f"agent-1: kept {shown_path(worktree_path(session, 1))}\n"
        "  cannot save the work: cannot find 'git'\n"
        "  hint: put git on PATH\n"
        f"agent-2: removed {shown_path(worktree_path(session, 2))}, kept its branch\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert (worktree_path(session, 1) / "new").read_text() == "new\n"


# Prints the errors of git 2.30.2 for newer features, and runs the real git for all other calls.
OLD_GIT_SCRIPT = """#!/bin/sh
for word; do
	case $word in
	version) echo "git version 2.30.2"; exit ;;
	--reason) echo "error: unknown option \\`reason'" >&2; exit 129 ;;
	--write-tree) echo "usage: git merge-tree <base-tree> <branch1> <branch2>" >&2; exit 129 ;;
	hook) echo "git: 'hook' is not a git command. See 'git --help'." >&2; exit 1 ;;
	esac
done
exec {git} "$@"
"""


def old_git_environment(hub: Hub) -> Mapping[str, str]:
    """Return an environment in which git behaves like git 2.30.2."""
    programs = hub.top.parent / "old"
    programs.mkdir()
    (programs / "git").write_text(OLD_GIT_SCRIPT.format(git=shutil.which("git")))
    (programs / "git").chmod(0o755)
    return {"PATH": f"{programs}:{hub.environ['PATH']}"}


def version_error(command: str, since: str) -> str:
    """Return the error of a git command that needs a newer git."""
    return f"'git {command}' needs git {since} or later (this is git 2.30.2)"


@types("put a newer git on PATH")
def test_git_that_is_too_old(session: Hub) -> None:
    """The error names the required version, and nothing is changed. Other commands work."""
    environ = old_git_environment(session)

    def run(*arguments: str) -> Result:
        return session.call("git-hub-session", *arguments, environ=environ)

    before = session.refs(), snapshot(session.top / ".git")
    hint = "hint: put a newer git on PATH\n"
    assert run("merge", "--yes", "s1") == Result(
        128, "", f"fatal: {version_error('merge-tree', '2.38')}\n{hint}"
    )
    assert run("eval", *MEASURE, "s1") == Result(
        128, "", f"fatal: {version_error('worktree', '2.33')}\n{hint}"
    )
    assert (session.refs(), snapshot(session.top / ".git")) == before
    assert run("cleanup", "-q", "s1") == Result(0)
    refs = session.refs()
    error = version_error("worktree", "2.33")
    assert run("restore", "s1") == Result(
        1, "", "".join(f"error: agent-{agent}: {error}\n{hint}" for agent in (1, 2))
    )
    assert session.refs() == refs
    assert session.run("restore", "-q", "s1") == Result(0)
    follow_hint("put a newer git on PATH")
    assert (worktree_path(session, 1) / "new").read_text() == "new\n"


def test_merge_of_a_tip_that_contains_the_branch_needs_no_merge_tree(hub: Hub) -> None:
    """Only one side has changes, so that the merge has the tree of the tip."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    tip = hub.commit(worktree_path(hub, 1), "file", "n: 1\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    base = hub.git("rev-parse", "main")
    environ = old_git_environment(hub)
    result = hub.call("git-hub-session", "merge", "-q", "--yes", "s1", environ=environ)
    assert result == Result(0)
    assert hub.git("rev-parse", "main^1", "main^2") == f"{base}\n{tip}"
    assert hub.git("rev-parse", "main^{tree}") == hub.git("rev-parse", f"{tip}^{{tree}}")
    assert (hub.top / "file").read_text() == "n: 1\n"
    assert hub.git("status", "--porcelain") == ""


def test_hooks_of_a_merge_with_a_git_that_is_too_old(session: Hub) -> None:
    hook = session.top / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    environ = dict(old_git_environment(session))
    script = Path(environ["PATH"].split(":")[0], "git")
    script.write_text(script.read_text().replace("--write-tree)", "--nothing)"))
    before = session.refs()
    result = session.call("git-hub-session", "merge", "-q", "--yes", "s1", environ=environ)
    assert result == Result(
        128,
        "",
        "git: 'hook' is not a git command. See 'git --help'.\n"
        f"fatal: {version_error('hook', '2.36')}\nhint: put a newer git on PATH\n",
    )
    assert session.refs() == before


def test_git_that_fails_for_another_reason(session: Hub) -> None:
    """The version of git is new enough, so git's own error is printed."""
    environ = dict(old_git_environment(session))
    script = Path(environ["PATH"].split(":")[0], "git")
    script.write_text(script.read_text().replace("2.30.2", "2.38.0-rc1"))
    result = session.call("git-hub-session", "merge", "-q", "--yes", "s1", environ=environ)
    assert result == Result(
        128,
        "",
        "fatal: 'git merge-tree' failed (exit 129)\n"
        "hint: usage: git merge-tree <base-tree> <branch1> <branch2>\n",
    )
