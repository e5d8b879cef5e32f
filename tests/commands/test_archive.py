"""`archive`: turn each branch into a tag, save uncommitted work and end the session."""

from __future__ import annotations

from typing import Any

from tests.support.cleanup import BRANCH, RESCUE, everything, restore_command
from tests.support.hub import Hub, Result


def read_history(hub: Hub) -> list[tuple[Any, ...]]:
    """Return the states, the command and the reason of each step in the history."""
    history = hub.state()["history"]
    return [(step["from"], step["to"], step["verb"], step.get("reason")) for step in history]


def test_archive_of_an_initialized_session(hub: Hub) -> None:
    hub.session("s1", agents=2)
    first = hub.commit(hub.worktree(1), "try", "x\n")
    base = hub.git("rev-parse", "main")
    (hub.worktree(1) / "new").write_text("new\n")
    worktree = hub.worktree(1)
    result = hub.run("archive", "s1", "--reason", "not worth it")
    assert result == Result(
        0,
        "agent-1: removed ../worktrees/s1/agent-1, saved uncommitted work, "
        "tagged as hub/archive/s1/agent-1\n"
        f"  bring it back: git worktree add --detach {worktree} {RESCUE}^"
        f" && git -C {worktree} stash apply --index {RESCUE}\n"
        "agent-2: removed ../worktrees/s1/agent-2, "
        "archived as refs/hub/archive/s1/agent-2/attempt-1/1\n"
        "Cleaned up 2 worktrees for session s1\n"
        "Session s1: init → running → evaluating → archived\n",
    )
    refs = hub.refs()
    assert hub.git("show", f"{refs.pop(RESCUE)}^3:new") == "new"
    assert refs == {
        "refs/heads/main": base,
        "refs/hub/archive/s1/agent-1/attempt-1/1": first,
        "refs/hub/archive/s1/agent-2/attempt-1/1": base,
        "refs/tags/hub/archive/s1/agent-1": first,
    }
    assert read_history(hub) == [
        ("init", "running", "archive", "not worth it"),
        ("running", "evaluating", "archive", "not worth it"),
        ("evaluating", "archived", "archive", "not worth it"),
    ]
    before = everything(hub)
    assert hub.run("archive", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")
    assert everything(hub) == before


def test_locked_worktree_keeps_the_state(hub: Hub) -> None:
    """A locked worktree is kept and the others are removed. The next call finishes the archive."""
    hub.session("s1", agents=2)
    for agent in (1, 2):
        hub.commit(hub.worktree(agent), "try", "x\n")
    hub.git("worktree", "lock", hub.worktree(2))
    result = hub.run("archive", "s1")
    assert (result.code, result.err) == (
        1,
        "session s1 stays 'init': its cleanup is not complete\n",
    )
    assert f"hint: git worktree unlock {hub.worktree(2)}\n" in result.out
    assert (hub.state()["state"], read_history(hub)) == ("init", [])
    assert sorted(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-2/attempt-1"]
    hub.git("worktree", "unlock", hub.worktree(2))
    result = hub.run("archive", "-q", "s1")
    assert result == Result(0)
    assert hub.state()["state"] == "archived"
    assert sorted(hub.refs("refs/tags/hub")) == [
        "refs/tags/hub/archive/s1/agent-1",
        "refs/tags/hub/archive/s1/agent-2",
    ]


def test_locked_worktree_of_an_archived_session(hub: Hub) -> None:
    """The state is already `archived`, but a locked worktree is left.

    The exit code is 1 until its removal.
    """
    hub.session("s1", agents=1)
    for state in ("running", "evaluating", "archived"):
        hub.run("update", "s1", "--state", state)
    hub.git("worktree", "lock", hub.worktree(1))
    assert hub.run("archive", "s1").code == 1
    assert hub.run("archive", "-n", "s1").code == 1
    hub.git("worktree", "unlock", hub.worktree(1))
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert not hub.worktree(1).exists()


def test_hook_that_rejects_the_tags(hub: Hub) -> None:
    """The output of the reference-transaction hook is printed, and nothing is changed."""
    hub.session("s1", agents=2)
    hub.commit(hub.worktree(1), "try", "x\n")
    (hub.worktree(2) / "new").write_text("new\n")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared || { echo "not today" >&2; exit 1; }\n')
    hook.chmod(0o755)
    before = everything(hub)
    result = hub.run("archive", "s1")
    assert result == Result(
        1,
        "",
        "not today\nerror: the reference-transaction hook rejected the archive; nothing was changed\n",
    )
    after = everything(hub)
    assert before.items() <= after.items()
    assert {path[:21] for path in after.keys() - before.keys()} <= {
        "project/.git/refs/tag",
        "project/.git/refs/hub",
    }
    # Only the directories are left in which git created lock files.
    assert all(path.endswith("/") for path in after.keys() - before.keys())
    hook.unlink()
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert hub.state()["state"] == "archived"
    assert list(hub.refs("refs/tags/hub")) == ["refs/tags/hub/archive/s1/agent-1"]
    assert [ref for ref in hub.refs("refs/hub") if "archive" in ref] == [
        f"refs/hub/archive/s1/agent-{agent}/attempt-1/1" for agent in (1, 2)
    ]


def test_branch_of_no_agent_does_not_stop_the_archive(hub: Hub) -> None:
    hub.session("s1")
    hub.git("branch", "hub/s1/notes")
    result = hub.run("archive", "s1")
    assert result.code == 0
    assert "notes: kept branch: not an agent's branch\n" in result.out
    assert hub.state()["state"] == "archived"


def test_merged_session_cannot_be_archived(hub: Hub) -> None:
    hub.session("s1", agents=1)
    for state in ("running", "evaluating", "merged"):
        hub.run("update", "s1", "--state", state)
    before = everything(hub)
    assert hub.run("archive", "s1") == Result(
        1,
        "",
        "error: cannot go from 'merged' to 'archived'\nhint: git hub-session cleanup --archive s1\n",
    )
    assert everything(hub) == before


def test_formats_and_dry_run(hub: Hub) -> None:
    hub.session("s1", agents=1)
    tip = hub.git("rev-parse", "main")
    worktree = str(hub.worktree(1))
    archive = "refs/hub/archive/s1/agent-1/attempt-1/1"
    before = everything(hub)
    document = hub.json("archive", "-n", "s1")
    assert document == {
        "session_id": "s1",
        "state": "archived",
        "dry_run": True,
        "removed": [{"path": worktree, "branch": BRANCH, "missing": False}],
        "saved": [],
        "kept": [],
        "archived": [{"branch": BRANCH, "tag": None, "oid": tip, "ref": archive}],
        "branches_kept": [],
        "notes": [],
    }
    assert hub.run("archive", "-n", "s1") == Result(
        0,
        "agent-1: would remove ../worktrees/s1/agent-1, "
        f"would archive as {archive}\n"
        "Would clean up 1 worktree for session s1\n"
        "Would update session s1: init → running → evaluating → archived\n",
    )
    assert everything(hub) == before
    assert hub.json("archive", "s1") == {**document, "dry_run": False}


def test_printed_restore_command_of_an_archived_branch(hub: Hub) -> None:
    """The branch is a tag when the command runs."""
    worktree = hub.session("s1", agents=1).worktree(1)
    (worktree / "new").write_text("new\n")
    assert restore_command(worktree)  # while the branch is there
    out = hub.run("archive", "s1").out
    command = out.split("bring it back: ")[1].splitlines()[0]
    assert hub.call("sh", "-c", command).code == 0
    assert (worktree / "new").read_text() == "new\n"
