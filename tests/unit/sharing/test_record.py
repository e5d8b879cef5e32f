"""A record has no path of a machine, and is hostile input."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_hub_session.sharing import record as record_module
from git_hub_session.sharing.record import (
    InvalidRecord,
    SharedPost,
    copy_name,
    original_name,
    parse_record,
    record_files,
)
from git_hub_session.sharing.session_values import clean_values
from git_hub_session.sharing.values import without_paths
from git_hub_session.system.json_file import encode_json
from tests.support.examples import many_examples
from tests.support.shared_records import CONFIG, OID, SID, config_text, post_bytes, record_file_sets

POST = "001-agent-1-20260317T143510Z.md"
CONFIG_YAML = "".join(f"{key}: {config_text(key, CONFIG)}\n" for key in CONFIG).encode()
STATE = {"format": 1, "session_id": "s1", "state": "running"}


def files(**state: object) -> dict[str, bytes]:
    return {"config.yaml": CONFIG_YAML, "state.json": encode_json({**STATE, **state})}


@many_examples(200)
@given(record_file_sets())
def test_a_record_is_the_same_after_it_was_written_and_read(received: dict[str, bytes]) -> None:
    record = parse_record(received, SID)
    assert parse_record(record_files(record), SID) == record


@many_examples(300)
@given(st.text(alphabet="/\\~.:' ab\"C", max_size=20))
def test_a_text_has_no_absolute_path(text: str) -> None:
    shorter = without_paths(text)
    assert without_paths(shorter) == shorter
    assert "/home" not in without_paths(f"/home/ada/{text}x")


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("cannot open '/home/ada/x/agent-1'", "cannot open 'agent-1'"),
        ("~/x/log and C:\\Users\\ada\\log", "log and log"),
        ("file:///tmp/x", "x"),
        ("1/2 ms, sub/file, https://host/x", "1/2 ms, sub/file, https://host/x"),
    ],
)
def test_only_absolute_paths_are_shortened(text: str, shorter: str) -> None:
    assert without_paths(text) == shorter


LOCAL = {
    "status": "running",
    "attempt": 2,
    "worktree": "/home/ada/p.hub/s1/agent-1",
    "rescue": ["refs/hub/rescue/s1/agent-1/attempt-1/1"],
    "work": {"attempt-1": "refs/heads/main"},
    "exec": {"run": "exec-2", "command": "/home/ada/secret.sh", "exit_code": 0},
    "attempts": {
        "attempt-1": {
            "status": "failed",
            "worktree": "/home/ada/p.hub/s1/agent-1",
            "exec": {"run": "../../x", "not_committed": "'/home/ada/p/x' is locked"},
        },
        "../x": {"status": "done"},
    },
    "starts": {"attempt-2": OID, "attempt-1": "main"},
    "secret": "x",
}


def test_the_values_of_one_machine_are_left_out() -> None:
    assert {
        name: json.loads(text)
        for name, text in clean_values({"agents": {"agent-1": LOCAL, "x": LOCAL}}).items()
    } == {
        "agent-1": {
            "status": "ready",
            "attempt": 2,
            "attempts": {
                "attempt-1": {"status": "failed", "exec": {"not_committed": "'x' is locked"}}
            },
            "starts": {"attempt-2": OID},
        }
    }


def test_unknown_and_local_parts_of_a_received_record_are_ignored() -> None:
    config = CONFIG_YAML + b"holdout: /home/ada/holdout\nother: 1\n"
    received = {
        **files(git_config={"core.hookspath": ["/tmp"]}, agents={"agent-1": LOCAL}, updated="x"),
        "config.yaml": config,
        "hooks/post-checkout": b"#!/bin/sh\n",
        "board/../../x.md": post_bytes("x"),
        f"board/.git/{POST}": post_bytes("x"),
        f"board/results/{POST}": post_bytes("x", session="s2"),
        "board/results/config.md": post_bytes("x"),
    }
    written = record_files(parse_record(received, SID))
    assert set(written) == {"config.yaml", "state.json"}
    assert b"/home" not in b"".join(written.values())
    assert b"/tmp" not in b"".join(written.values())
    assert b"rescue" not in written["state.json"]


def test_posts_with_one_name_are_both_kept() -> None:
    posts = tuple(SharedPost("results", POST, post_bytes(text)) for text in ("a", "b"))
    record = parse_record(files(), SID)._replace(posts=posts)
    written = record_files(record)
    assert len([path for path in written if path.startswith("board/results/001-agent-1")]) == 2
    assert parse_record(written, SID).posts == posts


def test_the_name_of_a_copy_has_the_original_name() -> None:
    assert copy_name(POST, b"x") == "001-agent-1~2d711642-20260317T143510Z.md"
    assert original_name(copy_name(POST, b"x")) == POST


@pytest.mark.parametrize(
    ("received", "message"),
    [
        ({}, "damaged: state.json: not valid JSON (Expecting value: line 1 column 1 (char 0))"),
        (files(format=2), "has the unknown format 2"),
        (files(format=True), "has no format"),
        (files(session_id="s2"), "belongs to another session"),
        (files(state="x"), "has an unknown state"),
        (files(state=["merged"]), "has an unknown state"),
        ({**files(), "config.yaml": b""}, "damaged: config.yaml: missing or too large"),
        ({**files(), "config.yaml": b"\xff"}, "damaged: config.yaml: not UTF-8"),
        ({**files(), "config.yaml": b"a: [" * 500}, "damaged: config.yaml: nested too deeply"),
        ({**files(), "state.json": b"[" * 10**5}, "damaged: state.json: nested too deeply"),
    ],
)
def test_an_invalid_record_is_refused(received: dict[str, bytes], message: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        parse_record(received, SID)
    assert message in caught.value.message


def test_a_large_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "MAX_RECORD_BYTES", 100)
    with pytest.raises(InvalidRecord) as caught:
        parse_record(files(), SID)
    assert caught.value.message == "the shared record of 's1' is too large"
