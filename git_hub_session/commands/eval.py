"""git hub-session eval: measure the agents' results, and rank them."""

from __future__ import annotations

import os
from shlex import quote

from git_hub_session.context import Context
from git_hub_session.errors import HubError, Refused, UsageError
from git_hub_session.metric import parse_number
from git_hub_session.operations.agents import parse_agents
from git_hub_session.operations.evaluate import EvalOptions, evaluate_session, preview_evaluation
from git_hub_session.operations.measure import MetricCommand
from git_hub_session.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_jobs,
    parse_repeat,
    parse_timeout,
)
from git_hub_session.ranking import DIRECTIONS
from git_hub_session.session import MAX_AGENTS, Session
from git_hub_session.views.eval import EvalView

USAGE = Usage(
    ("eval [<options>] [<id>]", "eval --ranking <list> [<id>]"),
    (
        Option("--eval", "command that measures (default: the session's)", "<command>"),
        Option("--metric", "name of the metric (default: the session's)", "<name>"),
        Option("--metric-file", "file with the metric (default: standard output)", "<path>"),
        Option(
            "--direction",
            "whether a lower or a higher metric is better",
            "<direction>",
            choices=DIRECTIONS,
        ),
        Option("--baseline", "number to compare with, or 'measure'", "<number>"),
        Option("--repeat", "runs per agent; the median counts (default: 1)", "<number>"),
        Option("-j, --jobs", "number of parallel measurements (default: 1)", "<number>"),
        TIMEOUT,
        Option("--ranking", "record a judge's ranking, best agent first", "<list>"),
        Option("--force", "evaluate even if an agent is still running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)
_MEASURE_OPTIONS = (
    "eval",
    "metric",
    "metric-file",
    "direction",
    "baseline",
    "repeat",
    "jobs",
    "timeout",
)


def run(context: Context, args: Arguments) -> EvalView:
    """Measure every agent's tip and rank them; without an eval command nothing is ranked."""
    sid = context.require_session(args.argument, "eval")
    session = context.store.read(sid)
    dry_run = args.is_set("dry-run")
    wish = _parse_options(context, args, session)
    if wish.recipe is not None and not dry_run:
        _ask_approval(
            context, session, wish.recipe.command, is_typed=args.value("eval") is not None
        )
    return EvalView(
        (preview_evaluation if dry_run else evaluate_session)(sid, context, wish),
        context.cwd,
        dry_run,
    )


def _parse_options(context: Context, args: Arguments, session: Session) -> EvalOptions:
    ranking = args.value("ranking")
    if ranking is not None:
        beside = next((name for name in _MEASURE_OPTIONS if args.value(name) is not None), "")
        if beside:
            raise UsageError(f"--ranking and --{beside} exclude each other")
        count = session.config.agent_count or MAX_AGENTS
        return EvalOptions(None, ranking=parse_agents(ranking, count), force=args.is_set("force"))
    command = args.value("eval") or session.config.get("eval_cmd")
    if not command.strip():
        return EvalOptions(None, force=args.is_set("force"))
    config = session.config
    metric = args.value("metric") or config.get("metric")
    direction = args.value("direction") or config.get("direction")
    if not metric.strip() or direction not in DIRECTIONS:
        raise UsageError(
            "which metric is measured, and which way is it better?",
            hint="--metric <name> --direction lower",
        )
    file, text = args.value("metric-file") or "", args.value("baseline")
    if os.path.isabs(file) or ".." in file.split("/"):
        raise UsageError(f"not a path in the worktree: '{file}'")
    baseline = parse_number(config.get("baseline") if text is None else text)
    if text not in (None, "measure") and baseline is None:
        raise UsageError(f"not a number: '{text}'", hint="a number, or 'measure'")
    recipe = MetricCommand(
        command, metric, file, parse_repeat(args), parse_jobs(args) or 1, parse_timeout(args)
    )
    return EvalOptions(
        recipe,
        direction,
        baseline,
        text == "measure",
        force=args.is_set("force"),
    )


def _ask_approval(context: Context, session: Session, command: str, *, is_typed: bool) -> None:
    """A command that came with the repository runs only if this user has said so; raises Refused."""
    where, trust = context.paths.common_dir, context.approvals
    if not is_typed and not trust.is_approved(where, command):
        said = context.ask(f"Run the eval command of session '{session.id}': {command}?")
        if not said:
            raise Refused(
                f"you have not allowed the eval command of session '{session.id}': {command}",
                hint=f"git hub-session eval {session.id} --eval {quote(command)}",
            )
    try:
        trust.approve(where, command)
    except HubError as fault:
        context.note(f"warning: the command is allowed this once: {fault.message}")
