"""The content of a claim, and the observation of claims."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_hub_session.claims.claim import (
    Claim,
    ClaimObserver,
    Holder,
    SeenClaim,
    encode_claim,
    parse_claim,
)

CLAIM = Claim(
    Holder("far", "Ada <ada@example.com>", "boot", 42), "2026-03-17T14:30:22Z", 3, "random"
)


def changed(**values: Any) -> bytes:
    """Return a valid claim with other values."""
    return json.dumps({**json.loads(encode_claim(CLAIM)), **values}).encode()


def test_an_encoded_claim_is_parsed_again() -> None:
    assert parse_claim(encode_claim(CLAIM)) == CLAIM
    assert parse_claim(changed(unknown=[1])) == CLAIM


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 3000,
        changed(pid=0),
        changed(pid=True),
        changed(pid="42"),
        changed(generation=10**30),
        changed(generation=-1),
        changed(host="x" * 201),
        changed(more="x" * 5000),
        b"{}",
    ],
)
def test_invalid_content_is_no_claim(data: bytes) -> None:
    assert parse_claim(data) is None


def test_an_unknown_holder_has_a_name() -> None:
    assert SeenClaim("1" * 40, None).host == "an unknown host"
    assert SeenClaim("1" * 40, CLAIM).host == "far"
    assert SeenClaim("1" * 40, None).generation == 0


class FakeClock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_a_claim_is_stale_if_it_does_not_change() -> None:
    """The times in claims have no effect: here the clock of the holder is a century wrong."""
    clock = FakeClock()
    observer = ClaimObserver(60, clock)
    first = SeenClaim("1" * 40, CLAIM._replace(at="1926-01-01T00:00:00Z"))
    second = SeenClaim("2" * 40, CLAIM._replace(at="2126-01-01T00:00:00Z"))
    observer.observe({1: first, 2: second})
    assert not observer.is_stale(1)
    clock.time += 59
    observer.observe({1: first, 2: second})
    assert not observer.is_stale(1)
    clock.time += 1
    observer.observe({1: second, 2: second})
    assert [observer.is_stale(agent) for agent in (1, 2, 3)] == [False, True, False]
    observer.observe({1: second})
    assert not observer.is_stale(2)
    observer.observe({2: second})
    assert not observer.is_stale(2), "the ref was created again"
