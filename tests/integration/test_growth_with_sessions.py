"""The work of a command grows linearly with the number of sessions: its function calls are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, Hub
from tests.support.stores import create_agenthub_session

STEP = 40
COUNT = f"""
import cProfile, pstats, sys
sys.path.insert(0, {str(CHECKOUT)!r})
from git_hub_session.main import main
profile = cProfile.Profile()
profile.enable()
code = main()
profile.disable()
assert code in (0, 1), code
print(pstats.Stats(profile).total_calls, file=sys.stderr)
"""


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
            result = hub.call(sys.executable, "-c", COUNT, *command)
            counts[command[0]].append(int(result.err.splitlines()[-1]))
    for name, (first, second, third) in counts.items():
        # With quadratic growth, the second step would be 1.67 times as large as the first one.
        assert third - second < 1.2 * (second - first), (name, first, second, third)
