"""The runs of the agents' commands as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.table import Column, table_lines
from git_hub_session.cli.view import TerminalStyle, agent_fields, relative_path
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.uncommitted import uncommitted_text

if TYPE_CHECKING:
    from git_hub_session.agents.run_monitor import AgentRun


def run_table(agent_runs: Sequence[AgentRun], cwd: str, style: TerminalStyle) -> list[str]:
    """Return the table with one line for each agent.

    Args:
        cwd: the current directory, to which paths are relative.
    """
    rows = [_row(agent_run, cwd) for agent_run in agent_runs]
    agents, exits, times, commits, outputs = zip(*rows, strict=True)
    has_failed = [run.reason or not run.has_not_failed for run in agent_runs]
    columns = (
        Column("AGENT", agents),
        Column("EXIT", exits, colors=["red" if failed else "" for failed in has_failed]),
        Column("TIME", times, right=True, label="time "),
        Column("COMMITS", commits, right=True, label="commits "),
        Column("OUTPUT", outputs),
    )
    return table_lines(columns, style, "")


def _row(agent_run: AgentRun, cwd: str) -> tuple[str, str, str, str, str]:
    result = agent_run.result
    uncommitted = uncommitted_text(agent_run.uncommitted) if agent_run.uncommitted else ""
    reason = escape_control(", ".join(filter(None, (agent_run.reason, uncommitted))))
    if result is None:
        return (agent_run.agent, "-", "-", "-", reason or "-")
    log = escape_control(relative_path(agent_run.log, cwd))
    return (
        agent_run.agent,
        (result.stop_reason or str(result.status)) + _tries_text(agent_run),
        f"{result.seconds:.1f}s",
        str(agent_run.commits),
        f"{log} ({reason})" if reason else log,
    )


def _tries_text(agent_run: AgentRun) -> str:
    return f" (try {agent_run.tries})" if agent_run.tries > 1 else ""


def run_fields(agent_run: AgentRun) -> dict[str, Any]:
    """Return the JSON of one agent."""
    result = agent_run.result
    return {
        **agent_fields(agent_run.branch),
        "path": agent_run.path,
        "exit_code": result.status if result else None,
        "cut_off": (result.stop_reason or None) if result else None,
        "seconds": round(result.seconds, 3) if result else None,
        "commits": agent_run.commits if result else None,
        "output": agent_run.log or None,
        "commit": agent_run.commit or None,
        "not_committed": agent_run.not_committed or None,
        "tries": agent_run.tries or None,
        "reason": agent_run.reason or None,
        "hint": agent_run.hint or None,
        "command": agent_run.command or None,
        "uncommitted": agent_run.uncommitted if result else None,
    }
