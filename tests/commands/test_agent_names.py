"""Agents are named agent-1 in texts. Each input accepts agent-1 and 1."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.hub import Hub, Result


@pytest.fixture
def session(hub: Hub) -> Hub:
    """Return a hub with the session s1 and three agents, each with a commit of its own."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    script = 'echo "$HUB_AGENT" >new'
    assert hub.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", script) == Result(0)
    return hub


def executed(session: Hub, *arguments: str) -> list[str]:
    """Return the agents for which `exec` runs a command."""
    result = session.run("exec", "--format=json", *arguments, "s1", "--", "true")
    return [agent["branch"].split("/")[2] for agent in json.loads(result.out)["agents"]]


@pytest.mark.parametrize(
    ("text", "agents"),
    [
        ("2", ["agent-2"]),
        ("agent-2", ["agent-2"]),
        ("1,agent-3", ["agent-1", "agent-3"]),
        ("agent-1, agent-3", ["agent-1", "agent-3"]),
        ("1-2", ["agent-1", "agent-2"]),
        ("agent-1-2", ["agent-1", "agent-2"]),
        ("agent-2-agent-3", ["agent-2", "agent-3"]),
    ],
)
def test_lists_of_agents(session: Hub, text: str, agents: list[str]) -> None:
    assert executed(session, "--only", text) == agents
    assert executed(session, "--agents", text) == agents


def test_a_number_after_agents_is_ambiguous(session: Hub) -> None:
    """`init --agents 2` means two agents, and `exec --agents 2` means agent-2."""
    warning = "warning: '--agents 2' selects agent-2 here (use --only agent-2)\n"
    result = session.run("exec", "--format=json", "--agents", "2", "s1", "--", "true")
    assert (result.code, result.err) == (0, warning)
    result = session.run("spawn", "--agents", "2", "s1")
    assert result == Result(0, "", f"{warning}nothing to spawn: all agents exist\n")
    for options in (("--agents", "agent-2"), ("--agents", "2,3"), ("--only", "2")):
        assert session.run("spawn", *options, "s1").err == "nothing to spawn: all agents exist\n"
    assert session.run("spawn", "-q", "--agents", "2", "s1") == Result(0)


@pytest.mark.parametrize("name", ["2", "agent-2"])
def test_each_input_accepts_the_number_and_the_name(session: Hub, name: str) -> None:
    path = session.run("path", "s1", "agent-2").out
    assert session.run("path", "s1", name) == Result(0, path)
    assert session.run("path", "s1", f"{name}/1") == Result(0, path)
    assert session.run("spawn", "-q", "s1", "--retry", name, "--base", f"{name}/1") == Result(0)
    bases = session.refs("refs/heads/hub/s1/agent-2").values()
    assert len({*bases}) == 1
    commit = ("exec", "-q", "--commit", "--only", name, "s1", "--", "sh", "-c", "echo x >more")
    assert session.run(*commit) == Result(0)
    assert session.run("eval", "-q", "s1", "--ranking", f"{name},1,agent-3").code == 0
    assert session.json("merge", "-n", "--agent", name, "s1")["agent"] == 2
    command = f"{name}=exit 3"
    result = session.run("exec", "s1", "--only", name, "--agent-cmd", command)
    assert result.code == 1
    assert "agent-2  3 " in result.out
    assert session.run("adopt", "s1", name, "agent-3").code in (1, 128)
    assert session.run("restore", "s1", "--agent", name).code == 0


@pytest.mark.parametrize("text", ["1,2,1", "agent-2,1-3"])
def test_an_agent_has_one_rank(session: Hub, text: str) -> None:
    """`--only 1,2,1` is a set of agents, but a ranking is an order."""
    agent = "agent-1" if text[0] == "1" else "agent-2"
    message = f"error: {agent} has two ranks in '{text}'\n"
    assert session.run("eval", "s1", "--ranking", text) == Result(129, "", message)
    assert session.state()["state"] == "running"


@pytest.mark.parametrize("name", ["0", "agent-1000", "1000/1"])
def test_a_number_that_no_session_has(session: Hub, name: str) -> None:
    """The hint does not promise agents that this session does not have."""
    number = name.removeprefix("agent-").partition("/")[0]
    assert session.run("path", "s1", name) == Result(
        128,
        "",
        f"fatal: no such agent: 'agent-{number}'\n"
        "hint: the names of agents are agent-1 to agent-999\n",
    )


@pytest.mark.parametrize("prefix", ["", "agent-"])
def test_strategies_and_the_judge(hub: Hub, prefix: str) -> None:
    (hub.top / "plans").write_text(f"{prefix}1: fast\n{prefix}2: small\n")
    arguments = ("-q", "--task", "t", "--agents=2")
    assert hub.run("init", "--id=s1", *arguments, "--strategies=plans").code == 0
    words = (f"--strategy={prefix}1=fast", f"--strategy={prefix}2=small")
    assert hub.run("init", "--id=s2", *arguments, *words).code == 0
    for sid in ("s1", "s2"):
        config = (hub.directory(sid) / "config.yaml").read_text()
        assert "fast" in config
        assert "agent-2" in config
    assert hub.run("spawn", "-q", "s1") == Result(0)
    hub.run("exec", "-q", "--commit", "s1", "--", "sh", "-c", "echo $HUB_AGENT >new")
    answer = json.dumps({"ranking": [f"{prefix}2", f"{prefix}1"]})
    assert hub.run("eval", "-q", "s1", "--judge", f"echo '{answer}'").code == 0
    assert hub.json("merge", "-n", "s1")["agent"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("spawn", "s1", "--only", "9"),
        ("spawn", "s1", "--only", "0"),
        ("spawn", "s1", "--only", "2-9"),
        ("spawn", "s1", "--retry", "9"),
        ("exec", "s1", "--only", "agent-9", "--", "true"),
        ("exec", "s1", "--agent-cmd", "agent-9=true"),
        ("adopt", "s1", "9"),
        ("eval", "s1", "--ranking", "9"),
        ("merge", "s1", "--agent", "9"),
        ("restore", "s1", "--agent", "9"),
        ("path", "s1", "9"),
        ("status", "s9"),
        ("spawn", "s9"),
        ("board", "read", "nothing"),
        ("board", "reply", "999-x", "-m", "x"),
        ("spawn", "s1", "--retry=1", "--base", "nothing"),
        ("merge", "s1", "--agent=1", "--into", "nothing", "--yes"),
        ("init", "--task=t", "--base-branch", "nothing"),
        ("init", "--task=t", "--after", "s9"),
        ("init", "--task=t", "--eval=true", "--guard", "nothing"),
        ("init", "--task=t", "--eval=true", "--holdout", "nothing"),
    ],
)
def test_missing_things_have_one_exit_status(session: Hub, arguments: tuple[str, ...]) -> None:
    """Each of these errors has a code of its own, and no bare number as the name of an agent."""
    session.run("update", "-q", "s1", "--state", "evaluating")
    result = session.run(*arguments)
    assert (result.code, result.out) == (128, "")
    assert result.err.startswith("fatal: no such ")
    split = len(arguments) if "--" not in arguments else arguments.index("--")
    words = (*arguments[:split], "--format=json", *arguments[split:])
    error = json.loads(session.run(*words).err)["error"]
    assert error["code"].startswith("no-")


@pytest.mark.parametrize(
    "command",
    [
        *("status s1", "status", "log s1", "show s1 1", "diff s1 2", "report s1 --format=md"),
        *("board read results", "merge -n s1", "merge --yes s1", "archive -n s1", "cleanup -n s1"),
        *("cleanup s1", "restore s1", "exec s1 -- true", "spawn s1 --retry 2", "doctor s1"),
        *("adopt s1 2 main", "path s1 1/attempt-9", "eval s1 --ranking 1", "list"),
    ],
)
def test_texts_have_the_names_of_agents(session: Hub, command: str) -> None:
    """No text has "agent 2" or "agent 'agent-2'", whether the command succeeds or fails."""
    assert session.run("eval", "-q", "s1", "--ranking", "2,1,3") == Result(0)
    if command.startswith("restore"):
        assert session.run("cleanup", "-q", "s1") == Result(0)
    result = session.run(*command.split())
    text = result.out + result.err
    assert result.code in (0, 1, 128), result
    assert re.findall(r"(?i)(?<!-)\bagents? '?(?:#?[0-9]|agent-)", text) == []
    if command not in ("log s1", "list", "doctor s1", "status", "board read results"):
        assert re.search(r"\bagent-[123]\b", text), result


@pytest.mark.parametrize("command", ["path", "shell", "open"])
def test_an_attempt_that_does_not_exist(session: Hub, command: str) -> None:
    """The hint lists the attempts: `restore` could not create a worktree of this one."""
    assert session.run(command, "s1", "1/attempt-9") == Result(
        1,
        "",
        "error: agent-1/attempt-9 of session 's1' has no worktree\n"
        "hint: git hub-session status s1\n",
    )
