"""`delete` removes a session that was created by mistake and has no work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.hub import Hub, Result


def test_a_new_session_is_deleted(hub: Hub) -> None:
    hub.session("s2")
    before = everything(hub)
    hub.session("s1")
    assert hub.run("delete", "s1", "-n") == Result(0, "Would delete session s1\n")
    assert hub.directory().exists()
    assert hub.run("delete", "s1") == Result(0, "Deleted session s1\n")
    assert everything(hub) == before
    missing = "fatal: no such session: 's1'\nhint: git hub-session list\n"
    assert hub.run("delete", "s1") == Result(128, "", missing)
    assert hub.json("delete", "s2") == {"session_id": "s2", "dry_run": False}
    assert hub.run("doctor").code == 0
    hub.session("s1")


def test_a_measured_baseline_is_no_work(hub: Hub) -> None:
    """`run` stops between the measurement and the first agent."""
    hub.git("config", "hubsession.setup", "false")
    words = ("--id", "s1", "--task", "t", "--agent-cmd", "true", "--eval", "true")
    assert hub.run("run", *words).code != 0
    assert (hub.state()["state"], (hub.directory() / "output").exists()) == ("init", True)
    assert hub.run("delete", "-q", "s1") == Result(0)
    assert not hub.directory().exists()


@pytest.mark.parametrize("state", ["running", "archived"])
def test_a_later_state_is_refused(hub: Hub, state: str) -> None:
    hub.session()
    hub.run("update", "-q", "s1", "--state", "running")
    hint = "hint: git hub-session archive s1\n"
    if state == "archived":
        assert hub.run("archive", "-q", "s1") == Result(0)
        hint = ""
    before = everything(hub)
    message = (
        f"error: session 's1' is '{state}': only a session in the state 'init' can be deleted\n"
    )
    for options in ((), ("-n",)):
        assert hub.run("delete", "s1", *options) == Result(1, "", message + hint)
    assert everything(hub) == before


def test_refs_and_worktrees_are_refused(hub: Hub) -> None:
    hub.session(agents=1)
    before = everything(hub)
    result = hub.run("delete", "s1")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(
        "error: session 's1' has refs or worktrees: 'refs/heads/hub/s1/agent-1/attempt-1', "
    )
    assert result.err.endswith("\nhint: git hub-session archive s1\n")
    assert everything(hub) == before


def test_unknown_files_are_refused(hub: Hub) -> None:
    hub.session()
    (hub.directory() / "notes").write_text("idea\n")
    result = hub.run("delete", "s1")
    message = f"error: '{hub.directory()}' has other files: 'notes'\n"
    assert result == Result(1, "", f"{message}hint: move them to another directory\n")
    (hub.directory() / "notes").rename(hub.top.parent / "notes")
    assert hub.run("delete", "-q", "s1") == Result(0)


def test_links_in_the_session_are_not_followed(hub: Hub) -> None:
    hub.session()
    outside = hub.top.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept\n")
    (hub.directory() / "output").symlink_to(outside)
    assert hub.run("delete", "-q", "s1").code == 128
    assert hub.state()["state"] == "init"
    assert (outside / "file").read_text() == "kept\n"


def test_without_an_id(hub: Hub) -> None:
    """In an agent's worktree, the default is the session of the agent, which has work."""
    hub.session(agents=1)
    assert hub.run("delete").code == 129
    assert hub.run("delete", cwd=hub.worktree(1)).code == 1


def test_delete_removes_the_shared_records(hub: Hub, remote: Path) -> None:
    hub.session("s1").session("s2")
    assert hub.run("push").code == 0
    assert hub.run("delete", "s1").code == 0
    assert sorted(hub.refs("refs/hub")) == ["refs/hub/remotes/origin/s2", "refs/hub/sessions/s2"]
