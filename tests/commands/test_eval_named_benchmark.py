"""The files of the base branch that an eval command names, in each way to name a file."""

from __future__ import annotations

import sys
from shlex import quote

import pytest

from tests.support.hub import Hub
from tests.support.measured_sessions import (
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

OPTIONS = ("--metric", "ms", "--direction", "lower")
FILES = {"bench/run.sh": "cat ../work", "bench/run.py": "print(open('work').read())"}


def create_session(hub: Hub, cheats: dict[str, str]) -> None:
    """Create a session with a benchmark. Both agents change `work`, agent-2 also other files."""
    for path, text in FILES.items():
        hub.commit(hub.top, path, f"{text}\n")
    create_measurable_session(hub, agents=2)
    for agent, text in ((1, "ms: 4\n"), (2, "ms: 6\n")):
        hub.commit(agent_worktree(hub, agent), "work", text)
    for path, text in cheats.items():
        hub.commit(agent_worktree(hub, 2), path, text)


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("cd bench && sh run.sh", "bench/run.sh"),
        ("cd bench; sh ./run.sh", "bench/run.sh"),
        ('cd bench; sh "$PWD"/run.sh', "bench/run.sh"),
        ('cd bench; sh "$(pwd)/run.sh"', "bench/run.sh"),
        (f"{quote(sys.executable)} -m bench.run", "bench/run.py"),
        (f"{quote(sys.executable)} $PWD/bench/run.py", "bench/run.py"),
    ],
)
def test_named_file_is_guarded(hub: Hub, command: str, path: str) -> None:
    """The file of the base branch measures the agent that changed it."""
    create_session(hub, {"bench/run.sh": "echo ms: 0\n", "bench/run.py": "print('ms: 0')\n"})
    result = hub.run("eval", "--eval", command, *OPTIONS, "s1")
    note = f"warning: '{path}' was measured as in the base branch, because the eval command names"
    assert (result.code, result.err.startswith(note)) == (0, True), result
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
    agents = hub.state()["agents"]
    assert [agents[name]["result"].get("guarded") for name in agents] == [None, [path]]


@pytest.mark.parametrize("command", ["echo $(cat work) ms", 'echo "$(cat work) ms" 2>&1'])
def test_file_that_is_only_read_is_not_guarded(hub: Hub, command: str) -> None:
    """The file is in the base branch too. Each agent is measured with its own file."""
    hub.commit(hub.top, "work", "ms: 9\n")
    create_session(hub, {})
    result = hub.run("eval", "--eval", command, *OPTIONS, "s1")
    assert (result.code, result.err) == (0, "")
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
