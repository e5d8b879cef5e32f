"""The linked worktrees are those of `git worktree list`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from git_hub_session.git.head import read_head
from git_hub_session.git.worktrees import Worktree, linked_worktrees, read_worktree
from tests.support.hub import Hub


def read_named_worktree(hub: Hub, name: str) -> Worktree:
    return read_worktree(name, str(hub.top / ".git" / "worktrees" / name))


def add_worktree(hub: Hub, name: str, *options: str) -> Path:
    path = hub.worktrees / name
    hub.git("worktree", "add", "-q", *options, path)
    return path


def test_no_worktrees(hub: Hub) -> None:
    assert linked_worktrees(str(hub.top / ".git")) == []


def test_worktrees_of_all_kinds_are_listed_as_by_git(hub: Hub) -> None:
    """The list has detached, locked, missing and moved worktrees, and unusual names."""
    add_worktree(hub, "branch", "-b", "feature")
    add_worktree(hub, "detached", "--detach")
    hub.git(
        "worktree", "lock", "--reason", "mine\nalone", add_worktree(hub, "locked", "-b", "locked")
    )
    hub.git("worktree", "lock", add_worktree(hub, "silent", "-b", "silent"))
    shutil.rmtree(add_worktree(hub, "missing", "-b", "missing"))
    hub.git(
        "worktree", "move", add_worktree(hub, "moved", "-b", "moved"), hub.worktrees / "elsewhere"
    )
    add_worktree(hub, os.fsdecode(b"odd \xff\nname"), "-b", "odd")
    add_worktree(hub, "other/branch", "-b", "twin")
    records = hub.git("worktree", "list", "--porcelain", "-z").split("\0\0")[1:-1]
    expected = set()
    for record in records:
        fields = dict(line.partition(" ")[::2] for line in record.split("\0"))
        expected.add(
            (
                fields["worktree"],
                fields.get("branch", ""),
                fields["HEAD"] if "detached" in fields else "",
                fields.get("locked"),
                "prunable" in fields,
            )
        )
    worktrees = linked_worktrees(str(hub.top / ".git"))
    assert {
        (worktree.path, worktree.head, worktree.detached, worktree.lock_reason, worktree.is_missing)
        for worktree in worktrees
    } == expected
    assert [worktree.link_error for worktree in worktrees] == [""] * 8
    names = [worktree.name for worktree in worktrees]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("command", "head", "branches"),
    [
        (("rebase", "--merge", "other"), "", ("refs/heads/feature",)),
        (("rebase", "--apply", "other"), "", ("refs/heads/feature",)),
        (("merge", "other"), "refs/heads/feature", ("refs/heads/feature",)),
        (("cherry-pick", "other"), "refs/heads/feature", ("refs/heads/feature",)),
        (("revert", "--no-edit", "HEAD~"), "refs/heads/feature", ("refs/heads/feature",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_interrupted_operations(
    hub: Hub, command: tuple[str, ...], head: str, branches: tuple[str, ...]
) -> None:
    hub.git("branch", "other")
    hub.commit(hub.top, "file", "before\n")
    path = add_worktree(hub, "w", "-b", "feature")
    hub.commit(path, "file", "ours\n")
    hub.git("checkout", "-q", "other")
    hub.commit(hub.top, "file", "theirs\n")
    hub.git("checkout", "-q", "main")
    assert hub.call("git", *command, cwd=path).code != 0
    (worktree,) = linked_worktrees(str(hub.top / ".git"))
    assert (worktree.operation, worktree.head, worktree.branches) == (command[0], head, branches)


def test_a_bisect(hub: Hub) -> None:
    path = add_worktree(hub, "w", "-b", "deep/feature")
    for number in range(4):
        hub.commit(path, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=path)
    (worktree,) = linked_worktrees(str(hub.top / ".git"))
    assert (worktree.operation, worktree.head, worktree.branches) == (
        "bisect",
        "",
        ("refs/heads/deep/feature",),
    )


def test_branches_that_a_rebase_will_move(hub: Hub) -> None:
    """`git rebase --update-refs` also reserves the branches that it will move."""
    path = add_worktree(hub, "w", "-b", "feature")
    hub.commit(path, "one", "1\n")
    hub.git("branch", "below", cwd=path)
    hub.commit(path, "two", "2\n")
    hub.commit(hub.top, "two", "conflict\n")
    assert hub.call("git", "rebase", "--update-refs", "main", cwd=path).code != 0
    (worktree,) = linked_worktrees(str(hub.top / ".git"))
    assert (worktree.branches, worktree.reserved_branches) == (
        ("refs/heads/feature",),
        ("refs/heads/feature", "refs/heads/below"),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ref: refs/heads/main\n", ("refs/heads/main", "")),
        (b"ref:\trefs/heads/main", ("refs/heads/main", "")),
        (b"a" * 40 + b"\n", ("", "a" * 40)),
        (b"a" * 39 + b"\n", ("", "")),
        (b"A" * 40 + b"\n", ("", "")),
        (b"", ("", "")),
        (b"\xff\xfe", ("", "")),
    ],
)
def test_read_head(tmp_path: Path, content: bytes, expected: tuple[str, str]) -> None:
    (tmp_path / "HEAD").write_bytes(content)
    assert read_head(str(tmp_path)) == expected


def test_a_head_that_is_a_symbolic_link(tmp_path: Path) -> None:
    """Old versions of git created a symbolic link."""
    (tmp_path / "HEAD").symlink_to("refs/heads/main")
    assert read_head(str(tmp_path)) == ("refs/heads/main", "")


def test_read_head_without_a_file(tmp_path: Path) -> None:
    assert read_head(str(tmp_path)) == ("", "")


def test_a_damaged_git_dir_is_listed(hub: Hub) -> None:
    git_dir = hub.top / ".git" / "worktrees" / "junk"
    git_dir.mkdir(parents=True)
    (worktree,) = linked_worktrees(str(hub.top / ".git"))
    assert (worktree.path, worktree.head, worktree.branches) == ("", "", ())
    assert worktree.link_error == "its administrative files (worktrees/junk) do not record its path"


def test_a_worktree_value_changes_only_if_git_is_used(hub: Hub) -> None:
    """Two values of a worktree are equal if git was not used there between the two reads."""
    path = add_worktree(hub, "w", "-b", "feature")
    before = read_named_worktree(hub, "w")
    assert read_named_worktree(hub, "w") == before
    (path / "file").write_text("changed\n")
    assert read_named_worktree(hub, "w") == before
    hub.git("add", "file", cwd=path)
    assert read_named_worktree(hub, "w") != before


def test_git_dir_that_git_is_removing_is_not_listed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git deletes the file `gitdir` before the directory. A process reads the git dir in between."""
    hub.session("s1", agents=2)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    (git_dir / "gitdir").unlink()
    waits: list[float] = []

    def remove_rest(seconds: float) -> None:
        waits.append(seconds)
        shutil.rmtree(git_dir)

    monkeypatch.setattr("git_hub_session.git.worktrees.sleep", remove_rest)
    listed = linked_worktrees(str(hub.top / ".git"))
    assert ([worktree.name for worktree in listed], len(waits)) == (["agent-2"], 1)
