"""The progress of a command as one line on standard error, which is written again and again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from git_hub_session.cli.output import no_setting, write_open_line
from git_hub_session.util.clock import format_clock
from git_hub_session.util.numbers import MAX_COUNT, parse_int


def make_progress(title: str, total: int) -> Callable[[int], None]:
    """Return a function that shows the number of finished items on standard error.

    It prints git's progress line, and only on a terminal. The line appears after one second, or
    after GIT_PROGRESS_DELAY seconds, as in git.
    """
    is_enabled = total > 0 and sys.stderr is not None and sys.stderr.isatty()
    start = time.monotonic() + _progress_delay()
    last_shown: int | None = None

    def show(finished: int) -> None:
        nonlocal last_shown
        if not is_enabled or last_shown == total:
            return
        if last_shown is None and time.monotonic() < start:
            return
        last_shown = finished
        end = ", done.\n" if finished == total else ""
        write_open_line(f"{title}: {100 * finished // total:3}% ({finished}/{total}){end}")

    return show


def _progress_delay() -> int:
    """Return the seconds before progress is shown."""
    delay = parse_int(os.environ.get("GIT_PROGRESS_DELAY", ""), MAX_COUNT)
    return 1 if delay is None else delay


class ElapsedLine:
    """The line with the elapsed time of each running command, while the commands print nothing.

    Show it on standard error, only on a terminal, and after the delay of `make_progress`.
    """

    def __init__(self, *, is_enabled: bool) -> None:
        self._is_enabled = is_enabled and sys.stderr is not None and sys.stderr.isatty()
        self._delay = _progress_delay()
        self._next_time = time.monotonic() + self._delay
        self._starts: dict[str, float] = {}

    def start(self, name: str) -> None:
        """Start the clock of a command, unless it runs already."""
        self._starts.setdefault(name, time.monotonic())

    def end(self, name: str) -> None:
        """Remove a command from the line."""
        self._starts.pop(name, None)

    def clear(self) -> None:
        """Remove the line from the terminal, before other output. Show it again after the delay."""
        write_open_line("")
        self._next_time = time.monotonic() + self._delay

    def update(self) -> float | None:
        """Show the line if it is time. Return the seconds until the next call, or None."""
        if not self._is_enabled:
            return None
        now = time.monotonic()
        if now >= self._next_time:
            self._show(now)
            self._next_time = now + 1
        return self._next_time - now

    def _show(self, now: float) -> None:
        from git_hub_session.cli.terminal import detect_style

        times = [f"{name} {format_clock(now - start)}" for name, start in self._starts.items()]
        style = detect_style("never", sys.stderr, os.environ, no_setting)
        write_open_line(style.fit(f"Running: {', '.join(times)}", 1) if times else "")
