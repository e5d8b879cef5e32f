"""The progress of agents as text and as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.table import Column, lines_below, table_lines
from git_hub_session.cli.view import (
    TerminalStyle,
    format_change,
    relative_path,
)
from git_hub_session.session.baseline import BY_RATIO
from git_hub_session.session.runs import FAILED_WITH
from git_hub_session.util.clock import format_elapsed
from git_hub_session.util.machine import machine_fields
from git_hub_session.util.numbers import format_values
from git_hub_session.util.text import describe_pass, display_width, escape_control

if TYPE_CHECKING:
    from git_hub_session.session.baseline import Evaluation
    from git_hub_session.session.model import AgentResult
    from git_hub_session.worktree.agent_progress import AgentProgress

_INDENT = "    "
_MAX_STATE_WIDTH = 24


def agent_lines(
    agents: Sequence[AgentProgress],
    evaluation: Evaluation,
    style: TerminalStyle,
    *,
    cwd: str,
    now: float,
) -> list[str]:
    """Return a table of the agents, or no line without an agent."""
    if not agents:
        return []
    logs, place = _log_cells(agents, style, cwd)
    ranks = [agent.result.rank if agent.result else 0 for agent in agents]
    columns = (
        Column("AGENT", [agent.name for agent in agents]),
        Column("STATE", [_state_cell(agent, now) for agent in agents]),
        Column("RANK", [str(rank) if rank else "" for rank in ranks], right=True, label="rank "),
        Column("METRIC", metric_cells(agents, evaluation, style), label="metric "),
        Column("REMARKS", list(map(_remarks_cell, agents))),
        Column("LOG", logs),
    )
    text = escape_control(evaluation.verdict_text)
    order = [f"    Ranked by {BY_RATIO}"] if evaluation.by_ratio else []
    verdict = [style.fit(f"    Verdict: {text}", 0)] if text else []
    return ["", "  Agents:", *table_lines(columns, style, _INDENT), *place, *order, *verdict]


def _log_cells(
    agents: Sequence[AgentProgress], style: TerminalStyle, cwd: str
) -> tuple[list[str], list[str]]:
    """Return the path of each log, and the lines that name their directory.

    If a path does not fit into a line below a row, the paths are relative to this directory.
    """
    paths = [relative_path(agent.log, cwd) for agent in agents]
    logs = list(map(escape_control, paths))
    longest = len(_INDENT) + 2 + max(map(display_width, logs))
    if style.columns is None or longest <= style.columns or not any(paths):
        return logs, []
    [output] = {os.path.dirname(os.path.dirname(path)) for path in paths if path}
    short = [escape_control(relative_path(path, output)) for path in paths]
    return short, lines_below(f"Logs: {escape_control(output)}", style, _INDENT)


def describe_state(agent: AgentProgress, now: float) -> str:
    """Return the state of the last run, with the time of a running command, or the failure."""
    return escape_control(agent.failure) or _state_cell(agent, now)


def _state_cell(agent: AgentProgress, now: float) -> str:
    if agent.started is not None:
        return f"running for {format_elapsed(now - agent.started)}"
    return short_failure(agent) or escape_control(agent.state_text)


def short_failure(agent: AgentProgress) -> str:
    """Return the failure for the column STATE, such as "failed (1)", or '' if it is too long."""
    failure = escape_control(agent.failure)
    if failure.startswith(FAILED_WITH):
        return f"failed ({failure.removeprefix(FAILED_WITH)})"
    return failure if display_width(failure) <= _MAX_STATE_WIDTH else ""


def _remarks_cell(agent: AgentProgress) -> str:
    failure = "" if short_failure(agent) else escape_control(agent.failure)
    return ", ".join(filter(None, [failure, *map(escape_control, agent.remarks)]))


def metric_cells(
    agents: Sequence[AgentProgress], evaluation: Evaluation, style: TerminalStyle
) -> list[str]:
    """Return the metric of each agent with its change since the baseline, or pass or fail.

    Add the machine that measured the agent if that was another one.
    """
    results = [agent.result for agent in agents]
    texts = format_values(*(result.metric if result else None for result in results))
    unit = f" {escape_control(evaluation.unit)}" if evaluation.unit else ""
    cells = []
    for result, text in zip(results, texts, strict=True):
        change = ""
        if result is not None and result.metric is not None:
            change = format_change(result.metric, evaluation.baseline_of(result), style)
        cell = f"{text}{unit}{change}" if text else ""
        cell = cell or describe_pass(result.passed if result else None)
        machine = result.machine if result else None
        cells.append(f"{cell} on {escape_control(machine.host)}" if machine and cell else cell)
    return cells


def agent_progress_fields(
    agent: AgentProgress, evaluation: Evaluation, now: float
) -> dict[str, Any]:
    """Return the fields of an agent. An unknown value is None."""
    seconds = None if agent.started is None else max(now - agent.started, 0.0)
    return {
        "agent": agent.agent,
        "attempt": agent.attempt or None,
        "status": agent.state,
        "failure": agent.failure or None,
        "running_for": seconds,
        "log": agent.log or None,
        **_result_fields(agent.result, evaluation),
        "outdated": agent.is_outdated,
        "own_commit": agent.has_own_commit,
        "uncommitted": agent.uncommitted,
        "off_branch": agent.off_branch or None,
        "conflicts": agent.conflicts,
        "passed": agent.result.passed if agent.result else None,
        "command": agent.command or None,
        "ranked_attempt": agent.ranked_attempt or None,
        "uncommitted_attempts": [*agent.earlier_uncommitted],
    }


def _result_fields(result: AgentResult | None, evaluation: Evaluation) -> dict[str, Any]:
    keys = ("rank", "metric", "value", "unit", "baseline", "delta", "ratio", "machine")
    fields: dict[str, Any] = dict.fromkeys(keys)
    if result is None:
        return {**fields, "tie": False, "reason": None}
    fields |= {"rank": result.rank or None, "delta": result.delta}
    if result.metric is not None:
        fields |= {
            "metric": evaluation.metric or None,
            "value": result.metric,
            "unit": evaluation.unit or None,
            "baseline": evaluation.baseline_of(result),
        }
    fields |= {"ratio": result.ratio, "machine": machine_fields(result.machine)}
    return {**fields, "tie": result.is_tie, "reason": result.reason or None}
