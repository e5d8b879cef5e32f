"""`init` where the repository has refs or worktrees of a lost session, and `init --adopt`."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.hub import Hub, Result, snapshot
from tests.support.stores import run_at_once

ADOPT_HINT = "hint: record them in a new session: git hub-session init --adopt s1\n"


def lose_session(hub: Hub, sid: str = "s1") -> None:
    """Delete the directory of a session. Its refs and worktrees stay."""
    shutil.rmtree(hub.directory(sid))


def create_branch(hub: Hub) -> str:
    hub.git("branch", "hub/s1/agent-2/attempt-3")
    return "refs/heads/hub/s1/agent-2/attempt-3"


def create_tag(hub: Hub) -> str:
    hub.git("tag", "hub/archive/s1/agent-1", "main")
    return "refs/tags/hub/archive/s1/agent-1"


def create_packed_tag(hub: Hub) -> str:
    create_tag(hub)
    hub.git("pack-refs", "--all")
    return "refs/tags/hub/archive/s1/agent-1"


def create_archive_ref(hub: Hub) -> str:
    hub.git("update-ref", "refs/hub/archive/s1/agent-1/attempt-1/1", "main")
    return "refs/hub/archive/s1/agent-1/attempt-1/1"


def create_rescue_ref(hub: Hub) -> str:
    hub.git("update-ref", "refs/hub/rescue/s1/agent-1/attempt-1/1", "main")
    return "refs/hub/rescue/s1/agent-1/attempt-1/1"


def create_truncated_branch(hub: Hub) -> str:
    path = hub.top / ".git" / "refs" / "heads" / "hub" / "s1" / "agent-1" / "attempt-1"
    path.parent.mkdir(parents=True)
    path.write_text("")
    return "refs/heads/hub/s1/agent-1/attempt-1"


def create_worktree_on_deleted_branch(hub: Hub) -> str:
    hub.spawn("s1", 1)
    hub.git("update-ref", "-d", "refs/heads/hub/s1/agent-1/attempt-1")
    return f"{hub.top}/.git/worktrees/agent-1"


PARTS = [
    create_branch,
    create_tag,
    create_packed_tag,
    create_archive_ref,
    create_rescue_ref,
    create_truncated_branch,
    create_worktree_on_deleted_branch,
]


@pytest.mark.parametrize("create_part", PARTS)
@pytest.mark.parametrize("dry_run", [False, True])
def test_id_of_a_lost_session_is_refused(
    hub: Hub, create_part: Callable[[Hub], str], dry_run: bool
) -> None:
    """A new session must not measure, merge or remove the work of another session."""
    name = create_part(hub)
    before, refs = snapshot(hub.top), hub.refs()
    options = ["-n"] if dry_run else []
    assert hub.run("init", "--id", "s1", "--task", "t", *options) == Result(
        1,
        "",
        f"error: session 's1' does not exist, but the repository has parts of it: '{name}'\n"
        f"{ADOPT_HINT}hint: or choose another --id\n",
    )
    assert (snapshot(hub.top), hub.refs()) == (before, refs)
    assert hub.run("init", "-q", "--id", "s2", "--task", "t") == Result(0, "s2\n")


def test_run_refuses_the_id_too(hub: Hub) -> None:
    name = create_branch(hub)
    result = hub.run("run", "--id", "s1", "--task", "t", "--agents", "1", "--", "true")
    assert result.code != 0
    assert not (hub.top / ".agenthub").exists()
    assert hub.refs("refs/heads/hub") == {name: hub.git("rev-parse", "main")}


def test_refs_with_similar_names_do_not_count(hub: Hub) -> None:
    """The refs of another session, the user's refs and git's lock files do not count."""
    hub.git("branch", "hub/s10/agent-1/attempt-1")
    hub.git("branch", "s1")
    hub.git("tag", "hub/s1", "main")
    lock = hub.top / ".git" / "refs" / "heads" / "hub" / "s1" / "agent-1" / "attempt-1.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t") == Result(0, "s1\n")


def test_default_id_skips_the_ids_of_lost_sessions(hub: Hub) -> None:
    first = hub.run("init", "-q", "--task", "t").out.strip()
    hub.git("branch", f"hub/{first}/agent-1/attempt-1")
    hub.git("tag", f"hub/archive/{first}-2/agent-1")
    lose_session(hub, first)
    assert hub.run("init", "-q", "--task", "t", "-n") == Result(0, f"{first}-3\n")
    assert hub.run("init", "-q", "--task", "t") == Result(0, f"{first}-3\n")


def test_next_round_skips_the_id_of_a_lost_session(hub: Hub) -> None:
    hub.session(agents=1)
    hub.commit(hub.worktree(1), "file", "better\n")
    hub.run("update", "-q", "s1", "--state", "running")
    hub.run("eval", "-q", "--ranking", "1", "s1")
    hub.git("tag", "hub/archive/s1-r2/agent-1")
    assert hub.run("init", "-q", "--after", "s1") == Result(0, "20260317-143022\n")


def lose_session_with_work(hub: Hub) -> str:
    """Create and lose a session with each kind of work. Return its base commit.

    Agent-1 is archived with saved changes, agent-2 has a worktree, and agent-3 has two attempts.
    """
    hub.session(agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.commit(hub.worktree(1), "file", "1\n")
    (hub.worktree(1) / "new").write_text("not committed\n")
    assert hub.run("cleanup", "-q", "--archive", "s1") == Result(0)
    hub.git("pack-refs", "--all")
    hub.commit(hub.spawn("s1", 2), "file", "2\n")
    hub.commit(hub.spawn("s1", 3), "file", "3\n")
    hub.spawn("s1", 3, 2, base="hub/s1/agent-3/attempt-1")
    start = hub.git("rev-parse", "main")
    hub.commit(hub.top, "later", "on main\n")
    lose_session(hub)
    return start


def test_lost_session_is_adopted_with_all_its_work(hub: Hub) -> None:
    """Attempts, worktrees, archives and saved changes are recorded."""
    start = lose_session_with_work(hub)
    refs = hub.refs()
    preview = hub.json("init", "--adopt", "s1", "-n")
    assert not hub.directory().exists()
    assert hub.run("init", "--adopt", "s1") == Result(
        0,
        "Initialized session s1 in .agenthub/sessions/s1\n"
        "  Task: unknown\n"
        "  Agents: 3\n"
        "  Base branch: main\n"
        "  Adopted: agent-1, agent-2, agent-3\n"
        "  State: running\n",
    )
    agents = ["agent-1", "agent-2", "agent-3"]
    assert (preview["state"], preview["adopted"]) == ("running", agents)
    assert hub.refs() == refs
    state = hub.state()
    assert (state["state"], state["base_commit"]) == ("running", start)
    assert [step["verb"] for step in state["history"]] == ["init"]
    second = hub.worktrees / "s1" / "agent-3-2"
    first = {"status": "ready", "worktree": str(hub.worktree(3))}
    assert state["agents"] == {
        "agent-1": {
            "status": "ready",
            "attempt": 1,
            "worktree": "",
            "rescue": ["refs/hub/rescue/s1/agent-1/attempt-1/1"],
        },
        "agent-2": {"status": "ready", "attempt": 1, "worktree": str(hub.worktree(2))},
        "agent-3": {
            "status": "ready",
            "attempt": 2,
            "worktree": str(second),
            "attempts": {"attempt-1": first},
        },
    }
    assert hub.run("doctor").code == 0


def test_commands_use_the_adopted_work(hub: Hub) -> None:
    lose_session_with_work(hub)
    assert hub.run("init", "-q", "--adopt", "s1", "--agents", "4") == Result(0, "s1\n")
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert {*hub.state()["agents"]} == {f"agent-{number}" for number in (1, 2, 3, 4)}
    assert hub.run("restore", "-q", "s1", "--agent", "1").code == 0
    restored = hub.top.with_name("project.hub") / "s1" / "agent-1"
    assert (restored / "new").read_text() == "not committed\n"
    assert hub.run("eval", "-q", "--ranking", "2", "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    assert (hub.top / "file").read_text() == "2\n"
    assert hub.state()["state"] == "merged"


def test_only_an_archive_of_the_second_attempt_is_left(hub: Hub) -> None:
    """The tag has no attempt number. The archive ref names the attempt."""
    hub.git("update-ref", "refs/hub/archive/s1/agent-2/attempt-2/1", "main")
    hub.git("tag", "hub/archive/s1/agent-2", "main")
    assert hub.run("init", "-q", "--adopt", "s1") == Result(0, "s1\n")
    record = {"status": "ready", "attempt": 2, "worktree": ""}
    assert hub.state()["agents"] == {"agent-2": record}


@pytest.mark.parametrize("create_part", PARTS)
def test_each_part_can_be_adopted(hub: Hub, create_part: Callable[[Hub], str]) -> None:
    create_part(hub)
    refs = hub.refs()
    assert hub.run("init", "-q", "--adopt", "s1") == Result(0, "s1\n")
    assert hub.refs() == refs
    assert hub.run("list").code == 0
    assert hub.run("init", "--adopt", "s1") == Result(
        1, "", "error: session 's1' already exists\nhint: choose another --id\n"
    )


def test_nothing_to_adopt(hub: Hub) -> None:
    hub.git("branch", "hub/s2/agent-1/attempt-1")
    assert hub.run("init", "--adopt", "s1") == Result(
        1,
        "",
        "error: nothing to adopt: the repository has no branch, tag or worktree of session 's1'\n"
        "hint: git branch --list 'hub/*'\n",
    )
    assert not (hub.top / ".agenthub").exists()


@pytest.mark.parametrize("option", [("--id", "s2"), ("--after", "s0")])
def test_options_that_exclude_adopt(hub: Hub, option: tuple[str, str]) -> None:
    create_branch(hub)
    result = hub.run("init", "--adopt", "s1", *option)
    assert result.code == 129
    assert "exclude each other" in result.err
    assert not hub.directory().exists()


def test_every_hint_names_the_command_that_helps(hub: Hub) -> None:
    """`list`, `doctor` and `init` print the command. After it, `cleanup` keeps all work."""
    hub.session(agents=1)
    commit = hub.commit(hub.worktree(1), "file", "1\n")
    (hub.worktree(1) / "new").write_text("not committed\n")
    shutil.rmtree(hub.top / ".agenthub")
    command = "git hub-session init --adopt s1"
    for arguments in (("list",), ("doctor",), ("init", "--id", "s1", "--task", "t")):
        result = hub.run(*arguments)
        assert result.code == 1
        assert command in result.out + result.err
    assert hub.call("sh", "-c", command).code == 0
    assert [hub.run(verb).code for verb in ("list", "doctor")] == [0, 0]
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    refs = hub.refs("refs/hub/rescue/s1")
    assert hub.refs("refs/heads/hub") == {"refs/heads/hub/s1/agent-1/attempt-1": commit}
    assert [hub.git("show", f"{ref}^3:new") for ref in refs] == ["not committed"]


def test_parallel_calls_adopt_once(hub: Hub) -> None:
    lose_session_with_work(hub)
    calls = [["init", "-q", "--adopt", "s1"]] * 8 + [
        ["init", "-q", "--id", "s1", "--task", "t"]
    ] * 8
    results = run_at_once(hub, calls)
    assert [result.out for result in results if result.code == 0] == ["s1\n"]
    errors = {result.err.splitlines()[0] for result in results if result.code}
    assert len([result for result in results if result.code == 1]) == 15
    assert all(error.startswith("error: session 's1' ") for error in errors), errors
    assert len(hub.state()["agents"]) == 3
