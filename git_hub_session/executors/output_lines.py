"""Split output into lines that cannot control the terminal."""

from __future__ import annotations

from git_hub_session.util.text import decode_terminal_line

_MAX_LINE = 2000  # bytes of a line that are shown


class OutputLines:
    """Splits output into lines. A line that is too long is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> list[str]:
        """Return the complete lines, without control characters."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: _MAX_LINE + 1]
        return [_show_line(line) for line in lines]

    def rest(self) -> list[str]:
        """Return the last line if it has no end."""
        rest, self._rest = self._rest, b""
        return [_show_line(rest)] if rest else []


def _show_line(line: bytes) -> str:
    text = decode_terminal_line(line[:_MAX_LINE])
    return f"{text}..." if len(line) > _MAX_LINE else text
