"""`update`: one transition of a session."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, Result, snapshot
from tests.support.stores import create_session


def test_formats(hub: Hub) -> None:
    hub.session()
    assert hub.json("update", "s1", "--state", "running", "-n") == {
        "session_id": "s1",
        "from": "init",
        "to": "running",
        "dry_run": True,
    }
    assert hub.run("update", "s1", "--state", "running", "--format=porcelain") == Result(
        0, "session_id s1\nfrom init\nto running\n\n"
    )
    assert hub.run("update", "s1", "--state", "evaluating", "-q") == Result(0)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    # The wrapper of the tests runs Python with -I, which ignores PYTHON*. The locale decides.
    result = hub.run("update", "s1", "--state", "merged", environ=ascii_only)
    assert result in (
        Result(0, "Session s1: evaluating -> merged\n"),
        Result(0, "Session s1: evaluating → merged\n"),
    )


def test_a_state_and_a_choice_between_states(hub: Hub) -> None:
    hub.session()
    before = snapshot(hub.top)
    assert hub.run("update", "--resolve", "merged", "--state", "running", "s1") == Result(
        129,
        "",
        "error: --resolve and --state exclude each other\n",
    )
    assert snapshot(hub.top) == before


def test_a_winner_without_merged(hub: Hub) -> None:
    hub.session()
    before = snapshot(hub.top)
    for words in (("--resolve", "archived"), ("--state", "running")):
        assert hub.run("update", *words, "--winner", "agent-1", "s1") == Result(
            129, "", "error: --winner requires --resolve merged\n"
        )
    result = hub.run("update", "--resolve", "merged", "--winner", "agent-1", "s1")
    assert result.err == "error: nothing to settle: session 's1' was not both merged and archived\n"
    assert snapshot(hub.top) == before


def test_errors_as_json(hub: Hub) -> None:
    hub.session()
    assert hub.run("update", "s1", "--state", "merged", "--format=json") == Result(
        1,
        "",
        '{\n  "version": 1,\n  "error": {\n    "code": "illegal-transition",\n'
        "    \"message\": \"cannot go from 'init' to 'merged'\",\n"
        "    \"hint\": \"from 'init' a session can go to 'running'\"\n  }\n}\n",
    )


def test_reason_is_recorded_unchanged(hub: Hub) -> None:
    reason = 'two\nlines: "x" \x1b é'
    hub.session()
    assert hub.run("update", "s1", "--state", "running", "--reason", reason).code == 0
    assert hub.state()["history"][0]["reason"] == reason


def test_complete_id_is_required(hub: Hub) -> None:
    """A command that changes a session accepts no abbreviated id."""
    create_session(hub, "init", "20260317-143022")
    before = snapshot(hub.top)
    for sid in ("20260317", "20260317-14302", "20260317-1430220", "20260317-143022/", ""):
        assert hub.run("update", sid, "--state", "running") == Result(
            128, "", f"fatal: no such session: '{sid}'\nhint: git hub-session list\n"
        )
    assert snapshot(hub.top) == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["s1"], "option '--state' is required"),
        (["--state", "running"], "no session given"),
        (["s1", "s2", "--state", "running"], "too many arguments: 's2'"),
        (["s1", "--state"], "option '--state' requires a value"),
        (["s1", "--state", "running", "--iff-state", "init"], "unknown option 'iff-state'"),
    ],
)
def test_usage_errors(hub: Hub, arguments: list[str], error: str) -> None:
    hub.session()
    result = hub.run("update", *arguments)
    assert (result.code, result.out) == (129, "")
    assert result.err.splitlines()[0] == f"error: {error}"
    assert hub.state()["state"] == "init"


def test_without_an_id_in_a_worktree(hub: Hub) -> None:
    """The session of the current branch is used, also in a subdirectory and during a rebase."""
    hub.session(agents=1).session("s2")
    worktree = hub.worktree(1)
    (worktree / "below").mkdir()
    expected = Result(0, "Session s1: init → running\n")
    assert hub.run("update", "--state", "running", cwd=worktree / "below") == expected

    hub.commit(worktree, "file", "theirs\n")
    hub.commit(hub.top, "file", "ours\n")
    hub.call("git", "rebase", "main", cwd=worktree)
    expected = Result(0, "Session s1: running → evaluating\n")
    assert hub.run("update", "--state", "evaluating", cwd=worktree) == expected

    hub.git("checkout", "-q", "-b", "hub/s2/agent-1/attempt-1")
    assert hub.run("update", "--state", "running") == Result(0, "Session s2: init → running\n")
    assert not (worktree / ".agenthub").exists()


def test_options_in_any_position(hub: Hub) -> None:
    hub.session()
    assert hub.run("update", "--state=running", "--", "s1").code == 0
    assert hub.run("update", "--state", "evaluating", "s1", "--if-s", "running").code == 0
    assert hub.run("update", "--state=archived", "--no-state", "s1", "--state", "merged").code == 0
    assert [step["to"] for step in hub.state()["history"]] == ["running", "evaluating", "merged"]
