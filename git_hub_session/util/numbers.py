"""Parse small integers, and format measured values.

Integers are in names, options, settings and environment variables.

Python's `int` raises ValueError on more than 4,300 digits, and accepts signs, spaces, underscores
and the digits of other scripts. Other modules must use `parse_int` unless a pattern has already
limited the text to a few ASCII digits.
"""

from __future__ import annotations

MAX_COUNT = 999_999_999
"""The largest agent, attempt, process or repetition that a name or an option can spell."""
_MAX_DECIMALS = 100
MAX_INT64 = 2**63 - 1
"""The largest signed integer of 64 bits."""


def parse_int(text: str, maximum: int) -> int | None:
    """Return the number that the ASCII digits in `text` spell, or None.

    Leading zeros are ignored. The result is None if `text` is empty, has another character or
    spells a number above `maximum`.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    # Check the length first: `int` rejects thousands of digits, and is slow on hundreds.
    if len(digits) > len(str(maximum)):
        return None
    number = int(digits)
    return number if number <= maximum else None


def parse_octal(text: str, max_digits: int) -> int | None:
    """Return the number that at most `max_digits` octal digits spell, such as "644", or None."""
    if not 0 < len(text) <= max_digits or text.strip("01234567"):
        return None
    return int(text, 8)


def format_number(number: float, digits: int = 6, sign: str = "") -> str:
    """Return the number with this many significant digits. With `sign` "+", show each sign.

    Print numbers below 1e15 without an exponent, so that integers keep all digits.
    """
    text = f"{number:{sign}.{digits}g}"
    return f"{number:{sign}.15g}" if "e+" in text and abs(number) < 1e15 else text


def format_values(*values: float | None, sign: str = "") -> list[str]:
    """Return the values with enough digits to tell them apart, and '' in place of None."""
    different = len({value for value in values if value is not None})
    texts: list[str] = []
    for digits in range(6, 18):
        texts = ["" if value is None else format_number(value, digits, sign) for value in values]
        if len({*texts} - {""}) == different:
            break
    return texts


def difference(first: float, second: float) -> float:
    """Return `first - second` without binary noise: 142.031 - 144 is -1.969."""
    return _round_to_decimals(first - second, _decimals(first, second))


def midpoint(first: float, second: float) -> float:
    """Return the mean of two numbers without binary noise: that of 0.1 and 0.2 is 0.15."""
    return _round_to_decimals((first + second) / 2, _decimals(first, second) + 1)


def _decimals(*values: float) -> int:
    """Return the largest number of digits after the point, or a large number for an exponent."""
    texts = [repr(float(value)) for value in values]
    if any("e" in text for text in texts):
        return _MAX_DECIMALS
    return max(len(text.partition(".")[2]) for text in texts)


def _round_to_decimals(value: float, decimals: int) -> float:
    return value if decimals >= _MAX_DECIMALS else round(value, decimals)
