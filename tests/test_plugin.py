"""The plugin for Claude Code and Codex: its manifests, and the command lines of its skills."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from git_hub_session import __version__
from git_hub_session.cli.parser import parse_arguments
from tests.support.command_usage import usage_of
from tests.support.hub import CHECKOUT

PLUGIN = CHECKOUT / "git_hub_session" / "plugin"
NAMES = ("board", "eval", "init", "merge", "run", "spawn", "status")
SKILLS = ("agent-worktree", "tournament")
VALUES = {
    "channel": "results",
    "direction": "lower",
    "id": "s1",
    "number": "2",
    "post": "results/001",
}


def test_manifests() -> None:
    """The directory is also a marketplace, which has the plugin."""
    manifest, marketplace = (
        json.loads((PLUGIN / ".claude-plugin" / name).read_text())
        for name in ("plugin.json", "marketplace.json")
    )
    assert (manifest["name"], manifest["version"]) == ("hub", __version__)
    assert marketplace["name"] == "git-hub-session"
    [entry] = marketplace["plugins"]
    assert entry == {key: manifest.get(key, "./") for key in ("name", "source", "description")}
    assert sorted(path.name for path in (PLUGIN / "skills").iterdir()) == sorted(NAMES + SKILLS)


def read_text(path: Path) -> tuple[dict[str, str], str]:
    """Return the fields at the start of a file for Claude Code, and its text."""
    head, text = path.read_text().split("\n---\n")
    return yaml.safe_load(head.removeprefix("---\n")), text


def commands_in(text: str) -> set[str]:
    """Parse the command lines of a text, and return the names of the commands."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines
    # The user's values are data, and never a part of a command line.
    assert "$" not in "".join(lines)
    return {_parse_line(line) for line in lines}


def _parse_line(line: str) -> str:
    filled = re.sub(r"<(\w+)>", lambda match: VALUES.get(match[1], "word"), line)
    git, hub_session, command, *words = shlex.split(filled)
    assert (git, hub_session) == ("git", "hub-session")
    parse_arguments(usage_of(command), words)
    return command


@pytest.mark.parametrize("name", NAMES)
def test_each_slash_command(name: str) -> None:
    """A slash command is a skill that only the user starts."""
    fields, text = read_text(PLUGIN / "skills" / name / "SKILL.md")
    assert [*fields] == ["name", "description", "disable-model-invocation", "argument-hint"]
    assert fields["name"] == name
    assert fields["description"].endswith(f". Use when the user names hub:{name}.")
    assert name in commands_in(text)


@pytest.mark.parametrize("name", SKILLS)
def test_each_skill(name: str) -> None:
    """The name is that of the directory, and the description says when to use the skill."""
    fields, text = read_text(PLUGIN / "skills" / name / "SKILL.md")
    assert ([*fields], fields["name"]) == (["name", "description"], name)
    assert "Use when" in fields["description"]
    assert len(fields["description"]) <= 1024
    assert commands_in(text)
