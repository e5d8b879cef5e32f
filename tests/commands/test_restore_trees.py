"""restore on real trees: whatever was uncommitted comes back, byte for byte."""

from __future__ import annotations

import pytest

from tests.cleaning import look
from tests.commands.test_cleanup_saved import KINDS, Dirt, furnished
from tests.hub import Hub, Result


@pytest.mark.parametrize("dirty", KINDS, ids=lambda dirty: dirty.__name__)
def test_each_sort_of_work(hub: Hub, dirty: Dirt) -> None:
    """Equal status, equal bytes, equal modes."""
    where = furnished(hub)
    dirty(hub, where)
    before = look(hub, where)
    staged = hub.git("ls-files", "--stage", "-z", cwd=where)
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.run("restore", "-q", "s1", "--path", "../worktrees/{id}/agent-{n}") == Result(0)
    assert look(hub, where) == before
    assert hub.git("ls-files", "--stage", "-z", cwd=where) == staged
