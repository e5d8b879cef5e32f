"""The errors of a removal, and the reason that each of them gives for keeping the worktree."""

from __future__ import annotations

from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.worktree.reason import Reason


class RemovalBlocked(Exception):
    """The worktree changed after the inspection. Its directory, if any, is at its path."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class InUseDuringRemoval(Exception):
    """Processes entered the directory after its inspection. It is at its path."""

    def __init__(self, processes: tuple[str, ...]) -> None:
        super().__init__(", ".join(processes))
        self.processes = processes


class ModifiedDuringRemoval(Exception):
    """A process wrote into the directory during its deletion.

    The message is the path of the new files.
    """


class RemovalFailed(Exception):
    """The directory or the git dir cannot be moved or deleted."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def reason_from_error(error: Exception) -> Reason:
    """Return the reason to keep the worktree whose removal raised the error."""
    if isinstance(error, RemovalBlocked):
        return error.reason
    if isinstance(error, ModifiedDuringRemoval):
        return Reason("changed", f"files were written during the removal: they are in '{error}'")
    if isinstance(error, RemovalFailed):
        return Reason("stuck", str(error), error.hint)
    if isinstance(error, HubError | OSError):
        failure = to_hub_error(error)
        return Reason("stuck", failure.message, failure.hint)
    return Reason("stuck", str(error))
