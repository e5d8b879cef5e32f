"""Answers on a narrow terminal: lines are broken between words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.hub import Hub
from tests.support.terminal import run_in_terminal

SID = "make-the-parser-of-the-configuration-fast"
TASK = "Make the parser of the configuration files much faster than the parser of last year"
_WHOLE = "git hub-session|^warning: "
COMMANDS = (
    ("init", "--dry-run", "--task", f"'{TASK}'"),
    ("status", SID),
    ("log", SID),
    ("log", "--evaluations", SID),
    ("show", SID, "agent-1"),
    ("board", "read", "progress"),
    ("cleanup", "--dry-run", SID),
    ("archive", "--dry-run", SID),
    ("merge", "--dry-run", SID),
    ("update", "--dry-run", SID, "--state", "archived"),
)


@pytest.fixture
def session(hub: Hub) -> Hub:
    """A session with a long id, a long task, a measured agent and a long post."""
    assert len(SID) == 41
    evaluation = ("--eval", "echo ms: 5", "--metric", "ms", "--direction", "lower")
    created = hub.run("init", "-q", "--id", SID, "--agents", "1", "--task", TASK, *evaluation)
    assert created.code == 0
    assert hub.run("spawn", "-q", SID).code == 0
    worktree = Path(hub.json("path", SID, "agent-1")["path"])
    hub.commit(worktree, "file", "x\n", message=TASK)
    assert hub.run("eval", "-q", SID).code == 0
    assert hub.run("board", "post", "progress", "--session", SID, "-m", TASK).code == 0
    (worktree / "notes").touch()
    return hub


@pytest.mark.parametrize("columns", [80, 40])
def test_only_a_word_is_wider_than_the_terminal(session: Hub, columns: int) -> None:
    """A path, a ref, a command or a message stays whole, so that the user can copy it."""
    for command in COMMANDS:
        shown = run_in_terminal(session, *command, "--color=always", columns=columns)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        wide = [line.strip() for line in lines if len(line) > columns]
        broken = [line for line in wide if " " in line and not re.search(_WHOLE, line)]
        assert (command, len(lines) > 1, broken) == (command, True, [])
    # In a pipe, each line is whole.
    assert f"  Task: {TASK}\n" in session.run("status", SID).out
