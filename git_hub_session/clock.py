"""Times: ISO-8601 UTC as the files hold them, and ages as git shows them."""

from __future__ import annotations

from datetime import UTC, datetime

# git's own steps (date.c, show_date_relative): the last unit whose limit, in seconds, is not reached.
_STEPS = (
    (90, 1, "second"),
    (90 * 60, 60, "minute"),
    (36 * 3600, 3600, "hour"),
    (14 * 86400, 86400, "day"),
    (70 * 86400, 7 * 86400, "week"),
    (365 * 86400, 30 * 86400, "month"),
)


def iso(seconds: float) -> str:
    """ISO-8601 UTC with microseconds, as AgentHub writes it, of `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def parse_iso(text: str) -> float | None:
    """Seconds since the epoch, or None where `text` is no ISO-8601 time; no zone means UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def age(seconds: float) -> str:
    """`seconds` of age in git's words: '5 minutes ago', 'in the future'."""
    if seconds < 0:
        return "in the future"
    for limit, unit, name in _STEPS:
        if seconds < limit:
            return _ago(int(seconds / unit + (0.5 if unit > 1 else 0)), name)
    return _ago(int(seconds / (365 * 86400) + 0.5), "year")


def age_of(text: str, now: float) -> str:
    """The age of the ISO-8601 time `text` at `now` (seconds since the epoch), or '?'."""
    moment = parse_iso(text)
    return "?" if moment is None else age(now - moment)


def _ago(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


def parse_span(text: str) -> float | None:
    """Seconds of a span such as '7d', '12h', '30m', '2w', or None where it is none."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not (number.isascii() and number.isdigit()) or len(number) > 9:
        return None
    return float(int(number) * units[unit])
