"""Another program changes state.json while a command runs. AgentHub's script takes no lock."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.support.evaluated_sessions import agent_worktree, create_evaluated_session, write_hook
from tests.support.hub import Hub, Result

# The other program adds a key of its own and a key of an agent, and replaces the file.
_CHANGE = """
import json, os
path = "{path}"
state = json.load(open(path))
state["note"] = "mine"
state["agents"].setdefault("agent-1", {{}})["cost"] = 5
state.update({update})
with open(path + str(os.getpid()), "w") as file:
    json.dump(state, file)
os.replace(file.name, path)
"""


def changing_script(hub: Hub, **update: Any) -> str:
    """Return a shell command that changes state.json as another program does."""
    script = hub.top.parent / "change.py"
    path = hub.directory() / "state.json"
    script.write_text(_CHANGE.format(path=path, update=repr(update)))
    return f"{sys.executable} -I {script}"


def assert_change_is_kept(hub: Hub) -> dict[str, Any]:
    """Check that state.json has the keys of the other program. Return its content."""
    state = hub.state()
    assert (state["note"], state["agents"]["agent-1"]["cost"]) == ("mine", 5)
    return state


def test_change_during_spawn(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.git("config", "hubsession.setup", changing_script(hub))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    state = assert_change_is_kept(hub)
    assert state["state"] == "running"
    assert {name: agent["status"] for name, agent in state["agents"].items()} == {
        "agent-1": "ready",
        "agent-2": "ready",
    }


def test_change_during_a_spawn_that_fails(hub: Hub) -> None:
    """Only the change of the other program remains."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    before = hub.state()
    script = f"{changing_script(hub)}; test $HUB_AGENT != agent-2"
    hub.git("config", "hubsession.setup", script)
    assert hub.run("spawn", "-q", "-j1", "s1").code == 128
    after = hub.state()
    assert after == {**before, "note": "mine", "agents": {"agent-1": {"cost": 5}}}


def test_change_during_a_retry_that_fails(hub: Hub) -> None:
    """The fields of the attempt before return, and the change of the other program remains."""
    hub.run("init", "-q", "--id", "s1", "--task", "t")
    hub.run("spawn", "-q", "s1")
    before = hub.state()
    hub.git("config", "hubsession.setup", f"{changing_script(hub)}; false")
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 128
    state = assert_change_is_kept(hub)
    del state["note"], state["agents"]["agent-1"]["cost"]
    assert state == before


def test_session_archived_during_spawn(hub: Hub) -> None:
    """The state of the other program counts."""
    hub.run("init", "-q", "--id", "s1", "--task", "t")
    hub.git("config", "hubsession.setup", changing_script(hub, state="archived"))
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert assert_change_is_kept(hub)["state"] == "archived"


def test_change_during_merge(hub: Hub) -> None:
    create_evaluated_session(hub)
    write_hook(hub, "commit-msg", changing_script(hub))
    assert hub.run("merge", "-q", "--yes", "s1").code == 0
    state = assert_change_is_kept(hub)
    assert (state["state"], state["merge"]["commit"]) == ("merged", hub.git("rev-parse", "main"))


def test_change_during_a_merge_that_is_refused(hub: Hub) -> None:
    """The hook refuses after the commit was recorded. The record goes, the change stays."""
    create_evaluated_session(hub)
    before = hub.state()
    script = changing_script(hub)
    write_hook(
        hub,
        "reference-transaction",
        f'grep -q refs/heads/main || exit 0; test "$1" = prepared || exit 0; {script}; exit 1',
    )
    assert hub.run("merge", "-q", "--yes", "s1").code == 1
    state = assert_change_is_kept(hub)
    del state["note"], state["agents"]["agent-1"]["cost"]
    assert state == before


def test_session_archived_during_merge(hub: Hub) -> None:
    """The branch does not move: the session of the other program has no winner."""
    create_evaluated_session(hub)
    main = hub.git("rev-parse", "main")
    write_hook(hub, "commit-msg", changing_script(hub, state="archived"))
    assert hub.run("merge", "-q", "--yes", "s1") == Result(
        1,
        "",
        "error: the state of session 's1' changed during the merge\n"
        "hint: git hub-session status s1\n",
    )
    assert (hub.git("rev-parse", "main"), "merge" in hub.state()) == (main, False)


def test_session_archived_after_the_branch_has_moved(hub: Hub) -> None:
    """The merge is done. The output has the state of the other program."""
    create_evaluated_session(hub)
    write_hook(hub, "post-merge", changing_script(hub, state="archived"))
    result = hub.run("merge", "--yes", "s1")
    assert (result.code, result.out.splitlines()[-1]) == (0, "Session s1: evaluating → archived")
    assert (hub.state()["state"], hub.state()["merge"]["commit"]) == (
        "archived",
        hub.git("rev-parse", "main"),
    )


def test_change_during_eval(hub: Hub) -> None:
    create_evaluated_session(hub)
    assert hub.run("eval", "-q", "s1", "--eval", changing_script(hub)).code == 0
    assert assert_change_is_kept(hub)["evaluation"]["base"] == hub.git("rev-parse", "main")


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("restore -q s1", "evaluating"),
        ("adopt -q s1 agent-2 mine", "evaluating"),
        ("archive -q s1", "archived"),
    ],
)
def test_change_by_a_hook(hub: Hub, command: str, state: str) -> None:
    """A hook changes state.json during another command."""
    create_evaluated_session(hub)
    if command.startswith("restore"):
        hub.run("cleanup", "-q", "s1")
    if command.startswith("adopt"):
        hub.git("switch", "-q", "-c", "mine", cwd=agent_worktree(hub, 2))
    script = changing_script(hub)
    write_hook(hub, "reference-transaction", f'test "$1" != committed || {script}')
    write_hook(hub, "post-checkout", script)
    assert hub.run(*command.split()).code == 0
    assert assert_change_is_kept(hub)["state"] == state
