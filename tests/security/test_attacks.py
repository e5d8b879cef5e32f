"""Run each command in repositories that an attacker has prepared.

The repository is restored after each call that changed it. A test runs all calls for one attack, and
reports all broken rules together.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from git_hub_session.commands import COMMANDS
from tests.support.attack_invariants import broken_rules
from tests.support.attack_repository import AttackRepository
from tests.support.attacks import CONTENT_ATTACKS, GIT_FILE_ATTACKS, HUB_FILE_ATTACKS, Attack
from tests.support.command_lines import CALLS, CHANGING, EXCLUDED, Call, select_calls
from tests.support.interrupt import LONG

# The short form tests the attacks with links and some other attacks, the long form all attacks.
_REPLACEMENTS = [*HUB_FILE_ATTACKS, *GIT_FILE_ATTACKS]
_LINKS = [attack for attack in _REPLACEMENTS if attack.name.startswith("link")]
_OTHERS = [
    attack
    for attack in _REPLACEMENTS
    if attack not in _LINKS and not attack.name.startswith("large")
]
_SELECTED = _REPLACEMENTS if LONG else [*_LINKS, *_OTHERS[::15]]
ATTACKS = {attack.name: attack for attack in [*_SELECTED, *CONTENT_ATTACKS]}


def test_every_command_is_in_the_table() -> None:
    assert {call.arguments[0] for call in CALLS} | EXCLUDED == set(COMMANDS)


def test_calls_without_an_attack(repository: AttackRepository) -> None:
    """Each call of the table succeeds, so that an error in another test is due to the attack."""
    repository.save_planted_state()
    assert _find_broken_rules(repository, CALLS, {0}) == {}


@pytest.mark.parametrize("name", ATTACKS)
def test_commands_after_an_attack(repository: AttackRepository, name: str) -> None:
    """No command breaks a security rule."""
    attack: Attack = ATTACKS[name]
    attack.plant(repository)
    repository.save_planted_state()
    turn = [*ATTACKS].index(name)
    # In the short form, two consecutive attacks share the commands that change something.
    calls = CALLS if LONG else select_calls(turn, CHANGING[turn % 2 :: 2])
    assert _find_broken_rules(repository, calls, {0, 1, 128, 129}) == {}


def _find_broken_rules(
    repository: AttackRepository, calls: Sequence[Call], codes: set[int]
) -> dict[str, list[str]]:
    """Return the rules that each call has broken."""
    broken = {}
    before = repository.stamps()
    for call in calls:
        answer = repository.server.call(*call.arguments, cwd=repository.project)
        after = repository.stamps()
        rules = broken_rules(repository, call, answer, before, after, codes)
        if rules:
            broken[" ".join(call.arguments)] = [
                *rules,
                answer.err[-600:].decode("utf-8", "replace"),
            ]
        if after != before:
            before = repository.undo_changes(before, after)
    return broken
