"""The options that run a failed command again."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Option, parse_seconds
from git_hub_session.errors import UsageError
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments

RETRIES = Option("--retries", "times to run a failed command again (default: 0)", "<number>")
RETRY_DELAY = Option("--retry-delay", "time between two tries (default: 1s)", "<time>")

_MAX_RETRIES = 1000
_DEFAULT_DELAY = 1.0  # seconds


def parse_retries(args: Arguments) -> int:
    """Return the value of RETRIES, or 0."""
    text = args.value("retries")
    if text is None:
        return 0
    number = parse_int(text, _MAX_RETRIES)
    if number is None:
        raise UsageError(f"not a number of retries: '{text}'", hint=f"use 0 to {_MAX_RETRIES}")
    return number


def parse_retry_delay(args: Arguments) -> float:
    """Return the value of RETRY_DELAY in seconds."""
    text = args.value("retry-delay")
    return _DEFAULT_DELAY if text is None else parse_seconds(text, allow_zero=True)
