"""Hubs that AgentHub's scripts have created in their current directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import Hub, Result

NO_SESSIONS = "no sessions (create one with 'git hub-session init --task <text>')\n"


def create_other_hub(hub: Hub, directory: Path) -> Path:
    """Create a session, and move its hub into the directory, as if AgentHub had created it there."""
    hub.session("s1")
    directory.mkdir(parents=True, exist_ok=True)
    return (hub.top / ".agenthub").rename(directory / ".agenthub")


@pytest.mark.parametrize("place", ["sub", "sub/deep/er", "linked worktree", "linked worktree/sub"])
@pytest.mark.parametrize("is_inside", [True, False])
def test_other_hub_is_named(hub: Hub, place: str, is_inside: bool) -> None:
    """After the printed command, all commands use it."""
    directory = hub.top / place
    if place.startswith("linked worktree"):
        linked = hub.top.parent / "linked"
        hub.git("worktree", "add", "-q", "--detach", linked)
        directory = linked / place.removeprefix("linked worktree").lstrip("/")
    other = create_other_hub(hub, directory)
    cwd = directory if is_inside else hub.top
    message = f"'{other}' has sessions, but it is not the hub of this repository\n"
    command = f"mv {other} {hub.top}/.agenthub"
    assert hub.run("list", cwd=cwd) == Result(
        0, "", f"warning: {message}hint: use it: {command}\n{NO_SESSIONS}"
    )
    result = hub.run("init", "--task", "x", cwd=cwd)
    assert result == Result(
        1,
        "",
        f"error: {message}hint: use it: {command}\n"
        f"hint: or create another hub: mkdir -p {hub.top}/.agenthub/sessions\n",
    )
    findings = hub.json("doctor", cwd=cwd, code=1)["findings"]
    assert [(item["subject"], item["advice"]) for item in findings] == [
        (str(other), f"use it: {command}")
    ]
    assert not (hub.top / ".agenthub").exists()
    assert hub.call("sh", "-c", command).code == 0
    assert hub.json("list", cwd=cwd)["sessions"][0]["session_id"] == "s1"
    assert hub.run("doctor", cwd=cwd).code == 0


def test_another_hub_is_created_on_purpose(hub: Hub) -> None:
    other = create_other_hub(hub, hub.top / "sub")
    hint = hub.run("init", "--task", "x").err.splitlines()[-1]
    command = hint.removeprefix("hint: or create another hub: ")
    assert hub.call("sh", "-c", command).code == 0
    assert hub.run("init", "-q", "--id", "s2", "--task", "x") == Result(0, "s2\n")
    environ = {"GIT_HUB_SESSION_DIR": str(other)}
    assert hub.run("init", "-q", "--id", "s3", "--task", "x", environ=environ).code == 0
    (finding,) = hub.json("doctor", code=1)["findings"]
    command = finding["advice"].removeprefix("use it: ")
    listed = hub.call("sh", "-c", f"{command}; git hub-session list --format=json")
    assert [f'"{sid}"' in listed.out for sid in ("s1", "s2", "s3")] == [True, False, True]


def test_other_repositories_and_fixtures_are_no_hub(hub: Hub) -> None:
    """A hub in another repository, behind a link, or without a session does not count."""
    hub.git("init", "-q", "nested")
    create_other_hub(hub, hub.top / "nested")
    (hub.top / "link").symlink_to(hub.top / "nested")
    (hub.top / "empty" / ".agenthub" / "sessions").mkdir(parents=True)
    assert hub.run("list") == Result(0, "", NO_SESSIONS)
    assert hub.run("init", "-q", "--id", "s2", "--task", "x") == Result(0, "s2\n")
