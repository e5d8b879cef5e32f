"""The work of a command grows linearly with the number of sessions: its function calls are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.calls import assert_linear, count_calls
from tests.support.hub import Hub
from tests.support.stores import create_agenthub_session

STEP = 40


def create_sessions(hub: Hub, first: int, last: int, state: str) -> None:
    """Write finished or running sessions of three agents, and their packed refs."""
    tip = hub.git("rev-parse", "main")
    lines = []
    for number in range(first, last):
        sid = f"s{number:04}"
        create_agenthub_session(hub, sid, state=state)
        for agent in (1, 2, 3):
            if state == "archived":
                lines.append(f"{tip} refs/hub/archive/{sid}/agent-{agent}/attempt-1/1")
                lines.append(f"{tip} refs/hub/rescue/{sid}/agent-{agent}/attempt-1/1")
                lines.append(f"{tip} refs/tags/hub/archive/{sid}/agent-{agent}")
            else:
                lines.append(f"{tip} refs/heads/hub/{sid}/agent-{agent}/attempt-1")
    packed = hub.top / ".git" / "packed-refs"
    known = packed.read_text().splitlines()[1:] if packed.exists() else []
    lines = sorted([*known, *lines], key=lambda line: line.split()[1])
    text = "\n".join(["# pack-refs with: peeled fully-peeled sorted ", *lines, ""])
    packed.write_text(text)


@pytest.mark.parametrize("state", ["archived", "running"])
def test_calls_grow_linearly(hub: Hub, tmp_path: Path, state: str) -> None:
    hub.git("init", "-q", "--bare", tmp_path / "empty.git")
    commands = (
        ("doctor",),
        ("list",),
        ("prune", "-n", "--older-than", "1s"),
        ("cleanup", "--finished", "-n"),
        ("report", "--all", "-o", str(tmp_path / "report.html")),
        ("push", "-n", str(tmp_path / "empty.git")),
    )
    counts: dict[str, list[int]] = {command[0]: [] for command in commands}
    for size in range(3):
        create_sessions(hub, STEP * size, STEP * (size + 1), state)
        for command in commands:
            counts[command[0]].append(count_calls(hub, *command))
    for name, values in counts.items():
        assert_linear(name, values)
