"""Rank the candidates by their measurements. This module has no side effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.evaluation.result import EvalResult, RankedCandidate
from git_hub_session.evaluation.units import (
    BASELINE,
    ComparedMeasurements,
    Measurement,
    convert_to_one_unit,
)
from git_hub_session.metric.quantity import convert_quantity
from git_hub_session.ranking.margin import baseline_margins
from git_hub_session.ranking.race import COMPARISONS
from git_hub_session.ranking.ranking import Rank, Score, describe_tie, rank_by_size, rank_scores
from git_hub_session.util.numbers import difference, format_values

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.evaluation.measure import MetricCommand
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.session import runs
    from git_hub_session.session.model import Session


def rank_candidates(
    session: Session,
    candidates: Sequence[Candidate],
    measurements: Mapping[str, Measurement],
    run: runs.Run,
    options: EvalOptions,
) -> EvalResult:
    """Return the candidates with their ranks, the best first, and those without a rank."""
    metric_command = options.metric_command
    assert metric_command is not None
    compared = convert_to_one_unit(measurements, options.baseline)
    baseline, spread, note = _choose_baseline(compared, options)
    notes = [note] if note else []
    unranked = [
        _with_measurement(
            candidate,
            compared.measurements.get(candidate.target),
            baseline,
            metric_command,
            log=f"{run.path}/{candidate.target}.log",
        )
        for candidate in candidates
    ]
    unranked, others = choose_attempts(unranked, options)
    ranks, tie_notes = rank_agents(unranked, options)
    by_agent = _with_margins(unranked, compared, baseline, options)
    ranked = [by_agent.pop(rank.agent)._replace(rank=rank) for rank in ranks]
    notes += _noise_notes(ranked, compared, options)
    return EvalResult(
        session,
        session.state,
        (*ranked, *by_agent.values(), *others),
        metric_command,
        baseline,
        spread,
        run.name,
        (*notes, *tie_notes),
        compared.unit,
        baseline_failure=note if baseline is None else "",
    )


def choose_attempts(
    attempts: Sequence[RankedCandidate], options: EvalOptions
) -> tuple[list[RankedCandidate], list[RankedCandidate]]:
    """Return the attempt of each agent that counts, and the other attempts."""
    by_agent: dict[int, list[RankedCandidate]] = {}
    for ranked in attempts:
        by_agent.setdefault(ranked.candidate.branch.agent, []).append(ranked)
    counted, others = [], []
    for candidates in by_agent.values():
        chosen = _choose_attempt(candidates, options)
        attempt = chosen.candidate.branch.attempt
        counted.append(chosen)
        others += [
            ranked._replace(counted_attempt=attempt)
            for ranked in candidates
            if ranked is not chosen
        ]
    return counted, others


def _choose_attempt(attempts: Sequence[RankedCandidate], options: EvalOptions) -> RankedCandidate:
    """Return the best attempt of one agent.

    If the measurements cannot tell several attempts apart, the last of them counts, because it usually
    continues the earlier ones. If no attempt can be ranked, the last attempt counts.
    """
    fit = [ranked for ranked in attempts if not ranked.reason and not ranked.candidate.is_left_out]
    if len(fit) < 2:
        return (fit or attempts)[-1]
    metric_command = options.metric_command
    if metric_command is None or not metric_command.metric:
        return fit[-1]
    scores = [
        ranked.score._replace(agent=number) for number, ranked in enumerate(fit) if ranked.score
    ]
    ranks = rank_scores(scores, options.direction, comparisons=_comparisons(metric_command))
    best = ranks[0]
    equal = [rank.agent for rank in ranks if rank.is_tie and rank.tie == best.tie]
    return fit[max(equal, default=best.agent)]


def _comparisons(metric_command: MetricCommand) -> int:
    return COMPARISONS if metric_command.race else 1


def _with_measurement(
    candidate: Candidate,
    measurement: Measurement | None,
    baseline: float | None,
    metric_command: MetricCommand,
    *,
    log: str,
) -> RankedCandidate:
    """Return a candidate without a rank. `measurement` is None if no command ran for it."""
    if measurement is None:
        score = Score(candidate.branch.agent, (), candidate.size)
        return RankedCandidate(candidate, None, score, candidate.unmeasured_reason)
    score = Score(candidate.branch.agent, measurement.values, candidate.size)
    delta = difference(score.metric, baseline) if score.values and baseline is not None else None
    is_checked = bool(metric_command.requirements) or not metric_command.metric
    passed = not measurement.reason if is_checked else None
    return RankedCandidate(candidate, None, score, measurement.reason, delta, log, passed=passed)


def _choose_baseline(
    compared: ComparedMeasurements, options: EvalOptions
) -> tuple[float | None, float | None, str]:
    """Return the baseline and its spread in the unit of all values, and a warning or ''.

    If the baseline could not be measured, a known one counts.
    """
    measured = compared.measurements.get(BASELINE)
    if measured is not None:
        score = Score(0, measured.values, (0, 0))
        if score.values:
            return score.metric, score.spread, ""
    failure = f"the baseline could not be measured: {measured.reason}" if measured else ""
    known = options.baseline
    if known is None:
        return None, None, failure
    number = f"{known.value:.12g} {known.unit}".rstrip()
    # A number without a unit is in the agents' unit, unless they have used several.
    if compared.is_converted and not known.unit:
        return None, None, failure or f"the baseline {number} has no unit"
    return known.value, None, f"{failure} (compared with {number})" if failure else ""


def _noise_notes(
    ranked: Sequence[RankedCandidate], compared: ComparedMeasurements, options: EvalOptions
) -> list[str]:
    """Return a note if two single runs of the base branch differ by as much as the best agent."""
    measured, earlier = compared.measurements.get(BASELINE), options.baseline
    score = ranked[0].score if ranked else None
    if measured is None or score is None or earlier is None:
        return []
    before = convert_quantity(earlier, compared.unit)
    if before is None or not len(measured.values) == len(score.values) == 1:
        return []
    [now], [best] = measured.values, score.values
    if before == now or abs(now - before) < abs(best - now):
        return []
    first, second = format_values(before, now)
    change = f"the baseline was {first} and is now {second}"
    return [f"one run for each agent may be too few: {change} (to repeat the runs: --repeat auto)"]


def _with_margins(
    candidates: Sequence[RankedCandidate],
    compared: ComparedMeasurements,
    baseline: float | None,
    options: EvalOptions,
) -> dict[int, RankedCandidate]:
    """Return the candidates, by agent, with their margins to the baseline."""
    by_agent = {ranked.candidate.branch.agent: ranked for ranked in candidates}
    if baseline is None:
        return by_agent
    scores = [ranked.score for ranked in candidates if ranked.score]
    values = compared.measurements.get(BASELINE, Measurement()).values
    margins = baseline_margins(scores, baseline, values, options.direction)
    return {agent: ranked._replace(margin=margins.get(agent)) for agent, ranked in by_agent.items()}


def rank_agents(
    candidates: Sequence[RankedCandidate], options: EvalOptions
) -> tuple[list[Rank], list[str]]:
    """Return the ranks of one attempt of each agent, and a note if the first agents tie.

    Agents without a commit of their own, and those on another branch, come last, by number. An agent that
    failed, or that cannot be measured in place, has no rank.
    """
    candidates = [ranked for ranked in candidates if not ranked.candidate.is_left_out]
    eligible = [ranked for ranked in candidates if ranked.candidate.is_eligible]
    ranks = _rank_eligible(
        [ranked for ranked in eligible if not ranked.candidate.not_in_place_reason], options
    )
    longest = max((len(each.score.values) for each in eligible if each.score), default=0)
    note = describe_tie(ranks, longest)
    others = [ranked.candidate.branch.agent for ranked in candidates if ranked not in eligible]
    ranks += [Rank(agent, place) for place, agent in enumerate(others, len(ranks) + 1)]
    return ranks, [note] if note else []


def _rank_eligible(candidates: Sequence[RankedCandidate], options: EvalOptions) -> list[Rank]:
    scores = [ranked.score for ranked in candidates if ranked.score]
    metric_command = options.metric_command
    assert metric_command is not None
    if not metric_command.metric:
        passed = [ranked.candidate.branch.agent for ranked in candidates if ranked.passed]
        return rank_by_size(scores, passed)
    return rank_scores(scores, options.direction, comparisons=_comparisons(metric_command))
