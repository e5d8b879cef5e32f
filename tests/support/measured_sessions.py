"""Sessions whose agents have committed a metric."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.hub import Hub, wait_for

MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")


def create_measurable_session(hub: Hub, *metrics: str, agents: int = 0, sid: str = "s1") -> Hub:
    """Create the running session `sid` in which each agent has committed its metric."""
    hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", str(agents or len(metrics)))
    hub.run("spawn", "-q", sid)
    for number, metric in enumerate(metrics, start=1):
        hub.commit(agent_worktree(hub, number, sid), "ms", metric)
    return hub


def agent_worktree(hub: Hub, agent: int, sid: str = "s1") -> Path:
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def recorded_ranks(hub: Hub, sid: str = "s1") -> dict[str, tuple[int, float | None, str]]:
    """Return {agent: (rank, metric, reason)} from state.json."""
    return {
        name: (agent["result"]["rank"], agent["result"]["metric"], agent["result"]["reason"])
        for name, agent in hub.state(sid)["agents"].items()
        if agent.get("result")
    }


def count_worktrees(hub: Hub) -> int:
    """Return the number of worktrees of the repository."""
    return len(hub.git("worktree", "list").splitlines())


@contextmanager
def running_evaluation(hub: Hub, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start an evaluation. Yield its process, and the id of the command that it waits for."""
    pid = hub.top.parent / "pid"
    command = f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 600"
    with subprocess.Popen(
        ["git-hub-session", "eval", "-q", *MEASURE, *options, "--eval", command, "s1"],
        cwd=hub.top,
        env=hub.environ,
    ) as process:
        wait_for(pid.exists, process)
        command_pid = int(pid.read_text())
        try:
            yield process, command_pid
        finally:
            process.kill()
            os.kill(command_pid, signal.SIGKILL)
            wait_for(lambda: not Path(f"/proc/{command_pid}").exists())
