"""`eval` ends the processes that an eval command left running."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.daemons import SLEEP, start_daemon
from tests.support.hub import PYTHON, Hub, is_alive, wait_for
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

SERVER = """\
import socket, sys
port, answer = int(sys.argv[1]), sys.argv[2]
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        with server.accept()[0] as connection:
            connection.sendall(answer.encode())
"""
CLIENT = """\
import socket, sys, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
            print(connection.recv(100).decode())
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
"""


def free_port() -> int:
    """Return a port that no process uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_server_of_one_agent_does_not_answer_for_others(hub: Hub) -> None:
    """The command starts a server in the background, in another session."""
    (hub.top.parent / "server.py").write_text(SERVER)
    (hub.top.parent / "client.py").write_text(CLIENT)
    create_measurable_session(hub, "ms: 90\n", "ms: 50\n", "ms: 70\n")
    top, port = hub.top.parent, free_port()
    command = (
        f'setsid {PYTHON} {top}/server.py {port} "$(cat ms)" >/dev/null 2>&1 &'
        f" {PYTHON} {top}/client.py {port}"
    )
    result = hub.run("eval", *MEASURE, "--eval", command, "s1")
    name = Path(PYTHON).resolve().name[:15]
    assert (result.code, result.err.replace(name, "python")) == (
        0,
        "".join(
            f"warning: agent-{agent} left 1 process running: python (ended)\n"
            for agent in (1, 2, 3)
        ),
    )
    assert [rank[1] for rank in recorded_ranks(hub).values()] == [90, 50, 70]


@pytest.mark.parametrize("jobs", [1, 2])
def test_daemon_without_environment(hub: Hub, jobs: int) -> None:
    """PostgreSQL overwrites its environment. The daemon is a descendant of the command."""
    create_measurable_session(hub, "ms: 90\n", "ms: 50\n")
    pids = hub.top.parent / "pids"
    command = f"{start_daemon(pids)}; cat ms"
    result = hub.run("eval", *MEASURE, "--eval", command, "--jobs", str(jobs), "s1")
    assert (result.code, sorted(result.err.splitlines())) == (
        0,
        [f"warning: agent-{agent} left 1 process running: sleep (ended)" for agent in (1, 2)],
    )
    assert [is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]


def test_daemon_of_a_parallel_command_goes_on(hub: Hub) -> None:
    """The second command uses its own daemon after the daemon of the first command was ended."""
    create_measurable_session(hub, "ms: 90\n", "ms: 50\n")
    first, second = hub.top.parent / "first", hub.top.parent / "second"
    command = (
        f"if test $HUB_AGENT = agent-1; then until test -s {second}; do :; done;"
        f" {start_daemon(first)}; cat ms;"
        f" else {start_daemon(second)}; until test -s {first}; do :; done;"
        f" while kill -0 $(cat {first}); do :; done; kill -0 $(cat {second}) && cat ms; fi"
    )
    result = hub.run("eval", *MEASURE, "--eval", command, "--jobs=2", "--timeout=100s", "s1")
    assert (result.code, sorted(result.err.splitlines())) == (
        0,
        [f"warning: agent-{agent} left 1 process running: sleep (ended)" for agent in (1, 2)],
    )
    assert [rank[1] for rank in recorded_ranks(hub).values()] == [90, 50]
    assert [is_alive(int(file.read_text())) for file in (first, second)] == [False, False]


@pytest.mark.slow
def test_process_that_ignores_the_first_signal_is_killed(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    pids = hub.top.parent / "pids"
    (hub.top.parent / "deaf").write_text(f"trap '' TERM\n{SLEEP}\necho $$ $! >{pids}\nwait\n")
    command = f"cat ms; setsid sh {hub.top.parent}/deaf & {SLEEP}; until test -s {pids}; do sleep 0.01; done"
    result = hub.run("eval", *MEASURE, "--eval", command, "s1")
    assert result.err == "warning: agent-1 left 3 processes running: sh, sleep (ended)\n"
    assert [is_alive(int(pid)) for pid in pids.read_text().split()] == [False, False]


def test_processes_of_all_repetitions_are_counted(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    command = f"cat ms; {SLEEP}"
    result = hub.run("eval", *MEASURE, "--eval", command, "--repeat=2", "s1")
    assert result.err == "warning: agent-1 left 2 processes running: sleep (ended)\n"


def test_process_of_another_run_is_not_ended(hub: Hub) -> None:
    """Only processes with the variables of this very command are ended."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    run = f"{hub.directory()}/output/eval-1"
    variables = [
        {"HUB_AGENT": "agent-1"},
        {"HUB_AGENT": "agent-1", "HUB_RUN": f"{run}0"},
    ]
    others = [
        subprocess.Popen(["sleep", "600"], env={**hub.environ, **extra}) for extra in variables
    ]
    try:
        assert hub.run("eval", *MEASURE, "s1").err == ""
        assert [process.poll() for process in others] == [None, None]
    finally:
        for process in others:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_process_that_the_time_limit_ends_is_no_leftover(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    command = "cat ms; test $HUB_AGENT = agent-2 || { setsid sleep 600 & echo $! >../pid; wait; }"
    result = hub.run("eval", *MEASURE, "--eval", command, "--timeout=1s", "s1")
    assert (result.code, result.err) == (0, "")
    assert recorded_ranks(hub)["agent-1"] == (2, None, "timed out")
    pid = int((agent_worktree(hub, 1).parent / "pid").read_text())
    wait_for(lambda: not is_alive(pid))


def test_process_that_the_baseline_of_a_run_left(hub: Hub) -> None:
    hub.commit(hub.top, "ms", "ms: 3\n")
    options = ("--task=t", "--direction=lower", "--metric=ms", "--agents=1")
    command = f"cat ms; test $HUB_AGENT = agent-1 || {{ setsid {SLEEP}; }}"
    agent = "echo ms: 2 >ms"
    arguments = ("--eval", command, "--agent-cmd", agent, "--no-guard", "--yes")
    result = hub.run("run", "--id=s1", *options, *arguments)
    assert result.code == 0, result
    # `run` measures the baseline before the agents, and in their rounds.
    assert (
        result.err.splitlines() == ["warning: baseline left 1 process running: sleep (ended)"] * 2
    )
