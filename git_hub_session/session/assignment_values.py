"""Strategies, templates, and texts that agents take in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.paths import is_encodable

TEMPLATES = ("optimizer", "refactorer", "test-writer", "bug-fixer")
"""The names of the built-in instructions, as in AgentHub."""


class PerAgent(NamedTuple):
    """A text for each agent: some texts are for named agents, the others in turn."""

    in_turn: tuple[str, ...] = ()
    named: Mapping[int, str] = {}

    def find(self, agent: int) -> str:
        """Return the text of an agent, or ''.

        The agents without a text of their own take the other texts in turn, by their numbers. So a
        text belongs to the same agent if only some agents are selected.
        """
        if agent in self.named or not self.in_turn:
            return self.named.get(agent, "")
        position = agent - 1 - sum(number < agent for number in self.named)
        return self.in_turn[position % len(self.in_turn)]


def parse_strategies(text: str) -> dict[str, str]:
    """Return the strategies in config.yaml, such as {"agent-2": text}. Skip what is not text.

    Skip half of a surrogate pair too: no variable and no file can have it.
    """
    try:
        strategies = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    items = as_mapping(strategies).items()
    return {name: text for name, text in items if isinstance(text, str) and is_encodable(text)}
