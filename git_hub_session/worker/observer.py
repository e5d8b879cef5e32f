"""The methods that a worker calls during its work."""

from __future__ import annotations

from git_hub_session.agents.run_monitor import RunObserver


class WorkObserver(RunObserver):
    """The methods that are called during the work. Here they do nothing."""

    def note(self, text: str) -> None:
        """Receive a sentence about the progress."""
