"""Times in ISO 8601, ages in git's format, and time spans."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from datetime import UTC, datetime
else:
    try:
        # The part in C. Until Python 3.12, `datetime` also defines each class in Python: 1 ms.
        from _datetime import UTC, datetime
    except ImportError:
        from datetime import UTC, datetime


# git's steps from seconds to days (show_date_relative in date.c). Each row has a unit, its number
# in the next larger unit, and the count from which git uses the larger unit. git rounds in each
# step, and so rounds a result that is rounded already.
_STEPS = (("second", 60, 90), ("minute", 60, 90), ("hour", 24, 36))
_YEAR = 365  # days

MAX_TIME = 253_402_300_799
"""The last second of the year 9999: `datetime` cannot represent a later one."""


def format_iso(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601 in UTC with microseconds, as AgentHub does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def format_iso_seconds(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601 in whole seconds with a Z, as in board posts."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> float | None:
    """Return the seconds since the epoch, or None if `text` is not an ISO 8601 time.

    A time without a time zone is in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def format_age(seconds: float) -> str:
    """Return an age as git prints it: '5 minutes ago', 'in the future'."""
    if seconds < 0:
        return "in the future"
    count = int(seconds)
    for unit, size, limit in _STEPS:
        if count < limit:
            return f"{count_noun(count, unit)} ago"
        count = (count + size // 2) // size
    if count < 14:
        return f"{count_noun(count, 'day')} ago"
    if count < 70:
        return f"{count_noun((count + 3) // 7, 'week')} ago"
    if count < _YEAR:
        return f"{count_noun((count + 15) // 30, 'month')} ago"
    if count >= 5 * _YEAR:
        return f"{count_noun((count + 183) // _YEAR, 'year')} ago"
    years, months = divmod((count * 12 * 2 + _YEAR) // (_YEAR * 2), 12)
    age = count_noun(years, "year")
    if months:
        age += f", {count_noun(months, 'month')}"
    return f"{age} ago"


def format_age_since(text: str, now: float) -> str:
    """Return the age of the ISO 8601 time `text` at `now`, or '?' if it is not a time.

    `now` is in seconds since the epoch.
    """
    seconds = parse_iso(text)
    return "?" if seconds is None else format_age(now - seconds)


def format_elapsed(seconds: float) -> str:
    """Return a time span in words: '5 minutes'. A clock that was set back gives '0 seconds'."""
    return format_age(max(seconds, 0)).removesuffix(" ago")


def format_span(seconds: float) -> str:
    """Return a time span in the largest unit that keeps it whole: '90 s', '5 min', '2 h'."""
    count = round(seconds)
    if count and count % 3600 == 0:
        return f"{count // 3600} h"
    if count and count % 60 == 0:
        return f"{count // 60} min"
    return f"{count} s"


def format_clock(seconds: float) -> str:
    """Return a time span as a clock shows it: '0:07', '12:34', '1:02:03'."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def parse_duration(text: str) -> float | None:
    """Return the seconds of a time span like '30m', '12h', '7d' or '2w', or None."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
    number = parse_int(text[:-1], MAX_COUNT)
    unit = text[-1:]
    if unit not in units or number is None:
        return None
    return float(number * units[unit])
