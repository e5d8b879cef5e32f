"""`log`: the history of a session, newest first."""

from __future__ import annotations

import json

from tests.support.hub import NOW, Hub, Result
from tests.support.stores import create_session

NOW_TEXT = "2026-03-17T14:30:22.000000+00:00"


def test_history(hub: Hub) -> None:
    hub.session()
    hub.run("update", "s1", "--state", "running")
    hub.run("update", "s1", "--state", "evaluating", "--reason", "all done:\nsee \x1b[1mboard")
    hub.run(
        "update", "s1", "--state", "merged", now=NOW + 3600, environ={"GIT_COMMITTER_NAME": "Grace"}
    )
    assert hub.run("log", "s1", now=NOW + 7200) == Result(
        0,
        "2026-03-17T15:30:22.000000+00:00  evaluating → merged  (60 minutes ago)\n"
        "    by Grace <ada@example.com>, update\n"
        f"{NOW_TEXT}  running → evaluating  (2 hours ago)\n"
        "    by Ada <ada@example.com>, update\n"
        "    all done:\n"
        "    see \\x1b[1mboard\n"
        f"{NOW_TEXT}  init → running  (2 hours ago)\n"
        "    by Ada <ada@example.com>, update\n",
    )
    steps = hub.state()["history"]
    assert hub.json("log", "s1") == {
        "session_id": "s1",
        "history": steps[::-1],
        "ancestors": [],
    }
    assert hub.run("log", "s1", "--format=porcelain").out.split("\n\n")[1].splitlines() == [
        f"at {NOW_TEXT}",
        "from running",
        "to evaluating",
        "by Ada <ada@example.com>",
        "verb update",
        'reason "all done:\\nsee \\033[1mboard"',
    ]


def test_session_without_history(hub: Hub) -> None:
    hub.session()
    assert hub.run("log", "s1") == Result(0, "", "no history is recorded for session 's1'\n")
    assert hub.run("log", "-q", "s1") == Result(0)
    assert hub.json("log", "s1") == {"session_id": "s1", "history": [], "ancestors": []}


def test_history_with_unknown_content(hub: Hub) -> None:
    """Missing fields are empty, other values are skipped, and control characters are escaped."""
    create_session(hub, "running")
    invalid_steps = [
        3,
        None,
        {"to": "running"},
        {"at": "\x1b[2J", "from": ["x"], "by": "\u202e\nx", "verb": 7},
    ]
    file = hub.directory() / "state.json"
    for history in (invalid_steps, {"a": 1}, "text", None):
        file.write_text(json.dumps(hub.state() | {"history": history}))
        result = hub.run("log", "s1")
        assert result.code == 0
        assert all(char == "\n" or char.isprintable() for char in result.out)
        assert result.out.count("→") == (2 if history is invalid_steps else 0)


def test_abbreviated_id(hub: Hub) -> None:
    for sid in ("20260317-143022", "20260317-150000", "20260318-000000"):
        create_session(hub, "init", sid)
    assert hub.json("log", "20260318")["session_id"] == "20260318-000000"
    assert hub.json("log", "20260317-143022")["session_id"] == "20260317-143022"
    assert hub.run("log", "20260317") == Result(
        128,
        "",
        "fatal: '20260317' is the start of 2 session ids\n"
        "hint: the candidates are\n"
        "hint:   20260317-143022\n"
        "hint:   20260317-150000\n",
    )
    assert hub.run("log", "nope") == Result(
        128, "", "fatal: no such session: 'nope'\nhint: git hub-session list\n"
    )


def test_without_an_id(hub: Hub) -> None:
    """`log` selects the session of the current branch, or the newest unfinished, or the newest."""
    empty = "fatal: no sessions\nhint: git hub-session init --task <text>\n"
    assert hub.run("log") == Result(128, "", empty)
    create_session(hub, "merged", "z")
    no_history = "no history is recorded for session 'z'"
    assert hub.run("log") == Result(0, "", f"the newest session is 'z'\n{no_history}\n")
    create_session(hub, "running", "a")
    file = hub.directory("a") / "state.json"
    file.write_text(json.dumps(hub.state("a") | {"created": "2026-03-17T15:00:00+00:00"}))
    create_session(hub, "running", "b")
    (hub.directory("broken")).mkdir()
    assert hub.run("log") == Result(
        0,
        "",
        "the newest unfinished session is 'a'\nno history is recorded for session 'a'\n",
    )
    hub.git("checkout", "-q", "-b", "hub/b/agent-2/attempt-1")
    assert hub.run("log") == Result(0, "", "no history is recorded for session 'b'\n")
    hub.git("checkout", "-q", "-b", "hub/unknown/agent-2/attempt-1")
    assert hub.run("log", "-q") == Result(0)
    assert hub.json("log")["session_id"] == "a"
