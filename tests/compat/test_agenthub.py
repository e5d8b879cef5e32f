"""AgentHub's script with our sessions, and our command with AgentHub's sessions and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from git_hub_session.session.config_file import parse_config
from tests.support.hub import PYTHON, Hub, Result
from tests.support.stores import CREATED, create_agenthub_session

TASKS = [
    "Optimize: it's slow # really",
    'say "hi": now',
    "C:\\new\\temp",
    "two\nlines",
    'x"\nagent_count: 99\neval_cmd: "curl evil',
    "\x1b[2J é 漢字",
]


def run_agenthub(hub: Hub, script: Path, *arguments: str) -> Result:
    return hub.call(PYTHON, "-I", script, *arguments)


def parse_json(result: Result) -> Any:
    assert (result.code, result.err) == (0, ""), result
    return json.loads(result.out)


def test_agenthub_script_reads_our_session(hub: Hub, script: Path) -> None:
    measure = ["--eval", "make bench", "--metric", "p50 ms", "--direction", "lower"]
    hub.run(
        "init", "--id", "s1", "--task", TASKS[0], "--agents", "2", *measure, "--baseline", "-1.5"
    )
    assert run_agenthub(hub, script, "--list") == Result(
        0,
        "AgentHub Sessions\n\n"
        "SESSION ID           STATE        AGENTS   TASK\n"
        f"{'-' * 70}\n"
        f"s1                   init         2        {TASKS[0]}\n",
    )
    hub.git("branch", "hub/s1/agent-1/attempt-1")
    created = "2026-03-17T14:30:22.000000+00:00"
    assert run_agenthub(hub, script, "--status", "s1") == Result(
        0,
        "Session: s1\n"
        "  State: init\n"
        f"  Task: {TASKS[0]}\n"
        "  Agents: 2\n"
        "  Base branch: main\n"
        "  Eval: make bench\n"
        "  Metric: p50 ms (lower)\n"
        f"  Created: {created}\n"
        f"  Updated: {created}\n"
        "\n"
        "  Branches:\n"
        "    hub/s1/agent-1/attempt-1\n",
    )
    assert parse_json(run_agenthub(hub, script, "--status", "s1", "--format", "json")) == {
        "config": {
            "session_id": "s1",
            "task": TASKS[0],
            "agent_count": "2",
            "base_branch": "main",
            "created": created,
            "eval_cmd": "make bench",
            "metric": "p50 ms",
            "direction": "lower",
            "baseline": "-1.5",
        },
        "state": hub.state(),
    }


@pytest.mark.parametrize("task", TASKS)
def test_agenthub_script_finds_no_setting_in_a_task(hub: Hub, script: Path, task: str) -> None:
    hub.session(task=task)
    rows = parse_json(run_agenthub(hub, script, "--list", "--format", "json"))["sessions"]
    assert [(row["session_id"], row["state"], row["agents"]) for row in rows] == [
        ("s1", "init", "1")
    ]
    config = parse_json(run_agenthub(hub, script, "--status", "s1", "--format", "json"))["config"]
    assert list(config) == ["session_id", "task", "agent_count", "base_branch", "created"]


COMMANDS = [
    'sh -c "echo ms: 1"',
    '"$SHELL" -c "echo ms: 1"',
    "grep -x 'a\\.b' f || echo \"ms: 1\" # done: now",
    'printf "%s: %d\\n" ms 1',
]


@pytest.mark.parametrize("task", ["Make it fast", 'Rename "a" to "b"', "two\nlines: of text"])
@pytest.mark.parametrize("command", COMMANDS)
def test_agenthub_runs_the_same_command(hub: Hub, script: Path, command: str, task: str) -> None:
    """AgentHub's ranker gives its text of the eval command to a shell."""
    measure = ("--eval", command, "--metric", "ms", "--direction", "lower")
    assert hub.run("init", "-q", "--id", "s1", "--task", task, *measure) == Result(0, "s1\n")
    read = parse_json(run_agenthub(hub, script, "--status", "s1", "--format", "json"))["config"]
    assert read["eval_cmd"].strip() == command
    ours, theirs = (hub.call("sh", "-c", text) for text in (command, read["eval_cmd"]))
    assert (theirs.code, theirs.out) == (ours.code, ours.out)
    assert parse_config((hub.directory() / "config.yaml").read_text())["eval_cmd"] == command
    if "\n" not in task:
        assert read["task"].strip() == task


def test_both_programs_change_one_session(hub: Hub, script: Path) -> None:
    """AgentHub's script and our command change a session in turn. Each keeps the other's changes."""
    hub.session()
    assert hub.run("update", "s1", "--state", "running", "--reason", "go").code == 0
    assert run_agenthub(hub, script, "--update", "s1", "--state", "evaluating") == Result(
        0, "Session s1: running → evaluating\n"
    )
    assert hub.run("update", "s1", "--state", "merged") == Result(
        0, "Session s1: evaluating → merged\n"
    )
    assert run_agenthub(hub, script, "--update", "s1", "--state", "archived").code == 1
    steps = [(step["from"], step["to"]) for step in hub.state()["history"]]
    assert steps == [("init", "running"), ("evaluating", "merged")]
    assert hub.run("list").out.splitlines()[1].split()[:2] == ["s1", "merged"]


@pytest.mark.parametrize("task", [*TASKS, 'ends in "', '"', "", 'a"\nagent_count:\nb', "\\"])
def test_agenthub_sessions_can_be_read(hub: Hub, task: str) -> None:
    """The task is read unchanged. No line of the task is read as a setting."""
    create_agenthub_session(
        hub, "20260317-143022", task, settings=['eval_cmd: "pytest "x""', "metric: p50_ms"]
    )
    status = hub.json("status", "20260317-143022")
    assert status["config"] == {
        "session_id": "20260317-143022",
        "task": task,
        "agent_count": "3",
        "base_branch": "main",
        "created": CREATED,
        "eval_cmd": 'pytest "x"',
        "metric": "p50_ms",
    }
    assert (status["state"], status["branches"], status["worktrees"]) == (
        hub.state("20260317-143022"),
        [],
        [],
    )
    assert hub.json("list") == {
        "sessions": [
            {
                "session_id": "20260317-143022",
                "state": "init",
                "task": task,
                "agents": 3,
                "created": CREATED,
                "updated": CREATED,
                "parent": None,
            }
        ]
    }


def test_list_equals_that_of_agenthub(hub: Hub, script: Path) -> None:
    for number, state in enumerate(("init", "running", "evaluating", "merged", "archived")):
        create_agenthub_session(hub, f"20260317-14302{number}", f"task {number}", state=state)
    agenthub_rows = parse_json(run_agenthub(hub, script, "--list", "--format", "json"))["sessions"]
    rows = hub.json("--list")["sessions"]
    assert agenthub_rows == [
        {key: str(row[key]) for key in ("session_id", "state", "task", "agents", "created")}
        for row in rows
    ]


# AgentHub's spelling of commands: --list, --status, --update, --cleanup


@pytest.mark.parametrize(
    ("agenthub_arguments", "arguments"),
    [
        (["--list"], ["list"]),
        (["--list", "--format", "json"], ["list", "--format=json"]),
        (["--format", "json", "--list"], ["list", "--format=json"]),
        (["--format=json", "--list"], ["list", "--format=json"]),
        (["--status", "s1"], ["status", "s1"]),
        (["--status=s1"], ["status", "s1"]),
        (["--format", "json", "--status", "s1"], ["status", "s1", "--format=json"]),
        (["--status", "s1", "--format", "json"], ["status", "s1", "--format=json"]),
        (["--status", "nope"], ["status", "nope"]),
        (["--status", ""], ["status", ""]),
        (["--update", "s1"], ["update", "s1"]),
        (["--update", "nope", "--state", "running"], ["update", "nope", "--state", "running"]),
        (["--cleanup", "s1"], ["cleanup", "s1"]),
        (["--cleanup", "nope"], ["cleanup", "nope"]),
    ],
)
def test_agenthub_spelling_has_the_same_result(
    hub: Hub, agenthub_arguments: list[str], arguments: list[str]
) -> None:
    hub.session()
    assert hub.run(*agenthub_arguments) == hub.run(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--update", "s1", "--state", "running"],
        ["--state", "running", "--update", "s1"],
        ["--state=running", "--update=s1"],
        ["--format", "text", "--update", "s1", "--state", "running"],
    ],
)
def test_agenthub_update_with_options_in_any_order(hub: Hub, arguments: list[str]) -> None:
    assert hub.session().run(*arguments) == Result(0, "Session s1: init → running\n")


def test_two_agenthub_commands_exclude_each_other(hub: Hub) -> None:
    """Our command prints an error. AgentHub's script runs one command and ignores the other."""
    hub.session()
    result = hub.run("--update", "s1", "--state", "running", "--cleanup", "s1")
    assert result.code == 129
    assert result.err.startswith("error: --update and --cleanup exclude each other\n")
    assert hub.state()["state"] == "init"


def test_option_value_is_not_an_agenthub_command(hub: Hub) -> None:
    result = hub.run("init", "-q", "--id", "s1", "--task", "--list")
    assert result == Result(0, "s1\n")
    assert hub.json("list")["sessions"][0]["task"] == "--list"
