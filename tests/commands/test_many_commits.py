"""One rescue ref keeps all commits that a loop of `git commit --amend` or `git reset` left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.doctor import list_findings
from tests.support.hub import Hub, Result

BRANCH = "hub/s1/agent-1/attempt-1"
RESCUE = "refs/hub/rescue/s1/agent-1/attempt-1/1"
ROUNDS = 12


def amend(hub: Hub) -> list[str]:
    """Amend a commit again and again, and return the commits that the branch does not contain."""
    worktree = hub.worktree(1)
    commits = [hub.commit(worktree, "try", "0\n")]
    for number in range(1, ROUNDS):
        (worktree / "try").write_text(f"{number}\n")
        hub.git("commit", "-q", "-a", "--amend", "-m", f"try {number}", cwd=worktree)
        commits.append(hub.git("rev-parse", "HEAD", cwd=worktree))
    return commits[:-1]


def reset(hub: Hub) -> list[str]:
    """Commit and discard again and again, and return the discarded commits."""
    worktree = hub.worktree(1)
    commits = []
    for number in range(ROUNDS):
        commits.append(hub.commit(worktree, "try", f"{number}\n"))
        hub.git("reset", "-q", "--hard", "HEAD~1", cwd=worktree)
    return commits


def assert_kept(hub: Hub, ref: str, commits: list[str]) -> None:
    hub.git("reflog", "expire", "--expire=now", "--all")
    hub.git("gc", "-q", "--prune=now")
    assert {*commits} <= {*hub.git("rev-list", ref).split()}


@pytest.mark.parametrize("discard", [amend, reset])
def test_reflog_of_an_archived_branch(hub: Hub, discard: Callable[[Hub], list[str]]) -> None:
    commits = discard(hub.session("s1", agents=1))
    result = hub.run("archive", "s1")
    warning = f"{len(commits)} commits that only the reflog of '{BRANCH}' had are in {RESCUE}"
    assert (result.code, result.err) == (0, f"warning: {warning}\n")
    assert [*hub.refs("refs/hub/rescue")] == [RESCUE]
    assert hub.state()["agents"]["agent-1"]["rescue"] == [RESCUE]
    assert_kept(hub, RESCUE, commits)
    assert list_findings(hub, code=0) == []
    assert hub.run("archive", "s1").code in (0, 1)
    assert [*hub.refs("refs/hub/rescue")] == [RESCUE]


def test_detached_worktree(hub: Hub) -> None:
    """The commits of a detached HEAD get one ref too, and `restore` names it in one line."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    commits = reset(hub)
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    preview = hub.run("cleanup", "-n", "s1")
    assert preview.out.count("would save unreferenced commits") == 1
    assert hub.run("cleanup", "s1").out.count("bring it back: ") == 1
    assert [*hub.refs("refs/hub/rescue")] == [RESCUE]
    restored = hub.run("restore", "s1", "--path", "../worktrees/{id}/agent-{n}")
    assert restored.code == 0
    assert restored.out.count("not applied") == 1
    assert_kept(hub, RESCUE, commits)


@pytest.mark.slow
def test_more_commits_than_one_commit_can_have_parents(hub: Hub) -> None:
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.commit(worktree, "work", "work\n")
    imported = "".join(
        f"reset refs/heads/import\ncommit refs/heads/import\nmark :{number}\n"
        f"committer A <a@example.com> {number} +0000\ndata 2\nm\n\n"
        for number in range(1, 2501)
    )
    marks = hub.top.parent / "marks"
    hub.git("fast-import", "--quiet", "--force", f"--export-marks={marks}", stdin=imported)
    commits = [line.split()[1] for line in marks.read_text().splitlines()]
    hub.git("update-ref", "-d", "refs/heads/import")
    log = hub.top / ".git" / "logs" / "refs" / "heads" / BRANCH
    lines = [f"{'0' * 40} {commit} A <a@example.com> 0 +0000\tx\n" for commit in commits]
    log.write_text("".join(lines) + log.read_text())
    result = hub.run("archive", "s1")
    warning = f"2500 commits that only the reflog of '{BRANCH}' had are in {RESCUE}"
    assert (result.code, result.err) == (0, f"warning: {warning}\n")
    assert_kept(hub, RESCUE, commits)


def test_tag_object(hub: Hub) -> None:
    """A tag object cannot be a parent, so it gets a ref of its own."""
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    commits = reset(hub)
    hub.git("tag", "-a", "-m", "tag", "mine", "main")
    tag = hub.git("rev-parse", "mine")
    hub.git("tag", "-d", "mine")
    hub.git("update-ref", "refs/worktree/mine", tag, cwd=worktree)
    hub.git("checkout", "-q", BRANCH, cwd=worktree)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    second = f"{RESCUE[:-1]}2"
    assert hub.refs("refs/hub")[second] == tag
    assert_kept(hub, RESCUE, commits)
