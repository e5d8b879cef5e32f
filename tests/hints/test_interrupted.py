"""Hints after an interrupted command, and about damage: the work can then go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.hints import (
    Case,
    cases,
    check_case,
    find_hint,
    follow_hint,
    hints,
    type_hint,
    types,
)
from tests.support.hub import Hub, Result
from tests.support.interrupt import DIE, run_with_injected_code

W = "../project.hub/s1/agent-1"
GIT_DIR = ".git/worktrees/agent-1"
BRANCH = "hub/s1/agent-1/attempt-1"
FIND_COMMIT = "find its commit: git fsck --lost-found; then: git branch {} <commit>"


def spawned(*commands: str) -> Callable[[Hub], None]:
    """Return the situation after some commands in a repository with one agent, which committed."""

    def build(hub: Hub) -> None:
        hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
        hub.run("spawn", "-q", "s1")
        hub.commit(hub.top / W, "new", "an agent's\n")
        for command in commands:
            assert hub.call("sh", "-c", command).code == 0, command

    return build


WITHOUT_COMMIT = f"git update-ref -d refs/heads/{BRANCH}; rm {GIT_DIR}/logs/HEAD"
HALF_ADDED = (
    f"cp -r {GIT_DIR} .git/worktrees/half; echo initializing >.git/worktrees/half/locked;"
    f" echo $PWD/../elsewhere/.git >.git/worktrees/half/gitdir; mkdir ../elsewhere"
)


@cases(
    Case("inspect both directories; then: rm -r {}", "doctor", "rm -r {1}", spawned(HALF_ADDED)),
    Case("rm -r {}", "doctor", "{0}", spawned(f"cp -r {GIT_DIR} .git/worktrees/copy")),
    Case("rename {}", "board reply 'a b' -m x", "mv {1} .agenthub/board/results/001-ab.md",
         spawned("git hub-session board post results -m t; cd .agenthub/board/results; mv *.md 'a b.md'"),
         "board reply 001-ab -m x"),
)  # fmt: skip
def test_command_succeeds(hub: Hub, case: Case) -> None:
    check_case(hub, case)


@types("a git process may have crashed earlier: {}")
def test_file_of_a_killed_git(hub: Hub) -> None:
    """git gives no advice for packed-refs.new. The message names the file."""
    spawned("git pack-refs --all")(hub)
    file = hub.top / ".git" / "packed-refs.new"
    file.touch()
    result = hub.run("archive", "s1")
    hint = "a git process may have crashed earlier: remove the file manually to continue"
    assert (result.code, f"{file}: File exists; {hint}\n" in result.out) == (1, True)
    file.unlink()
    follow_hint(hint)
    assert hub.run("archive", "-q", "s1") == Result(0)


@types("git hub-session doctor", FIND_COMMIT)
@pytest.mark.parametrize("command", ["exec s1 -- true", "eval s1 --ranking 1", "cleanup s1"])
def test_deleted_branch_without_a_reflog(hub: Hub, command: str) -> None:
    """The hints lead to the commit. `spawn` would refuse, so it is not advised."""
    spawned()(hub)
    commit = hub.git("rev-parse", BRANCH)
    for line in WITHOUT_COMMIT.split("; "):
        assert hub.call("sh", "-c", line).code == 0
    [hint] = hints(hub.run(*command.split()))
    assert hint == "git hub-session doctor" + " s1" * (command == "cleanup s1")
    advice = find_hint(type_hint(hub, hint, code=1), FIND_COMMIT)
    assert commit in hub.call("git", "fsck", "--lost-found").out
    type_hint(hub, advice.partition("then: ")[2].replace("<commit>", commit))
    follow_hint(advice)
    follow_hint("git hub-session doctor")
    assert hub.run(*command.split()).code == 0
    assert hub.git("rev-parse", BRANCH) == commit


@types("fix the cause, then run the same command again to finish")
def test_state_that_cannot_be_written(hub: Hub) -> None:
    spawned()(hub)
    command = "git hub-session spawn s1 --retry 1"
    result = hub.call("sh", "-c", f"ulimit -f 0; {command}")
    file = hub.directory() / "state.json"
    hint = "fix the cause, then run the same command again to finish"
    error = f"fatal: cannot write '{file}': File too large\nhint: {hint}\n"
    assert result == Result(128, "", error)
    assert hub.call("sh", "-c", command).code == 0
    follow_hint(hint)


@types("mv {} {}")
@pytest.mark.parametrize("taken", [False, True])
def test_directory_in_the_place_of_a_removed_one(hub: Hub, taken: bool) -> None:
    """A new directory appears during the second cleanup. The hint moves it to a free path."""
    worktree = hub.session("s1", agents=1).worktree(1)
    assert run_with_injected_code(hub, "cleanup", "s1", code=DIE, only="os.remove").code == -9
    other = worktree.with_name("agent-1.other")
    if taken:
        other.write_text("the user's\n")
    code = f"os.mkdir({str(worktree)!r}); open({str(worktree / 'new')!r}, 'w').write('new')"
    journal = str(hub.top / GIT_DIR / "hub-session-removal")
    for nth in range(1, 9):  # until the directory appears after the inspection
        result = run_with_injected_code(hub, "cleanup", "s1", code=code, opened=journal, nth=nth)
        if hints(result) != ["git hub-session doctor s1"]:
            break
        shutil.rmtree(worktree)
    type_hint(hub, find_hint(result, "mv {} {}"))
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    kept = worktree.with_name("agent-1.other-2") if taken else other
    assert (kept / "new").read_text() == "new"


@pytest.mark.parametrize("length", [0, 12, -6, -3])
def test_truncated_path_of_a_worktree(hub: Hub, length: int) -> None:
    """`--fix` writes the path again, and `cleanup` before it removes nothing."""
    spawned()(hub)
    path = hub.top / GIT_DIR / "gitdir"
    text = path.read_text()
    path.write_text(text[:length])
    assert hub.run("cleanup", "s1").code == 1
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert path.read_text() == text
    assert hub.run("cleanup", "-q", "s1") == Result(0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("HEAD", "directory"),
        ("gitdir", "directory"),
        ("commondir", "directory"),
        ("HEAD", "hard link"),
        ("commondir", "hard link"),
        ("commondir", "link"),
        ("gitdir", "hard link"),
        ("gitdir", "link"),
    ],
)
def test_file_of_git_that_was_replaced(hub: Hub, name: str, kind: str) -> None:
    """The printed command writes the file again, and changes no other file."""
    spawned()(hub)
    path, other = hub.top / GIT_DIR / name, hub.top.parent / "other"
    path.unlink()
    other.write_text("the user's\n")
    if kind == "directory":
        path.mkdir()
        (path / "inside").write_text("the user's\n")
        other = path.with_name(f"{name}.other") / "inside"
    elif kind == "link":
        path.symlink_to(other)
    else:
        path.hardlink_to(other)
    commands = hints(hub.run("doctor", "--fix", "s1"))
    for command in commands:
        type_hint(hub, command)
    assert hub.run("doctor", "s1").code == 0
    assert hub.git("rev-parse", "HEAD", cwd=hub.top / W) == hub.git("rev-parse", BRANCH)
    assert other.read_text() == "the user's\n"
