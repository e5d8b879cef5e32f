"""`merge` uses the attribute files that the base branch has committed."""

from __future__ import annotations

import pytest

from tests.support.evaluated_sessions import agent_worktree
from tests.support.hub import Hub, Result

MERGED = "first\nours\ntheirs\n"


def create_session(hub: Hub, path: str, attributes: str) -> None:
    """Commit a file and attributes, and change the file in the winner and in the base branch."""
    (hub.top / path).parent.mkdir(parents=True, exist_ok=True)
    hub.commit(hub.top, path, "first\n")
    for name in filter(None, [attributes]):
        (hub.top / name).write_text("*.txt merge=union\n")
        hub.git("add", name)
        hub.git("commit", "-q", "-m", "attributes")
    assert hub.run("init", "-q", "--id", "s1", "--agents", "1", "--task", "t").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    hub.commit(agent_worktree(hub, 1), path, "first\ntheirs\n")
    hub.commit(hub.top, path, "first\nours\n")


@pytest.mark.parametrize("attributes", [".gitattributes", "a/.gitattributes", "a/b/.gitattributes"])
@pytest.mark.parametrize("with_merge", [False, True])
def test_attributes_of_each_directory(hub: Hub, attributes: str, *, with_merge: bool) -> None:
    """If a side has a merge, there can be several merge bases. Then all attribute files count."""
    create_session(hub, "a/b/x.txt", attributes)
    if with_merge:
        worktree = agent_worktree(hub, 1)
        hub.git("checkout", "-q", "-b", "topic", "HEAD~1", cwd=worktree)
        hub.commit(worktree, "topic", "topic\n")
        hub.git("checkout", "-q", "hub/s1/agent-1/attempt-1", cwd=worktree)
        hub.git("merge", "-q", "--no-ff", "-m", "topic", "topic", cwd=worktree)
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert sorted((hub.top / "a/b/x.txt").read_text().split()) == sorted(MERGED.split())


def test_attributes_after_a_directory_was_renamed(hub: Hub) -> None:
    """The attributes are those of the path in the base branch, which has moved the directory."""
    create_session(hub, "a/x.txt", "")
    hub.git("reset", "-q", "--hard", "HEAD~1")
    hub.git("mv", "a", "moved")
    (hub.top / "moved" / ".gitattributes").write_text("*.txt merge=union\n")
    hub.git("add", "moved")
    hub.git("commit", "-q", "-m", "move")
    hub.commit(hub.top, "moved/x.txt", "first\nours\n")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    result = hub.run("merge", "-q", "--yes", "s1")
    by_git = hub.call("git", "merge-tree", "--write-tree", "main", "hub/s1/agent-1/attempt-1")
    assert result == Result(0), by_git
    assert sorted((hub.top / "moved/x.txt").read_text().split()) == sorted(MERGED.split())


def test_without_attributes_the_changes_conflict(hub: Hub) -> None:
    create_session(hub, "a/b/x.txt", "")
    assert hub.run("eval", "-q", "--ranking", "1", "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1").code == 1


@pytest.mark.parametrize("checked_out", [True, False])
def test_attributes_file_of_the_user(hub: Hub, *, checked_out: bool) -> None:
    """A relative core.attributesFile counts from the top of the main worktree."""
    create_session(hub, "a/b/x.txt", "")
    (hub.top / ".git" / "own-attributes").write_text("*.txt merge=union\n")
    hub.git("config", "core.attributesFile", ".git/own-attributes")
    if not checked_out:
        hub.git("switch", "-q", "--detach")
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1", cwd=hub.top / "a") == Result(0)
    assert sorted(hub.git("show", "main:a/b/x.txt").split()) == sorted(MERGED.split())
