"""The codes of errors that scripts must tell apart."""

from __future__ import annotations

import json

import pytest

from tests.support.evaluated_sessions import create_evaluated_session
from tests.support.hub import Hub
from tests.support.measured_sessions import create_measurable_session, running_evaluation


def error_code(hub: Hub, *words: str) -> tuple[int, str]:
    """Return the exit status of a command that fails, and the code of its error."""
    result = hub.run(words[0], "--format=json", *words[1:])
    return result.code, json.loads(result.err)["error"]["code"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("merge s1", "not-approved"),
        ("adopt s2 1 main", "wrong-state"),
        ("exec s2 -- true", "wrong-state"),
        ("merge s2", "wrong-state"),
        ("init --after s2", "wrong-state"),
        ("spawn s1", "wrong-state"),
        ("eval s1 --ranking 3", "no-branch"),
        ("merge s1 --agent 3", "no-branch"),
        ("merge s3", "not-ranked"),
    ],
)
def test_code_of_a_refusal(hub: Hub, words: str, expected: str) -> None:
    create_evaluated_session(hub, agents=2)
    hub.git("switch", "-q", "main")
    hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s2")
    assert hub.run("archive", "-q", "s2").code == 0
    create_measurable_session(hub, "ms: 1\n", sid="s3")
    assert hub.run("update", "-q", "s3", "--state", "evaluating").code == 0
    config = hub.directory() / "config.yaml"
    config.write_text(config.read_text().replace("agent_count: 2", "agent_count: 3"))
    assert error_code(hub, *words.split()) == (1, expected)


def test_codes_of_agents(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n", agents=3)
    worktree = hub.top.parent / "project.hub" / "s1" / "agent-1"
    hub.git("worktree", "remove", worktree.with_name("agent-3"))
    for words in ("exec s1 --only 3 -- true", "path s1 3", "shell s1 3", "open s1 3"):
        name, *rest = words.split()
        assert hub.run(name, *rest).code == 1, words
    for words in ("exec s1 --only 3 -- true", "path s1 3"):
        assert error_code(hub, *words.split()) == (1, "no-worktree"), words
    hub.git("switch", "-q", "-c", "mine", cwd=worktree)
    assert error_code(hub, "eval", "s1", "--ranking", "1") == (1, "off-branch")


def test_code_of_a_running_evaluation(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    with running_evaluation(hub):
        result = hub.run("archive", "s1", "--format=json")
    assert json.loads(result.err)["error"]["code"] == "busy"


def test_code_of_a_merged_branch(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("merge", "-q", "hub/s1/agent-2/attempt-1")
    assert error_code(hub, "merge", "s1", "--yes") == (1, "nothing-to-merge")


def test_code_without_commits(hub: Hub) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    assert error_code(hub, "eval", "s1", "--eval", "true") == (1, "no-commits")
