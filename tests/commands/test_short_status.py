"""The line of `status --short` and the graph of `log --graph`."""

from __future__ import annotations

import json

import pytest

from tests.support.hub import Hub, Result
from tests.support.loaded_modules import heavy, loaded


def test_each_state(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3")
    assert hub.run("status", "--short", "s1") == Result(0, "s1 init\n")
    hub.run("spawn", "-q", "s1")
    assert hub.run("status", "--short") == Result(0, "s1 running 0/3\n")
    hub.run("exec", "-q", "s1", "--only", "1,3", "--commit", "--", "sh", "-c", "echo x >new")
    hub.run("exec", "-q", "s1", "--only", "3", "--", "false")
    assert hub.run("status", "--short", "s") == Result(0, "s1 running 2/3\n")
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert hub.run("status", "--short", "s1") == Result(0, "s1 evaluating\n")
    hub.run("archive", "-q", "s1")
    assert hub.run("status", "--short", "s1") == Result(0, "s1 archived\n")
    assert hub.run("status", "--short") == Result(0)


def test_the_newest_session_and_that_of_the_worktree(hub: Hub) -> None:
    hub.session("s1", agents=1)
    hub.run("init", "-q", "--id", "s0", "--task", "t", environ={"GIT_TEST_DATE_NOW": "1893456000"})
    assert hub.run("status", "--short", cwd=hub.worktree(1)) == Result(0, "s1 init\n")


def test_formats(hub: Hub) -> None:
    nothing = dict.fromkeys(("session_id", "state", "finished", "agents"))
    assert hub.json("status", "--short") == nothing
    assert hub.run("status", "--short", "--format=porcelain") == Result(0, "\n")
    hub.session("s1", agents=2)
    hub.run("update", "-q", "s1", "--state", "running")
    expected = {"session_id": "s1", "state": "running", "finished": 0, "agents": 2}
    assert hub.json("status", "--short") == expected
    colored = hub.run("status", "--short", "--color").out
    assert colored == "s1 \x1b[33mrunning\x1b[m 0/2\n"


def test_running_and_waiting_agents_are_not_finished(hub: Hub) -> None:
    hub.session("s1", agents=1)
    state = hub.state()
    state |= {"state": "running", "agents": {"agent-1": {"status": "running", "attempt": 1}}}
    (hub.directory() / "state.json").write_text(json.dumps(state))
    assert hub.run("status", "--short").out == "s1 running 0/1\n"
    state["agents"]["agent-1"]["status"] = "done"
    (hub.directory() / "state.json").write_text(json.dumps(state))
    assert hub.run("status", "--short").out == "s1 running 1/1\n"


def test_it_loads_no_library(hub: Hub) -> None:
    hub.session(agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    for words in (("status", "--short"), ("status", "--short", "s1")):
        assert heavy(loaded(hub, *words)) == []
    modules = {name.removeprefix("git_hub_session.") for name in loaded(hub, "status", "--short")}
    assert "commands._status.short" in modules
    assert modules.isdisjoint({"commands._status.view", "worktree.status", "board.board"})


@pytest.fixture
def attempts(hub: Hub) -> Hub:
    """Return a session with two attempts of agent-1, and an archived one of agent-2."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    place = hub.top.parent / "project.hub" / "s1"
    hub.commit(place / "agent-1", "file", "one\n", "first idea")
    hub.commit(place / "agent-2", "file", "two\n", "other idea")
    hub.run("spawn", "-q", "--retry", "1", "s1")
    hub.commit(place / "agent-1-2", "file", "three\n", "second idea")
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert hub.run("cleanup", "-q", "--archive", "s1").code == 0
    hub.commit(hub.top, "sub/other", "later\n", "moved on")
    return hub


def test_the_graph_has_all_attempts(attempts: Hub) -> None:
    """The graph ends at the commit that the agents started from."""
    result = attempts.run("log", "--graph", "s1")
    assert (result.code, result.err) == (0, "")
    lines = [line for line in result.out.splitlines() if line.strip("|/\\ ")]
    subjects = sorted(line.partition(") ")[2] or line.rpartition(" ")[2] for line in lines)
    assert subjects == ["base", "first idea", "other idea", "second idea"]
    assert "(tag: hub/archive/s1/agent-1-attempt-2)" in result.out
    assert [line.strip("|/ ")[0] for line in lines] == ["*", "*", "*", "o"]
    assert "\x1b[33m" in attempts.run("log", "--graph", "--color", "s1").out


def test_a_graph_without_commits(hub: Hub) -> None:
    hub.session()
    assert hub.run("log", "--graph", "s1") == Result(
        128,
        "",
        "fatal: session 's1' has no commits of an agent\nhint: git hub-session status s1\n",
    )
    hub.spawn("s1", 1)
    assert hub.run("log", "--graph", "s1") == Result(
        0, "", "no agent of session 's1' has a commit of its own\n"
    )


def test_options_that_do_not_fit(hub: Hub) -> None:
    hub.session()
    for words, message in (
        (("--evaluations",), "--graph and --evaluations exclude each other"),
        (("--format=porcelain",), "--graph has only text output"),
        (("-z",), "--graph has only text output"),
    ):
        result = hub.run("log", "--graph", *words, "s1")
        assert result == Result(129, "", f"error: {message}\n")
