"""git hub-session eval: measure the agents' results and rank them."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.approval import ask_approval
from git_hub_session.cli.command_line import command_line, replace_line
from git_hub_session.cli.evaluation_table import result_table
from git_hub_session.cli.measure_options import (
    GUARD,
    MAX_REPEATS,
    NO_GUARD,
    parse_budget,
    parse_guard_options,
    parse_repeat,
    parse_run_count,
)
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_jobs,
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
from git_hub_session.errors import HubError, UsageError
from git_hub_session.evaluation.evaluate import evaluate_session, preview_evaluation
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.evaluation.result import EvalOptions
from git_hub_session.metric.metric import parse_metric_regex
from git_hub_session.metric.quantity import Quantity, parse_finite_quantity
from git_hub_session.ranking.race import Race
from git_hub_session.ranking.ranking import DIRECTIONS
from git_hub_session.session.agents import parse_agents
from git_hub_session.session.model import MAX_AGENTS, Config, Session
from git_hub_session.util.paths import normalize_relative
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.evaluation.result import EvalResult, RankedCandidate


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
        Option("--budget", "limit of runs for --repeat auto (default: 12 per agent)", "<number>"),
        Option("--warmup", "unmeasured runs per agent (default: 0)", "<number>"),
        Option("--prepare", "command to run before each run", "<command>"),
        Option(
            "--allow-failures",
            "number of failed runs to repeat per agent (default: 0)",
            "<number>",
        ),
        Option("-j, --jobs", "number of parallel measurements (default: 1)", "<number>"),
        TIMEOUT,
        GUARD,
        NO_GUARD,
        Option("--in-place", "measure each agent in its own worktree"),
        Option("--ranking", "record a judge's ranking, best agent first", "<list>"),
        Option("-m, --message", "text to record with --ranking", "<text>"),
        Option("--include-failed", "measure and rank agents whose command failed too"),
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
    "warmup",
    "prepare",
    "allow-failures",
    "in-place",
    "guard",
    "no-guard",
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
    try:
        result = (preview_evaluation if dry_run else evaluate_session)(sid, project, options)
    except HubError as error:
        given = [option for option in USAGE.options if option is not DRY_RUN]
        command = command_line("eval", given, args, arguments=[sid])
        error.hint = replace_line(error.hint, f"git hub-session eval {sid}", command)
        raise
    return EvalView(result, project.cwd, dry_run=dry_run)


def _parse_options(args: Arguments, session: Session) -> EvalOptions:
    config = session.config
    options = EvalOptions(
        None, force=args.is_set("force"), include_failed=args.is_set("include-failed")
    )
    verdict = args.value("message")
    if args.value("ranking") is not None:
        return options._replace(ranking=_parse_ranking(args, config), verdict=verdict or "")
    if verdict is not None:
        raise UsageError("--message requires --ranking")
    command = args.value("eval") or config.get("eval_cmd")
    if not command.strip():
        return options
    direction = args.value("direction") or config.get("direction")
    return options._replace(
        metric_command=_parse_metric_command(args, config, command, direction),
        direction=direction,
        baseline=_parse_baseline(args, config),
        measure_baseline=args.value("baseline") == _MEASURE,
        guard=parse_guard_options(args),
        in_place=args.is_set("in-place"),
    )


def _parse_metric_command(
    args: Arguments, config: Config, command: str, direction: str
) -> MetricCommand:
    metric = args.value("metric") or config.get("metric")
    if not metric.strip() or direction not in DIRECTIONS:
        raise UsageError(
            "options '--metric' and '--direction' are required",
            hint="--metric <name> --direction lower",
        )
    file = _parse_metric_file(args)
    repeat, race = parse_repeat(args), Race(direction, parse_budget(args))
    return MetricCommand(
        command,
        metric,
        file,
        repeat or MAX_REPEATS,
        parse_jobs(args) or 1,
        parse_timeout(args),
        _parse_regex(args, config),
        None if repeat else race,
        parse_run_count(args, "warmup"),
        args.value("prepare") or "",
        parse_run_count(args, "allow-failures"),
    )


def _parse_ranking(args: Arguments, config: Config) -> list[int]:
    for option in _MEASURE_OPTIONS:
        if args.value(option) is not None or args.is_set(option) or args.values(option):
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
    if file and not normalize_relative(file):
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
        off_branch = [ranked.candidate.off_branch for ranked in self.result.candidates]
        hints = [f"hint: {escape_control(reason[1])}" for reason in off_branch if reason]
        return [*warning_lines(self.result.notes), *hints]

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
            "guard": list(result.guard),
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session.id)
        records = []
        for row in self.document()["agents"]:
            last = {"unit": self.result.unit or None, "guarded": row.pop("guarded")}
            records.append([head, *make_record({**row, **last})])
        return records

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        result = self.result
        if self.dry_run and result.metric_command:
            return TextOutput([self._preview_line(ranked) for ranked in result.candidates])
        session = result.session
        is_ranked = bool(result.metric_command) or any(each.rank for each in result.candidates)
        out = result_table(result, style, is_ranked=is_ranked)
        if result.state != session.state:
            out.append(f"Session {session.id}: {session.state} {style.arrow} {result.state}")
        if is_ranked or self.dry_run:
            return TextOutput(out)
        command = f"git hub-session eval {session.id} --ranking {result.rankable_agents}"
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
            reason = escape_control(candidate.unmeasured_reason)
            return f"Would not measure {candidate.name}: {reason}"
        path = relative_path(candidate.directory, self.cwd) or "a temporary worktree"
        commit = candidate.commit[:12]
        return f"Would measure {candidate.name} at {commit} in {escape_control(path)}"


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
        "guarded": list(candidate.guarded),
        "failure": candidate.failure or None,
        "hint": candidate.hint,
    }
