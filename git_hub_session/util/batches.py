"""Divide items into batches of a limited size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar

    Item = TypeVar("Item")


def split_batches(
    items: Iterable[Item], size_of: Callable[[Item], int], limit: int
) -> Iterator[list[Item]]:
    """Yield the items in batches whose sizes have a sum of at most `limit`.

    A larger item has a batch of its own.
    """
    batch: list[Item] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and total + size > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
