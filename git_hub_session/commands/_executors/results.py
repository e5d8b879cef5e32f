"""Show the ends of the connections to workers on executors."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.util.text import count_noun, escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from git_hub_session.executors.launcher import FarResult


def error_and_hint_lines(results: Sequence[FarResult], show_command: str) -> list[str]:
    """Return the errors of the connections, and what to do about them.

    Args:
        show_command: the command that shows the workers that go on without their connection.
    """
    lines = []
    for each in results:
        if each.error:
            lines.append(f"error: {escape_control(each.error)}")
        if each.hint:
            lines.append(f"hint: {escape_control(each.hint)}")
    if any(each.is_running for each in results):
        lines.append(f"hint: show them with: {escape_control(show_command)}")
    return lines


def cancel_lines(results: Sequence[FarResult]) -> Iterator[str]:
    """Yield the number of workers that --cancel has ended on each executor."""
    for each in results:
        if not each.error:
            noun = "job" if each.is_slurm else "worker"
            yield f"Ended {count_noun(each.cancelled, noun)} on {each.executor}"


def result_fields(result: FarResult) -> dict[str, Any]:
    """Return the JSON of a connection."""
    return {
        "executor": result.executor,
        "worker": result.slot,
        "exit_code": result.exit_code,
        "attached": result.is_attached,
        "running": result.is_running,
        "cancelled": result.cancelled,
        "error": result.error or None,
        "hint": result.hint or None,
        "job": result.job or None,
    }
