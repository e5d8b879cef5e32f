"""The tables of docs/agenthub.md: every option of AgentHub's scripts, and commands that work."""

from __future__ import annotations

import re

import pytest

from git_hub_session.cli.options import Arguments, Usage
from git_hub_session.cli.parser import parse_arguments
from git_hub_session.commands import COMMANDS
from tests.support.command_usage import usage_of
from tests.support.hub import CHECKOUT, Hub, Result

DOCUMENT = (CHECKOUT / "docs" / "agenthub.md").read_text()
# The options of AgentHub 2.1.2.
SCRIPTS = {
    "hub_init.py": "task agents eval metric direction base-branch format demo",
    "board_manager.py": "list read post channel author message thread format demo",
    "dag_analyzer.py": "status session frontier graph format demo",
    "result_ranker.py": "session eval-cmd metric direction baseline diff-summary format demo",
    "session_manager.py": "list status update state cleanup format demo",
}
COMMANDS_OF_SCRIPTS = {
    "hub_init.py": "init",
    "board_manager.py": "board",
    "result_ranker.py": "eval",
}
VALUES = {
    "agent": "agent-1",
    "branch": "main",
    "channel": "results",
    "command": "cat file",
    "direction": "lower",
    "id": "s1",
    "list": "1",
    "name": "ms",
    "number": "1",
    "post": "results/001",
    "state": "archived",
    "task": "Make it fast",
    "text": "done",
    "value": "9",
}


def section(title: str) -> str:
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[tuple[str, str]]:
    """Return the calls and the commands of a table."""
    return re.findall(r"^\| `(--.*)` \| `(.*)` \|$", section(title), re.MULTILINE)


def split_line(line: str) -> list[str]:
    """Return the words of a line, with the values."""
    return [VALUES[word[1:-1]] if word.startswith("<") else word for word in line.split()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_table_has_every_option_of_the_script(script: str) -> None:
    calls = " ".join(call for call, _ in rows(script))
    assert {*re.findall(r"--([a-z-]+)", calls)} == {*SCRIPTS[script].split()}
    table = [line for line in section(script).splitlines() if line.startswith("|")]
    assert len(rows(script)) == len(table) - 2  # the head


def test_every_named_command_and_option_exists() -> None:
    """The commands of the tables, and those in the sentences."""
    lines = [line for line in re.findall(r"`([^`]+)`", DOCUMENT) if line.split()[0] in COMMANDS]
    assert len(lines) > 40
    for line in lines:
        command, *words = split_line(line)
        parse_arguments(usage_of(command), words)


def test_every_command_of_the_tables_works(hub: Hub) -> None:
    measure = ("--eval", "echo ms: 7", "--metric", "ms", "--direction", "lower")
    words = ("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1", *measure)
    assert hub.run(*words).code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    agent = ("exec", "-q", "s1", "--", "sh", "-c", "echo ms: 7 >file; git commit -qam work")
    assert hub.run(*agent).code == 0
    commands = [split_line(command) for script in SCRIPTS for _, command in rows(script)]
    results = [(words, hub.run(*words)) for words in commands if words != ["demo"]]
    assert [(words, result) for words, result in results if result.code != 0] == []
    assert hub.state()["state"] == "archived"
    assert hub.worktree(1).exists() is False


def test_options_of_session_manager_are_accepted(hub: Hub) -> None:
    hub.session()
    for call, command in rows("session_manager.py"):
        if call != "--demo" and "archived" not in split_line(call):
            assert hub.run(*split_line(call)) == hub.run(*split_line(command)), call


@pytest.mark.parametrize(("script", "name"), [*COMMANDS_OF_SCRIPTS.items()])
def test_options_of_the_scripts_are_accepted(script: str, name: str) -> None:
    """`board --read results` is parsed as `board read results`, and so on."""
    for call, command in rows(script):
        words = split_line(command)
        if words[0] != name or "--diff-summary" in call:
            continue
        usage = usage_of(name)
        old, new = parse_arguments(usage, split_line(call)), parse_arguments(usage, words[1:])
        assert (old.arguments, options_of(old, usage)) == (
            new.arguments,
            options_of(new, usage),
        ), call


def options_of(args: Arguments, usage: Usage) -> dict[str, object]:
    """Return the given options with their values."""
    names = [option.name for option in usage.options if args.has(option.name)]
    return {name: (args.value(name), args.values(name), args.is_set(name)) for name in names}


def test_calls_of_the_scripts_have_the_same_output(hub: Hub) -> None:
    hub.session(agents=1)
    post = ("--channel", "results", "--author", "agent-1", "--message", "done", "--post")
    assert hub.run("board", *post) == Result(0, "Posted results/001-agent-1-20260317T143022Z\n")
    assert hub.run("board", "--thread", "results/001", "--message", "more").code == 0
    for old, new in {
        "board --list": "board list",
        "board --read results": "board read results",
        "board --read=results --limit 1": "board read results --max-count 1",
        "status --session s1": "status s1",
        "--status --session s1": "status s1",
        "log --graph --session s1": "log --graph s1",
        "log --frontier --session s1": "log --frontier s1",
        "list --limit 1": "list -n 1",
        "diff --session s1 --diff-summary agent-1": "diff --stat s1 agent-1",
        "eval --session s1 --eval-cmd true --metric ms --direction lower -n": (
            "eval s1 --eval true --metric ms --direction lower -n"
        ),
    }.items():
        assert hub.run(*old.split()) == hub.run(*new.split()), old


def test_every_slash_command_has_commands() -> None:
    table = dict(
        re.findall(r"^\| `(/hub:[a-z]+)` \| (.*) \|$", section("Slash commands"), re.MULTILINE)
    )
    names = ("init", "spawn", "run", "status", "eval", "merge", "board")
    assert [*table] == [f"/hub:{name}" for name in names]
    named = {name for cell in table.values() for name in re.findall(r"`([a-z]+)`", cell)}
    assert named <= {*COMMANDS}
