"""A batch system ends all processes of a job at the same time: the command is interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.hub import Hub, is_alive, wait_for
from tests.support.workers import finish, start_command


@pytest.mark.parametrize("stops", [False, True])
def test_a_command_that_ends_before_exec_gets_the_signal(
    hub: Hub, tmp_path: Path, stops: bool
) -> None:
    """With `stops`, exec finds the end of the command and the signal at the same time."""
    hub.session("s1", agents=1)
    hub.run("spawn", "-q", "s1")
    pid_file = tmp_path / "pid"
    script = f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {pid_file}; exec sleep 600"
    process = start_command(hub, "exec", "s1", "--", "sh", "-c", script)
    wait_for(pid_file.exists, process)
    command = int(pid_file.read_text())
    if stops:
        os.kill(process.pid, signal.SIGSTOP)
    os.kill(command, signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    assert finish(process).code == -signal.SIGTERM
    assert not is_alive(command)
    agent = hub.state()["agents"]["agent-1"]
    assert agent["exec"]["cut_off"] == "interrupted"
    assert "interrupted" in hub.run("status", "s1").out
