"""Print lines of running commands, and the time that the commands take."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context


class LiveOutput:
    """Prints lines of running commands, and the time that the commands take.

    A closed standard output must not end the commands.
    """

    def __init__(self, context: Context) -> None:
        self.elapsed = context.reporter.elapsed_line()
        self._reporter = context.reporter
        self._is_open = True

    def write(self, text: str) -> None:
        """Print text, unless standard output is closed."""
        if not self._is_open:
            return
        self.elapsed.clear()
        try:
            self._reporter.write_text(text)
        except (HubError, BrokenPipeError):
            self._is_open = False
