"""Every attack in a repository that an attacker wrote, and every command in it.

The attacked repository is restored after each call that changed it. A test runs all calls, and
reports all broken rules of an attack together.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from git_hub_session.commands import COMMANDS
from tests.support.attack_invariants import broken_rules
from tests.support.attack_repository import World
from tests.support.attacks import OF_CONTENT, OF_GIT, OF_PLACES, Attack
from tests.support.command_lines import CALLS, UNTRIED, Call, share
from tests.support.interrupt import LONG

# The short form plays the attacks with links and some of the others, the long form all.
_PLACES = [*OF_PLACES, *OF_GIT]
_LINKS = [attack for attack in _PLACES if attack.name.startswith("link")]
_OTHERS = [
    attack for attack in _PLACES if attack not in _LINKS and not attack.name.startswith("large")
]
_SAMPLED = _PLACES if LONG else [*_LINKS, *_OTHERS[::15]]
ATTACKS = {attack.name: attack for attack in [*_SAMPLED, *OF_CONTENT]}


def test_every_command_is_in_the_table() -> None:
    assert {call.words[0] for call in CALLS} | UNTRIED == set(COMMANDS)


def test_calls_without_an_attack(world: World) -> None:
    """Each call of the table does its work. Otherwise the table would prove nothing."""
    world.plant()
    assert _broken(world, CALLS, {0}) == {}


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile(world: World, name: str) -> None:
    """No command breaks a security rule."""
    attack: Attack = ATTACKS[name]
    attack.plant(world)
    world.plant()
    calls = CALLS if LONG else share([*ATTACKS].index(name))
    assert _broken(world, calls, {0, 1, 128, 129}) == {}


def _broken(world: World, calls: Sequence[Call], codes: set[int]) -> dict[str, list[str]]:
    """Return the rules that each call has broken."""
    broken = {}
    before = world.stamps()
    for call in calls:
        answer = world.forked.call(*call.words, cwd=world.project)
        after = world.stamps()
        rules = broken_rules(world, call, answer, before, after, codes)
        if rules:
            broken[" ".join(call.words)] = [*rules, answer.err[-600:].decode("utf-8", "replace")]
        if after != before:
            before = world.undo_changes(before, after)
    return broken
