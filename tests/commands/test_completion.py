"""`completion` prints the script of a shell, and the words that complete a command line."""

from __future__ import annotations

import json

import pytest

from git_hub_session.commands import COMMANDS
from tests.support.hub import Hub, Result


def complete(hub: Hub, *words: str) -> list[str]:
    """Return the kind of the answer, and the words without their descriptions."""
    result = hub.run("completion", "--words", "--", *words)
    assert result.code == 0, result
    return [line.partition("\t")[0] for line in result.out.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(hub: Hub, shell: str) -> None:
    result = hub.run("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert "completion --words" in result.out


@pytest.mark.parametrize(
    ("words", "message"), [([], "no shell given"), (["csh"], "not a shell: 'csh'")]
)
def test_an_unknown_shell_is_an_error(hub: Hub, words: list[str], message: str) -> None:
    expected = f"error: {message}\nhint: use one of bash, zsh, fish\n"
    assert hub.run("completion", *words) == Result(129, "", expected)


def test_commands(hub: Hub) -> None:
    assert complete(hub, "") == ["words", *COMMANDS]
    assert complete(hub, "st") == ["words", "status"]
    assert complete(hub, "unknown", "") == ["words"]
    description = hub.run("completion", "--words", "--", "st").out.splitlines()[1]
    assert description == f"status\t{COMMANDS['status'].summary}"


def test_sessions_have_their_state_and_task(hub: Hub) -> None:
    hub.run("init", "--id", "s1", "--task", "faster\nand \x1b[31mred")
    hub.run("init", "--id", "s2", "--task", "smaller")
    hub.run("update", "s2", "--state", "running")
    result = hub.run("completion", "--words", "--", "status", "s")
    assert result.out == ("words\ns1\tinit: faster\\nand \\x1b[31mred\ns2\trunning: smaller\n")


def test_agents_and_attempts_of_the_named_session(hub: Hub) -> None:
    hub.run("init", "--id", "s1", "--agents", "2", "--task", "t")
    hub.run("spawn", "s1")
    hub.run("spawn", "s1", "--retry", "2")
    hub.run("init", "--id", "s2", "--agents", "1", "--task", "t")
    attempts = ["agent-2/attempt-1", "agent-2/attempt-2"]
    assert complete(hub, "path", "s1", "") == ["words", "agent-1", "agent-2", *attempts]
    assert complete(hub, "path", "s2", "") == ["words", "agent-1"]
    assert complete(hub, "merge", "s1", "--agent=agent-2/") == [
        "words", *(f"--agent={attempt}" for attempt in attempts)
    ]  # fmt: skip
    assert complete(hub, "exec", "s1", "--agents", "agent-1,agent-2") == [
        "words", "agent-1,agent-2", *(f"agent-1,{attempt}" for attempt in attempts)
    ]  # fmt: skip
    # Without an id, the agents are those of the newest unfinished session.
    assert complete(hub, "path", "a") == ["words", "agent-1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["update", "--state", "m"], ["words", "merged"]),
        (["list", "--state=b"], ["words"]),
        (["list", "--format", ""], ["words", "text", "json", "porcelain"]),
        (["list", "--format=j"], ["words", "--format=json"]),
        (["board", ""], ["words", "list", "read", "post", "reply", "create"]),
        (["board", "read", "pro"], ["words", "progress"]),
        (["init", "-F", ""], ["files"]),
        (["exec", "s1", "--", "ls", ""], ["command"]),
        (["init", "--base-branch", "m"], ["words", "main"]),
        (["init", "--task", ""], ["words"]),
        (["spawn", "--base", "v"], ["words", "v1"]),
        (["demo", "--"], ["words", "--keep", "--help"]),
    ],
)
def test_values(hub: Hub, words: list[str], expected: list[str]) -> None:
    hub.run("init", "--id", "s1", "--task", "t")
    hub.git("tag", "v1")
    assert complete(hub, *words) == expected


def test_executors(hub: Hub) -> None:
    """The last executor of a list is completed."""
    for name, variable in (("gpu1", "command"), ("gpu2", "command"), ("ssh:far", "slots")):
        hub.git("config", "--global", f"hubsession.executor.{name}.{variable}", "ssh far")
    result = hub.run("completion", "--words", "--", "exec", "--on", "gpu1,g")
    assert result == Result(0, "words\ngpu1,gpu1\tssh far\ngpu1,gpu2\tssh far\n")
    result = hub.run("completion", "--words", "--", "exec", "--on", "s")
    assert result == Result(0, "words\nslurm\tsubmit jobs to Slurm\n")


def test_posts(hub: Hub) -> None:
    hub.run("init", "--id", "s1", "--task", "t")
    hub.run("board", "post", "progress", "-m", "half done", "--author", "agent-1")
    [post] = json.loads(hub.run("board", "read", "progress", "--format=json").out)["posts"]
    result = hub.run("completion", "--words", "--", "board", "reply", "")
    assert result.out == f"words\n{post['post']}\tprogress\n"


def test_an_option_that_can_lose_work_is_not_completed_from_a_part(hub: Hub) -> None:
    assert "--force" in complete(hub, "merge", "--")
    assert complete(hub, "merge", "--force") == ["words", "--force"]
    assert complete(hub, "merge", "--for") == ["words", "--format="]
    assert complete(hub, "merge", "--y") == ["words"]


def test_a_name_that_a_shell_would_change_is_not_offered(hub: Hub) -> None:
    hub.git("branch", "main$(touch${IFS}x)")
    hub.git("branch", "main'quote")
    assert complete(hub, "init", "--base-branch", "ma") == ["words", "main"]


def test_there_is_nothing_to_offer_outside_a_repository(hub: Hub) -> None:
    result = hub.run("completion", "--words", "--", "status", "", cwd=hub.top.parent)
    assert result == Result(0, "words\n", "")
