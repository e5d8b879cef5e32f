"""archive: a session ended without a winner; every tip has a tag, and nothing that was done is lost."""

from __future__ import annotations

from typing import Any

from tests.support.cleanup import BRANCH, RESCUE, everything, line
from tests.support.hub import Hub, Result


def steps(hub: Hub) -> list[tuple[Any, ...]]:
    history = hub.state()["history"]
    return [(one["from"], one["to"], one["verb"], one.get("reason")) for one in history]


def test_from_init_it_walks_to_the_end(hub: Hub) -> None:
    hub.session("s1", agents=2)
    first = hub.commit(hub.worktree(1), "try", "x\n")
    base = hub.git("rev-parse", "main")
    (hub.worktree(1) / "new").write_text("new\n")
    where = hub.worktree(1)
    result = hub.run("archive", "s1", "--reason", "not worth it")
    assert result == Result(
        0,
        f"Saved uncommitted work of {BRANCH} in {RESCUE}\n"
        f"  bring it back: git worktree add --detach {where} {RESCUE}^"
        f" && git -C {where} stash apply --index {RESCUE}\n"
        f"Removed worktree: {where}\n"
        f"Removed worktree: {hub.worktree(2)}\n"
        f"Archived branch: {BRANCH} as tag hub/archive/s1/agent-1\n"
        "Archived branch: hub/s1/agent-2/attempt-1 as tag hub/archive/s1/agent-2\n"
        "Cleaned up 2 worktrees for session s1\n"
        "Session s1: init → running → evaluating → archived\n",
    )
    refs = hub.refs()
    assert hub.git("show", f"{refs.pop(RESCUE)}^3:new") == "new"
    assert refs == {
        "refs/heads/main": base,
        "refs/tags/hub/archive/s1/agent-1": first,
        "refs/tags/hub/archive/s1/agent-2": base,
    }
    assert steps(hub) == [
        ("init", "running", "archive", "not worth it"),
        ("running", "evaluating", "archive", "not worth it"),
        ("evaluating", "archived", "archive", "not worth it"),
    ]
    before = everything(hub)
    assert hub.run("archive", "s1") == Result(0, "Cleaned up 0 worktrees for session s1\n")
    assert everything(hub) == before


def test_what_stays_keeps_the_session_going(hub: Hub) -> None:
    """A locked worktree: the others go, the state stays, and the next call goes on."""
    hub.session("s1", agents=2)
    hub.git("worktree", "lock", hub.worktree(2))
    result = hub.run("archive", "s1")
    assert (result.code, result.err) == (
        1,
        "session s1 stays 'init': its cleanup is not complete\n",
    )
    assert f"hint: git worktree unlock {hub.worktree(2)}\n" in result.out
    assert (hub.state()["state"], steps(hub)) == ("init", [])
    assert sorted(hub.refs("refs/heads/hub")) == ["refs/heads/hub/s1/agent-2/attempt-1"]
    hub.git("worktree", "unlock", hub.worktree(2))
    result = hub.run("archive", "-q", "s1")
    assert result == Result(0)
    assert hub.state()["state"] == "archived"
    assert sorted(hub.refs("refs/tags/hub")) == [
        "refs/tags/hub/archive/s1/agent-1",
        "refs/tags/hub/archive/s1/agent-2",
    ]


def test_what_stays_of_an_archived_session(hub: Hub) -> None:
    """Archived by hand, with a worktree that is locked: the state is right, the work is not done."""
    hub.session("s1", agents=1)
    for state in ("running", "evaluating", "archived"):
        hub.run("update", "s1", "--state", state)
    hub.git("worktree", "lock", hub.worktree(1))
    assert hub.run("archive", "s1").code == 1
    assert hub.run("archive", "-n", "s1").code == 1
    hub.git("worktree", "unlock", hub.worktree(1))
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert not hub.worktree(1).exists()


def test_a_hook_that_refuses(hub: Hub) -> None:
    """The user's own reference-transaction hook is asked first: its words are shown, nothing is changed."""
    hub.session("s1", agents=2)
    hub.commit(hub.worktree(1), "try", "x\n")
    (hub.worktree(2) / "new").write_text("new\n")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\necho "not today" >&2\ntest "$1" != prepared\n')
    hook.chmod(0o755)
    before = everything(hub)
    result = hub.run("archive", "s1")
    assert (result.code, result.out) == (128, "")
    assert "not today" in result.err
    after = everything(hub)
    assert before.items() <= after.items()
    assert {path[:22] for path in after.keys() - before.keys()} <= {"project/.git/refs/tags"}
    assert all(
        path.endswith("/") for path in after.keys() - before.keys()
    )  # git's locks were there
    hook.unlink()
    assert hub.run("archive", "-q", "s1") == Result(0)
    assert hub.state()["state"] == "archived"
    assert list(hub.refs("refs/tags/hub")) == [
        f"refs/tags/hub/archive/s1/agent-{agent}" for agent in (1, 2)
    ]


def test_a_branch_that_is_no_agents_does_not_hold_it_up(hub: Hub) -> None:
    hub.session("s1")
    hub.git("branch", "hub/s1/notes")
    result = hub.run("archive", "s1")
    assert result.code == 0
    assert "Kept branch: hub/s1/notes: not an agent's branch\n" in result.out
    assert hub.state()["state"] == "archived"


def test_a_merged_session_is_over(hub: Hub) -> None:
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


def test_the_formats_and_a_rehearsal(hub: Hub) -> None:
    hub.session("s1", agents=1)
    tip = hub.git("rev-parse", "main")
    where = str(hub.worktree(1))
    before = everything(hub)
    document = hub.json("archive", "-n", "s1")
    assert document == {
        "session_id": "s1",
        "state": "archived",
        "dry_run": True,
        "removed": [{"path": where, "branch": BRANCH, "missing": False}],
        "saved": [],
        "kept": [],
        "archived": [{"branch": BRANCH, "tag": "hub/archive/s1/agent-1", "oid": tip}],
        "branches_kept": [],
        "notes": [],
    }
    assert hub.run("archive", "-n", "s1") == Result(
        0,
        f"Would remove worktree: {where}\n"
        f"Would archive branch: {BRANCH} as tag hub/archive/s1/agent-1\n"
        "Would clean up 1 worktree for session s1\n"
        "Would update session s1: init → running → evaluating → archived\n",
    )
    assert everything(hub) == before
    assert hub.json("archive", "s1") == {**document, "dry_run": False}


def test_the_line_that_brings_work_back_works(hub: Hub) -> None:
    """The branch is a tag by then."""
    where = hub.session("s1", agents=1).worktree(1)
    (where / "new").write_text("new\n")
    assert line(where)  # while the branch is there
    out = hub.run("archive", "s1").out
    command = out.split("bring it back: ")[1].splitlines()[0]
    assert hub.call("sh", "-c", command).code == 0
    assert (where / "new").read_text() == "new\n"
