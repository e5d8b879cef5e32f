"""The result of an evaluation as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.table import Column, row_width, table_lines
from git_hub_session.session.guarded import describe_guarded
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.evaluation.result import EvalResult, PairedResult, RankedCandidate

_AGENT, _METRIC, _DELTA, _SPREAD, _REMARKS = "AGENT", "METRIC", "DELTA", "SPREAD", ""
_RATIO, _BASE, _MACHINE = "RATIO", "BASE", "MACHINE"
_SIZES = ("FILES", "+/-")
_HEADER = ("RANK", _AGENT, _METRIC, _DELTA, _SPREAD, *_SIZES, _REMARKS)
_LEFT_ALIGNED = (_AGENT, _MACHINE, _SIZES[-1], _REMARKS)
_BELOW = " " * len("RANK  ")


def result_table(result: EvalResult, style: TerminalStyle, *, is_ranked: bool) -> list[str]:
    """Return the lines of the table.

    If the ratios are compared, the columns RATIO, BASE and MACHINE replace DELTA and SPREAD.
    On a narrow terminal, leave out SPREAD, because METRIC has the interval, an empty DELTA, FILES and
    +/-. Put other cells that do not fit below their row.

    Args:
        is_ranked: False to leave out the columns of the ranking.
    """
    columns = _columns(result, style)
    if not is_ranked:
        columns = {name: columns[name] for name in (_AGENT, *_SIZES, _REMARKS)}
    elif _has_no_metric(result):
        results = [describe_pass(ranked.passed) or "-" for ranked in result.candidates]
        columns[_METRIC] = _column("RESULT", results)
        columns = {name: columns[name] for name in columns if name not in (_DELTA, _SPREAD)}
    if is_ranked:
        columns = _with_pairs(columns, result, style)
    for name in (_SPREAD, *_empty_columns(result), *_SIZES, _BASE):
        if name in columns and not _fits([*columns.values()][:-1], style):
            del columns[name]
    return table_lines([*columns.values()], style, "", below=_BELOW if is_ranked else "  ")


def _empty_columns(result: EvalResult) -> list[str]:
    has_deltas = any(ranked.delta is not None for ranked in result.candidates)
    return [] if has_deltas else [_DELTA]


def _with_pairs(
    columns: Mapping[str, Column], result: EvalResult, style: TerminalStyle
) -> dict[str, Column]:
    """Return the columns with the ratio, the base branch and the machine, if they are known."""
    pairs = [ranked.pair for ranked in result.candidates]
    if not any(pairs):
        return dict(columns)
    machines = [pair.machine.host if pair and pair.machine else "-" for pair in pairs]
    added = {_MACHINE: _column(_MACHINE, list(map(escape_control, machines)))}
    if result.by_ratio:
        added |= _ratio_columns(pairs, result.unit, style)
    order = (_HEADER[0], _AGENT, _RATIO, _METRIC, _BASE, _MACHINE, *_SIZES, _REMARKS)
    present = {**columns, **added}
    return {name: present[name] for name in order if name in present}


def _ratio_columns(
    pairs: Sequence[PairedResult | None], unit: str, style: TerminalStyle
) -> dict[str, Column]:
    """Return the columns with the ratio and the value of the base branch."""
    ratios = [_describe_ratio(pair, style) if pair else "-" for pair in pairs]
    bases = format_values(*(pair.baseline if pair else None for pair in pairs))
    unit = f" {unit}" if unit else ""
    texts = [f"{base}{unit}" if base else "-" for base in bases]
    return {_RATIO: _column(_RATIO, ratios), _BASE: _column(_BASE, texts)}


def _describe_ratio(pair: PairedResult, style: TerminalStyle) -> str:
    """Return the ratio, its confidence interval and the number of rounds."""
    if pair.ratio is None:
        return "-"
    interval = pair.ratio.interval
    text = format_number(float(f"{pair.ratio.estimate:.4g}"))
    if interval is None:
        return text
    rounded = format_number(float(f"{interval:.2g}"))
    return f"{text} {style.plus_minus}{rounded} ({len(pair.ratio.values)})"


def _fits(columns: Sequence[Column], style: TerminalStyle) -> bool:
    """Return True if all columns fit into a row, or if the row may have any width."""
    return style.columns is None or row_width(columns) <= style.columns


def _has_no_metric(result: EvalResult) -> bool:
    """Return True if candidates passed or failed, and none has a value."""
    has_value = any(ranked.score and ranked.score.values for ranked in result.candidates)
    return not has_value and any(ranked.passed is not None for ranked in result.candidates)


def _columns(result: EvalResult, style: TerminalStyle) -> dict[str, Column]:
    """Return the columns of a ranking with values, by their header."""
    candidates = result.candidates
    scores = [ranked.score for ranked in candidates]
    metrics = format_values(*(score.metric if score and score.values else None for score in scores))
    unit = f" {result.unit}" if result.unit else ""
    deltas = format_values(*(ranked.delta for ranked in candidates), sign="+")
    rows = [
        _row(
            ranked,
            f"{metric}{unit}{_describe_interval(ranked, style)}" if metric else "-",
            delta or "-",
        )
        for ranked, metric, delta in zip(candidates, metrics, deltas, strict=True)
    ]
    return {
        name: _column(name, cells)
        for name, cells in zip(_HEADER, zip(*rows, strict=True), strict=True)
    }


def _column(name: str, cells: Sequence[str]) -> Column:
    if name == _REMARKS:
        return Column(name, cells, empty="")
    return Column(name, cells, right=name not in _LEFT_ALIGNED, label=f"{name.lower()} ")


def _describe_interval(ranked: RankedCandidate, style: TerminalStyle) -> str:
    """Return the confidence interval and the number of values, such as " ±0.3 (10)", or ''."""
    interval = ranked.score.interval if ranked.score else None
    if ranked.score is None or interval is None:
        return ""
    rounded = format_number(float(f"{interval:.2g}"))
    return f" {style.plus_minus}{rounded} ({len(ranked.score.values)})"


def _row(ranked: RankedCandidate, metric: str, delta: str) -> tuple[str, ...]:
    score = ranked.score
    diff = ranked.candidate.diff
    return (
        str(ranked.rank.place) if ranked.rank else "-",
        ranked.candidate.name,
        metric,
        delta,
        format_number(score.spread) if score and len(score.values) > 1 else "-",
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
        _describe_remarks(ranked),
    )


def _describe_remarks(ranked: RankedCandidate) -> str:
    tie = "tie" if ranked.rank and ranked.rank.is_tie else ""
    counted = f"attempt-{ranked.counted_attempt} counts" if ranked.counted_attempt else ""
    guarded = describe_guarded(ranked.candidate.guarded)
    remarks = (ranked.reason, counted, tie, *ranked.candidate.remarks, guarded)
    return ", ".join(filter(None, dict.fromkeys(map(escape_control, remarks))))
