"""The result of an evaluation as a table."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.session.guarded import describe_guarded
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import describe_pass, display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.evaluation.result import EvalResult, RankedCandidate

_HEADER = ("RANK", "AGENT", "METRIC", "DELTA", "SPREAD", "FILES", "+/-", "")
# On a narrow terminal, SPREAD is left out, because METRIC has the interval. So is DELTA without values.
_DELTA, _SPREAD = 3, 4
# Without a metric, the exit status is the result.
_RESULT = "RESULT"


def result_table(result: EvalResult, style: TerminalStyle, *, is_ranked: bool) -> list[str]:
    """Return the lines of the table.

    Args:
        is_ranked: False to leave out the columns of the ranking.
    """
    rows = _choose_columns([_HEADER, *_rows(result, style)], result, style, is_ranked=is_ranked)
    widths = _widths(rows)
    left_aligned = (1 if is_ranked else 0, len(rows[0]) - 2)
    out = []
    for row in rows:
        cells = [
            pad(cell, width) if column in left_aligned else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        line = "  ".join(cells)
        out.append(f"{line}  {style.fit(row[-1], display_width(line) + 2)}")
    return out


def _choose_columns(
    rows: Sequence[tuple[str, ...]], result: EvalResult, style: TerminalStyle, *, is_ranked: bool
) -> Sequence[tuple[str, ...]]:
    """Return the rows with the columns that apply to the result and fit the terminal."""
    if not is_ranked:
        return [(row[1], *row[5:]) for row in rows]
    if _has_no_metric(result):
        results = [_RESULT, *(describe_pass(ranked.passed) or "-" for ranked in result.candidates)]
        return [(*row[:2], text, *row[5:]) for row, text in zip(rows, results, strict=True)]
    if style.columns is None or sum(_widths(rows)) + 2 * len(_HEADER) <= style.columns:
        return rows
    columns = [
        column
        for column in range(len(_HEADER))
        if column != _SPREAD and (column != _DELTA or _has_values(rows, column))
    ]
    return [tuple(row[column] for column in columns) for row in rows]


def _has_no_metric(result: EvalResult) -> bool:
    """Return True if candidates passed or failed, and none has a value."""
    has_value = any(ranked.score and ranked.score.values for ranked in result.candidates)
    return not has_value and any(ranked.passed is not None for ranked in result.candidates)


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(map(display_width, cells)) for cells in zip(*rows, strict=True)]


def _has_values(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return any(row[column] != "-" for row in rows[1:])


def _rows(result: EvalResult, style: TerminalStyle) -> list[tuple[str, ...]]:
    scores = [ranked.score for ranked in result.candidates]
    metrics = format_values(*(score.metric if score and score.values else None for score in scores))
    unit = f" {result.unit}" if result.unit else ""
    deltas = format_values(*(ranked.delta for ranked in result.candidates), sign="+")
    return [
        _row(
            ranked,
            f"{metric}{unit}{_describe_interval(ranked, style)}" if metric else "-",
            delta or "-",
        )
        for ranked, metric, delta in zip(result.candidates, metrics, deltas, strict=True)
    ]


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
    values = score.values if score else ()
    tie = "tie" if ranked.rank and ranked.rank.is_tie else ""
    guarded = describe_guarded(ranked.candidate.guarded)
    counted = f"attempt-{ranked.counted_attempt} counts" if ranked.counted_attempt else ""
    remarks = (
        *map(escape_control, (ranked.reason, counted, tie, *ranked.candidate.remarks, guarded)),
    )
    return (
        str(ranked.rank.place) if ranked.rank else "-",
        ranked.candidate.name,
        metric,
        delta,
        format_number(score.spread) if score and len(values) > 1 else "-",
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
        ", ".join(filter(None, dict.fromkeys(remarks))),
    )
