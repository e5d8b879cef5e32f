"""The charts of results: the ranking, the evaluations, and the changed lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import AgentBranch
from git_hub_session.ranking.ratio import NO_CHANGE, paired_ratio
from git_hub_session.ranking.statistics import half_interval
from git_hub_session.report.markup import Markup, element
from git_hub_session.report.results import metric_name, ranked_results
from git_hub_session.report.svg import (
    CHAR,
    WIDTH,
    Scale,
    box,
    chart,
    dot,
    label,
    line,
    make_scale,
    series_class,
)
from git_hub_session.report.tables import short_id
from git_hub_session.session.evaluation_log import evaluation_name, group_evaluations
from git_hub_session.util.numbers import format_number, format_values

if TYPE_CHECKING:
    from git_hub_session.report.facts import SessionFacts
    from git_hub_session.session.evaluation_log import EvaluationEntry
    from git_hub_session.session.model import AgentResult

_ROW = 30
_TOP = 24
_MAX_ROWS = 60
_MAX_LABEL = 24
_MAX_NAME = 40
_HEIGHT = 260
_LABEL = 15
_MAX_SERIES = 12
_MAX_EVALUATIONS = 60


def ranking_chart(facts: SessionFacts) -> Markup:
    """Return the values of each ranked agent, its median, its interval and the baseline."""
    by_ratio = facts.evaluation.by_ratio
    results = [_with_ratios(each) if by_ratio else each for each in ranked_results(facts)]
    results = [result for result in results if result.metric is not None][:_MAX_ROWS]
    if not results:
        return Markup()
    baseline = NO_CHANGE if by_ratio else facts.evaluation.baseline
    names = [facts.label(result.agent, result.attempt) for result in results]
    left = _label_width(names)
    bottom = _TOP + _ROW * len(results)
    scale = make_scale([*_all_values(results), *_known(baseline)], left, WIDTH - 90)
    marks = [*_grid(scale, _TOP, bottom), *_baseline(scale, baseline, bottom)]
    texts = format_values(*(result.metric for result in results))
    for row, (result, name, text) in enumerate(zip(results, names, texts, strict=True)):
        y = _TOP + _ROW * (row + 0.5)
        rank = f"{result.rank}. " if result.rank else ""
        marks.append(label(left - 10, y + 4, f"{rank}{name}", anchor="end", most=_MAX_LABEL))
        marks += _result_marks(result, scale, y, f"{name}: {text}")
        marks.append(label(WIDTH - 80, y + 4, text, class_="value"))
    marks.append(label(left, bottom + 34, _axis_text(facts), class_="muted"))
    description = (
        "Each row is an agent, the best first. A small dot is a measured value, the large dot the"
        " median, the bar its confidence interval, and the dashed line the baseline."
        f" At most {_MAX_ROWS} agents are shown."
    )
    return chart("Ranking", description, bottom + 44, *marks)


def _with_ratios(result: AgentResult) -> AgentResult:
    """Return the result with the ratios to the base branch in place of the values."""
    ratio = paired_ratio(result.values, result.base_values)
    return result._replace(metric=result.ratio, values=ratio.values if ratio else ())


def _result_marks(result: AgentResult, scale: Scale, y: float, tip: str) -> Iterator[Markup]:
    metric = result.metric or 0.0
    name = "first" if result.rank == 1 else "other"
    interval = half_interval(result.values)
    if interval is not None:
        low, high = scale.place(metric - interval), scale.place(metric + interval)
        yield box(
            low, y - 5, high - low, 10, class_=f"interval {name}", tip=f"{tip} ± {interval:.2g}"
        )
    for value in result.values:
        yield dot(scale.place(value), y, 2.5, "measured", f"measured: {format_number(value)}")
    yield dot(scale.place(metric), y, 5.5, f"median {name}", tip)


def _all_values(results: Sequence[AgentResult]) -> Iterator[float]:
    for result in results:
        metric, interval = result.metric or 0.0, half_interval(result.values) or 0.0
        yield from (*result.values, metric - interval, metric + interval)


def _known(value: float | None) -> list[float]:
    return [] if value is None else [value]


def _baseline(scale: Scale, baseline: float | None, bottom: float) -> Iterator[Markup]:
    if baseline is not None:
        x = scale.place(baseline)
        yield line(x, _TOP - 4, x, bottom, "baseline")
        yield label(
            x, _TOP - 9, f"baseline {format_number(baseline)}", anchor="middle", class_="muted"
        )


def _grid(scale: Scale, top: float, bottom: float) -> Iterator[Markup]:
    """Yield the vertical lines of a horizontal scale, with their values."""
    ticks = scale.ticks()
    for value, text in zip(ticks, format_values(*ticks), strict=True):
        x = scale.place(value)
        yield line(x, top, x, bottom, "grid")
        yield label(x, bottom + 16, text, anchor="middle", class_="muted")


def _axis_text(facts: SessionFacts) -> str:
    direction = facts.evaluation.direction
    better = f", {direction} is better" if direction else ""
    if facts.evaluation.by_ratio:
        better = f", ratio to the base branch on the same machine{better}"
    return f"{metric_name(facts)[:_MAX_NAME]}{better}"


def _label_width(names: Sequence[str]) -> float:
    longest = min(max(map(len, names), default=0) + 4, _MAX_LABEL)
    return 20 + CHAR * longest


def evaluations_chart(facts: SessionFacts) -> Markup:
    """Return the metric of each attempt over all evaluations with the last metric and unit."""
    groups = _comparable_groups(facts)
    if len(groups) < 2:
        return Markup()
    series = _series(groups)
    values = [entry.value or 0.0 for group in groups for entry in group]
    baselines = [_known(group[0].baseline) for group in groups]
    scale = make_scale(
        [*values, *(value for known in baselines for value in known)], _HEIGHT - 40, _TOP
    )
    steps = Scale(0, len(groups) - 1, 90, WIDTH - 150)
    marks = [*_horizontal_grid(scale), *_evaluation_names(groups, steps)]
    places = [(index, known[0]) for index, known in enumerate(baselines) if known]
    marks += _path(places, steps, scale, "baseline")
    marks += _series_marks(series, facts, steps, scale)
    description = (
        "Each line is an attempt, from the first evaluation to the last one."
        f" At most {_MAX_SERIES} attempts are shown, the best ones."
        " The dashed line is the baseline."
    )
    title = f"{metric_name(facts)[:_MAX_NAME]} over the evaluations"
    return chart(title, description, _HEIGHT, *marks)


def _comparable_groups(facts: SessionFacts) -> list[list[EvaluationEntry]]:
    """Return the values of the newest evaluations that have the last metric and unit."""
    wanted = (facts.evaluation.metric, facts.evaluation.unit)
    groups = [
        [
            entry
            for entry in group
            if entry.value is not None
            and entry.machine is None  # values of two machines cannot be compared
            and (entry.metric, entry.unit) == wanted
        ]
        for group in group_evaluations(facts.log.entries)
    ]
    return [group for group in groups if group][-_MAX_EVALUATIONS:]


_Point = tuple[int, "EvaluationEntry"]
"""The number of an evaluation, and an entry of the evaluation."""


def _series(groups: Sequence[Sequence[EvaluationEntry]]) -> dict[tuple[int, int], list[_Point]]:
    """Return the entries of each attempt with the numbers of their evaluations."""
    series: dict[tuple[int, int], list[_Point]] = {}
    for index, group in enumerate(groups):
        for entry in group:
            series.setdefault((entry.agent, entry.attempt), []).append((index, entry))
    best = sorted(series, key=lambda key: (series[key][-1][1].rank or len(series), key))
    return {key: series[key] for key in sorted(best[:_MAX_SERIES])}


def _series_marks(
    series: Mapping[tuple[int, int], Sequence[_Point]],
    facts: SessionFacts,
    steps: Scale,
    scale: Scale,
) -> Iterator[Markup]:
    ends = {key: scale.place(points[-1][1].value or 0.0) for key, points in series.items()}
    spread = _spread_labels(ends)
    for index, (key, points) in enumerate(series.items()):
        color = series_class(index)
        winner = facts.winner == AgentBranch(facts.session.id, *key)
        places = [(number, entry.value or 0.0) for number, entry in points]
        yield from _path(places, steps, scale, f"series {color}{' strong' if winner else ''}")
        name = facts.label(*key)
        for number, entry in points:
            text = f"{name} {short_id(entry.commit)}: {format_number(entry.value or 0.0)}"
            yield dot(steps.place(number), scale.place(entry.value or 0.0), 4, color, text)
        last = steps.place(points[-1][0])
        yield line(last + 4, ends[key], steps.end + 14, spread[key], f"leader {color}")
        yield label(steps.end + 18, spread[key] + 4, name, class_=color, most=20)


def _spread_labels(ends: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """Return positions at which no label covers another one, or the names below the chart.

    Args:
        ends: the wanted positions of the labels.
    """
    order = sorted(ends, key=lambda key: ends[key])
    placed: dict[tuple[int, int], float] = {}
    free = 0.0
    for key in order:
        placed[key] = max(ends[key], free)
        free = placed[key] + _LABEL
    limit = _HEIGHT - 40.0
    for key in reversed(order):
        placed[key] = min(placed[key], limit)
        limit = placed[key] - _LABEL
    return placed


def _path(
    places: Sequence[tuple[int, float]], steps: Scale, scale: Scale, class_: str
) -> Iterator[Markup]:
    if places:
        points = " ".join(f"{steps.place(x):.1f},{scale.place(y):.1f}" for x, y in places)
        yield element("polyline", points=points, class_=class_)


def _horizontal_grid(scale: Scale) -> Iterator[Markup]:
    ticks = scale.ticks(4)
    for value, text in zip(ticks, format_values(*ticks), strict=True):
        y = scale.place(value)
        yield line(80, y, WIDTH - 140, y, "grid")
        yield label(72, y + 4, text, anchor="end", class_="muted")


def _evaluation_names(
    groups: Sequence[Sequence[EvaluationEntry]], steps: Scale
) -> Iterator[Markup]:
    every = max(1, len(groups) // 8)
    for index, group in enumerate(groups):
        if index % every == 0:
            x = steps.place(index)
            yield label(
                x, _HEIGHT - 16, evaluation_name(group[0]), anchor="middle", class_="muted", most=14
            )


def sizes_chart(facts: SessionFacts) -> Markup:
    """Return the added and the deleted lines of each attempt."""
    shown = [summary for summary in facts.attempts if summary.diff][:_MAX_ROWS]
    if not shown:
        return Markup()
    names = [facts.branch_label(summary.attempt.branch) for summary in shown]
    left = _label_width(names)
    sizes = [summary.diff[1:] for summary in shown if summary.diff]
    extremes = [value for added, deleted in sizes for value in (added, -deleted)]
    scale = make_scale(extremes, left + 50, WIDTH - 60, zero=True)
    zero, bottom = scale.place(0), _TOP + _ROW * len(shown)
    marks = [line(zero, _TOP - 6, zero, bottom, "axis")]
    for row, (name, (added, deleted)) in enumerate(zip(names, sizes, strict=True)):
        y = _TOP + _ROW * (row + 0.5)
        start, end = scale.place(-deleted), scale.place(added)
        marks.append(label(left - 10, y + 4, name, anchor="end", most=_MAX_LABEL))
        marks += [box(zero, y - 8, end - zero, 16, class_="added")] if added else []
        marks += [box(start, y - 8, zero - start, 16, class_="deleted")] if deleted else []
        marks.append(label(end + 6, y + 4, f"+{added}", class_="value"))
        if deleted:
            marks.append(label(start - 6, y + 4, f"−{deleted}", anchor="end", class_="value"))
    description = "Each row is an attempt: added lines to the right, deleted lines to the left."
    return chart("Lines changed", description, bottom + 12, *marks)
