"""Killed at any system call that changes something, the command itself or a git it has started, alone or all at once.

Afterwards nothing is lost and everything reads; and the same call once more finishes the work.
"""

from __future__ import annotations

import pytest

from tests.faults.scenes import SCENES, World
from tests.hub import Hub
from tests.interposed import LONG


@pytest.mark.parametrize("action", ["all", "alone"])
@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_call(hub: Hub, name: str, action: str) -> None:
    world = World(hub, SCENES[name])
    for nth in moments(len(world.calls)):
        world.put_back()
        died = world.play(action, nth)
        where = f"killed {action} before call {nth}"
        world.check()
        world.finish()


def moments(calls: int) -> range:
    return range(1, calls+1)
