"""git hub-session eval: measure the agents' results and rank them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.approval import ask_approval
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    MAX_REPEATS,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_budget,
    parse_jobs,
    parse_repeat,
    parse_timeout,
)
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.errors import UsageError
from git_hub_session.evaluation.evaluate import EvalOptions, evaluate_session, preview_evaluation
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.evaluation.metric import parse_metric_regex
from git_hub_session.evaluation.quantity import Quantity, parse_finite_quantity
from git_hub_session.evaluation.race import Race
from git_hub_session.evaluation.ranking import DIRECTIONS
from git_hub_session.session.agents import parse_agents
from git_hub_session.session.model import MAX_AGENTS, Config, Session
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.evaluation.evaluate import EvalResult, RankedCandidate


USAGE = Usage(
    ("eval [<options>] [<id>]", "eval --ranking <list> [<id>]"),
    (
        Option("--eval", "command that measures (default: the session's)", "<command>"),
        Option("--metric", "name of the metric (default: the session's)", "<name>"),
        Option("--metric-regex", "regular expression with a group for the metric", "<regex>"),
        Option("--metric-file", "file with the metric (default: standard output)", "<path>"),
        Option(
            "--direction",
            "whether a lower or a higher metric is better",
            "<direction>",
            choices=DIRECTIONS,
        ),
        Option("--baseline", "number to compare with, or 'measure'", "<number>"),
        Option("--repeat", "runs per agent, or 'auto' (default: 1)", "<number>"),
        Option("--budget", "largest number of runs with --repeat auto", "<number>"),
        Option("-j, --jobs", "number of parallel measurements (default: 1)", "<number>"),
        TIMEOUT,
        Option("--ranking", "record a judge's ranking, best agent first", "<list>"),
        Option("-m, --message", "text to record with --ranking", "<text>"),
        Option("--force", "evaluate even if an agent is still running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)
_MEASURE = "measure"
_MEASURE_OPTIONS = (
    "eval",
    "metric",
    "metric-regex",
    "metric-file",
    "direction",
    "baseline",
    "repeat",
    "budget",
    "jobs",
    "timeout",
)


def run(context: Context, args: Arguments) -> EvalView:
    """Measure the last commit of each agent and rank the agents.

    Without an eval command, return the agents unranked.
    """
    sid = context.require_session(args.argument, "eval")
    project = context.project
    session = project.store.read(sid)
    dry_run = args.is_set("dry-run")
    options = _parse_options(args, session)
    if options.metric_command is not None and not dry_run:
        is_typed = args.value("eval") is not None
        ask_approval(context, session, options.metric_command.command, is_typed=is_typed)
    result = (preview_evaluation if dry_run else evaluate_session)(sid, project, options)
    return EvalView(result, project.cwd, dry_run=dry_run)


def _parse_options(args: Arguments, session: Session) -> EvalOptions:
    config = session.config
    force = args.is_set("force")
    verdict = args.value("message")
    if args.value("ranking") is not None:
        ranking = _parse_ranking(args, config)
        return EvalOptions(None, ranking=ranking, verdict=verdict or "", force=force)
    if verdict is not None:
        raise UsageError("--message requires --ranking")
    command = args.value("eval") or config.get("eval_cmd")
    if not command.strip():
        return EvalOptions(None, force=force)
    metric = args.value("metric") or config.get("metric")
    direction = args.value("direction") or config.get("direction")
    if not metric.strip() or direction not in DIRECTIONS:
        raise UsageError(
            "options '--metric' and '--direction' are required",
            hint="--metric <name> --direction lower",
        )
    file = _parse_metric_file(args)
    baseline = _parse_baseline(args, config)
    repeat, race = parse_repeat(args), Race(direction, parse_budget(args))
    metric_command = MetricCommand(
        command,
        metric,
        file,
        repeat or MAX_REPEATS,
        parse_jobs(args) or 1,
        parse_timeout(args),
        _parse_regex(args, config),
        None if repeat else race,
    )
    measure_baseline = args.value("baseline") == _MEASURE
    return EvalOptions(metric_command, direction, baseline, measure_baseline, force=force)


def _parse_ranking(args: Arguments, config: Config) -> list[int]:
    for option in _MEASURE_OPTIONS:
        if args.value(option) is not None:
            raise UsageError(f"--ranking and --{option} exclude each other")
    return parse_agents(args.value("ranking") or "", config.agent_count or MAX_AGENTS)


def _parse_regex(args: Arguments, config: Config) -> str:
    """Return the regular expression of the option or the session, or '' for another metric."""
    is_other_metric = args.value("metric") not in (None, config.get("metric"))
    regex = "" if is_other_metric else config.get("metric_regex")
    regex = args.value("metric-regex") or regex
    if regex:
        parse_metric_regex(regex)
    return regex


def _parse_metric_file(args: Arguments) -> str:
    file = args.value("metric-file") or ""
    if os.path.isabs(file) or ".." in file.split("/"):
        raise UsageError(f"not a path in the worktree: '{file}'")
    return file


def _parse_baseline(args: Arguments, config: Config) -> Quantity | None:
    """Return the baseline of the option or the session. Return None if it is to be measured."""
    text = args.value("baseline")
    is_other_metric = args.value("metric") not in (None, config.get("metric"))
    config_baseline = "" if is_other_metric else config.get("baseline")
    baseline = parse_finite_quantity(config_baseline if text is None else text)
    if text not in (None, _MEASURE) and baseline is None:
        raise UsageError(f"not a number: '{text}'", hint="give a number or 'measure'")
    return baseline


_HEADER = ("RANK", "AGENT", "METRIC", "DELTA", "SPREAD", "FILES", "+/-", "")
# DELTA and SPREAD: they are left out on a narrow terminal if no agent has a value.
_OPTIONAL_COLUMNS = (3, 4)


class EvalView(View):
    """The agents and their measurements, best agent first."""

    def __init__(self, result: EvalResult, cwd: str, *, dry_run: bool) -> None:
        self.result = result
        self.cwd = cwd
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        """1 if agents were measured, but every measurement failed."""
        scores = [ranked.score for ranked in self.result.candidates if ranked.score is not None]
        return 1 if scores and not any(score.values for score in scores) else 0

    @property
    def changed(self) -> bool:
        return self.result.state != self.result.session.state or bool(self.result.run)

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.result.notes)

    def document(self) -> dict[str, Any]:
        result = self.result
        metric_command = result.metric_command
        return {
            "session_id": result.session.id,
            "state": str(result.state),
            "run": result.run or None,
            "dry_run": self.dry_run,
            "eval_cmd": metric_command.command if metric_command else None,
            "metric": metric_command.metric if metric_command else None,
            "baseline": result.baseline,
            "agents": [_candidate_fields(ranked) for ranked in result.candidates],
            "notes": list(result.notes),
            "unit": result.unit or None,
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session.id)
        unit = {"unit": self.result.unit or None}
        return [[head, *make_record({**row, **unit})] for row in self.document()["agents"]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        result = self.result
        if self.dry_run and result.metric_command:
            return TextOutput([self._preview_line(ranked) for ranked in result.candidates])
        session = result.session
        is_ranked = any(ranked.rank for ranked in result.candidates)
        out = _table(result, style, is_ranked=is_ranked)
        if result.state != session.state:
            out.append(f"Session {session.id}: {session.state} {style.arrow} {result.state}")
        if is_ranked or self.dry_run:
            return TextOutput(out)
        names = ",".join(ranked.candidate.name for ranked in result.candidates)
        command = f"git hub-session eval {session.id} --ranking {names}"
        return TextOutput(
            out,
            [
                "nothing is ranked: the session has no eval command",
                f"hint: record a ranking, best agent first: {command}",
            ],
        )

    def _preview_line(self, ranked: RankedCandidate) -> str:
        candidate = ranked.candidate
        if candidate.unmeasured_reason:
            return f"Would not measure {candidate.name}: {candidate.unmeasured_reason}"
        path = relative_path(candidate.directory, self.cwd)
        if not path:
            path = f"a temporary worktree ({candidate.no_directory_reason})"
        commit = candidate.commit[:12]
        return f"Would measure {candidate.name} at {commit} in {escape_control(path)}"


def _table(result: EvalResult, style: TerminalStyle, *, is_ranked: bool) -> list[str]:
    rows = [_HEADER, *_rows(result)]
    if not is_ranked:
        rows = [(row[1], *row[5:]) for row in rows]
    elif style.columns is not None and sum(_widths(rows)) + 2 * len(_HEADER) > style.columns:
        columns = [
            column
            for column in range(len(_HEADER))
            if column not in _OPTIONAL_COLUMNS or _has_values(rows, column)
        ]
        rows = [tuple(row[column] for column in columns) for row in rows]
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


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(map(display_width, cells)) for cells in zip(*rows, strict=True)]


def _has_values(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return any(row[column] != "-" for row in rows[1:])


def _rows(result: EvalResult) -> list[tuple[str, ...]]:
    scores = [ranked.score for ranked in result.candidates]
    metrics = format_values(*(score.metric if score and score.values else None for score in scores))
    unit = f" {result.unit}" if result.unit else ""
    deltas = format_values(*(ranked.delta for ranked in result.candidates), sign="+")
    return [
        _row(ranked, f"{metric}{unit}" if metric else "-", delta or "-")
        for ranked, metric, delta in zip(result.candidates, metrics, deltas, strict=True)
    ]


def _row(ranked: RankedCandidate, metric: str, delta: str) -> tuple[str, ...]:
    score = ranked.score
    diff = ranked.candidate.diff
    values = score.values if score else ()
    tie = "tie" if ranked.rank and ranked.rank.is_tie else ""
    remarks = (escape_control(ranked.reason), tie, ranked.candidate.remark)
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


def _candidate_fields(ranked: RankedCandidate) -> dict[str, Any]:
    candidate = ranked.candidate
    score = ranked.score
    diff = candidate.diff
    values = score.values if score else ()
    return {
        "rank": ranked.rank.place if ranked.rank else None,
        **agent_fields(candidate.branch),
        "commit": candidate.commit or None,
        "metric": score.metric if score and values else None,
        "values": list(values),
        "delta": ranked.delta,
        "spread": score.spread if score and values else None,
        "tie": ranked.rank.is_tie if ranked.rank else False,
        "reason": ranked.reason or None,
        "files": diff.files if diff else None,
        "insertions": diff.insertions if diff else None,
        "deletions": diff.deletions if diff else None,
        "output": ranked.log or None,
        "uncommitted": len(candidate.uncommitted),
    }
