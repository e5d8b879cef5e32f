"""`log --frontier`: the attempts of one session, or of all unfinished ones, that no other contains."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hub import NOW, Hub, Result

ONE, TWO = "hub/s1/agent-1/attempt-1", "hub/s1/agent-2/attempt-1"


@pytest.fixture
def chain(hub: Hub) -> Hub:
    """Return two sessions. agent-2 of s1 contains agent-1, and agent-1 of s2 contains agent-2."""
    hub.session("s1", agents=3)
    hub.commit(hub.worktree(1), "file", "one\n", "first")
    hub.git("reset", "-q", "--hard", ONE, cwd=hub.worktree(2))
    hub.commit(hub.worktree(2), "file", "two\n", "sec\x1b[2Jond")
    hub.commit(hub.worktree(3), "other", "three\n", "third")
    hub.session("s2", agents=0)
    hub.spawn("s2", 1, base=TWO)
    hub.commit(hub.worktree(1, "s2"), "file", "four\n", "fourth")
    return hub


def subjects(hub: Hub, *words: str) -> dict[str, list[str]]:
    """Return the subjects on the frontier of each session."""
    sessions = hub.json("log", "--frontier", *words)["sessions"]
    return {
        session["session_id"]: [tip["subject"] for tip in session["frontier"]]
        for session in sessions
    }


def test_one_session(chain: Hub) -> None:
    tips = [chain.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (2, 3)]
    assert chain.run("log", "--frontier", "s1") == Result(
        0,
        "s1  init\n"
        f"    agent-2/attempt-1  {tips[0][:12]}  30 minutes ago  sec\\x1b[2Jond\n"
        f"    agent-3/attempt-1  {tips[1][:12]}  30 minutes ago  third\n",
    )
    fields = [
        {
            "agent": agent,
            "attempt": 1,
            "branch": f"hub/s1/agent-{agent}/attempt-1",
            "ref": f"refs/heads/hub/s1/agent-{agent}/attempt-1",
            "oid": tip,
            "time": NOW - 1822,
            "subject": subject,
        }
        for agent, tip, subject in zip((2, 3), tips, ("sec\x1b[2Jond", "third"), strict=True)
    ]
    assert chain.json("log", "--frontier", "s1") == {
        "sessions": [
            {
                "session_id": "s1",
                "state": "init",
                "ancestors": [],
                "frontier": fields,
                "off_branch": [],
            }
        ]
    }
    records = chain.run("log", "--frontier", "--format=porcelain", "s1").out.split("\n\n")
    assert records[0] == "session s1\nstate init"
    assert records[2].splitlines()[:3] == ["agent 3", "attempt 1", f"branch {fields[1]['branch']}"]
    assert len(records) == 4


def test_it_is_the_frontier_of_status(chain: Hub) -> None:
    for sid in ("s1", "s2"):
        branches = chain.json("status", sid)["branches"]
        [session] = chain.json("log", "--frontier", sid)["sessions"]
        shown = [tip["branch"] for tip in session["frontier"]]
        assert shown == [branch["branch"] for branch in branches if branch["frontier"]]


def test_all_unfinished_sessions(chain: Hub) -> None:
    """A later session contains the attempt that it started from."""
    assert subjects(chain) == {"s1": ["third"], "s2": ["fourth"]}
    assert subjects(chain, "s1") == {"s1": ["sec\x1b[2Jond", "third"]}
    assert chain.run("log", "--frontier", cwd=chain.worktree(1)).out.startswith("s1  init\n")
    chain.run("update", "-q", "s2", "--state", "running")
    assert chain.run("archive", "-q", "s2").code == 0
    assert subjects(chain) == {"s1": ["sec\x1b[2Jond", "third"]}


def test_archived_attempts(chain: Hub) -> None:
    """The archives of a finished session have its frontier."""
    before = chain.json("log", "--frontier", "s1")["sessions"][0]["frontier"]
    chain.run("update", "-q", "s1", "--state", "running")
    assert chain.run("archive", "-q", "s1").code == 0
    [session] = chain.json("log", "--frontier", "s1")["sessions"]
    assert session["state"] == "archived"
    assert [tip["oid"] for tip in session["frontier"]] == [tip["oid"] for tip in before]
    assert {tip["ref"].split("/")[1] for tip in session["frontier"]} == {"tags"}


def test_line_of_descent(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    hub.commit(hub.top.parent / "project.hub" / "s1" / "agent-1", "file", "1\n", "one")
    assert hub.run("eval", "-q", "s1", "--ranking", "1").code == 0
    for earlier, sid in (("s1", "s2"), ("s2", "s3")):
        assert hub.run("init", "-q", "--after", earlier, "--id", sid).code == 0
        assert hub.run("spawn", "-q", sid).code == 0
        hub.commit(hub.top.parent / "project.hub" / sid / "agent-1", "file", f"{sid}\n", sid)
        assert hub.run("eval", "-q", sid, "--ranking", "1").code == 0
    commits = [hub.git("rev-parse", f"hub/{sid}/agent-1/attempt-1") for sid in ("s1", "s2", "s3")]
    short = [commit[:12] for commit in commits]
    assert hub.run("log", "--frontier") == Result(
        0,
        "s1  evaluating\n"
        "s2  evaluating\n"
        f"    started from agent-1 of session s1 ({short[0]})\n"
        "s3  evaluating\n"
        f"    started from agent-1 of session s2 ({short[1]})\n"
        f"    started from agent-1 of session s1 ({short[0]})\n"
        f"    agent-1/attempt-1  {short[2]}  30 minutes ago  s3\n",
    )
    sessions: list[dict[str, Any]] = hub.json("log", "--frontier")["sessions"]
    assert [parent["commit"] for parent in sessions[2]["ancestors"]] == commits[:2]
    record = hub.run("log", "--frontier", "-z", "s3").out.split("\0\0")[0].split("\0")
    assert record == [
        "session s3",
        "state evaluating",
        "parent s2",
        "parent_agent 1",
        "parent_attempt 1",
        f"parent_commit {commits[1]}",
    ]


def test_unrelated_histories(chain: Hub) -> None:
    tree = chain.git("rev-parse", f"{ONE}^{{tree}}")
    root = chain.git("commit-tree", "-m", "root", tree)
    chain.git("update-ref", "refs/heads/hub/s1/agent-4/attempt-1", root)
    assert subjects(chain) == {"s1": ["third", "root"], "s2": ["fourth"]}


def test_equal_tips_and_tips_on_the_base_branch(hub: Hub) -> None:
    """No equal tip contains another one."""
    hub.session("s1", agents=2)
    assert subjects(hub) == {"s1": ["base", "base"]}
    hub.commit(hub.worktree(2), "file", "x\n", "work")
    hub.git("merge", "-q", TWO)
    assert subjects(hub) == {"s1": ["work"]}
    hub.commit(hub.top, "file", "y\n", "later")
    assert subjects(hub) == {"s1": ["work"]}


def test_nothing_to_show(hub: Hub) -> None:
    assert hub.run("log", "--frontier") == Result(0, "", "no unfinished session\n")
    hub.session("s1")
    assert hub.run("log", "--frontier") == Result(0, "s1  init\n")
    for state in ("running", "evaluating", "archived"):
        assert hub.run("update", "-q", "s1", "--state", state).code == 0
    assert hub.run("log", "--frontier") == Result(0, "", "no unfinished session\n")
    assert hub.run("log", "--frontier", "-q") == Result(0)
    assert hub.run("log", "--frontier", "s9").code == 128


def test_a_broken_session(chain: Hub) -> None:
    (chain.directory("s2") / "state.json").write_text("[")
    result = chain.run("log", "--frontier")
    assert result.code == 1
    assert result.err.startswith("error: session 's2': ")
    assert "sec" in result.out


@pytest.mark.parametrize("other", ["graph", "evaluations"])
def test_options_that_exclude_each_other(hub: Hub, other: str) -> None:
    hub.session()
    result = hub.run("log", "--frontier", f"--{other}", "s1")
    names = {"--frontier", f"--{other}"}
    assert (result.code, result.out) == (129, "")
    assert {word for word in result.err.split() if word.startswith("--")} == names
