"""The files of a hub never get into a commit or a merge, and posts in worktrees are not lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.doctor import list_findings
from tests.support.evaluated_sessions import protected_state
from tests.support.hub import Hub, Result, process_in
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
)

RESULT = "---\nauthor: agent-9\nchannel: results\nparent: null\n---\n\nIt is fast.\n"


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create a session of two agents, each with a commit."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    return create_measurable_session(hub, "ms: 3\n", "ms: 4\n")


def exclude_file(hub: Hub) -> Path:
    return hub.top / ".git" / "info" / "exclude"


def write_post(worktree: Path, channel: str, name: str, text: str) -> Path:
    """Write a post as AgentHub's prompts tell an agent."""
    path = worktree / ".agenthub" / "board" / channel / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1773757000, 1773757000))
    return path


def test_agent_commits_no_file_of_the_hub(session: Hub) -> None:
    worktree = agent_worktree(session, 1)
    write_post(worktree, "results", "agent-1-result.md", RESULT)
    (worktree / "new").write_text("new\n")
    session.git("add", "-A", cwd=worktree)
    assert session.git("diff", "--cached", "--name-only", cwd=worktree) == "new"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "# git hub-session: the hub is not part of the project\n/.agenthub/\n"),
        ("*.log", "*.log\n# git hub-session: the hub is not part of the project\n/.agenthub/\n"),
        ("a\n.agenthub/\n", "a\n.agenthub/\n"),
    ],
)
def test_exclude_file(hub: Hub, before: str | None, after: str) -> None:
    """The hub is added once, and the patterns of the user stay."""
    exclude_file(hub).unlink()
    if before is not None:
        exclude_file(hub).write_text(before)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert exclude_file(hub).read_text() == after
    assert hub.run("exec", "-q", "s1", "--", "true") == Result(0)
    assert exclude_file(hub).read_text() == after


def test_exclude_file_that_is_a_link(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "exclude"
    target.write_text("mine\n")
    exclude_file(hub).unlink()
    exclude_file(hub).symlink_to(target)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    result = hub.run("spawn", "-q", "s1")
    assert result.code == 0
    assert result.err.startswith("warning: cannot add '/.agenthub/' to info/exclude: ")
    assert target.read_text() == "mine\n"


def test_cleanup_saves_posts(session: Hub) -> None:
    """git ignores the posts, but a cleanup does not delete the only copy of them."""
    worktree = agent_worktree(session, 1)
    post = write_post(worktree, "results", "agent-1-result.md", RESULT)
    assert session.run("cleanup", "-q", "s1") == Result(0)
    assert not worktree.exists()
    assert session.run("restore", "-q", "s1") == Result(0)
    assert post.read_text() == RESULT


def test_doctor_collects_posts(session: Hub) -> None:
    """The author is the agent of the worktree, whatever the file says."""
    worktree = agent_worktree(session, 1)
    result = write_post(worktree, "results", "agent-1-result.md", RESULT)
    progress = write_post(worktree, "progress", "agent-1-iter-1.md", "first\n---\nidea\n")
    board = f"{worktree}/.agenthub/board"
    evidence = (
        "posts that no command reads: 'progress/agent-1-iter-1.md', 'results/agent-1-result.md'"
    )
    [finding] = session.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["subject"]) == ("posts-in-worktree", board)
    assert finding["evidence"] == evidence
    with process_in(worktree):
        assert list_findings(session, code=0) == []
    assert session.run("doctor", "--fix").code == 0
    assert not result.exists()
    assert not progress.exists()
    [post] = session.json("board", "read", "results")["posts"]
    expected = ("agent-1", "2026-03-17T14:16:40Z", "s1", "It is fast.")
    assert (post["author"], post["timestamp"], post["session"], post["text"]) == expected
    [post] = session.json("board", "read", "progress")["posts"]
    assert (post["author"], post["session"], post["text"]) == ("agent-1", "s1", "first\n---\nidea")
    assert session.run("doctor").code == 0


def test_post_is_not_added_twice(session: Hub) -> None:
    """A doctor that was killed after it added the post left the file in the worktree."""
    worktree = agent_worktree(session, 1)
    write_post(worktree, "results", "agent-1-result.md", RESULT)
    assert session.run("doctor", "--fix").code == 0
    path = write_post(worktree, "results", "agent-1-result.md", RESULT)
    assert session.run("doctor", "--fix").code == 0
    assert not path.exists()
    assert len(session.json("board", "read", "results")["posts"]) == 1


@pytest.mark.parametrize(
    ("channel", "content", "error"),
    [
        ("mine", RESULT.encode(), "the board has no channel 'mine'"),
        ("results", b"\xff\xfe", "not UTF-8"),
        ("results", b"x" * ((1 << 20) + 1), "larger than 1048576 bytes"),
    ],
)
def test_post_that_cannot_be_collected_stays(
    session: Hub, channel: str, content: bytes, error: str
) -> None:
    worktree = agent_worktree(session, 1)
    path = write_post(worktree, channel, "bad.md", "")
    path.write_bytes(content)
    good = write_post(worktree, "progress", "good.md", "good\n")
    [finding] = session.json("doctor", "--fix", code=1)["findings"][1:]
    assert (finding["code"], finding["subject"]) == ("posts-in-worktree", str(path))
    assert error in finding["evidence"]
    assert finding["advice"].endswith(f"mv {path} {path}.away")
    assert path.read_bytes() == content
    assert not good.exists()
    assert len(session.json("board", "read", "progress")["posts"]) == 1


def test_links_are_not_followed(session: Hub, tmp_path: Path) -> None:
    """An agent may write links. No file outside of the worktree is read or deleted."""
    secret = tmp_path / "secret.md"
    secret.write_text("secret\n")
    board = agent_worktree(session, 1) / ".agenthub" / "board"
    (board / "results").mkdir(parents=True)
    (board / "results" / "agent-1-result.md").symlink_to(secret)
    (board / "progress").symlink_to(tmp_path)
    session.run("doctor", "--fix")
    assert secret.read_text() == "secret\n"
    assert session.json("board", "read", "results")["posts"] == []
    assert session.json("board", "read", "progress")["posts"] == []


def test_merge_refuses_files_of_the_hub(session: Hub) -> None:
    """The commands in the hint remove them from the branch. They stay in the worktree."""
    worktree = agent_worktree(session, 1)
    post = write_post(worktree, "results", "agent-1-result.md", RESULT)
    session.git("add", "-f", ".agenthub", cwd=worktree)
    session.git("commit", "-q", "-m", "posts", cwd=worktree)
    evaluated = session.run("eval", "-q", *MEASURE, "s1")
    files = "'.agenthub/board/results/agent-1-result.md'"
    note = f"warning: agent-1 has committed files of the hub: {files} (merge refuses them)\n"
    assert evaluated == Result(0, "", note)
    before = protected_state(session)
    for options in (["--yes"], ["-n"]):
        result = session.run("merge", *options, "s1")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(
            "error: agent-1 has committed files of the hub: "
            "'.agenthub/board/results/agent-1-result.md'\nhint: "
        )
    assert protected_state(session) == before
    copied = [finding for finding in list_findings(session, code=1) if finding[0] == "hub-copied"]
    assert [finding[1] for finding in copied] == [f"{worktree}/.agenthub"]
    untrack, evaluate = re.findall("hint: (.*)", result.err)
    assert session.call("sh", "-ec", untrack).code == 0
    assert evaluate == "git hub-session eval s1"
    assert session.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert post.read_text() == RESULT
    assert session.run("doctor", "--fix").code == 0
    assert session.run("merge", "-q", "--yes", "s1") == Result(0)
    assert session.git("ls-tree", "-r", "--name-only", "main", ".agenthub") == ""
    assert (session.top / ".agenthub" / "sessions" / "s1" / "state.json").exists()


def test_merge_keeps_a_hub_that_the_base_branch_tracks(hub: Hub) -> None:
    """AgentHub's users may have committed their hub. An agent that left it alone can win."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    tracked = hub.top / ".agenthub" / "old.md"
    tracked.parent.mkdir()
    tracked.write_text("old\n")
    hub.git("add", "-f", ".agenthub")
    hub.git("commit", "-q", "-m", "hub")
    create_measurable_session(hub, "ms: 3\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert tracked.read_text() == "old\n"


def test_doctor_names_a_copy_of_sessions(session: Hub) -> None:
    copy = agent_worktree(session, 1) / ".agenthub"
    (copy / "sessions" / "s1").mkdir(parents=True)
    (copy / "sessions" / "s1" / "state.json").write_text("{}\n")
    before = everything(session)
    [finding] = session.json("doctor", code=1)["findings"]
    assert (finding["code"], finding["subject"]) == ("hub-copied", str(copy))
    assert finding["advice"].endswith(f"mv {copy} {copy}.away")
    assert everything(session) == before
