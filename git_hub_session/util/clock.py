"""Times: ISO-8601 UTC as the files hold them, and ages as git shows them."""

from __future__ import annotations

from datetime import UTC, datetime

from git_hub_session.util.numbers import MAX_COUNT, parse_int

# git's own steps (date.c, show_date_relative): a unit, how many make one of the next, and from
# how many on the next is used. Each step rounds what the one before it has rounded.
_STEPS = (("second", 60, 90), ("minute", 60, 90), ("hour", 24, 36))
_YEAR = 365  # days

MAX_TIME = 253_402_300_799
"""The last second of the year 9999: `datetime` cannot represent a later one."""


def format_iso(seconds: float) -> str:
    """ISO-8601 UTC with microseconds, as AgentHub writes it, of `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def format_iso_seconds(seconds: float) -> str:
    """ISO-8601 UTC in whole seconds with a Z, as AgentHub's posts have it, of `seconds` since the epoch."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> float | None:
    """Seconds since the epoch, or None where `text` is no ISO-8601 time; no zone means UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def format_age(seconds: float) -> str:
    """`seconds` of age in git's words: '5 minutes ago', 'in the future'."""
    if seconds < 0:
        return "in the future"
    count = int(seconds)
    for unit, size, limit in _STEPS:
        if count < limit:
            return f"{_pluralize(count, unit)} ago"
        count = (count + size // 2) // size
    if count < 14:
        return f"{_pluralize(count, 'day')} ago"
    if count < 70:
        return f"{_pluralize((count + 3) // 7, 'week')} ago"
    if count < _YEAR:
        return f"{_pluralize((count + 15) // 30, 'month')} ago"
    if count >= 5 * _YEAR:
        return f"{_pluralize((count + 183) // _YEAR, 'year')} ago"
    years, months = divmod((count * 12 * 2 + _YEAR) // (_YEAR * 2), 12)
    parts = [_pluralize(years, "year")] + ([_pluralize(months, "month")] if months else [])
    return f"{', '.join(parts)} ago"


def format_age_since(text: str, now: float) -> str:
    """The age of the ISO-8601 time `text` at `now` (seconds since the epoch), or '?'."""
    moment = parse_iso(text)
    return "?" if moment is None else format_age(now - moment)


def _pluralize(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def parse_duration(text: str) -> float | None:
    """Seconds of a span such as '7d', '12h', '30m', '2w', or None where it is none."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
    number, unit = parse_int(text[:-1], MAX_COUNT), text[-1:]
    if unit not in units or number is None:
        return None
    return float(number * units[unit])
