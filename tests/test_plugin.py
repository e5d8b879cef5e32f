"""The plugin for Claude Code: its manifest, and the command lines of its slash commands."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml

from git_hub_session import __version__
from git_hub_session.cli.parser import parse_arguments
from tests.support.command_usage import usage_of
from tests.support.hub import CHECKOUT

PLUGIN = CHECKOUT / "git_hub_session" / "plugin"
NAMES = ("board", "eval", "init", "merge", "run", "spawn", "status")
VALUES = {
    "channel": "results",
    "direction": "lower",
    "id": "s1",
    "number": "2",
    "post": "results/001",
}


def test_manifest() -> None:
    manifest = json.loads((PLUGIN / ".claude-plugin" / "plugin.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("hub", __version__)
    assert sorted(path.stem for path in (PLUGIN / "commands").iterdir()) == [*NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_each_command_line_parses(name: str) -> None:
    head, text = (PLUGIN / "commands" / f"{name}.md").read_text().split("\n---\n")
    assert [*yaml.safe_load(head.removeprefix("---\n"))] == ["description", "argument-hint"]
    assert text.count("$ARGUMENTS") == 1
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines
    commands = set()
    for line in lines:
        filled = re.sub(r"<(\w+)>", lambda match: VALUES.get(match[1], "word"), line)
        git, hub_session, command, *words = shlex.split(filled)
        assert (git, hub_session) == ("git", "hub-session")
        parse_arguments(usage_of(command), words)
        commands.add(command)
    assert name in commands
    # The user's values are data: `$ARGUMENTS` is never a part of a command line.
    assert "$" not in "".join(lines)
