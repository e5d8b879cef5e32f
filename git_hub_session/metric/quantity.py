"""Parse a number and its unit, and convert numbers between units.

This module has no side effects.

A number may have digit groups (`1,234,567`, `1_234`, `1'234`), a sign, a fraction and an exponent.
Its unit is a unit of the table below, attached or after spaces, or a rate such as `req/s`, `MB/s`
or `ns/op`. A time may have several parts (`1m02s`, `1:30.5`). A deviation before the unit is
skipped (`5.1 ± 0.2 ms`). Letters, digits or signs directly after the number make it invalid:
`12abc`, `1,5`, `1.2.3` and `3/10` are not numbers.
"""

from __future__ import annotations

import re

from git_hub_session._typing import NamedTuple

LARGEST = 1e300
"""The largest number. The sum and the difference of two such numbers are finite."""

_TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {
    "B": 1.0,
    "bit": 1 / 8,
    **{f"{prefix}B": 1000.0**power for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}bit": 1000.0**power / 8 for power, prefix in enumerate("kMGT", start=1)},
    **{f"{prefix}iB": 1024.0**power for power, prefix in enumerate("KMGTP", start=1)},
}
_OTHERS = {
    **{unit: ("frequency", factor) for unit, factor in (("Hz", 1.0), ("kHz", 1e3))},
    **{unit: ("frequency", factor) for unit, factor in (("MHz", 1e6), ("GHz", 1e9))},
    **{unit: (unit, 1.0) for unit in ("%", "x", "rps", "qps", "tps", "fps")},
}
# The dimension and the factor of each unit.
_UNITS = {
    **{unit: ("time", factor) for unit, factor in _TIMES.items()},
    **{unit: ("size", factor) for unit, factor in _SIZES.items()},
    **_OTHERS,
}
_ALIASES = {
    **dict.fromkeys(("nsec", "nsecs", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("µs", "μs", "usec", "usecs", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("byte", "bytes", "Byte", "Bytes"), "B"),
    **dict.fromkeys(("KB", "kb", "Kbytes", "kbytes"), "kB"),
    **dict.fromkeys(("mb", "Mbytes"), "MB"),
    **dict.fromkeys(("gb", "Gbytes"), "GB"),
    **dict.fromkeys(("tb", "Tbytes"), "TB"),
    "kiB": "KiB",
    "bits": "bit",
    "percent": "%",
}

_GROUPS = r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:_\d{3})+|\d{1,3}(?:'\d{3})+"
_NUMBER = rf"[+\u2212-]?(?:(?:{_GROUPS}|\d+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_SPACE = "[ \t]*"
_WORD = r"[A-Za-z\u00b5\u03bc]+"
_UNIT = rf"%|{_WORD}(?:/{_WORD})?|/{_WORD}"

_number = re.compile(rf"({_NUMBER})(?:{_SPACE}(?:\u00b1|\+/?-){_SPACE}{_NUMBER})?", re.ASCII)
_not_finite = re.compile(r"[+-]?(?:nan|inf(?:inity)?)(?!\w)", re.IGNORECASE)
_clock = re.compile(r"([+\u2212-]?)(?:(\d+):(?=\d\d:))?(\d+):([0-5]\d(?:\.\d+)?)", re.ASCII)
_attached_unit = re.compile(_UNIT)
# A word after spaces is a label, not a unit, if a sign follows: `12 min: 3`.
_separate_unit = re.compile(rf"{_SPACE}([(\[]?)({_UNIT})([)\]]?)(?!\w|/|{_SPACE}[:=])")
_time_part = re.compile(rf"({_SPACE})(\d+(?:\.\d+)?)({_WORD})(?!/)", re.ASCII)
_end = re.compile(r"""$|[\s"`;|)\]}<(]|'(?!\d)|[,.:!?](?=\s|$)|,(?=["'A-Za-z{\[])""")


class Quantity(NamedTuple):
    """A number with its unit."""

    value: float
    unit: str = ""
    """A unit in one spelling, such as "us" for "µs", or '' without a unit."""


def parse_quantity(text: str) -> Quantity | None:
    """Return the quantity that the whole text spells, or None. It may be NaN or infinite."""
    text = text.strip()
    quantity, end = _match_quantity(text)
    return quantity if end == len(text) else None


def parse_finite_quantity(text: str) -> Quantity | None:
    """Return the quantity that the whole text spells, or None if it is not a finite number."""
    quantity = parse_quantity(text)
    return quantity if quantity is not None and abs(quantity.value) <= LARGEST else None


def parse_leading_quantity(text: str) -> Quantity | None:
    """Return the quantity at the start of the text, or None. Other words may follow it."""
    quantity, end = _match_quantity(text)
    return quantity if quantity is not None and _end.match(text, end) else None


def convert_quantity(quantity: Quantity, unit: str) -> float | None:
    """Return the value in another unit, or None if the units cannot be compared."""
    if quantity.unit == unit:
        return quantity.value
    dimension, factor = _resolve_unit(quantity.unit)
    wanted_dimension, wanted_factor = _resolve_unit(unit)
    if dimension != wanted_dimension:
        return None
    # Round to 15 digits, so that 0.29 s and 290 ms are equal.
    value = float(f"{quantity.value * (factor / wanted_factor):.15g}")
    return value if abs(value) <= LARGEST else None


def _match_quantity(text: str) -> tuple[Quantity | None, int]:
    """Return the quantity at the start of the text and its end, or None and -1."""
    match = _not_finite.match(text)
    if match:
        return Quantity(float(match[0])), match.end()
    match = _clock.match(text)
    if match:
        seconds = float(match[2] or 0) * 3600 + float(match[3]) * 60 + float(match[4])
        return Quantity(-seconds if match[1] in ("-", "\u2212") else seconds, "s"), match.end()
    match = _number.match(text)
    if not match:
        return None, -1
    digits = re.sub("[,_']", "", match[1]).replace("\u2212", "-")
    value = float(digits)
    if not value and is_not_zero(digits):
        return None, -1
    return _match_unit(text, match.end(), value + 0.0)  # -0.0 becomes 0.0


def is_not_zero(number: str) -> bool:
    """Return True if the text of a number has a digit other than 0 before its exponent.

    A float cannot hold a number such as 1e-400: it becomes 0.
    """
    return re.match(r"[^eE]*[1-9]", number) is not None


def _match_unit(text: str, position: int, value: float) -> tuple[Quantity | None, int]:
    """Return the quantity with the unit at `position` in the text, and its end."""
    match = _attached_unit.match(text, position)
    if match:
        unit = _normalize_unit(match[0])
        if not unit:
            return None, -1
        return _add_time_parts(text, match.end(), Quantity(value, unit))
    match = _separate_unit.match(text, position)
    unit = _normalize_unit(match[2]) if match else ""
    if not match or not unit or bool(match[1]) != bool(match[3]):
        return Quantity(value), position
    return _add_time_parts(text, match.end(), Quantity(value, unit))


def _add_time_parts(text: str, position: int, quantity: Quantity) -> tuple[Quantity, int]:
    """Add the smaller parts of a time, such as `02s` after `1m`. Return the sum and its end.

    After a space, add a part only to minutes or longer units: `1.2 s 900 ms` is a list of times.
    """
    last = quantity.unit
    while last in _TIMES:
        match = _time_part.match(text, position)
        unit = _normalize_unit(match[3]) if match else ""
        if not match or unit not in _TIMES or _TIMES[unit] >= _TIMES[last]:
            break
        if match[1] and _TIMES[last] < _TIMES["m"]:
            break
        seconds = abs(quantity.value) * _TIMES[quantity.unit] + float(match[2]) * _TIMES[unit]
        seconds = float(f"{seconds:.15g}")
        sign = -1 if text.startswith(("-", "\u2212")) else 1
        quantity = Quantity(sign * seconds, "s")
        position, last = match.end(), unit
    return quantity, position


def _normalize_unit(unit: str) -> str:
    """Return the unit in one spelling, or '' if it is neither known nor a rate."""
    numerator, slash, denominator = unit.partition("/")
    numerator = _ALIASES.get(numerator, numerator)
    if not slash:
        return numerator if numerator in _UNITS else ""
    denominator = _ALIASES.get(denominator, denominator)
    if not any(part in _TIMES or part in _SIZES for part in (numerator, denominator)):
        return ""
    return f"{numerator}/{denominator}"


def _resolve_unit(unit: str) -> tuple[str, float]:
    """Return the dimension and the factor of a unit. An unknown unit is its own dimension."""
    numerator, slash, denominator = unit.partition("/")
    dimension, factor = _UNITS.get(numerator, (numerator, 1.0))
    if not slash:
        return dimension, factor
    divisor_dimension, divisor = _UNITS.get(denominator, (denominator, 1.0))
    return f"{dimension}/{divisor_dimension}", factor / divisor
