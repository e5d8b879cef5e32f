"""Show the changes of an attempt with `git diff`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.hints import type_hint, types
from tests.support.hub import NOW, Hub, Result, snapshot

STAT_1 = " file | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n"


@pytest.fixture
def changed(hub: Hub) -> Hub:
    """Return a session with two agents that changed `file`, and a base branch that moved on."""
    hub.session(agents=2)
    hub.commit(hub.worktree(1), "file", "one\n")
    hub.commit(hub.worktree(2), "file", "two\n")
    hub.commit(hub.top, "sub/other", "moved on\n")
    return hub


def diff_lines(hub: Hub, *words: str | Path, cwd: Path | None = None) -> list[str]:
    """Return the changed lines that `git hub-session diff <words>` prints."""
    result = hub.run("diff", *words, cwd=cwd)
    assert (result.code, result.err) == (0, ""), result
    return [line for line in result.out.splitlines() if line[:1] in "+-" and line[1:3] != "- "]


def test_changes_since_the_merge_base(changed: Hub) -> None:
    expected = ["--- a/file", "+++ b/file", "-first", "+one"]
    for words in (("s1", "agent-1"), ("s1", "1"), ("s1", "agent-1/attempt-1")):
        assert diff_lines(changed, *words) == expected
    assert diff_lines(changed, "1", cwd=changed.worktree(2)) == expected
    assert changed.run("diff", "s1", "1", "--stat") == Result(0, STAT_1)
    assert changed.run("diff", "--name-only", "s1", "2") == Result(0, "file\n")


def test_difference_of_two_attempts(changed: Hub) -> None:
    expected = ["--- a/file", "+++ b/file", "-one", "+two"]
    assert diff_lines(changed, "s1", "1", "agent-2") == expected
    assert diff_lines(changed, "1", "2", cwd=changed.worktree(1)) == expected


def test_two_words_name_a_session_if_it_has_this_id(changed: Hub) -> None:
    changed.session("2")
    changed.spawn("2", 1)
    changed.commit(changed.worktree(1, "2"), "sub/other", "of session 2\n")
    assert diff_lines(changed, "2", "1")[-1] == "+of session 2"
    assert diff_lines(changed, "1", "2", cwd=changed.worktree(1))[-1] == "+two"


def test_the_winner_after_the_merge(hub: Hub) -> None:
    """The base branch contains the winner: its changes since its start are shown."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-1", "file", "one\n")
    hub.run("eval", "-q", "s1", "--ranking", "1")
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert diff_lines(hub, "s1", "1") == ["--- a/file", "+++ b/file", "-first", "+one"]


def test_an_archived_attempt(changed: Hub) -> None:
    assert changed.run("cleanup", "-q", "--archive", "s1").code == 0
    assert changed.refs("refs/heads/hub") == {}
    assert diff_lines(changed, "s1", "1", "2") == ["--- a/file", "+++ b/file", "-one", "+two"]
    # Without the tag, only the archive ref is left.
    changed.git("tag", "-d", "hub/archive/s1/agent-1")
    assert changed.run("diff", "s1", "1", "--stat") == Result(0, STAT_1)
    assert changed.run("diff", "--uncommitted", "--stat", "s1", "1") == Result(
        0, STAT_1, "warning: agent-1/attempt-1 has no worktree: its commits are shown\n"
    )


def test_uncommitted_files(changed: Hub) -> None:
    """Changed, staged, deleted and untracked files are included. Nothing in .git changes."""
    one, two = changed.worktree(1), changed.worktree(2)
    (one / ".gitignore").write_text("ignored\n")
    for name in ("ignored", "new", "staged", ".agenthub/board/x"):
        (one / name).parent.mkdir(parents=True, exist_ok=True)
        (one / name).write_text("text\n")
    changed.git("add", "staged", cwd=one)
    (one / "sub" / "other").unlink()
    (one / "file").write_text("won\n")  # as long as before, perhaps in the same second
    (two / "file").write_text("2\n")
    changed.git("init", "-q", "nested", cwd=one)
    os.mkfifo(one / "pipe")
    before = snapshot(changed.top / ".git")
    assert changed.run("diff", "--uncommitted", "--name-only", "s1", "1") == Result(
        0, ".gitignore\nfile\nnew\nstaged\nsub/other\n"
    )
    lines = diff_lines(changed, "--uncommitted", "s1", "1", "2", "--", "file")
    assert lines == ["--- a/file", "+++ b/file", "-won", "+2"]
    assert snapshot(changed.top / ".git") == before
    assert changed.run("diff", "--name-only", "s1", "1").out == "file\n"


def test_an_uncommitted_file_with_the_size_and_the_time_of_the_index(changed: Hub) -> None:
    """The copy of the index has the time of the index, so git reads the file."""
    changed.git("config", "core.trustctime", "false")
    file = changed.worktree(1) / "file"
    times = (NOW, NOW)
    os.utime(file, times)
    changed.git("update-index", "--refresh", cwd=changed.worktree(1))
    file.write_text("won\n")
    os.utime(file, times)
    os.utime(changed.top / ".git" / "worktrees" / "agent-1" / "index", times)
    assert diff_lines(changed, "--uncommitted", "s1", "1")[-1] == "+won"


def test_options_and_paths_for_git(changed: Hub) -> None:
    """Paths start at the current directory. A path need not exist here."""
    changed.commit(changed.worktree(1), "sub/new", "new\n")
    words = ("diff", "s1", "1", "--name-only")
    assert changed.run(*words, "--", "sub").out == "sub/new\n"
    assert changed.run(*words, "--", "new", cwd=changed.top / "sub").out == "sub/new\n"
    assert changed.run(*words, "--", "--relative", cwd=changed.top / "sub").out == "new\n"
    assert changed.run(*words, "--", "--diff-filter=M", "--", "--x", "file").out == "file\n"
    assert changed.run("diff", "s1", "1", "--", "--exit-code", "--quiet") == Result(1)
    assert changed.run("diff", "s1", "1", "--", "--no-such").code == 129


def test_the_settings_of_git_count(changed: Hub) -> None:
    changed.git("config", "diff.noprefix", "true")
    changed.git("config", "color.diff", "always")
    out = changed.run("diff", "s1", "1").out
    assert "\x1b[1m--- file\x1b[m\n" in out


def test_no_such_attempt(changed: Hub) -> None:
    cases = {
        (
            "s1",
            "3",
        ): "no such agent: 'agent-3'\nhint: choose one of the session: agent-1 to agent-2",
        ("s1", "1/attempt-2"): "agent-1/attempt-2 of session 's1' has no commits\n"
        "hint: git hub-session status s1",
        ("s2", "1"): "no such session: 's2'\nhint: git hub-session list",
    }
    for words, message in cases.items():
        assert changed.run("diff", *words) == Result(128, "", f"fatal: {message}\n")
    assert changed.run("diff") == Result(
        129, "", "error: no agent given\nhint: git hub-session diff [<id>] agent-2\n"
    )


@types("git hub-session {} {} {}")
def test_a_session_without_an_agent(changed: Hub) -> None:
    """The hint names the winner, or the first agent if there is no winner yet."""

    def hint(command: str) -> str:
        result = changed.run(command, "s1")
        assert (result.code, result.out) == (129, "")
        error, line = result.err.splitlines()
        assert error == "error: no agent given"
        return line.removeprefix("hint: ")

    assert hint("diff") == "git hub-session diff s1 agent-1"
    changed.run("update", "-q", "s1", "--state", "running")
    assert changed.run("eval", "-q", "s1", "--ranking", "2").code == 0
    for command in ("diff", "show", "path"):
        assert hint(command) == f"git hub-session {command} s1 agent-2"
    assert "+two\n" in type_hint(changed, hint("diff")).out


def test_a_deleted_branch_and_a_missing_commit(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    worktree = hub.top.parent / "project.hub" / "s1" / "agent-1"
    hub.git("checkout", "-q", "--detach", cwd=worktree)
    hub.git("branch", "-D", "hub/s1/agent-1/attempt-1")
    assert hub.run("diff", "s1", "1") == Result(
        128,
        "",
        "fatal: agent-1/attempt-1 of session 's1': its HEAD is detached from "
        "'hub/s1/agent-1/attempt-1'\nhint: git hub-session adopt s1 agent-1\n",
    )
    (hub.top / ".git/refs/heads/hub/s1/agent-2/attempt-1").write_text("1" * 40 + "\n")
    assert hub.run("diff", "s1", "2") == Result(
        128,
        "",
        "fatal: the commit of agent-2/attempt-1 is missing\nhint: git hub-session doctor s1\n",
    )


def test_a_history_without_the_base(hub: Hub) -> None:
    """Without a common commit, all files are new."""
    hub.session(agents=1)
    hub.git("checkout", "-q", "--orphan", "x", cwd=hub.worktree(1))
    hub.commit(hub.worktree(1), "only", "text\n")
    hub.git("checkout", "-q", "-B", "hub/s1/agent-1/attempt-1", cwd=hub.worktree(1))
    assert hub.run("diff", "--name-only", "s1", "1").out == "file\nonly\nsub/other\n"
