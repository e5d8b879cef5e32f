"""HUB_PORT is a different free port for each attempt of each agent."""

from __future__ import annotations

import socket

from git_hub_session.system.ports import choose_port, is_free
from tests.support.hub import Hub
from tests.support.measured_sessions import MEASURE, agent_worktree, create_measurable_session

RECORD = 'echo "$HUB_PORT" >>"$(git rev-parse --git-common-dir)/ports-${HUB_AGENT:-baseline}"'


def recorded_ports(hub: Hub) -> dict[str, list[int]]:
    """Return the ports that each agent's commands have had."""
    return {
        path.name.removeprefix("ports-"): [int(port) for port in path.read_text().split()]
        for path in sorted((hub.top / ".git").glob("ports-*"))
    }


def test_port_is_the_same_for_all_commands_of_an_agent(hub: Hub) -> None:
    """The setup command runs for the worktrees of `spawn` and of `eval`."""
    hub.git("config", "hubsession.setup", RECORD)
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", RECORD).code == 0
    arguments = (*MEASURE, "--eval", f"{RECORD}; cat ms", "--baseline=measure")
    assert hub.run("eval", "-q", *arguments, "s1").code == 0
    ports = recorded_ports(hub)
    assert {name: len(each) for name, each in ports.items()} == {
        "agent-1": 4,
        "agent-2": 4,
        "baseline": 2,
    }
    assert len({port for each in ports.values() for port in each}) == 3


def test_attempts_of_an_agent_have_different_ports(hub: Hub) -> None:
    """An earlier attempt keeps its port. `eval -j` measures the attempts at once."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    record = RECORD.replace("baseline}", "}-$HUB_ATTEMPT")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", record).code == 0
    assert hub.run("spawn", "-q", "--retry", "1", "s1").code == 0
    hub.commit(agent_worktree(hub, 1).with_name("agent-1-2"), "ms", "ms: 3\n")
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", record).code == 0
    measure = (*MEASURE, "--eval", f"{record}; cat ms", "-j3")
    assert hub.run("eval", "-q", *measure, "s1").code == 0
    ports = recorded_ports(hub)
    assert {name: len(each) for name, each in ports.items()} == {
        "agent-1-1": 2,
        "agent-1-2": 2,
        "agent-2-1": 3,
    }
    assert {name: len(set(each)) for name, each in ports.items()} == dict.fromkeys(ports, 1)
    assert len({each[0] for each in ports.values()}) == 3


def test_port_that_is_in_use_is_not_given(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    arguments = ("exec", "-q", "s1", "--", "sh", "-c", RECORD)
    assert hub.run(*arguments).code == 0
    [first] = recorded_ports(hub)["agent-1"]
    with socket.create_server(("127.0.0.1", first)):
        assert hub.run(*arguments).code == 0
    assert hub.run(*arguments).code == 0
    second = recorded_ports(hub)["agent-1"][1]
    assert second != first
    assert recorded_ports(hub)["agent-1"] == [first, second, first]
    assert (agent_worktree(hub, 1) / "ms").exists()


def test_no_two_agents_have_the_same_port() -> None:
    """All ports of a session differ, also those that replace a port in use."""
    ports = [choose_port("session", number) for number in range(1000)]
    assert len(set(ports)) == 1000
    with socket.create_server(("127.0.0.1", ports[7])):
        assert not is_free(ports[7])
        replacement = choose_port("session", 7)
    assert replacement not in ports
    assert (replacement - ports[7]) % 1000 == 0
