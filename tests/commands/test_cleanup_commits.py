"""Commits: those that nothing else leads to get a rescue ref, branches become tags and no commit is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cleanup import BRANCH, RESCUE, bring_back, kept, look, removed, saved
from tests.support.hub import Hub, Result


@pytest.fixture
def where(hub: Hub) -> Path:
    """The worktree of session s1's one agent, with a commit of its own."""
    path = hub.session("s1", agents=1).worktree(1)
    hub.commit(path, "file", "second\n")
    return path


def commits_saved(where: Path, *refs: str) -> Result:
    lines = "".join(
        f"Saved unreferenced commits of {BRANCH} in {ref}\n"
        f"  bring it back: git branch <name> {ref}\n"
        for ref in refs
    )
    return Result(0, lines + removed(where).out)


def reachable(hub: Hub, oid: str) -> bool:
    """Whether some ref leads to the commit; reflogs and the HEADs of worktrees do not count."""
    return bool(hub.git("for-each-ref", "--contains", oid))


def test_commits_left_behind_on_a_detached_head(hub: Hub, where: Path) -> None:
    """The agent tried something on a detached HEAD, then went back to its branch."""
    hub.git("checkout", "-q", "--detach", cwd=where)
    hub.commit(where, "try", "one\n")
    oid = hub.commit(where, "try", "two\n")
    hub.git("checkout", "-q", BRANCH, cwd=where)
    assert not reachable(hub, oid)
    assert hub.run("cleanup", "s1") == commits_saved(where, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_commits_of_a_branch_that_was_deleted(hub: Hub, where: Path) -> None:
    hub.git("checkout", "-q", "-b", "scratch", cwd=where)
    oid = hub.commit(where, "try", "one\n")
    hub.git("checkout", "-q", BRANCH, cwd=where)
    hub.git("branch", "-q", "-D", "scratch", cwd=where)
    assert hub.run("cleanup", "s1") == commits_saved(where, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_commits_of_per_worktree_refs(hub: Hub, where: Path) -> None:
    """refs/worktree and what `git update-ref` makes beside HEAD go with the entry."""
    tree = hub.git("rev-parse", "HEAD^{tree}")
    first, second = (hub.git("commit-tree", tree, "-m", name) for name in ("first", "second"))
    hub.git("update-ref", "refs/worktree/mine", first, cwd=where)
    hub.git("update-ref", "MY_HEAD", second, cwd=where)
    result = hub.run("cleanup", "s1")
    assert result == commits_saved(where, RESCUE, f"{RESCUE[:-1]}2")
    assert {*hub.refs("refs/hub").values()} == {first, second}


def test_commits_that_a_ref_leads_to_need_no_other(hub: Hub, where: Path) -> None:
    """Amended away ones are in the branch's own reflog; tagged ones have their tag."""
    hub.git("commit", "-q", "--amend", "-m", "amended", cwd=where)
    hub.git("checkout", "-q", "--detach", cwd=where)
    hub.commit(where, "try", "one\n")
    hub.git("tag", "keep", cwd=where)
    hub.git("checkout", "-q", BRANCH, cwd=where)
    assert hub.run("cleanup", "s1") == removed(where)
    assert hub.refs("refs/hub") == {}


def rebasing(hub: Hub, where: Path, *, apply: bool) -> tuple[str, str]:
    """In the middle of a rebase with an autostash: the detached commit, and what was stashed."""
    other = hub.worktrees / "other"
    hub.git("worktree", "add", "-q", "-b", "other", other, "main")
    hub.commit(other, "file", "other\n")
    hub.git("worktree", "remove", other)
    hub.git("reset", "-q", "--hard", "main", cwd=where)
    hub.commit(where, "new", "fine\n", "picked without trouble")
    hub.commit(where, "file", "conflict\n")
    (where / "sub" / "other").write_text("stashed\n")
    backend = "--apply" if apply else "--merge"
    assert hub.call("git", "rebase", backend, "--autostash", "other", cwd=where).code != 0
    hub.git("checkout", "-q", "--ours", "file", cwd=where)
    hub.git("add", "file", cwd=where)
    directory = hub.top / ".git/worktrees/agent-1" / ("rebase-apply" if apply else "rebase-merge")
    autostash = (directory / "autostash").read_text().strip()
    return hub.git("rev-parse", "HEAD", cwd=where), autostash


@pytest.mark.parametrize("apply", [False, True])
def test_force_in_the_middle_of_a_rebase(hub: Hub, where: Path, *, apply: bool) -> None:
    """What was picked so far, the autostash, and what is not committed: each is saved."""
    tip = hub.git("rev-parse", "HEAD", cwd=where)
    detached, autostash = rebasing(hub, where, apply=apply)
    tip = hub.git("rev-parse", BRANCH)
    (where / "file").write_text("being resolved\n")
    before = look(hub, where)
    assert not reachable(hub, detached)
    assert not reachable(hub, autostash)
    result = hub.run("cleanup", "--force", "s1")
    assert result.code == 0, result
    refs = hub.refs("refs/hub")
    assert (reachable(hub, detached), reachable(hub, autostash)) == (True, True)
    assert autostash in refs.values()
    assert hub.git("show", f"{autostash}:sub/other") == "stashed"
    assert hub.git("rev-parse", BRANCH) == tip
    assert not where.exists()
    # The work was made on the detached commit: there, not on the branch, it comes back.
    typed = [line for line in result.out.splitlines() if "stash apply" in line]
    add = f"git worktree add --detach {where} {RESCUE}^"
    apply_it = f"git -C {where} stash apply --index {RESCUE}"
    assert typed == [f"  bring it back: {add} && {apply_it}"]
    bring_back(hub, Result(0, typed[0] + "\n"))
    assert look(hub, where) == before
    assert hub.git("rev-parse", "HEAD", cwd=where) == detached


def test_force_in_the_middle_of_a_bisect(hub: Hub, where: Path) -> None:
    """The refs of a bisect are the worktree's own; a commit that only they have is saved."""
    for number in range(3):
        hub.commit(where, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=where)
    tree = hub.git("rev-parse", "HEAD^{tree}")
    oid = hub.git("commit-tree", tree, "-m", "tried")
    hub.git("bisect", "skip", oid, cwd=where)
    assert hub.run("cleanup", "--force", "s1") == commits_saved(where, RESCUE)
    assert hub.refs("refs/hub") == {RESCUE: oid}


def test_force_in_the_middle_of_a_merge(hub: Hub, where: Path) -> None:
    """Also what is merged, where no branch has it."""
    tree = hub.git("rev-parse", "HEAD^{tree}")
    oid = hub.git("commit-tree", tree, "-p", "main", "-m", "merged")
    hub.git("merge", "-q", "--no-ff", "--no-commit", oid, cwd=where)
    assert hub.run("cleanup", "--force", "s1").code == 0
    assert reachable(hub, oid)


def test_work_on_a_branch_that_moved(hub: Hub, where: Path) -> None:
    """HEAD is what the work was made on, and where it comes back, whatever became of the branch."""
    (where / "file").write_text("changed\n")
    before = look(hub, where)
    result = hub.run("cleanup", "--archive", "s1")
    typed = f"git worktree add --detach {where} {RESCUE}^ && git -C {where} stash apply --index {RESCUE}"
    assert result == Result(
        0,
        f"Saved uncommitted work of {BRANCH} in {RESCUE}\n"
        f"  bring it back: {typed}\n"
        f"Removed worktree: {where}\n"
        f"Archived branch: {BRANCH} as tag hub/archive/s1/agent-1\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    bring_back(hub, result)
    assert look(hub, where) == before


def test_archive_names_the_tags(hub: Hub) -> None:
    """The first attempt gets the short tag, or else the last; the branches that are no agent's stay."""
    hub.session("s1")
    tips = {}
    for agent, attempt in ((1, 1), (1, 2), (1, 10), (2, 2), (2, 3), (10, 1)):
        path = hub.spawn("s1", agent, attempt)
        tips[agent, attempt] = hub.commit(path, "file", f"{agent} {attempt}\n")
    hub.git("branch", "hub/s1/notes", "main")
    hub.git("branch", "hub/s10/agent-1/attempt-1", "main")
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out.splitlines()[-8:] == [
        "Archived branch: hub/s1/agent-1/attempt-1 as tag hub/archive/s1/agent-1",
        "Archived branch: hub/s1/agent-1/attempt-10 as tag hub/archive/s1/agent-1-attempt-10",
        "Archived branch: hub/s1/agent-1/attempt-2 as tag hub/archive/s1/agent-1-attempt-2",
        "Archived branch: hub/s1/agent-10/attempt-1 as tag hub/archive/s1/agent-10",
        "Archived branch: hub/s1/agent-2/attempt-2 as tag hub/archive/s1/agent-2-attempt-2",
        "Archived branch: hub/s1/agent-2/attempt-3 as tag hub/archive/s1/agent-2",
        "Kept branch: hub/s1/notes: not an agent's branch",
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


def test_archive_again(hub: Hub, where: Path) -> None:
    """A tag that is there already is not moved: the attempt's own is the next choice, then none."""
    tag = "hub/archive/s1/agent-1"
    tip = hub.git("rev-parse", BRANCH)
    hub.git("tag", tag, "main")
    hub.git("branch", "hub/s1/agent-2/attempt-1", "main")
    hub.git("tag", "hub/archive/s1/agent-2", "main")
    hub.git("branch", "hub/s1/agent-3/attempt-1", BRANCH)
    for name in ("agent-3", "agent-3-attempt-1"):
        hub.git("tag", f"hub/archive/s1/{name}", "main")
    assert hub.run("cleanup", "--archive", "s1") == Result(
        1,
        f"Removed worktree: {where}\n"
        f"Archived branch: {BRANCH} as tag {tag}-attempt-1\n"
        "Archived branch: hub/s1/agent-2/attempt-1 as tag hub/archive/s1/agent-2\n"
        "Kept branch: hub/s1/agent-3/attempt-1: "
        "'refs/tags/hub/archive/s1/agent-3-attempt-1' exists and points elsewhere\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.git("rev-parse", f"{tag}-attempt-1") == tip
    assert hub.git("rev-parse", tag) == hub.git("rev-parse", "main")


def test_archive_where_a_ref_is_in_the_way(hub: Hub, where: Path) -> None:
    """agent-1 cannot be a tag where agent-1/x is one: all stays, and git's own words are told."""
    hub.git("tag", "hub/archive/s1/agent-1/x", "main")
    before = hub.refs()
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert lines[0] == f"Removed worktree: {where}"
    assert lines[1].startswith(f"Kept branch: {BRANCH}: git refused: fatal: ")
    assert "'refs/tags/hub/archive/s1/agent-1/x' exists" in lines[1]
    assert hub.refs() == before


def test_archive_with_a_hook_that_refuses(hub: Hub, where: Path) -> None:
    """The transaction is one: where the hook says no, no tag was made and no branch deleted."""
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
    by_git = hub.call("git", "update-ref", "refs/agent-2", "main").err.strip().splitlines()
    refused = f"git refused: {'; '.join(by_git)}"
    assert "agent-2 is sacred; fatal: " in refused
    assert hub.run("cleanup", "--archive", "s1") == Result(
        1,
        f"Removed worktree: {where}\n"
        f"Kept branch: {BRANCH}: {refused}\n"
        f"Kept branch: hub/s1/agent-2/attempt-1: {refused}\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.refs() == before


def test_archive_with_a_branch_that_moves_meanwhile(hub: Hub, where: Path) -> None:
    """A commit lands on one branch while the transaction is prepared: that one stays, with its commit."""
    tip = hub.git("rev-parse", BRANCH)
    second = "hub/s1/agent-2/attempt-1"
    hub.git("branch", second, "main")
    tree = hub.git("rev-parse", "main^{tree}")
    landed = hub.git("commit-tree", tree, "-p", "main", "-m", "landed")
    git = hub.top.parent / "slow" / "git"
    git.parent.mkdir()
    real = hub.call("sh", "-c", "command -v git").out.strip()
    git.write_text(
        "#!/bin/sh\n"
        f'test -e {git}.done || case "$*" in *update-ref*) '
        f"touch {git}.done; {real} --git-dir={hub.top}/.git update-ref refs/heads/{second} {landed};; esac\n"
        f'exec {real} "$@"\n'
    )
    git.chmod(0o755)
    environ = {"PATH": f"{git.parent}:{hub.environ['PATH']}"}
    result = hub.call("git-hub-session", "cleanup", "--archive", "s1", environ=environ)
    assert result == Result(
        1,
        f"Removed worktree: {where}\n"
        f"Archived branch: {BRANCH} as tag hub/archive/s1/agent-1\n"
        f"Kept branch: {second}: moved meanwhile\n"
        "Cleaned up 1 worktree for session s1\n",
    )
    assert hub.refs("refs/tags") == {"refs/tags/hub/archive/s1/agent-1": tip}
    assert hub.git("rev-parse", second) == landed


def test_archive_keeps_what_is_checked_out_elsewhere(hub: Hub, where: Path) -> None:
    """By HEAD of the main worktree, or by a rebase anywhere, where HEAD is detached."""
    hub.git("worktree", "remove", where)
    hub.git("checkout", "-q", BRANCH)
    hub.git("branch", "hub/s1/agent-2/attempt-1", "main")
    assert hub.run("cleanup", "--archive", "s1") == Result(
        1,
        f"Kept worktree: {hub.top}\n"
        "  the main worktree cannot be removed\n"
        "  hint: check out another branch in it\n"
        "Archived branch: hub/s1/agent-2/attempt-1 as tag hub/archive/s1/agent-2\n"
        f"Kept branch: {BRANCH}: checked out in a worktree\n"
        "Cleaned up 0 worktrees for session s1\n",
    )
    assert hub.git("symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"


def test_archive_of_symbolic_and_broken_branches(hub: Hub) -> None:
    """A symbolic ref's target is not deleted, and a broken ref does not stop the rest."""
    hub.session("s1")
    hub.git("branch", BRANCH, "main")
    hub.git("symbolic-ref", "refs/heads/hub/s1/agent-2/attempt-1", "refs/heads/main")
    broken = hub.top / ".git/refs/heads/hub/s1/agent-3/attempt-1"
    broken.parent.mkdir(parents=True)
    broken.write_text("0" * 39 + "1\n")
    result = hub.run("cleanup", "--archive", "s1")
    assert (result.code, result.err) == (1, "")
    assert result.out == (
        f"Archived branch: {BRANCH} as tag hub/archive/s1/agent-1\n"
        "Kept branch: hub/s1/agent-2/attempt-1: a symbolic ref\n"
        "Kept branch: hub/s1/agent-3/attempt-1: broken\n"
        "Cleaned up 0 worktrees for session s1\n"
    )
    assert hub.git("rev-parse", "main")
    assert broken.exists()


def test_archive_of_packed_branches(hub: Hub, where: Path) -> None:
    """The other packed refs are all there afterwards."""
    for number in range(20):
        hub.git("branch", f"other-{number}")
    hub.git("pack-refs", "--all", "--prune")
    tip = hub.git("rev-parse", BRANCH)
    before = hub.refs()
    assert hub.run("cleanup", "--archive", "s1").code == 0
    del before[f"refs/heads/{BRANCH}"]
    assert hub.refs() == before | {"refs/tags/hub/archive/s1/agent-1": tip}


def test_without_archive_every_ref_stays(hub: Hub, where: Path) -> None:
    before = hub.refs()
    assert hub.run("cleanup", "s1") == removed(where)
    assert hub.refs() == before


def test_a_locked_worktree_is_named_beside_its_branch(hub: Hub, where: Path) -> None:
    """Without --archive only the worktree is spoken of."""
    hub.git("worktree", "lock", where)
    assert hub.run("cleanup", "s1") == kept(where, "locked", f"git worktree unlock {where}")


def test_work_is_numbered_beside_commits(hub: Hub, where: Path) -> None:
    hub.git("checkout", "-q", "--detach", cwd=where)
    oid = hub.commit(where, "try", "one\n")
    hub.git("checkout", "-q", BRANCH, cwd=where)
    (where / "file").write_text("changed\n")
    result = hub.run("cleanup", "s1")
    lines = saved(where).out.splitlines(keepends=True)
    lines[2:2] = commits_saved(where, f"{RESCUE[:-1]}2").out.splitlines(keepends=True)[:2]
    assert result == Result(0, "".join(lines))
    assert hub.refs("refs/hub")[f"{RESCUE[:-1]}2"] == oid
    assert hub.state()["agents"] == {
        "agent-1": {"rescue": [RESCUE, f"{RESCUE[:-1]}2"], "work": {"attempt-1": RESCUE}}
    }
