"""Share one repository between all tests of a process, because a restore is fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.attack_repository import AttackRepository
from tests.support.other_user import public_directory


@pytest.fixture(scope="session")
def built_repository() -> Iterator[AttackRepository]:
    """Create the repository once per test process."""
    with public_directory() as top:
        repository = AttackRepository(top)
        with repository.server:
            repository.build()
            yield repository


@pytest.fixture
def repository(built_repository: AttackRepository) -> Iterator[AttackRepository]:
    """Return the shared repository, and restore its clean state after the test."""
    yield built_repository
    built_repository.restore_clean_state()
