"""Times are parsed and written as in the files of the hub, and ages are those of git."""

from __future__ import annotations

import pytest

from git_hub_session.util.clock import (
    format_age,
    format_age_since,
    format_clock,
    format_iso,
    format_span,
    parse_duration,
    parse_iso,
)
from tests.support.hub import NOW, Hub

DAY = 86400
# Ages near each age at which git changes the unit or rounds.
AGES = sorted(
    step + offset
    for step in [
        *(0, 60, 89, 90, 149, 150, 5369, 5370, 5399, 5400, 7199, 127799, 127800, 129600),
        *(2 * DAY, 13 * DAY, 14 * DAY, 16 * DAY, 17 * DAY, 18 * DAY, 69 * DAY, 70 * DAY),
        *(75 * DAY, 349 * DAY, 364 * DAY, 365 * DAY, 380 * DAY, 395 * DAY, 396 * DAY),
        *(715 * DAY, 716 * DAY, 730 * DAY, 1824 * DAY, 1825 * DAY, 2007 * DAY, 2008 * DAY),
        18000 * DAY,
    ]
    for offset in (-1800, -1, 0, 1, 1800)
    if step + offset >= 0
)


def test_ages_are_those_of_git(hub: Hub) -> None:
    """git prints the same age for a commit of that date."""
    stream = "".join(
        f"commit refs/heads/a{number}\ncommitter A <a> {NOW - seconds} +0000\ndata 0\n\n"
        for number, seconds in enumerate(AGES)
    )
    hub.git("fast-import", "--quiet", stdin=stream)
    pattern = "--format=%(refname:lstrip=2) %(committerdate:relative)"
    result = hub.call("git", "for-each-ref", "--sort=version:refname", pattern, "refs/heads/a*")
    expected = result.out.splitlines()
    assert [f"a{number} {format_age(seconds)}" for number, seconds in enumerate(AGES)] == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-03-17T14:30:22.000000+00:00", NOW),
        ("2026-03-17T14:30:22Z", NOW),
        ("2026-03-17T14:30:22", NOW),
        ("2026-03-17T16:30:22+02:00", NOW),
        ("2026-03-17T14:30:22.5+00:00", NOW + 0.5),
        ("1969-12-31T23:59:59+00:00", -1),
        ("", None),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", -62135683140),
        ("2026-03-17T14:30:22+00:00\n", None),
        ("٢٠٢٦-03-17", None),
    ],
)
def test_parse_iso(text: str, seconds: float | None) -> None:
    assert parse_iso(text) == seconds


def test_format_iso_writes_times_as_agenthub_does() -> None:
    assert format_iso(NOW) == "2026-03-17T14:30:22.000000+00:00"
    assert format_iso(NOW + 0.123456) == "2026-03-17T14:30:22.123456+00:00"


def test_format_age_since() -> None:
    assert format_age_since("2026-03-17T14:30:22Z", NOW + 120) == "2 minutes ago"
    assert format_age_since("2026-03-17T14:30:23Z", NOW) == "in the future"
    assert format_age_since("no time", NOW) == "?"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7d", 7 * DAY),
        ("12h", 12 * 3600),
        ("30m", 1800),
        ("2w", 14 * DAY),
        ("0s", 0),
        ("", None),
        ("d", None),
        ("7", None),
        ("-7d", None),
        ("7 d", None),
        ("1.5d", None),
        ("7D", None),
        ("²d", None),
        ("9999999999d", None),
    ],
)
def test_parse_duration(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "span", "clock"),
    [
        (0, "0 s", "0:00"),
        (0.4, "0 s", "0:00"),
        (30, "30 s", "0:30"),
        (90, "90 s", "1:30"),
        (300, "5 min", "5:00"),
        (3599.6, "1 h", "59:59"),
        (7200, "2 h", "2:00:00"),
        (3723, "3723 s", "1:02:03"),
    ],
)
def test_format_span_and_clock(seconds: float, span: str, clock: str) -> None:
    assert (format_span(seconds), format_clock(seconds)) == (span, clock)
