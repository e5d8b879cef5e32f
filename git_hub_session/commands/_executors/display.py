"""Print the output of workers on executors while they run."""

from __future__ import annotations

from collections import Counter

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.commands._exec.live_output import LiveOutput
from git_hub_session.executors.launcher import FarObserver

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context


class FarDisplay(FarObserver):
    """Prints the output of the workers, with the names of their executors."""

    def __init__(self, context: Context) -> None:
        self._output = LiveOutput(context)
        self.elapsed = self._output.elapsed
        self._reporter = context.reporter
        self._connections: Counter[str] = Counter()

    def on_start(self, name: str) -> None:
        self._connections[name] += 1
        self.elapsed.start(name)

    def on_end(self, name: str) -> None:
        self._connections[name] -= 1
        if not self._connections[name]:
            self.elapsed.end(name)

    def on_wait(self) -> float | None:
        return self.elapsed.update()

    def on_message(self, name: str, text: str) -> None:
        self.elapsed.clear()
        self._reporter.note(f"{name}: {text}")

    def on_line(self, name: str, text: str) -> None:
        self._output.write(f"{name}: {text}\n")
