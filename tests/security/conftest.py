"""Share one repository between all tests of a process, because a restore is fast."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attack_repository import AttackRepository


@pytest.fixture(scope="session")
def built_repository() -> Iterator[AttackRepository]:
    """Create the repository once per test process."""
    # Other users cannot read the temporary directory of pytest.
    top = Path(tempfile.mkdtemp(prefix="hostile-"))
    top.chmod(0o755)
    repository = AttackRepository(top)
    with repository.server:
        repository.build()
        yield repository
    shutil.rmtree(top)


@pytest.fixture
def repository(built_repository: AttackRepository) -> Iterator[AttackRepository]:
    """Return the shared repository, and restore its clean state after the test."""
    yield built_repository
    built_repository.restore_clean_state()
