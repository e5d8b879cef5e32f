"""Settings of git that an agent has changed are named, without their values."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
)

PREFIX = "git settings changed since the first agent was created:"


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Create an evaluated session whose repository has settings of the user."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    hub.git("config", "user.email", "ada@work.example")
    hub.git("config", "alias.st", "status")
    hub.git("config", "--add", "include.path", "a")
    hub.git("config", "--add", "include.path", "b")
    create_measurable_session(hub, "ms: 3\n", "ms: 4\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    return hub


def warning(hub: Hub) -> str:
    """Return the warning of `status`. `merge` and `doctor` say the same."""
    result = hub.run("status", "s1")
    assert result.code == 0
    merged = hub.run("merge", "-n", "s1")
    assert merged.code == 0
    assert [line for line in merged.err.splitlines() if PREFIX in line] == result.err.splitlines()
    findings = hub.json("doctor", code=1 if result.err else 0)["findings"]
    evidence = [finding["evidence"] for finding in findings if finding["code"] == "config-changed"]
    shown = [f"warning: {text}".replace("\x1b", "\\x1b") for text in evidence]
    assert shown == result.err.splitlines()
    return result.err.removeprefix(f"warning: {PREFIX} ").removesuffix("\n")


def test_unchanged_settings(session: Hub) -> None:
    recorded = session.state()["git_config"]
    assert recorded == {
        "core.bare": ["false"],
        "core.filemode": ["true"],
        "user.email": ["ada@work.example"],
        "alias.st": ["status"],
        "include.path": ["a", "b"],
    }
    session.git("config", "branch.main.description", "unrelated")
    assert warning(session) == ""


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["core.autocrlf", "true"], "'core.autocrlf'"),
        (["core.excludesFile", "all"], "'core.excludesfile'"),
        (["core.symlinks", "false"], "'core.symlinks'"),
        (["core.hooksPath", "/tmp/hooks"], "'core.hookspath'"),
        (["user.email", "agent@example.com"], "'user.email'"),
        (["--unset", "alias.st"], "'alias.st'"),
        (["--unset", "include.path", "a"], "'include.path'"),
        (["filter.x.clean", "secret-token"], "'filter.x.clean'"),
        (["includeIf.gitdir:/.path", "c"], "'includeif.gitdir:/.path'"),
        (["commit.gpgSign", "true"], "'commit.gpgsign'"),
        (["hubsession.holdout", "/evil"], "'hubsession.holdout'"),
    ],
)
def test_changed_setting(session: Hub, arguments: list[str], names: str) -> None:
    """The agent changes the settings of all worktrees from its own."""
    session.git("config", *arguments, cwd=agent_worktree(session, 1))
    assert warning(session) == names
    assert "secret-token" not in session.run("doctor").out


def test_changed_attributes_of_all_worktrees(session: Hub) -> None:
    (session.top / ".git" / "info" / "attributes").write_text("* -text\n")
    assert warning(session) == "'info/attributes'"


def test_many_hostile_settings(session: Hub) -> None:
    config = session.top / ".git" / "config"
    for number in range(9):
        text = f'[filter "\x1b[31m{number}"]\n\tclean = x\n'
        config.write_text(config.read_text() + text)
    text = warning(session)
    assert "\x1b" not in text
    assert text.count("'filter.") == 5
    assert text.endswith(" and 4 more")


def test_later_spawn_keeps_the_recorded_settings(session: Hub) -> None:
    """The agent's change must not become right because another agent is created."""
    hub = session
    hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s2")
    recorded = hub.state("s2")["git_config"]
    hub.git("config", "user.email", "agent@example.com")
    assert hub.run("spawn", "-q", "--retry", "1", "s2") == Result(0)
    assert hub.state("s2")["git_config"] == recorded
    assert f"warning: {PREFIX} 'user.email'\n" == hub.run("status", "s2").err


def test_finished_session_and_old_session_have_no_warning(session: Hub) -> None:
    session.git("config", "user.email", "other@example.com")
    assert session.run("merge", "-q", "--yes", "s1").code == 0
    assert session.run("status", "s1").err == ""
    session.session("s2", agents=1)
    session.run("update", "-q", "s2", "--state", "running")
    assert session.run("status", "s2").err == ""


@pytest.mark.parametrize("content", ["changed\n", "a\r\nc\r\n"])
def test_stat_data_that_git_ignores(hub: Hub, content: str) -> None:
    """With core.ignoreStat, git does not look at a file again that it has added to an index."""
    hub.commit(hub.top, "lines", "a\r\nb\r\n")
    worktree = hub.session("s1", agents=1).worktree(1)
    hub.git("config", "core.ignoreStat", "true")
    (worktree / "lines").write_text(content, newline="")
    (worktree / "new").write_text("new\n")
    assert hub.run("cleanup", "-q", "s1").code == 0
    assert not worktree.exists()
    assert hub.run("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}").code == 0
    assert (worktree / "lines").read_bytes() == content.encode()
    assert (worktree / "new").read_text() == "new\n"
