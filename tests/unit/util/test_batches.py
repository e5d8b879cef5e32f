"""Items are divided into batches of a limited size."""

from __future__ import annotations

import pytest

from git_hub_session.util.batches import split_batches


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        ([], []),
        ([3, 4, 3], [[3, 4, 3]]),
        ([3, 4, 4], [[3, 4], [4]]),
        ([1, 20, 1], [[1], [20], [1]]),
        ([20], [[20]]),
        ([0, 10, 0, 1], [[0, 10, 0], [1]]),
    ],
)
def test_batches(items: list[int], batches: list[list[int]]) -> None:
    assert [*split_batches(items, lambda item: item, 10)] == batches
