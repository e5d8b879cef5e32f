"""Commands without git, and with a git that is too old."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result, snapshot

MISSING = "fatal: cannot find 'git'\nhint: put git on PATH\n"
MEASURE = ("--eval", "cat file", "--metric", "n", "--direction", "lower")


@pytest.fixture
def session(hub: Hub) -> Hub:
    """An evaluated session of two agents with one commit each. agent-1 has an untracked file."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2") == Result(0, "s1\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "file", f"n: {agent}\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    (worktree_path(hub, 1) / "new").write_text("new\n")
    return hub


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def without_git(hub: Hub) -> Mapping[str, str]:
    """Return an environment with the command, sh and cat on PATH, but without git."""
    programs = hub.top.parent / "nogit"
    programs.mkdir()
    for name in ("sh", "cat", "git-hub-session"):
        program = shutil.which(name, path=hub.environ["PATH"])
        assert program
        (programs / name).symlink_to(program)
    return {"PATH": os.fspath(programs)}


@pytest.mark.parametrize(
    "words",
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
def test_commands_that_need_no_git(session: Hub, words: str) -> None:
    with_git = session.run("status", "s1")
    assert with_git.code == 0
    environ = without_git(session)
    result = session.call("git-hub-session", *words.split(), environ=environ)
    assert (result.code, result.err) == (0, "")
    if words == "status s1":
        assert result == with_git


@pytest.mark.parametrize(
    "words",
    [
        "exec -q s1 -- cat file",
        "cleanup -q --discard s1",
        "eval -q --force --ranking 2,1 s1",
    ],
)
def test_commands_that_create_nothing_in_git(session: Hub, words: str) -> None:
    environ = without_git(session)
    assert session.call("git-hub-session", *words.split(), environ=environ) == Result(0)


@pytest.mark.parametrize(
    "words",
    ["spawn s2", "merge --yes s1", "eval s1 --eval cat --metric n --direction lower", "restore s1"],
)
def test_commands_that_need_git(session: Hub, words: str) -> None:
    """Each command fails with a hint, and changes no ref and no file."""
    session.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    if words == "restore s1":
        assert session.run("cleanup", "-q", "s1") == Result(0)
    environ = without_git(session)
    before = session.refs(), snapshot(session.top / ".git"), session.state()
    result = session.call("git-hub-session", *words.split(), environ=environ)
    if words == "restore s1":
        each = [f"error: agent-{n}: cannot find 'git'\nhint: put git on PATH\n" for n in (1, 2)]
        assert result == Result(1, "", "".join(each))
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
    environ = without_git(session)
    result = session.call("git-hub-session", "cleanup", "s1", environ=environ)
    assert result == Result(
        1,
        f"Removed worktree: {worktree_path(session, 2)}\n"
        f"Kept worktree: {worktree_path(session, 1)}\n"
        "  cannot save the work: cannot find 'git'\n"
        "  hint: put git on PATH\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert (worktree_path(session, 1) / "new").read_text() == "new\n"


# Prints the messages of git 2.30.2 for features that it lacks. The real git does everything else.
OLD = """#!/bin/sh
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


def older_git(hub: Hub) -> Mapping[str, str]:
    """Return an environment in which git behaves like git 2.30.2."""
    programs = hub.top.parent / "old"
    programs.mkdir()
    (programs / "git").write_text(OLD.format(git=shutil.which("git")))
    (programs / "git").chmod(0o755)
    return {"PATH": f"{programs}:{hub.environ['PATH']}"}


def too_old(command: str, since: str) -> str:
    return f"'git {command}' needs git {since} or later (this is git 2.30.2)"


def test_git_that_is_too_old(session: Hub) -> None:
    """The error names the version that is needed, and nothing is changed. Other commands work."""
    environ = older_git(session)

    def called(*words: str) -> Result:
        return session.call("git-hub-session", *words, environ=environ)

    before = session.refs(), snapshot(session.top / ".git")
    newer = "hint: put a newer git on PATH\n"
    assert called("merge", "--yes", "s1") == Result(
        128, "", f"fatal: {too_old('merge-tree', '2.38')}\n{newer}"
    )
    # agent-1 has an untracked file, so eval would create a temporary worktree.
    assert called("eval", *MEASURE, "s1") == Result(
        128, "", f"fatal: {too_old('worktree', '2.33')}\n{newer}"
    )
    assert (session.refs(), snapshot(session.top / ".git")) == before
    assert called("cleanup", "-q", "s1") == Result(0)
    saved = session.refs()
    worktree = too_old("worktree", "2.33")
    assert called("restore", "s1") == Result(
        1, "", "".join(f"error: agent-{n}: {worktree}\n{newer}" for n in (1, 2))
    )
    assert session.refs() == saved
    assert session.run("restore", "-q", "s1") == Result(0)
    assert (worktree_path(session, 1) / "new").read_text() == "new\n"


def test_hooks_of_a_merge_with_a_git_that_is_too_old(session: Hub) -> None:
    hook = session.top / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o755)
    environ = dict(older_git(session))
    script = Path(environ["PATH"].split(":")[0], "git")
    script.write_text(script.read_text().replace("--write-tree)", "--nothing)"))
    before = session.refs()
    result = session.call("git-hub-session", "merge", "-q", "--yes", "s1", environ=environ)
    assert result == Result(
        128, "", f"fatal: {too_old('hook', '2.36')}\nhint: put a newer git on PATH\n"
    )
    assert session.refs() == before


def test_git_that_fails_for_another_reason(session: Hub) -> None:
    """If the version is new enough, git's own message is printed."""
    environ = dict(older_git(session))
    script = Path(environ["PATH"].split(":")[0], "git")
    script.write_text(script.read_text().replace("2.30.2", "2.38.0-rc1"))
    result = session.call("git-hub-session", "merge", "-q", "--yes", "s1", environ=environ)
    assert result == Result(
        128,
        "",
        "fatal: 'git merge-tree' failed (exit 129)\n"
        "hint: usage: git merge-tree <base-tree> <branch1> <branch2>\n",
    )
