"""Write lines over the whole terminal again and again, and restore the terminal at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.io import write_all

if TYPE_CHECKING:
    from git_hub_session._typing import Self, TextIO
    from git_hub_session.cli.view import TerminalStyle

# xterm's control sequences: the alternate screen, the cursor, and the ends of line and screen.
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class FullScreen:
    """The whole terminal inside a `with` block.

    Ctrl-Z restores the terminal until the user continues the process. A terminal without cursor
    movements (TERM=dumb) shows the lines again below, but only if they differ.
    """

    def __init__(
        self, stream: TextIO, style: Callable[[], TerminalStyle], *, is_dumb: bool
    ) -> None:
        """Use a terminal. `style` returns its abilities as they are now."""
        self.style = style
        self._stream = stream
        self._is_dumb = is_dumb
        self._lines: Sequence[str] = ()

    def __enter__(self) -> Self:
        if not self._is_dumb:
            self._stop_handler = signal.signal(signal.SIGTSTP, self._stop)
            self._write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_dumb:
            return
        signal.signal(signal.SIGTSTP, self._stop_handler)
        try:
            self._write(_LEAVE)
        except OSError:
            pass  # the terminal is lost

    def rows(self) -> int | None:
        """Return the height of the terminal, or None if it is not known or does not matter."""
        try:
            lines = os.get_terminal_size(self._stream.fileno()).lines
        except OSError:
            return None
        return None if self._is_dumb else lines or None

    def draw(self, lines: Sequence[str]) -> None:
        """Show the lines. Raise OSError if the terminal is lost.

        The caller has fitted the lines to the terminal. Only the last one may take several rows.
        """
        if not self._is_dumb:
            # Clear before the text: after the last column, xterm would clear the last character.
            *others, last = lines
            text = "".join(f"{_CLEAR_LINE}{line}\r\n" for line in others)
            self._write(f"{_HOME}{text}{_CLEAR_BELOW}{last}")
        elif list(lines) != list(self._lines):
            self._write("".join(f"{line}\n" for line in (*lines, "")))
        self._lines = lines

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Restore the terminal, stop this process, and draw again when it continues."""
        self._write(_LEAVE)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._write(_ENTER)
        if self._lines:  # Ctrl-Z can come before the first table
            self.draw(self._lines)

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "ascii"
        write_all(self._stream.fileno(), text.encode(encoding, "backslashreplace"))
