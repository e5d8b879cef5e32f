"""Commits at a cleanup: unreachable commits get a rescue ref, --archive creates tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cleanup import (
    BRANCH,
    RESCUE,
    kept,
    read_content,
    removed,
    run_restore_commands,
    saved,
    shown_path,
)
from tests.support.hub import Hub, Result


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of the only agent of session s1. The worktree has one commit."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, "file", "second\n")
    return path


def commits_saved(worktree: Path, *refs: str) -> Result:
    """Return the result of a cleanup that saved commits in `refs` and removed the worktree."""
    lines = "".join(f"  bring it back: git branch <name> {ref}\n" for ref in refs)
    text = removed(worktree).out
    return Result(
        0,
        text.replace(", kept", ", saved unreferenced commits, kept").replace(
            "branch\n", f"branch\n{lines}"
        ),
    )


def is_reachable(hub: Hub, oid: str) -> bool:
    """Return True if a ref contains the commit. Ignore reflogs and the HEADs of worktrees."""
    return bool(hub.git("for-each-ref", "--contains", oid))


def test_commits_on_a_detached_head(hub: Hub, worktree: Path) -> None:
    """The agent committed on a detached HEAD, then switched back to its branch."""
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    hub.commit(worktree, "try", "one\n")
    oid = hub.commit(worktree, "try", "two\n")
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    assert not is_reachable(hub, oid)
    assert hub.run("cleanup", "s1") == commits_saved(worktree, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_commits_of_a_deleted_branch(hub: Hub, worktree: Path) -> None:
    hub.git("checkout", "-q", "-b", "scratch", cwd=worktree)
    oid = hub.commit(worktree, "try", "one\n")
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    hub.git("branch", "-q", "-D", "scratch", cwd=worktree)
    assert hub.run("cleanup", "s1") == commits_saved(worktree, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_commits_of_worktree_refs(hub: Hub, worktree: Path) -> None:
    """The refs in the git dir are removed with it: refs/worktree, and refs beside HEAD."""
    tree = hub.git("rev-parse", "HEAD^{tree}")
    first, second = (hub.git("commit-tree", tree, "-m", name) for name in ("first", "second"))
    hub.git("update-ref", "refs/worktree/mine", first, cwd=worktree)
    hub.git("update-ref", "MY_HEAD", second, cwd=worktree)
    result = hub.run("cleanup", "s1")
    assert result == commits_saved(worktree, RESCUE)
    assert {*hub.git("rev-parse", f"{RESCUE}^@").split()} == {first, second}


@pytest.mark.parametrize("ref", ["refs/worktree/mine", "refs/bisect/bad"])
def test_commit_of_a_worktree_ref_that_the_branch_had(hub: Hub, worktree: Path, ref: str) -> None:
    """Only the reflog of the branch has the commit after that, and git lets the entry expire."""
    oid = hub.commit(worktree, "try", "one\n")
    hub.git("reset", "-q", "--hard", "HEAD~", cwd=worktree)
    hub.git("update-ref", ref, oid, cwd=worktree)
    hub.git("update-ref", "-d", "ORIG_HEAD", cwd=worktree)
    assert hub.run("cleanup", "s1") == commits_saved(worktree, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_reachable_commits_get_no_rescue_ref(hub: Hub, worktree: Path) -> None:
    """An amended commit is in the reflog of the branch. A tagged commit has its tag."""
    hub.git("commit", "-q", "--amend", "-m", "amended", cwd=worktree)
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    hub.commit(worktree, "try", "one\n")
    hub.git("tag", "keep", cwd=worktree)
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert hub.refs("refs/hub") == {}


def start_rebase(hub: Hub, worktree: Path, *, apply: bool) -> tuple[str, str]:
    """Stop in a rebase with an autostash. Return the commits of HEAD and of the autostash."""
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", "-b", "other", other, "main")
    hub.commit(other, "file", "other\n")
    hub.git("worktree", "remove", other)
    hub.git("reset", "-q", "--hard", "main", cwd=worktree)
    hub.commit(worktree, "new", "fine\n", "picked without trouble")
    hub.commit(worktree, "file", "conflict\n")
    (worktree / "sub" / "other").write_text("stashed\n")
    backend = "--apply" if apply else "--merge"
    assert hub.call("git", "rebase", backend, "--autostash", "other", cwd=worktree).code != 0
    hub.git("checkout", "-q", "--ours", "file", cwd=worktree)
    hub.git("add", "file", cwd=worktree)
    directory = hub.top / ".git/worktrees/agent-1" / ("rebase-apply" if apply else "rebase-merge")
    autostash = (directory / "autostash").read_text().strip()
    return hub.git("rev-parse", "HEAD", cwd=worktree), autostash


@pytest.mark.parametrize("apply", [False, True])
def test_force_in_the_middle_of_a_rebase(hub: Hub, worktree: Path, *, apply: bool) -> None:
    """The picked commits, the autostash and the uncommitted changes are saved."""
    tip = hub.git("rev-parse", "HEAD", cwd=worktree)
    detached, autostash = start_rebase(hub, worktree, apply=apply)
    tip = hub.git("rev-parse", BRANCH)
    (worktree / "file").write_text("being resolved\n")
    before = read_content(hub, worktree)
    assert not is_reachable(hub, detached)
    assert not is_reachable(hub, autostash)
    result = hub.run("cleanup", "--force", "s1")
    assert result.code == 0, result
    refs = hub.refs("refs/hub")
    assert (is_reachable(hub, detached), is_reachable(hub, autostash)) == (True, True)
    assert autostash in refs.values()
    assert hub.git("show", f"{autostash}:sub/other") == "stashed"
    assert hub.git("rev-parse", BRANCH) == tip
    assert not worktree.exists()
    # The changes belong to the detached commit. They are restored there, not on the branch.
    commands = [line for line in result.out.splitlines() if "stash apply" in line]
    add = f"git worktree add --detach {worktree} {RESCUE}^"
    apply_stash = f"git -C {worktree} stash apply --index {RESCUE}"
    assert commands == [f"  bring it back: {add} && {apply_stash}"]
    run_restore_commands(hub, Result(0, commands[0] + "\n"))
    assert read_content(hub, worktree) == before
    assert hub.git("rev-parse", "HEAD", cwd=worktree) == detached


def test_force_in_the_middle_of_a_bisect(hub: Hub, worktree: Path) -> None:
    """The refs of a bisect belong to the worktree.

    A commit that only these refs contain is saved.
    """
    for number in range(3):
        hub.commit(worktree, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=worktree)
    tree = hub.git("rev-parse", "HEAD^{tree}")
    oid = hub.git("commit-tree", tree, "-m", "tried")
    hub.git("bisect", "skip", oid, cwd=worktree)
    assert hub.run("cleanup", "--force", "s1") == commits_saved(worktree, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_force_in_the_middle_of_a_merge(hub: Hub, worktree: Path) -> None:
    """A merged commit that is on no branch is saved too."""
    tree = hub.git("rev-parse", "HEAD^{tree}")
    oid = hub.git("commit-tree", tree, "-p", "main", "-m", "merged")
    hub.git("merge", "-q", "--no-ff", "--no-commit", oid, cwd=worktree)
    assert hub.run("cleanup", "--force", "s1").code == 0
    assert is_reachable(hub, oid)


def test_changes_on_an_archived_branch(hub: Hub, worktree: Path) -> None:
    """The branch no longer exists, so the printed command restores the changes on their commit."""
    (worktree / "file").write_text("changed\n")
    before = read_content(hub, worktree)
    result = hub.run("cleanup", "--archive", "s1")
    command = f"git worktree add --detach {worktree} {RESCUE}^ && git -C {worktree} stash apply --index {RESCUE}"
    assert result == Result(
        0,
        f"agent-1: removed {shown_path(worktree)}, saved uncommitted work, "
        "tagged as hub/archive/s1/agent-1\n"
        f"  bring it back: {command}\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    run_restore_commands(hub, result)
    assert read_content(hub, worktree) == before


def test_tags_of_archived_branches(hub: Hub) -> None:
    """The first attempt gets the short tag, or else the last one. A branch of no agent is kept."""
    hub.session("s1")
    tips = {}
    for agent, attempt in ((1, 1), (1, 2), (1, 10), (2, 2), (2, 3), (10, 1)):
        path = hub.spawn("s1", agent, attempt)
        tips[agent, attempt] = hub.commit(path, "file", f"{agent} {attempt}\n")
    hub.git("branch", "hub/s1/notes", "main")
    hub.git("branch", "hub/s10/agent-1/attempt-1", "main")
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    directory = "../worktrees/s1"
    assert result.out.splitlines() == [
        (
            f"agent-1: attempt-1 removed {directory}/agent-1, tagged as hub/archive/s1/agent-1, "
            f"attempt-2 removed {directory}/agent-1-2, tagged as hub/archive/s1/agent-1-attempt-2, "
            f"attempt-10 removed {directory}/agent-1-10, tagged as hub/archive/s1/agent-1-attempt-10"
        ),
        (
            f"agent-2: attempt-2 removed {directory}/agent-2-2, tagged as hub/archive/s1/agent-2-attempt-2, "
            f"attempt-3 removed {directory}/agent-2-3, tagged as hub/archive/s1/agent-2"
        ),
        f"agent-10: removed {directory}/agent-10, tagged as hub/archive/s1/agent-10",
        "notes: kept branch: not an agent's branch",
        "Cleaned up 6 worktrees for session s1",
    ]
    assert hub.refs("refs/tags") == {
        "refs/tags/hub/archive/s1/agent-1": tips[1, 1],
        "refs/tags/hub/archive/s1/agent-1-attempt-2": tips[1, 2],
        "refs/tags/hub/archive/s1/agent-1-attempt-10": tips[1, 10],
        "refs/tags/hub/archive/s1/agent-2": tips[2, 3],
        "refs/tags/hub/archive/s1/agent-2-attempt-2": tips[2, 2],
        "refs/tags/hub/archive/s1/agent-10": tips[10, 1],
    }
    assert [*hub.refs("refs/heads")] == [
        "refs/heads/hub/s1/notes",
        "refs/heads/hub/s10/agent-1/attempt-1",
        "refs/heads/main",
    ]


def test_archive_with_existing_tags(hub: Hub, worktree: Path) -> None:
    """An existing tag is not moved.

    The tag of the attempt is used instead. If that exists too, there is only the archive ref.
    """
    tag = "hub/archive/s1/agent-1"
    tip = hub.git("rev-parse", BRANCH)
    hub.git("tag", tag, "main")
    hub.git("branch", "hub/s1/agent-2/attempt-1", "main")
    hub.git("tag", "hub/archive/s1/agent-2", "main")
    hub.git("branch", "hub/s1/agent-3/attempt-1", BRANCH)
    for name in ("agent-3", "agent-3-attempt-1"):
        hub.git("tag", f"hub/archive/s1/{name}", "main")
    assert hub.run("cleanup", "--archive", "s1") == Result(
        0,
        f"agent-1: removed {shown_path(worktree)}, tagged as {tag}-attempt-1\n"
        "agent-2: tagged as hub/archive/s1/agent-2\n"
        "agent-3: archived as refs/hub/archive/s1/agent-3/attempt-1/1\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.git("rev-parse", f"{tag}-attempt-1") == tip
    assert hub.git("rev-parse", tag) == hub.git("rev-parse", "main")


def test_archive_with_a_conflicting_tag(hub: Hub, worktree: Path) -> None:
    """The tag agent-1 cannot be created beside agent-1/x.

    Every ref is kept, and git's message is printed.
    """
    hub.git("tag", "hub/archive/s1/agent-1/x", "main")
    before = hub.refs()
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    kept_branch = "kept branch: git refused: fatal: "
    assert lines[0].startswith(f"agent-1: removed {shown_path(worktree)}, {kept_branch}")
    assert "'refs/tags/hub/archive/s1/agent-1/x' exists" in lines[0]
    assert hub.refs() == before


def test_archive_with_a_hook_that_rejects_a_branch(hub: Hub, worktree: Path) -> None:
    """All refs change in one transaction.

    If the hook rejects it, no tag is created and no branch deleted.
    """
    hub.git("branch", "hub/s1/agent-2/attempt-1", "main")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\n"
        'test "$1" = prepared && grep -q agent-2 && { echo agent-2 is sacred >&2; exit 1; }\n'
        "exit 0\n"
    )
    hook.chmod(0o755)
    before = hub.refs()
    reason = "the reference-transaction hook rejected the change of the refs"
    assert hub.run("cleanup", "--archive", "s1") == Result(
        1,
        f"agent-1: removed {shown_path(worktree)}, kept branch: {reason}\n"
        f"agent-2: kept branch: {reason}\n"
        "Cleaned up 1 worktree for session s1\n",
        "agent-2 is sacred\n",
    )
    assert hub.refs() == before


def test_archive_with_a_branch_that_moves(hub: Hub, worktree: Path) -> None:
    """Another process moves a branch before the transaction.

    This branch is kept with its commit.
    """
    tip = hub.git("rev-parse", BRANCH)
    second = "hub/s1/agent-2/attempt-1"
    hub.git("branch", second, "main")
    tree = hub.git("rev-parse", "main^{tree}")
    commit = hub.git("commit-tree", tree, "-p", "main", "-m", "landed")
    wrapper = hub.top.parent / "slow" / "git"
    wrapper.parent.mkdir()
    git_path = hub.call("sh", "-c", "command -v git").out.strip()
    wrapper.write_text(
        "#!/bin/sh\n"
        f'test -e {wrapper}.done || case "$*" in *update-ref*) '
        f"touch {wrapper}.done; {git_path} --git-dir={hub.top}/.git update-ref refs/heads/{second} {commit};; esac\n"
        f'exec {git_path} "$@"\n'
    )
    wrapper.chmod(0o755)
    environ = {"PATH": f"{wrapper.parent}:{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "cleanup", "--archive", "s1", environ=environ)
    assert result == Result(
        1,
        f"agent-1: removed {shown_path(worktree)}, tagged as hub/archive/s1/agent-1\n"
        "agent-2: kept branch: moved in the meantime\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1": tip}
    assert hub.git("rev-parse", second) == commit


def test_archive_keeps_the_branch_of_the_main_worktree(hub: Hub, worktree: Path) -> None:
    hub.git("worktree", "remove", worktree)
    hub.git("checkout", "-q", BRANCH)
    hub.git("branch", "hub/s1/agent-2/attempt-1", "main")
    assert hub.run("cleanup", "--archive", "s1") == Result(
        1,
        "agent-1: kept ., kept branch: checked out in a worktree\n"
        "  the main worktree cannot be removed\n"
        "  hint: check out another branch in it\n"
        "agent-2: archived as refs/hub/archive/s1/agent-2/attempt-1/1\n"
        "Cleaned up 0 worktrees for session s1\n",
    )
    assert hub.git("symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"


def test_archive_with_symbolic_and_broken_branches(hub: Hub) -> None:
    """The target of a symbolic ref is not deleted, and the other branches are archived."""
    hub.session("s1")
    hub.git("branch", BRANCH, "main")
    hub.git("symbolic-ref", "refs/heads/hub/s1/agent-2/attempt-1", "refs/heads/main")
    broken = hub.top / ".git/refs/heads/hub/s1/agent-3/attempt-1"
    broken.parent.mkdir(parents=True)
    broken.write_text("0" * 39 + "1\n")
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out == (
        "agent-1: archived as refs/hub/archive/s1/agent-1/attempt-1/1\n"
        "agent-2: kept branch: a symbolic ref\n"
        "agent-3: kept branch: broken\n"
        "Cleaned up 0 worktrees for session s1\n"
    )
    assert hub.git("rev-parse", "main")
    assert broken.exists()


def test_archive_of_a_packed_branch(hub: Hub, worktree: Path) -> None:
    """All other packed refs are kept."""
    for number in range(20):
        hub.git("branch", f"other-{number}")
    hub.git("pack-refs", "--all", "--prune")
    tip = hub.git("rev-parse", BRANCH)
    before = hub.refs()
    assert hub.run("cleanup", "--archive", "s1").code == 0
    del before[f"refs/heads/{BRANCH}"]
    assert hub.refs() == before | {
        "refs/tags/hub/archive/s1/agent-1": tip,
        "refs/hub/archive/s1/agent-1/attempt-1/1": tip,
    }


def test_cleanup_without_archive_changes_no_ref(hub: Hub, worktree: Path) -> None:
    before = hub.refs()
    assert hub.run("cleanup", "s1") == removed(worktree)
    assert hub.refs() == before


def test_locked_worktree_without_archive(hub: Hub, worktree: Path) -> None:
    """Without --archive, only the worktree is listed as kept."""
    hub.git("worktree", "lock", worktree)
    assert hub.run("cleanup", "s1") == kept(worktree, "locked", f"git worktree unlock {worktree}")


def test_rescue_refs_of_changes_and_commits(hub: Hub, worktree: Path) -> None:
    """The changes get the first number, and the commits get the next one."""
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    oid = hub.commit(worktree, "try", "one\n")
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    (worktree / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    first, bring_back, last = saved(worktree).out.splitlines()
    commits = f"  bring it back: git branch <name> {RESCUE[:-1]}2"
    first = first.replace(" work", " work and unreferenced commits")
    lines = [first, bring_back, commits, last]
    assert result == Result(0, "".join(f"{line}\n" for line in lines))
    assert hub.refs("refs/hub")[f"{RESCUE[:-1]}2"] == oid
    assert hub.state()["agents"] == {
        "agent-1": {"rescue": [RESCUE, f"{RESCUE[:-1]}2"], "work": {"attempt-1": RESCUE}}
    }
