"""Hints: the lines in the output of a command that say how to continue."""

from __future__ import annotations

from tests.support.hub import Hub, Result


def type_hint(hub: Hub, line: str) -> None:
    """Run the command of a hint in a shell, as a user would."""
    result = hub.call("sh", "-c", line)
    assert result.code == 0, (line, result)


def hints(result: Result) -> list[str]:
    """Return the hints on both streams."""
    lines = (line.strip() for line in (result.out + result.err).splitlines())
    return [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
