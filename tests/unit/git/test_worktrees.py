"""Worktrees as git's own files tell of them, held against `git worktree list`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from git_hub_session.git.head import read_head
from git_hub_session.git.worktrees import linked_worktrees, read_worktree
from tests.support.hub import Hub


def of(hub: Hub, name: str) -> object:
    return read_worktree(name, str(hub.top / ".git" / "worktrees" / name))


def add(hub: Hub, name: str, *words: str) -> Path:
    path = hub.worktrees / name
    hub.git("worktree", "add", "-q", *words, path)
    return path


def test_none(hub: Hub) -> None:
    assert linked_worktrees(str(hub.top / ".git")) == []


def test_as_git_lists_them(hub: Hub) -> None:
    """Branch, detached, locked with a reason and without, missing, moved, of odd names."""
    add(hub, "branch", "-b", "feature")
    add(hub, "detached", "--detach")
    hub.git("worktree", "lock", "--reason", "mine\nalone", add(hub, "locked", "-b", "locked"))
    hub.git("worktree", "lock", add(hub, "silent", "-b", "silent"))
    shutil.rmtree(add(hub, "missing", "-b", "missing"))
    hub.git("worktree", "move", add(hub, "moved", "-b", "moved"), hub.worktrees / "elsewhere")
    add(hub, os.fsdecode(b"odd \xff\nname"), "-b", "odd")
    add(hub, "other/branch", "-b", "twin")
    listed = hub.git("worktree", "list", "--porcelain", "-z").split("\0\0")[1:-1]
    expected = set()
    for record in listed:
        words = dict(line.partition(" ")[::2] for line in record.split("\0"))
        expected.add(
            (
                words["worktree"],
                words.get("branch", ""),
                words["HEAD"] if "detached" in words else "",
                words.get("locked"),
                "prunable" in words,
            )
        )
    found = linked_worktrees(str(hub.top / ".git"))
    assert {
        (one.path, one.head, one.detached, one.lock_reason, one.is_missing) for one in found
    } == expected
    assert [one.link_error for one in found] == [""] * 8
    assert [one.name for one in found] == sorted(one.name for one in found)


@pytest.mark.parametrize(
    ("words", "head", "branches"),
    [
        (("rebase", "--merge", "other"), "", ("refs/heads/feature",)),
        (("rebase", "--apply", "other"), "", ("refs/heads/feature",)),
        (("merge", "other"), "refs/heads/feature", ("refs/heads/feature",)),
        (("cherry-pick", "other"), "refs/heads/feature", ("refs/heads/feature",)),
        (("revert", "--no-edit", "HEAD~"), "refs/heads/feature", ("refs/heads/feature",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_operations(hub: Hub, words: tuple[str, ...], head: str, branches: tuple[str, ...]) -> None:
    hub.git("branch", "other")
    hub.commit(hub.top, "file", "before\n")
    where = add(hub, "w", "-b", "feature")
    hub.commit(where, "file", "ours\n")
    hub.git("checkout", "-q", "other")
    hub.commit(hub.top, "file", "theirs\n")
    hub.git("checkout", "-q", "main")
    assert hub.call("git", *words, cwd=where).code != 0
    (found,) = linked_worktrees(str(hub.top / ".git"))
    assert (found.operation, found.head, found.branches) == (words[0], head, branches)


def test_a_bisect(hub: Hub) -> None:
    where = add(hub, "w", "-b", "deep/feature")
    for number in range(4):
        hub.commit(where, "file", f"{number}\n")
    hub.git("bisect", "start", "HEAD", "main", cwd=where)
    (found,) = linked_worktrees(str(hub.top / ".git"))
    assert (found.operation, found.head, found.branches) == (
        "bisect",
        "",
        ("refs/heads/deep/feature",),
    )


def test_branches_that_a_rebase_will_move(hub: Hub) -> None:
    """`git rebase --update-refs` has those in use, too."""
    where = add(hub, "w", "-b", "feature")
    hub.commit(where, "one", "1\n")
    hub.git("branch", "below", cwd=where)
    hub.commit(where, "two", "2\n")
    hub.commit(hub.top, "two", "conflict\n")
    assert hub.call("git", "rebase", "--update-refs", "main", cwd=where).code != 0
    (found,) = linked_worktrees(str(hub.top / ".git"))
    assert (found.branches, found.reserved_branches) == (
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
def test_heads(tmp_path: Path, content: bytes, expected: tuple[str, str]) -> None:
    (tmp_path / "HEAD").write_bytes(content)
    assert read_head(str(tmp_path)) == expected


def test_a_head_that_is_a_link(tmp_path: Path) -> None:
    """As git made them once."""
    (tmp_path / "HEAD").symlink_to("refs/heads/main")
    assert read_head(str(tmp_path)) == ("refs/heads/main", "")


def test_no_head(tmp_path: Path) -> None:
    assert read_head(str(tmp_path)) == ("", "")


def test_a_damaged_entry_is_told_not_hidden(hub: Hub) -> None:
    entry = hub.top / ".git" / "worktrees" / "junk"
    entry.mkdir(parents=True)
    (found,) = linked_worktrees(str(hub.top / ".git"))
    assert (found.path, found.head, found.branches) == ("", "", ())
    assert found.link_error == "its administrative files (worktrees/junk) do not record its path"


def test_what_changes_is_seen(hub: Hub) -> None:
    """A worktree read again is equal as long as git was not used in it."""
    where = add(hub, "w", "-b", "feature")
    before = of(hub, "w")
    assert of(hub, "w") == before
    (where / "file").write_text("changed\n")
    assert of(hub, "w") == before
    hub.git("add", "file", cwd=where)
    assert of(hub, "w") != before
