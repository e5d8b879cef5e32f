"""Different commands for the agents of a session."""

from __future__ import annotations

from tests.support.hub import Hub, Result

IN_TURN = ("--agent-cmd", "echo a >out", "--agent-cmd", "agent-2=exit 3")
RUN = ("run", "--id", "s1", "--task", "t", "--agents", "3")


def recorded(hub: Hub) -> dict[str, str]:
    return {name: agent["exec"]["command"] for name, agent in hub.state()["agents"].items()}


def test_commands_in_turn_and_by_name(hub: Hub) -> None:
    """agent-2 has its own command. The printed command runs the rest, with the same commands."""
    more = ("--agent-cmd", "touch b; exit 4")
    result = hub.run(*RUN, *IN_TURN, *more, "--fail-fast", "--format=json")
    commands = {"agent-1": "echo a >out", "agent-2": "exit 3", "agent-3": "touch b; exit 4"}
    assert (result.code, recorded(hub)) == (1, commands)
    document = hub.json("status", "s1")
    assert [agent["command"] for agent in document["agents"]] == [*commands.values()]
    again = next(line for line in result.err.splitlines() if "continue with: " in line)
    command = again.partition("continue with: ")[2]
    given = "--agent-cmd 'echo a >out' --agent-cmd 'agent-2=exit 3' --agent-cmd 'touch b; exit 4'"
    assert command == f"git hub-session exec {given} --failed --commit --format json s1"
    rerun = hub.call("sh", "-c", f"{command} 2>&1 | grep -c '\"exit_code\": [34]'")
    assert (rerun.out, recorded(hub)) == ("2\n", commands)


def test_agents_without_a_command(hub: Hub) -> None:
    """`run` creates nothing, and `exec` runs nothing."""
    result = hub.run(*RUN, "--agent-cmd", "agent-2=x")
    assert (result.code, result.err.splitlines()[:2]) == (
        129,
        [
            "error: no command for agent-1, agent-3",
            "hint: give an --agent-cmd without 'agent-<N>='",
        ],
    )
    assert hub.run(*RUN, *IN_TURN, "--ff", "-m", "x").code == 129
    assert hub.run(*RUN, "--agent-cmd", "agent-4=x", "--agent-cmd", "x") == Result(
        128,
        "",
        "fatal: no such agent: 'agent-4'\nhint: choose one of the session: agent-1 to agent-3\n",
    )
    assert hub.run(*RUN, "--agent-cmd", "agent-2=", "--agent-cmd", "x").code == 129
    hub.session("s1", agents=2)
    hub.run("update", "-q", "s1", "--state", "running")
    assert hub.run("exec", "s1", "--agent-cmd", "agent-2=true") == Result(
        1,
        "",
        "error: no command for agent-1\n"
        "hint: select the other agents with --only, or give an --agent-cmd without 'agent-<N>='\n",
    )
    assert hub.run("exec", "-q", "--only=2", "s1", "--agent-cmd", "agent-2=true") == Result(0)
    assert hub.run("exec", "s1", "--agent-cmd", "true", "--", "true").code == 129


def test_kind_of_the_merge_and_figures_for_the_agents(hub: Hub) -> None:
    """`run --rebase` makes no merge commit. The agents know how they are measured."""
    script = 'echo "$HUB_EVAL|$HUB_METRIC|$HUB_DIRECTION|$HUB_BASELINE" >figures; echo ms: 1 >ms'
    options = ("--eval", "cat ms", "--metric", "ms", "--direction=lower")
    result = hub.run(*RUN, "--agent-cmd", script, *options, "--baseline=9", "--yes", "--rebase")
    assert result.code == 0, result
    assert hub.git("show", "main:figures") == "cat ms|ms|lower|9"
    assert len(hub.git("show", "-s", "--format=%P", "main").split()) == 1
