"""The work of a command grows linearly with the number of agents: its function calls are counted.

`exec` is not measured: it writes state.json, with all agents, when each agent starts and ends. This takes
10 µs for each agent in the file, and the shortest command takes 10 ms. `exec` also reads the environment of
all processes of the machine for each agent.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.calls import assert_linear, count_calls
from tests.support.hub import Hub
from tests.support.measured_sessions import agent_worktree

STEP = 8
EVAL = ("eval", "-q", "--eval", "cat ms", "--metric", "ms", "--direction", "lower")


def commands(tmp_path: Path) -> tuple[tuple[str, ...], ...]:
    """Return the measured commands. Those that measure come before those that need a winner."""
    return (
        ("status", "s1"),
        ("status", "--format=json", "s1"),
        (*EVAL, "--in-place", "s1"),
        (*EVAL, "s1"),
        ("merge", "-n", "s1"),
        ("log", "--graph", "s1"),
        ("report", "-o", str(tmp_path / "report.html"), "s1"),
        ("cleanup", "-n", "s1"),
        ("archive", "-n", "s1"),
        ("doctor", "s1"),
    )


@pytest.mark.slow
def test_calls_grow_linearly(hub: Hub, tmp_path: Path) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", str(3 * STEP))
    session = hub.top / ".agenthub" / "sessions" / "s1"
    counts: dict[tuple[str, ...], list[int]] = {}
    for size in range(3):
        agents = range(STEP * size + 1, STEP * (size + 1) + 1)
        hub.run("spawn", "-q", "--only", f"{agents[0]}-{agents[-1]}", "s1")
        for agent in agents:
            hub.commit(agent_worktree(hub, agent), "ms", f"ms: {agent}\n")
        before = shutil.copytree(session, tmp_path / f"before-{size}")
        for command in commands(tmp_path):
            counts.setdefault(command, []).append(count_calls(hub, *command))
        shutil.rmtree(session)
        shutil.copytree(before, session)
    for command, values in counts.items():
        assert_linear(" ".join(command), values)
