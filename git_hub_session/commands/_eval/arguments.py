"""Parse the options of `eval`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import (
    AUTO,
    MAX_REPEATS,
    parse_budget,
    parse_guard_options,
    parse_judge_command,
    parse_repeat,
    parse_require_options,
    parse_run_count,
    parse_tolerance,
    refuse_other_baseline,
)
from git_hub_session.cli.options import parse_jobs, parse_timeout
from git_hub_session.commands._eval.options import MEASURE
from git_hub_session.errors import Refused, UsageError
from git_hub_session.evaluation.judge import Judge
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.evaluation.result import EvalOptions
from git_hub_session.metric.metric import parse_metric_regex
from git_hub_session.metric.quantity import Quantity, parse_finite_quantity
from git_hub_session.ranking.race import Race
from git_hub_session.ranking.ranking import DIRECTIONS
from git_hub_session.session.agents import parse_ranking
from git_hub_session.session.baseline import is_baseline_in_place
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.paths import normalize_relative

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments
    from git_hub_session.session.model import Config, Session

_NO_BASELINE = frozenset({"", "~", "-", "null", "none", "n/a"})
"""Words in config.yaml that mean that there is no baseline."""
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
    "warmup",
    "prepare",
    "allow-failures",
    "in-place",
    "require",
    "no-require",
    "guard",
    "no-guard",
    "judge",
    "tolerance",
    "holdout",
)


def parse_options(args: Arguments, session: Session) -> EvalOptions:
    """Return the options of `eval`, or raise UsageError."""
    config = session.config
    options = EvalOptions(
        None, force=args.is_set("force"), include_failed=args.is_set("include-failed")
    )
    message = args.value("message")
    if args.value("ranking") is not None:
        return options._replace(
            ranking=_parse_ranking(args, config), message=(message or "").strip()
        )
    if message is not None:
        raise UsageError("--message requires --ranking")
    judge = _parse_judge(args)
    command = args.value("eval") or config.get("eval_cmd")
    if not command.strip():
        _refuse_metric_options(args)
        return options._replace(judge=judge)
    direction = ""
    if _metric_name(args, config):
        direction = args.value("direction") or config.get("direction")
    else:
        _refuse_metric_options(args)
    is_measured = args.value("baseline") == MEASURE
    is_in_place = is_baseline_in_place(session)
    baseline = None if is_measured and is_in_place else _parse_baseline(args, config)
    if not args.is_set("here"):  # a measurement for the agent itself is only compared with a note
        is_known = baseline and not is_measured
        refuse_other_baseline(args, is_in_place=is_in_place if is_known else None)
    return options._replace(
        metric_command=_parse_metric_command(args, config, command, direction),
        direction=direction,
        judge=judge._replace(direction=direction) if judge else None,
        baseline=baseline,
        measure_baseline=is_measured,
        is_baseline_given=args.value("baseline") is not None,
        guard=parse_guard_options(args),
        holdout=args.value("holdout"),
        in_place=args.is_set("in-place"),
    )


def _parse_metric_command(
    args: Arguments, config: Config, command: str, direction: str
) -> MetricCommand:
    metric = _metric_name(args, config)
    if metric and direction not in DIRECTIONS:
        if direction:
            raise Refused(
                f"config.yaml: not a direction: '{direction}'",
                hint="write lower or higher, or use --direction <direction>",
            )
        raise UsageError("--metric requires --direction", hint="--direction lower")
    file = _parse_metric_file(args)
    repeat, race = parse_repeat(args), Race(direction, parse_budget(args))
    return MetricCommand(
        command,
        metric,
        file,
        repeat or MAX_REPEATS,
        parse_jobs(args) or 1,
        parse_timeout(args),
        _parse_regex(args, config) if metric else "",
        None if repeat else race,
        parse_run_count(args, "warmup"),
        args.value("prepare") or "",
        parse_run_count(args, "allow-failures"),
        parse_require_options(args, config),
    )


def _parse_judge(args: Arguments) -> Judge | None:
    command, tolerance = parse_judge_command(args), parse_tolerance(args)
    if command is None:
        return None
    return Judge(command, "", tolerance, parse_timeout(args))


def _metric_name(args: Arguments, config: Config) -> str:
    """Return the name of the metric, or '' if the exit status is the result."""
    name = args.value("metric")
    return (config.get("metric") if name is None else name).strip()


def _refuse_metric_options(args: Arguments) -> None:
    """Raise UsageError for an option that has no meaning without a metric."""
    for option in ("direction", "metric-regex", "baseline", "tolerance"):
        if args.value(option) is not None:
            raise UsageError(f"--{option} requires --metric")
    if args.value("repeat") == AUTO:
        raise UsageError(f"--repeat {AUTO} requires --metric")


def _parse_ranking(args: Arguments, config: Config) -> list[int]:
    for option in _MEASURE_OPTIONS:
        if args.value(option) is not None or args.is_set(option) or args.values(option):
            raise UsageError(f"--ranking and --{option} exclude each other")
    return parse_ranking(args.value("ranking") or "", config.agent_count or MAX_AGENTS)


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
    if file and not normalize_relative(file):
        raise UsageError(f"not a path in the worktree: '{file}'")
    return file


def _parse_baseline(args: Arguments, config: Config) -> Quantity | None:
    """Return the baseline of the option or the session, or None.

    If it is to be measured, the baseline of the session counts if the measurement fails.
    """
    text = args.value("baseline")
    if text not in (None, MEASURE):
        baseline = parse_finite_quantity(text)
        if baseline is None:
            raise UsageError(f"not a number: '{text}'", hint="give a number or 'measure'")
        return baseline
    is_other_metric = args.value("metric") not in (None, config.get("metric"))
    text_in_config = "" if is_other_metric else config.get("baseline")
    baseline = parse_finite_quantity(text_in_config)
    if baseline is None and text is None and text_in_config.lower() not in _NO_BASELINE:
        # Without the baseline, `merge` would accept an agent that is worse.
        raise Refused(
            f"config.yaml: the baseline is not a number: '{text_in_config}'",
            hint="give a number with --baseline <number>",
        )
    return baseline
