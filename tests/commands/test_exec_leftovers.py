"""`exec` ends the processes that the command of an agent left running, and no other process."""

from __future__ import annotations

import pytest

from tests.support.daemons import start_daemon
from tests.support.hub import Hub, is_alive


@pytest.fixture
def running_session(hub: Hub) -> Hub:
    """Return a hub with a running session of two agents."""
    hub.session("s1", agents=2)
    hub.run("update", "s1", "--state", "running")
    return hub


def exit_codes(hub: Hub) -> list[int]:
    """Return the recorded exit codes of both agents."""
    return [hub.state()["agents"][f"agent-{agent}"]["exec"]["exit_code"] for agent in (1, 2)]


def test_daemon_of_a_parallel_command_goes_on(running_session: Hub) -> None:
    """The second command uses its own daemon after the daemon of the first command was ended."""
    hub = running_session
    first, second = hub.top.parent / "first", hub.top.parent / "second"
    script = (
        f"if test $HUB_AGENT = agent-1; then until test -s {second}; do :; done;"
        f" {start_daemon(first)};"
        f" else {start_daemon(second)}; until test -s {first}; do :; done;"
        f" while kill -0 $(cat {first}); do :; done; kill -0 $(cat {second}); fi"
    )
    result = hub.run("exec", "-q", "-j2", "--timeout=100s", "s1", "--", "sh", "-c", script)
    assert result.code == 0, result
    assert result.err.splitlines() == [
        f"warning: agent-{agent} left 1 process running: sleep (ended)" for agent in (1, 2)
    ]
    assert exit_codes(hub) == [0, 0]
    assert [is_alive(int(file.read_text())) for file in (first, second)] == [False, False]


def test_command_that_kills_its_supervisor_at_once(running_session: Hub) -> None:
    """The command is known before it starts, so it is ended too."""
    hub = running_session
    script = f"kill -KILL $PPID; echo $$ >{hub.top.parent}/$HUB_AGENT; sleep 100"
    result = hub.run("exec", "-q", "s1", "--", "sh", "-c", script)
    assert (result.code, exit_codes(hub)) == (1, [143, 143]), result
    for name in ("agent-1", "agent-2"):
        file = hub.top.parent / name
        assert not file.exists() or not is_alive(int(file.read_text() or 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit", "code"), [("TERM", "100s", 0), ("KILL", "100s", 1), ("STOP", "2s", 1)]
)
def test_command_that_signals_its_supervisor(
    running_session: Hub, name: str, limit: str, code: int
) -> None:
    """All processes of the command are ended. The command of the other agent goes on."""
    hub = running_session
    pid_file = hub.top.parent / "pid"
    wait = "" if name == "STOP" else f"while kill -0 $(cat {pid_file}); do :; done"
    script = (
        f"if test $HUB_AGENT = agent-1; then {start_daemon(pid_file)}; kill -{name} $PPID;"
        f" {'exit 0' if name == 'TERM' else 'sleep 100'};"
        f" else until test -s {pid_file}; do :; done; {wait} fi"
    )
    result = hub.run("exec", "-q", "--timeout", limit, "s1", "--", "sh", "-c", script)
    assert (result.code, exit_codes(hub)) == (code, [143 if code else 0, 0]), result
    assert not is_alive(int(pid_file.read_text()))
