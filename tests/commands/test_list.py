"""`list`: all sessions, even if some cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.hints import type_hint, types
from tests.support.hub import NOW, Hub, Result
from tests.support.stores import CREATED, STATES, create_agenthub_session, create_session
from tests.support.worktree_changes import create_socket


def test_no_sessions(hub: Hub) -> None:
    no_sessions = Result(
        0, err="no sessions (create one with 'git hub-session init --task <text>')\n"
    )
    assert hub.run("list") == no_sessions
    assert hub.run("list", "-q") == Result(0)
    assert hub.run("list", "--format=json") == Result(
        0, '{\n  "version": 1,\n  "sessions": []\n}\n'
    )
    assert hub.run("list", "--format=porcelain") == Result(0)
    assert not (hub.top / ".agenthub").exists()


def test_table(hub: Hub) -> None:
    """The rows are sorted by id. Tasks are not truncated: the output is not a terminal."""
    for number, state in enumerate(STATES):
        create_session(hub, state, f"s{number}")
    assert hub.run("list", now=NOW + 7200) == Result(
        0,
        "SESSION ID  STATE       AGENTS  UPDATED      TASK\n"
        "s0          init        3       2 hours ago  Make it fast\n"
        "s1          running     3       2 hours ago  Make it fast\n"
        "s2          evaluating  3       2 hours ago  Make it fast\n"
        "s3          merged      3       2 hours ago  Make it fast\n"
        "s4          archived    3       2 hours ago  Make it fast\n",
    )


def list_ids(hub: Hub, *arguments: str) -> list[str]:
    """Return the ids of the listed sessions."""
    return [session["session_id"] for session in hub.json("list", *arguments)["sessions"]]


@pytest.fixture
def five_sessions(hub: Hub) -> Hub:
    """Create five sessions that have another order for each sort key."""
    for sid, state, created, updated in (
        ("a", "merged", "2026-03-17T10:00:00+00:00", "2026-03-17T14:00:00Z"),
        ("b", "init", "2026-03-17T10:00:00.5+00:00", "2026-03-17T13:00:00+00:00"),
        ("c", "archived", "2026-03-17T09:00:00Z", "2026-03-17T15:30:00+02:00"),
        ("d", "running", "2026-03-17T08:00:00+00:00", "no time"),
        ("e", "evaluating", "2026-03-17T11:30:00+02:00", "2026-03-17T12:00:00+00:00"),
    ):
        create_session(hub, state, sid)
        file = hub.directory(sid) / "state.json"
        file.write_text(json.dumps(hub.state(sid) | {"created": created, "updated": updated}))
    return hub


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "abcde"),
        (["--sort", "id"], "abcde"),
        (["--sort=created"], "dceab"),
        (["--sort=updated"], "ebcad"),
        (["--sort=state"], "bdeac"),
        (["--reverse"], "edcba"),
        (["--sort=state", "--reverse"], "caedb"),
        (["--sort=created", "--no-sort"], "abcde"),
        (["--reverse", "--no-reverse"], "abcde"),
        (["-n", "2"], "ab"),
        (["-n2"], "ab"),
        (["--max-count=2", "--reverse"], "ed"),
        (["-n", "0"], ""),
        (["-n", "99"], "abcde"),
        (["--state", "init"], "b"),
        (["--state", "init", "--state=merged"], "ab"),
        (["--state", "merged", "--state", "archived", "--reverse", "-n1"], "c"),
    ],
)
def test_filters_and_sort_keys(five_sessions: Hub, arguments: list[str], expected: str) -> None:
    """Times are compared as times, not as texts. A session without a time comes last."""
    assert list_ids(five_sessions, *arguments) == list(expected)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--state", "done"], "not a state: 'done'"),
        (["--state"], "option '--state' requires a value"),
        (["--sort", "task"], "option '--sort' expects one of id, created, updated, state, not 'task'"),
        (["-n", "-1"], "not a number of sessions: '-1'"),
        (["-n", "two"], "not a number of sessions: 'two'"),
        (["-n", "٣"], "not a number of sessions: '٣'"),
        (["s1"], "too many arguments: 's1'"),
        (["--format=yaml"], "option '--format' expects one of text, json, porcelain, not 'yaml'"),
        (["-z", "--format=json"], "-z cannot be used with --format=json"),
    ],
)  # fmt: skip
def test_usage_errors(hub: Hub, arguments: list[str], error: str) -> None:
    result = hub.run("list", *arguments)
    message = json.loads(result.err)["error"]["message"] if result.err[0] == "{" else result.err
    assert (result.code, result.out) == (129, "")
    assert message.splitlines()[0] in (error, f"error: {error}")


def test_json_format(hub: Hub) -> None:
    create_agenthub_session(hub, "s1", "é \x1b")
    assert hub.run("list", "--format=json") == Result(
        0,
        '{\n  "version": 1,\n  "sessions": [\n    {\n      "session_id": "s1",\n      "state": "init",\n'
        '      "task": "\\u00e9 \\u001b",\n      "agents": 3,\n'
        f'      "created": "{CREATED}",\n      "updated": "{CREATED}",\n      "parent": null\n    }}\n  ]\n}}\n',
    )


def test_porcelain_format(hub: Hub) -> None:
    create_agenthub_session(hub, "s1", 'say "é"\tor\\two\nlines')
    create_agenthub_session(hub, "s2")
    times = f"created {CREATED}\nupdated {CREATED}\n"
    second = f"session_id s2\nstate init\ntask Make it fast\nagents 3\n{times}\n"
    assert hub.run("list", "--format=porcelain") == Result(
        0,
        "session_id s1\nstate init\n"
        'task "say \\"\\303\\251\\"\\tor\\\\two\\nlines"\n'
        f"agents 3\n{times}\n{second}",
    )
    raw = f'session_id s1\0state init\0task say "é"\tor\\two\nlines\0agents 3\0{times}\n{second}'
    expected = Result(0, raw.replace("\n", "\0").replace("two\0lines", "two\nlines"))
    assert hub.run("list", "-z") == expected
    assert hub.run("list", "-z", "--format", "porcelain") == expected


# Sessions that cannot be read

DEEP = 100_000


def create_unreadable_sessions(hub: Hub) -> dict[str, str]:
    """Create unreadable sessions of each kind. Return the reason of each id."""
    reasons: dict[str, str] = {}

    def state(sid: str, content: bytes, reason: str) -> None:
        create_session(hub, "init", sid)
        (hub.directory(sid) / "state.json").write_bytes(content)
        reasons[sid] = f"state.json: {reason}"

    def config(sid: str, content: bytes, reason: str) -> None:
        create_session(hub, "init", sid)
        (hub.directory(sid) / "config.yaml").write_bytes(content)
        reasons[sid] = f"config.yaml: {reason}"

    def special(sid: str, name: str) -> Path:
        create_session(hub, "init", sid)
        (hub.directory(sid) / name).unlink()
        reasons[sid] = f"{name}: not a regular file"
        return hub.directory(sid) / name

    no_value = "not valid JSON (Expecting value: line 1 column 1 (char 0))"
    state("s-array", b"[1]", "not an object")
    state("s-brace", b"{", "not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))")  # fmt: skip
    state("s-bom", b"\xef\xbb\xbf{}", "no state")
    state("s-deep", b"[" * DEEP, "nested too deeply")
    state(
        "s-deep2", b'{"state": "init", "x": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"
    )
    state("s-empty", b"", no_value)
    state("s-huge", b" " * (16 << 20) + b"{}", "larger than 16777216 bytes")
    state("s-inf", b'{"state": "init", "x": 1e999}', "not valid JSON (1e999 is out of range)")
    state("s-latin", b'{"state": "\xff"}', "not valid JSON ('utf-8' codec can't decode byte 0xff in position 11: invalid start byte)")  # fmt: skip
    state("s-list", b'{"state": ["x"]}', "unknown state: ['x']")
    state("s-nan", b'{"state": "init", "x": NaN}', "not valid JSON (NaN is not JSON)")
    state("s-none", b"{}", "no state")
    state("s-null", b'{"state": null}', "no state")
    state("s-number", b'{"state": 7}', "unknown state: 7")
    state("s-nul", b"\0" * 200, no_value)
    state("s-text", b'"init"', "not an object")
    state("s-unknown", b'{"state": "INIT\x7f"}', r"unknown state: 'INIT\x7f'")
    special("s-fifo", "state.json")
    os.mkfifo(hub.directory("s-fifo") / "state.json")
    special("s-directory", "state.json").mkdir()
    create_socket(special("s-socket", "state.json"))
    try:
        os.mknod(special("s-device", "state.json"), 0o20666, os.makedev(1, 5))
    except PermissionError:
        reasons["s-device"] = "state.json: missing"
    create_session(hub, "init", "s-missing")
    (hub.directory("s-missing") / "state.json").unlink()
    reasons["s-missing"] = "state.json: missing"

    config("c-array", b"- a\n", "not a mapping")
    config("c-bomb", b"a: &a [x, x]\nb: &b [*a, *a]\n", "aliases are not allowed")
    config("c-deep", b"[" * DEEP, "nested too deeply")
    config("c-empty", b"", "empty")
    config("c-huge", b"#" * ((1 << 20) + 1), "larger than 1048576 bytes")
    config("c-latin", b"task: \xff\n", "not UTF-8")
    config("c-yaml", b'task: "say "hi""\n', "not valid YAML (line 1)")
    os.mkfifo(special("c-fifo", "config.yaml"))
    create_session(hub, "init", "c-missing")
    (hub.directory("c-missing") / "config.yaml").unlink()
    reasons["c-missing"] = "config.yaml: missing"

    (hub.directory("d-empty")).mkdir()
    reasons["d-empty"] = "config.yaml: missing"
    (hub.directory("d link")).mkdir()
    reasons["d link"] = "the name is not a session id"
    return reasons


def test_unreadable_sessions_are_listed_with_the_others(hub: Hub) -> None:
    reasons = create_unreadable_sessions(hub)
    create_session(hub, "running", "a-good")
    create_session(hub, "merged", "z-good")
    (hub.directory("notes.txt")).write_text("a file, and no session\n")
    (hub.directory(".hidden")).mkdir()
    names = sorted([*reasons, "a-good", "z-good"])

    result = hub.run("list")
    assert (result.code, result.err) == (
        1,
        "".join(
            f"error: session '{sid}': {reasons[sid].replace(chr(127), '?')}\n"
            for sid in sorted(reasons)
        ),
    )
    rows = [line.split("  ")[0] for line in result.out.splitlines()[1:]]
    assert rows == names
    lines = {
        line.split("  ")[0]: line.split("  ", 1)[1].split() for line in result.out.splitlines()
    }
    assert lines["a-good"] == ["running", "3", "in", "the", "future", "Make", "it", "fast"]
    assert lines["s-nan"] == ["broken", "3", "?", "Make", "it", "fast"]
    assert lines["c-yaml"] == ["broken", "?", "?"]

    for format_ in ("json", "porcelain"):
        assert hub.run("list", f"--format={format_}", "-q").err == result.err
    listed = hub.json("list", code=1)["sessions"]
    assert {row["session_id"]: row.get("reason") for row in listed} == {
        **reasons,
        "a-good": None,
        "z-good": None,
    }
    assert {row["state"] for row in listed} == {"broken", "running", "merged"}
    assert list_ids(hub, "--state", "running") == ["a-good"]
    assert hub.run("list", "--sort=state", "-n2", "-q").code == 0


def test_unreadable_sessions_are_not_changed(hub: Hub) -> None:
    """`update` and `log` print the same reason and change nothing."""
    reasons = create_unreadable_sessions(hub)
    for sid in (
        "s-array",
        "s-deep2",
        "s-fifo",
        "s-inf",
        "s-unknown",
        "c-bomb",
        "c-fifo",
        "d-empty",
    ):
        repair = f"git hub-session doctor --fix {sid}"
        if not reasons[sid].startswith("state.json"):
            repair = f"fix the file in '{hub.directory(sid)}'"
        hint = f"hint: {repair}\nhint: git hub-session cleanup {sid}\n"
        error = f"fatal: session '{sid}': {reasons[sid].replace(chr(127), '?')}\n{hint}"
        expected = Result(128, "", error)
        assert hub.run("update", sid, "--state", "running") == expected
        assert hub.run("log", sid) == expected
        assert not [name for name in os.listdir(hub.directory(sid)) if name.endswith(".tmp")]


def test_other_files_and_keys_are_ignored(hub: Hub) -> None:
    """Unknown files in the directory and unusual values in state.json are no error."""
    directory = create_agenthub_session(hub, "s1")
    (directory / "notes").write_text("x")
    (directory / ".state.json.1.tmp").write_text("{")
    (directory / "state.json").write_text('{"state":"init","updated":7,"created":null,"agents":[]}')
    assert hub.run("list") == Result(
        0,
        "SESSION ID  STATE  AGENTS  UPDATED  TASK\ns1          init   3       ?        Make it fast\n",
    )


def test_thousands_of_sessions_are_read_in_parallel(hub: Hub) -> None:
    """Each session is listed once, in order. One of them cannot be read."""
    names = [f"s{number:04d}" for number in range(2100)]
    for sid in names:
        create_session(hub, "running", sid)
    (hub.directory("s0007") / "state.json").write_text("{")
    result = hub.run("list", "--format=json")
    rows = json.loads(result.out)["sessions"]
    assert result.code == 1
    assert [row["session_id"] for row in rows] == names
    assert [row["session_id"] for row in rows if row["state"] != "running"] == ["s0007"]


@types("git stash pop")
@pytest.mark.parametrize("is_packed", [False, True])
def test_hub_that_git_stash_removed(hub: Hub, is_packed: bool) -> None:
    """`git stash --all` removes the hub. The branches show that there were sessions."""
    hub.session("s1", agents=2)
    hub.session("s2", agents=1)
    hub.session("s3")
    listed = hub.run("list")
    if is_packed:
        hub.git("pack-refs", "--all")
    hub.git("stash", "--all", "--quiet")
    result = Result(
        1,
        "",
        "error: the hub has no sessions, but the repository has branches of 's1', 's2'\n"
        "hint: git stash pop\n",
    )
    assert hub.run("list") == hub.run("list", "-q") == result
    assert hub.json("list", code=1) == {"sessions": [], "missing": ["s1", "s2"]}
    assert hub.run("list", "--state", "merged") == hub.run("list", "-n", "0") == result
    findings = hub.json("doctor", code=1)["findings"]
    advice = {finding["code"]: finding["advice"] for finding in findings}
    assert advice == dict.fromkeys(
        ["branches-of-no-session", "worktree-of-no-session"], "git stash pop"
    )
    type_hint(hub, advice["branches-of-no-session"])
    assert hub.run("list") == listed
