"""The git dir of an agent's worktree was deleted or copied. No work is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.doctor import list_findings
from tests.support.evaluated_sessions import agent_worktree, create_evaluated_session
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, snapshot

BRANCH = "hub/s1/agent-1/attempt-1"


@pytest.fixture
def worktree(hub: Hub) -> Path:
    """Return the worktree of agent-1, with uncommitted work of all kinds."""
    create_evaluated_session(hub)
    path = agent_worktree(hub, 1)
    (path / "file").write_text("changed\n")
    (path / "untracked").write_text("new\n")
    (path / "staged").write_text("staged\n")
    hub.git("add", "staged", cwd=path)
    (path / "sub" / "other").unlink()
    return path


def git_dir_of(path: Path) -> Path:
    return Path((path / ".git").read_text().removeprefix("gitdir: ").strip())


def delete_git_dir(hub: Hub, path: Path) -> None:
    shutil.rmtree(git_dir_of(path))


def delete_all_git_dirs(hub: Hub, path: Path) -> None:
    shutil.rmtree(git_dir_of(path).parent)


def prune_while_the_disk_is_gone(hub: Hub, path: Path) -> None:
    elsewhere = path.parent.parent.with_name("elsewhere")
    path.parent.parent.rename(elsewhere)
    hub.git("worktree", "prune")
    elsewhere.rename(path.parent.parent)


@pytest.mark.parametrize(
    "damage", [delete_git_dir, delete_all_git_dirs, prune_while_the_disk_is_gone]
)
def test_deleted_git_dir_is_created_again(hub: Hub, worktree: Path, damage: object) -> None:
    """The files stay byte for byte, and `cleanup` saves them."""
    before = snapshot(worktree)
    damage(hub, worktree)  # type: ignore[operator]
    findings = list_findings(hub, code=1)
    assert ("worktree-unregistered", str(worktree), False) in findings
    assert {code for code, *_ in findings} == {"worktree-unregistered"}
    assert all(fixed for *_, fixed in list_findings(hub, "--fix", code=0))
    assert list_findings(hub, code=0) == []
    assert snapshot(worktree) == before
    status = hub.git("status", "--porcelain", cwd=worktree)
    assert sorted(status.splitlines()) == [" D sub/other", " M file", "?? staged", "?? untracked"]
    assert hub.git("symbolic-ref", "--short", "HEAD", cwd=worktree) == BRANCH
    assert not list((hub.top / ".git").glob("*.tmp"))
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert hub.run("restore", "-q", "s1").code == 0
    assert snapshot(worktree) == before


def test_killed_fix_is_done_again(hub: Hub, worktree: Path) -> None:
    hub.git("reset", "-q", cwd=worktree)
    staged = hub.git("ls-files", "--stage", cwd=worktree)
    delete_git_dir(hub, worktree)
    pending = hub.top / ".git" / "hub-session-s1.tmp"
    pending.mkdir()
    for name in ("HEAD", "index", "index.lock"):
        (pending / name).write_text("half")
    assert all(fixed for *_, fixed in list_findings(hub, "--fix", code=0))
    assert not pending.exists()
    assert hub.git("ls-files", "--stage", cwd=worktree) == staged


@pytest.mark.parametrize(
    "command", [("exec", "--only", "1", "s1", "--", "true"), ("restore", "s1")]
)
def test_hints_lead_to_the_fix(hub: Hub, worktree: Path, command: tuple[str, ...]) -> None:
    delete_git_dir(hub, worktree)
    result = hub.run(*command)
    while (hint := result.err.rpartition("hint: ")[2].strip()) == "git hub-session restore s1":
        result = hub.run("restore", "s1")
    assert hint == "git hub-session doctor --fix s1"
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert hub.run("exec", "-q", "--only", "1", "s1", "--", "true").code == 0


@types("git -C {} checkout --detach")
def test_branch_that_another_worktree_uses(hub: Hub, worktree: Path) -> None:
    """The printed command frees the branch. Then --fix works."""
    delete_git_dir(hub, worktree)
    other = hub.top.parent / "other"
    hub.git("worktree", "add", "-q", other, BRANCH)
    [finding] = hub.json("doctor", code=1)["findings"]
    assert finding["advice"] == f"git -C {other} checkout --detach"
    type_hint(hub, finding["advice"])
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert hub.git("symbolic-ref", "--short", "HEAD", cwd=worktree) == BRANCH


@types("{}git branch {} {}")
def test_branch_that_is_missing(hub: Hub, worktree: Path) -> None:
    """The printed command creates the branch. Then --fix works."""
    delete_git_dir(hub, worktree)
    tip = hub.git("rev-parse", BRANCH)
    hub.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    found = hub.json("doctor", code=1)["findings"]
    [advice] = {
        finding["advice"] for finding in found if finding["code"] == "worktree-unregistered"
    }
    assert advice == f"git branch {BRANCH} {tip}"
    type_hint(hub, advice)
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert (worktree / "untracked").read_text() == "new\n"


def test_directory_that_another_git_dir_records(hub: Hub, worktree: Path) -> None:
    """The .git file of agent-2 names the deleted git dir of agent-1. Both get their own again."""
    git_dir = git_dir_of(worktree)
    delete_git_dir(hub, worktree)
    other = agent_worktree(hub, 2)
    text = (other / ".git").read_text()
    (other / ".git").write_text(f"gitdir: {git_dir}\n")
    found = {finding["subject"]: finding for finding in hub.json("doctor", code=1)["findings"]}
    assert {subject: finding["code"] for subject, finding in found.items()} == {
        str(worktree): "worktree-unregistered",
        str(other): "worktree-damaged",
    }
    assert hub.call("sh", "-c", found[str(other)]["advice"], cwd=hub.top).code == 0
    assert (other / ".git").read_text() == text
    assert hub.run("doctor", "--fix", "s1").code == 0
    assert list_findings(hub, code=0) == []


def test_directory_of_another_repository(hub: Hub, worktree: Path) -> None:
    """A .git file or a link that leads elsewhere is not followed, and nothing is created."""
    delete_git_dir(hub, worktree)
    outside = hub.top.parent / "outside" / "worktrees" / "agent-1"
    (worktree / ".git").write_text(f"gitdir: {outside}\n")
    assert list_findings(hub, code=0) == []
    (worktree / ".git").write_text(f"gitdir: {hub.top}/.git/worktrees/../../../outside\n")
    assert list_findings(hub, code=0) == []
    (worktree / ".git").unlink()
    os.symlink(hub.top / "nowhere", worktree / ".git")
    assert list_findings(hub, "--fix", code=0) == []
    assert not outside.parent.parent.exists()


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
@pytest.mark.parametrize("command", [("cleanup", "--archive"), ("archive",)])
def test_one_cleanup_archives_a_copied_branch(
    hub: Hub, worktree: Path, name: str, command: tuple[str, ...]
) -> None:
    shutil.copytree(git_dir_of(worktree), git_dir_of(worktree).with_name(name))
    assert hub.run(*command, "-q", "s1") == Result(0)
    assert not list((hub.top / ".git").glob("worktrees/*"))
    assert hub.refs("refs/heads/hub") == {}
    assert hub.run("restore", "-q", "s1").code == 0
    assert (worktree / "staged").read_text() == "staged\n"


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
@pytest.mark.parametrize("text", [None, "", "/truncated/pa"])
def test_copied_git_dir_whose_original_lost_its_path(
    hub: Hub, worktree: Path, name: str, text: str | None
) -> None:
    """Only the copy records the directory, whose .git file names the original. Nothing is moved."""
    before = snapshot(worktree)
    record = git_dir_of(worktree) / "gitdir"
    copy = record.parent.with_name(name)
    shutil.copytree(record.parent, copy)
    if text is None:
        record.unlink()
    else:
        record.write_text(text)
    found = hub.json("doctor", code=1)["findings"]
    [command] = {finding["advice"] for finding in found}
    assert command == f"printf '%s\\n' {worktree}/.git >{record}"
    result = hub.run("exec", "--only", "1", "s1", "--", "true")
    assert result.err.splitlines()[-1] in (
        f"hint: {command}",
        "hint: git hub-session doctor --fix s1",
    )
    assert hub.call("sh", "-c", command) == Result(0)
    [doubled] = hub.json("doctor", code=1)["findings"]
    assert (doubled["code"], doubled["advice"]) == ("worktree-doubled", f"rm -r {copy}")
    assert hub.call("sh", "-c", doubled["advice"]) == Result(0)
    assert list_findings(hub, code=0) == []
    assert snapshot(worktree) == before
    assert hub.run("exec", "-q", "--only", "1", "s1", "--", "true").code == 0


@types("rm {}{}")
@pytest.mark.parametrize("kind", ["moved", "missing", "of another worktree"])
def test_git_dir_that_is_a_link(hub: Hub, worktree: Path, kind: str) -> None:
    """The command moves the git dir back, or removes the link. Then --fix creates a git dir."""
    before = snapshot(worktree)
    git_dir, target = git_dir_of(worktree), hub.top.parent / "moved"
    git_dir.rename(target)
    if kind == "missing":
        shutil.rmtree(target)
    if kind == "of another worktree":
        target = git_dir_of(agent_worktree(hub, 2))
    git_dir.symlink_to(target)
    (worktree / ".git").write_text(f"gitdir: {git_dir}\n")
    [finding] = hub.json("doctor", code=1)["findings"]
    move = f" && mv {target} {git_dir}" if kind == "moved" else ""
    assert finding == {
        **finding,
        "code": "worktree-damaged",
        "subject": str(worktree),
        "evidence": f"its git dir '{git_dir}' is a symbolic link to '{target}'",
        "advice": f"rm {git_dir}{move}",
    }
    assert snapshot(worktree) == before
    assert hub.run("restore", "s1") == Result(
        1,
        "",
        f"error: agent-1: '{worktree}' exists, but its git dir is a symbolic link\n"
        "hint: git hub-session doctor s1\n",
    )
    type_hint(hub, finding["advice"])
    if kind != "moved":
        assert hub.run("doctor", "--fix", "s1").code == 0
    assert list_findings(hub, code=0) == []
    assert snapshot(worktree) == before
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert hub.run("restore", "-q", "s1").code == 0
    assert snapshot(worktree) == before
