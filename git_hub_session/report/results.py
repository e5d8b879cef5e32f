"""The results of a session: the facts at the top, the ranking and all evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import format_change
from git_hub_session.lineage.parent import read_parent
from git_hub_session.ranking.statistics import half_interval
from git_hub_session.report.tables import (
    STYLE,
    Column,
    Table,
    format_iso_time,
    join_values,
    short_id,
)
from git_hub_session.report.winner import describe_result
from git_hub_session.session.baseline import BY_RATIO
from git_hub_session.session.evaluation_log import evaluation_name, group_evaluations
from git_hub_session.util.json_values import as_mapping, as_text
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import describe_pass

if TYPE_CHECKING:
    from git_hub_session.report.facts import SessionFacts
    from git_hub_session.session.evaluation_log import EvaluationEntry
    from git_hub_session.session.model import AgentResult, Session


def metric_name(facts: SessionFacts) -> str:
    """Return the name of the metric with its unit, such as "p50 (ms)"."""
    evaluation = facts.evaluation
    unit = f" ({evaluation.unit})" if evaluation.unit else ""
    return f"{evaluation.metric or 'metric'}{unit}"


def ranked_results(facts: SessionFacts) -> list[AgentResult]:
    """Return the results of the last evaluation, the best first, then those without a rank."""
    return sorted(facts.session.results, key=lambda result: (not result.rank, result.rank))


def ranking_table(facts: SessionFacts) -> Table:
    """Return the results of the last evaluation."""
    results = ranked_results(facts)
    values = format_values(*(result.metric for result in results))
    rows = [
        (
            str(result.rank or "–"),
            facts.label(result.agent, result.attempt),
            text or describe_pass(result.passed),
            _format_interval(result),
            "" if result.baseline is None else format_number(result.baseline),
            "" if result.ratio is None else f"{result.ratio:.4g}",
            result.machine.text if result.machine else "",
            _format_change(result, facts),
            join_values(result.values) if len(result.values) > 1 else "",
            _format_size(result, facts),
            _describe_remarks(result, facts),
        )
        for result, text in zip(results, values, strict=True)
    ]
    headers = (
        Column("Rank", is_number=True),
        Column("Agent"),
        Column(metric_name(facts), is_number=True, has_code_header=True),
        Column("±", is_number=True),
        Column("Base", is_number=True),
        Column("Ratio", is_number=True),
        Column("Machine", wraps=True),
        Column("Change", is_number=True),
        Column("Measured values", wraps=True),
        Column("Lines"),
        Column("Remarks", is_code=True, wraps=True),
    )
    return Table(headers, tuple(rows)).without_empty_columns()


def _format_interval(result: AgentResult) -> str:
    interval = half_interval(result.values)
    return "" if interval is None else format_number(float(f"{interval:.2g}"))


def _format_change(result: AgentResult, facts: SessionFacts) -> str:
    if result.metric is None:
        return ""
    return format_change(result.metric, facts.evaluation.baseline_of(result), STYLE).strip(" ()")


def _format_size(result: AgentResult, facts: SessionFacts) -> str:
    summary = facts.find_attempt(result.agent, result.attempt)
    diff = summary.diff if summary else None
    return f"+{diff.insertions} −{diff.deletions}" if diff else ""


def _describe_remarks(result: AgentResult, facts: SessionFacts) -> str:
    agent = next((agent for agent in facts.agents if agent.agent == result.agent), None)
    tie = "tie" if result.is_tie else ""
    remarks = (result.reason, tie, *(agent.remarks if agent else ()))
    return ", ".join(filter(None, dict.fromkeys(remarks)))


def overview_rows(facts: SessionFacts) -> list[tuple[str, str]]:
    """Return the names and the values of the facts at the top of a report."""
    session = facts.session
    config, merge, winner = session.config, session.merge, facts.winner
    parent = read_parent(session)
    rows = [
        ("State", str(session.state)),
        ("Winner" if merge else "Best", facts.branch_label(winner) if winner else ""),
        ("Result", describe_result(session)),
        ("Merged into", f"{merge.into} ({short_id(merge.commit)})" if merge else ""),
        ("After", parent.text if parent else ""),
        ("Base branch", config.base_branch),
        ("Agents", str(config.agent_count or "")),
        *_evaluation_rows(facts),
        ("Created", format_iso_time(session.created)),
        ("Updated", format_iso_time(session.updated)),
    ]
    return [(name, value) for name, value in rows if value]


def _evaluation_rows(facts: SessionFacts) -> list[tuple[str, str]]:
    """Return the settings of the last evaluation, or those of the session."""
    evaluation, config = facts.evaluation, facts.session.config
    metric = evaluation.metric or config.get("metric")
    direction = evaluation.direction or config.get("direction")
    baseline = "" if evaluation.baseline is None else format_number(evaluation.baseline)
    return [
        ("Evaluation", _command(facts.session) or config.get("eval_cmd")),
        ("Metric", f"{metric} ({direction} is better)" if metric and direction else metric),
        ("Baseline", baseline or config.get("baseline")),
        ("Ranked by", BY_RATIO if evaluation.by_ratio else ""),
        ("Requirements", ", ".join(config.require)),
        ("Verdict", evaluation.verdict or ""),
    ]


def _command(session: Session) -> str:
    """Return the command of the last evaluation, or ''."""
    return as_text(as_mapping(session.document.get("evaluation")).get("command"))


def evaluations_table(facts: SessionFacts) -> Table:
    """Return all recorded evaluations, oldest first."""
    headers = (
        Column("Evaluation"),
        Column("Time"),
        Column("Agent"),
        Column("Commit"),
        Column("Rank", is_number=True),
        Column("Value", is_number=True),
        Column("Baseline", is_number=True),
        Column("Metric"),
        Column("Ratio", is_number=True),
        Column("Machine", wraps=True),
        Column("Remarks", is_code=True, wraps=True),
        Column("Measured values", wraps=True),
    )
    rows = [
        row for group in group_evaluations(facts.log.entries) for row in _entry_rows(group, facts)
    ]
    return Table(headers, tuple(rows), has_newest_last=True).without_empty_columns()


def _entry_rows(group: Sequence[EvaluationEntry], facts: SessionFacts) -> list[tuple[str, ...]]:
    values = format_values(*(entry.value for entry in group))
    return [
        (
            evaluation_name(group[0]),
            format_iso_time(entry.at),
            facts.label(entry.agent, entry.attempt),
            short_id(entry.commit),
            str(entry.rank or ""),
            value or describe_pass(entry.passed),
            "" if entry.baseline is None else format_number(entry.baseline),
            _other_metric(entry, facts),
            "" if entry.ratio is None else f"{entry.ratio:.4g}",
            entry.machine.text if entry.machine else "",
            ", ".join(filter(None, (entry.reason, "tie" if entry.tie else "", entry.verdict))),
            join_values(entry.values) if len(entry.values) > 1 else "",
        )
        for entry, value in zip(group, values, strict=True)
    ]


def _other_metric(entry: EvaluationEntry, facts: SessionFacts) -> str:
    """Return the metric and the unit of an entry if they differ from the last evaluation."""
    evaluation = facts.evaluation
    if (entry.metric, entry.unit) == (evaluation.metric, evaluation.unit):
        return ""
    return f"{entry.metric} ({entry.unit})" if entry.metric and entry.unit else entry.metric
