"""Worktrees of agents whose command is running, also after `exec` was killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cleanup import kept, removed, shown_path
from tests.support.evaluated_sessions import agent_worktree
from tests.support.hints import type_hint, types
from tests.support.hub import Hub, Result, is_alive, process_in, wait_for


@pytest.fixture
def running_session(hub: Hub) -> Hub:
    """Return a hub with a running session of two agents."""
    hub.session("s1", agents=2)
    hub.run("update", "s1", "--state", "running")
    return hub


@contextmanager
def running_exec(
    hub: Hub, script: str, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a script for agents, and yield the process of `exec` and the id of the first command."""
    command = ["git-hub-session", "exec", *arguments, "s1", "--", "sh", "-c", f"echo $$; {script}"]
    environ = {**hub.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=hub.top, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline().rpartition(" ")[2])
        try:
            yield process, pid
        finally:
            process.kill()
            os.kill(pid, signal.SIGKILL)


@contextmanager
def killed_exec(hub: Hub, script: str, *arguments: str) -> Iterator[int]:
    """Run a script for agents, kill `exec`, and yield the id of the first command."""
    with running_exec(hub, script, *arguments) as (process, pid):
        process.kill()
        process.wait()
        yield pid


FORCE = "wait for it to end\ngit hub-session cleanup --force s1"


def test_command_in_another_directory(running_session: Hub) -> None:
    """The command has left the worktree. Only the active run shows that it is in use."""
    hub = running_session
    with running_exec(hub, "cd /; exec sleep 300", "--agents=1") as (process, pid):
        wait_for(lambda: os.readlink(f"/proc/{pid}/cwd") == "/", process)
        expected = kept(hub.worktree(1), "exec-1 is running", FORCE)
        for arguments in (["-n"], []):
            result = hub.run("cleanup", *arguments, "s1")
            assert expected.out.splitlines()[0] in result.out
            assert "  exec-1 is running\n" in result.out
            assert result.code == 1
        assert hub.worktree(1).exists()
        assert not hub.worktree(2).exists()
        archive = hub.run("archive", "s1")
        assert archive.code == 1
        assert "  exec-1 is running\n" in archive.out + archive.err
        assert hub.state()["state"] == "running"
        assert hub.run("cleanup", "--force", "s1") == removed(hub.worktree(1))


def test_agent_that_waits_for_another(running_session: Hub) -> None:
    """The command of agent-2 starts later, in its worktree."""
    hub = running_session
    with running_exec(hub, "cd /; exec sleep 300", "-j1"):
        result = hub.run("cleanup", "s1")
        assert result.code == 1
        assert result.out.count("  exec-1 is running\n") == 2


def test_command_of_an_unreadable_session(running_session: Hub) -> None:
    """Without state.json, each agent may be the one that is running."""
    hub = running_session
    with running_exec(hub, "cd /; exec sleep 300", "--agents=1"):
        (hub.directory() / "state.json").write_text("{")
        result = hub.run("cleanup", "s1")
        assert result.code == 1
        assert result.out.count("  exec-1 is running\n") == 2
        assert hub.worktree(1).exists()


@types("kill {}")
def test_exec_after_a_killed_exec(running_session: Hub) -> None:
    """No second command starts beside the first one. Other agents run. The hint ends the first."""
    hub = running_session
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1") as pid:
        processes = f"still running: process {pid} (sleep) of exec-1, which has ended"
        result = hub.run("exec", "-q", "--agents=1", "s1", "--", "touch", "second")
        assert result == Result(
            1, "", f"error: '{hub.worktree(1)}': {processes}\nhint: kill {pid}\n"
        )
        result = hub.run("exec", "s1", "--", "touch", "second")
        assert result.code == 1
        assert processes in result.out + result.err
        assert not (hub.worktree(1) / "second").exists()
        assert (hub.worktree(2) / "second").exists()
        assert hub.run("exec", "-q", "--force", "--agents=1", "s1", "--", "true").code == 1
        status = hub.json("status", "s1")
        assert [agent["status"] for agent in status["agents"]] == ["running", "done"]
        type_hint(hub, f"kill {pid}")
        wait_for(lambda: not is_alive(pid))
        assert hub.run("exec", "-q", "--agents=1", "s1", "--", "true") == Result(0)


@pytest.mark.parametrize("command", ["eval --ranking 1", "merge --yes --agent 1", "adopt agent-1"])
def test_other_commands_after_a_killed_exec(running_session: Hub, command: str) -> None:
    """Each command refuses to work on an agent that is still running."""
    hub = running_session
    verb, *options = command.split()
    for number in (1, 2):
        hub.commit(hub.worktree(number), "new", f"{number}\n")
    assert hub.run("eval", "-q", "--ranking", "1,2", "s1").code == 0
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1") as pid:
        words = [verb, "s1", *options] if verb == "adopt" else [verb, *options, "s1"]
        result = hub.run(*words)
        assert result.code == 1, result
        assert result.err == (
            f"error: agent-1 is still running: process {pid} (sleep) of exec-1, which has ended\n"
            f"hint: kill {pid}\n"
        )


def test_cleanup_after_a_killed_exec(running_session: Hub) -> None:
    hub = running_session
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1") as pid:
        result = hub.run("cleanup", "s1")
        assert result.code == 1
        assert f"  in use by process {pid} (sleep) of exec-1, which has ended\n" in result.out
        assert f"agent-1: kept {shown_path(hub.worktree(1))}\n" in result.out
        assert hub.worktree(1).exists()
        assert not hub.worktree(2).exists()


def test_cleanup_after_a_killed_exec_whose_logs_are_deleted(running_session: Hub) -> None:
    hub = running_session
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1") as pid:
        shutil.rmtree(hub.directory() / "output")
        result = hub.run("cleanup", "s1")
        assert (result.code, result.err) == (1, "")
        assert f"  in use by process {pid} (sleep) of exec-1, which has ended\n" in result.out
        assert hub.worktree(1).exists()
        assert not hub.worktree(2).exists()


def test_doctor_after_a_killed_exec(running_session: Hub) -> None:
    """While a process of the run is left, the run is no finding."""
    hub = running_session
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1"):
        assert hub.json("doctor", "s1")["findings"] == []
    assert [finding["code"] for finding in hub.json("doctor", "s1", code=1)["findings"]] == [
        "agent-cut-off"
    ]


def test_doctor_after_a_killed_exec_of_an_earlier_attempt(hub: Hub) -> None:
    """`spawn --retry` keeps the status of the attempt that the killed `exec` worked for."""
    assert hub.run("init", "-q", "--id=s1", "--task=t", "--agents=1").code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1"):
        assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
        assert hub.json("doctor", "s1")["findings"] == []
    with process_in(agent_worktree(hub, 1)):
        assert hub.json("doctor", "s1")["findings"] == []
    tenth = hub.spawn("s1", 1, attempt=10)  # its branch begins with the name of the first one
    with process_in(tenth):
        [finding] = hub.json("doctor", "s1", code=1)["findings"]
        assert finding["subject"] == "s1 agent-1/attempt-1"
    hub.git("worktree", "remove", tenth)
    hub.git("branch", "-q", "-D", "hub/s1/agent-1/attempt-10")
    [finding] = hub.json("doctor", "s1", code=1)["findings"]
    assert (finding["code"], finding["subject"]) == ("agent-cut-off", "s1 agent-1/attempt-1")
    assert hub.run("doctor", "-q", "--fix", "s1").code == 0
    agent = hub.state()["agents"]["agent-1"]
    assert (agent["status"], agent["attempt"]) == ("ready", 2)
    assert agent["attempts"]["attempt-1"]["status"] == "failed"
    assert hub.json("doctor", "s1")["findings"] == []


def test_command_of_a_session_in_another_repository(running_session: Hub, tmp_path: Path) -> None:
    """A process of a session with the same id in another repository does not count."""
    hub = running_session
    with killed_exec(hub, "cd /; exec sleep 300", "--agents=1"):
        copy = tmp_path / "copy"
        hub.git("clone", "-q", hub.top, copy)
        other = Hub(copy, hub.environ)
        other.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
        assert other.run("spawn", "-q", "s1") == Result(0)
        assert other.run("exec", "-q", "s1", "--", "true") == Result(0)
        assert other.run("cleanup", "-q", "s1") == Result(0)
