"""One repository for all tests of a process, because restoring it is faster than a new one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attack_repository import World


@pytest.fixture(scope="session")
def built() -> Iterator[World]:
    # Other users cannot read pytest's own temporary directory.
    top = Path(tempfile.mkdtemp(prefix="hostile-"))
    top.chmod(0o755)
    world = World(top)
    with world.forked:
        world.build()
        yield world
    shutil.rmtree(top)


@pytest.fixture
def world(built: World) -> Iterator[World]:
    yield built
    built.restore()
