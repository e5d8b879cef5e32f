"""Hints that a user types, and what they do: the command that failed then succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import Hub, Result, new_hub, snapshot


def type_hint(hub: Hub, line: str) -> None:
    """Run the command of a hint in a shell, as a user would."""
    result = hub.call("sh", "-c", line)
    assert result.code == 0, (line, result)


def hints(result: Result) -> list[str]:
    """Return the hints on both streams."""
    lines = (line.strip() for line in (result.out + result.err).splitlines())
    return [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_a_ref_called_hub(hub: Hub, kind: str) -> None:
    """refs/heads/hub is a file where git needs a directory. The hint renames the ref."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    if kind == "tag":
        hub.run("spawn", "-q", "s1")
        hub.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo >new")
    hub.git(kind, "hub")
    command = ("archive", "s1") if kind == "tag" else ("spawn", "-q", "s1")
    result = hub.run(*command)
    assert result.code in (1, 128)
    assert "\\n" not in result.out + result.err
    type_hint(hub, hints(result)[-1])
    assert hub.run(*command).code == 0
    assert hub.git("rev-parse", "hub-old") == hub.git("rev-parse", "main")


def test_third_archive_of_one_attempt(hub: Hub) -> None:
    """Both tags of the attempt exist and point elsewhere. Each archived commit keeps a ref."""
    hub.session(agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    commits = []
    for number in range(4):
        commits.append(hub.commit(hub.worktree(1), "file", f"{number}\n"))
        result = hub.run("cleanup", "--archive", "s1")
        for hint in hints(result):
            type_hint(hub, hint)
            result = hub.run("cleanup", "--archive", "s1")
        assert result.code == 0, result
        hub.git("worktree", "add", "-q", "-B", "hub/s1/agent-1/attempt-1", hub.worktree(1), "main")
    refs = {**hub.refs("refs/tags/hub/archive"), **hub.refs("refs/hub/archive")}
    assert {*commits} <= {*refs.values()}


def test_a_directory_called_like_a_placeholder(tmp_path: Path, hub: Hub) -> None:
    """The name q{n} is not replaced with the number of the agent."""
    other = new_hub(tmp_path / "q{n}", hub.environ)
    other.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    other.run("spawn", "-q", "s1")
    assert sorted(path.name for path in (tmp_path / "q{n}.hub" / "s1").iterdir()) == [
        "agent-1",
        "agent-2",
    ]


@pytest.mark.parametrize("bare", [False, True])
def test_a_neighbor_repository_called_like_the_directory(hub: Hub, bare: bool) -> None:
    """No worktree is created in the other repository."""
    neighbor = hub.top.with_name("project.hub")
    hub.git("init", "-q", *(["--bare"] if bare else []), neighbor)
    before = snapshot(neighbor)
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    result = hub.run("spawn", "s1")
    assert result.out.startswith("Spawned agent-1 in ../project.hub-worktrees/s1/agent-1 on ")
    assert snapshot(neighbor) == before
    assert hub.run("path", "s1", "1").out == f"{neighbor}-worktrees/s1/agent-1\n"


def test_several_lines_of_git_in_one_message(hub: Hub) -> None:
    """git prints two lines if it cannot write a file of the new worktree."""
    (hub.top / ".gitattributes").write_text("file filter=broken\n")
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "filter")
    hub.git("config", "filter.broken.smudge", "false")
    hub.git("config", "filter.broken.required", "true")
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    result = hub.run("spawn", "s1")
    assert result.code != 0
    assert "\\n" not in result.err
    assert "smudge filter broken failed" in result.err
