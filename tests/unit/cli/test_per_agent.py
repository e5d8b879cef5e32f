"""Texts for agents: in turn, or by name."""

from __future__ import annotations

import pytest

from git_hub_session.cli.agent_options import parse_per_agent
from git_hub_session.errors import HubError
from git_hub_session.session.assignment_values import PerAgent


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a"], ["a", "a", "a", "a"]),
        (["a", "b"], ["a", "b", "a", "b"]),
        (["agent-2=x=y", "a", " b "], ["a", "x=y", "b", "a"]),
        (["agent-4=x"], ["", "", "", "x"]),
        (["4=x", "a"], ["a", "a", "a", "x"]),
        (["PATH=/x agent", "agent-0=x"], ["PATH=/x agent", "agent-0=x"] * 2),
        ([], ["", "", "", ""]),
    ],
)
def test_text_of_each_agent(values: list[str], expected: list[str]) -> None:
    texts = parse_per_agent(values, 4, "--text")
    assert [texts.find(agent) for agent in (1, 2, 3, 4)] == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([" "], "option '--text' has an empty value"),
        (["agent-1= "], "option '--text' has an empty value"),
        (["agent-5=x"], "no such agent: 'agent-5'"),
        (["agent-1=x", "1=y"], "option '--text' has two values for agent-1"),
    ],
)
def test_values_that_are_not_valid(values: list[str], message: str) -> None:
    with pytest.raises(HubError) as error:
        parse_per_agent(values, 4, "--text")
    assert error.value.message == message


def test_no_texts() -> None:
    assert PerAgent().find(1) == ""
