"""The arguments of each step, from the options of `run`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import (
    AGENT_CMD,
    parse_agent_commands,
    parse_agent_count,
)
from git_hub_session.cli.measure_options import (
    AUTO,
    parse_budget,
    parse_judge_command,
    parse_repeat,
    parse_run_count,
    parse_tolerance,
    refuse_other_baseline,
)
from git_hub_session.cli.options import parse_jobs, parse_timeout
from git_hub_session.cli.retry_options import parse_retries, parse_retry_delay
from git_hub_session.commands._merge.options import RUN_OPTIONS
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import agent_name
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments
    from git_hub_session.git.ref_names import SessionId

INIT_OPTIONS = (
    "task",
    "file",
    "agents",
    "eval",
    "metric",
    "metric-regex",
    "direction",
    "require",
    "guard",
    "no-guard",
    "strategy",
    "strategies",
    "template",
    "holdout",
    "base-branch",
    "after",
    "id",
)
_ON_OPTIONS = ("on", "bootstrap")
_EXEC_OPTIONS = (
    "jobs",
    "timeout",
    "retries",
    "retry-delay",
    *_ON_OPTIONS,
)
MEASURE_OPTIONS = (
    "warmup",
    "prepare",
    "allow-failures",
    "in-place",
)
_EVAL_OPTIONS = (
    "eval",
    "repeat",
    "budget",
    "timeout",
    "judge",
    "tolerance",
    *MEASURE_OPTIONS,
)
_MERGE_OPTIONS = (*(option.name for option in RUN_OPTIONS), "yes")
OUTPUT_OPTIONS = ("quiet", "format", "z", "color")
MEASURE, NONE = "measure", "none"
_MAX_ROUNDS = 100


def check_options(args: Arguments) -> None:
    """Raise UsageError for a wrong option of a step, before anything is created."""
    if not any(map(str.strip, args.values(AGENT_CMD.name))):
        raise UsageError("option '--agent-cmd' is required", hint="--agent-cmd <command>")
    count = parse_agent_count(args.value("agents"))
    commands = parse_agent_commands(args, count)
    missing = [agent_name(agent) for agent in range(1, count + 1) if not commands.find(agent)]
    if missing:
        raise UsageError(
            f"no command for {', '.join(missing)}", hint="give an --agent-cmd without 'agent-<N>='"
        )
    for parse in (parse_repeat, parse_budget, parse_jobs, parse_timeout, parse_retries):
        parse(args)
    parse_retry_delay(args)
    for option in ("warmup", "allow-failures"):
        parse_run_count(args, option)
    if args.is_set("in-place") and args.value("holdout") is not None:
        raise UsageError("--in-place and --holdout exclude each other")
    if args.value("metric") is not None:
        refuse_other_baseline(args, is_in_place=False if measures_baseline(args) else None)
    rounds = parse_rounds(args)
    _check_metric_options(args)
    if rounds > 1 and not is_ranked(args):
        raise UsageError("--rounds requires --eval or --judge")


def _check_metric_options(args: Arguments) -> None:
    """Raise UsageError for a wrong option of the metric or the judge."""
    parse_judge_command(args)
    has_tolerance = parse_tolerance(args) is not None
    if args.value("metric") is not None and args.value("eval") is None:
        raise UsageError("--metric requires --eval")
    if args.value("metric") is None and args.value("repeat") == AUTO:
        raise UsageError("--repeat auto requires --metric")
    if has_tolerance and not (args.value("metric") or "").strip():
        raise UsageError("--tolerance requires --metric")


def parse_rounds(args: Arguments) -> int:
    """Return the value of --rounds, by default 1."""
    text = args.value("rounds")
    number = 1 if text is None else parse_int(text, _MAX_ROUNDS)
    if not number:
        raise UsageError(f"not a number of rounds: '{text}'", hint=f"use 1 to {_MAX_ROUNDS}")
    return number


def is_ranked(args: Arguments) -> bool:
    """Return True if a command ranks the agents, so that the run can merge a winner."""
    return args.value("eval") is not None or args.value("judge") is not None


def init_args(args: Arguments) -> Arguments:
    """Return the arguments of `init`."""
    has_baseline = args.value("baseline") not in (None, MEASURE, NONE)
    baseline_option = ("baseline",) if has_baseline else ()
    return args.subset(*INIT_OPTIONS, *baseline_option, "dry-run")


def measures_baseline(args: Arguments) -> bool:
    """Return True if the base branch is measured before the agents start."""
    return args.value("eval") is not None and args.value("baseline") in (None, MEASURE)


def exec_args(args: Arguments, sid: SessionId) -> Arguments:
    """Return the arguments of `exec`, with the agents' command."""
    commands = parse_agent_commands(args, parse_agent_count(args.value("agents")))
    commit = {} if args.is_set("no-commit") else {"commit": ""}
    names = (*_EXEC_OPTIONS, *OUTPUT_OPTIONS)
    if commands.named or len(commands.in_turn) > 1:
        return args.subset(AGENT_CMD.name, *names, arguments=[sid], **commit)
    command = ("sh", "-c", *commands.in_turn)
    return args.subset(*names, arguments=[sid], command=command, **commit)


def eval_args(args: Arguments, sid: SessionId, time_limit: int = 0) -> Arguments:
    """Return the arguments of `eval`. A session that continues another one has its eval command.

    `eval` measures the baseline of a metric again, in the same rounds as the agents. The measurement
    before the agents only shows that the eval command works.

    Args:
        time_limit: the time limit of a measurement in seconds, if `run` has proposed one, or 0.
    """
    has_baseline = measures_baseline(args) and args.value("metric") is not None
    values = {"baseline": MEASURE} if has_baseline else {}
    if time_limit:
        values["timeout"] = f"{time_limit}s"
    names = [name for name in _EVAL_OPTIONS if name != "eval" or args.value("after") is None]
    if args.value("eval") is not None:
        names += _ON_OPTIONS
    return args.subset(*names, *OUTPUT_OPTIONS, arguments=[sid], **values)


def archive_args(args: Arguments, sid: SessionId) -> Arguments:
    """Return the arguments of `archive`, for a session that does not improve on the last one."""
    reason = "no agent improves on the baseline"
    return args.subset(*OUTPUT_OPTIONS, arguments=[sid], reason=reason)


def merge_args(args: Arguments, sid: SessionId) -> Arguments:
    """Return the arguments of `merge`."""
    return args.subset(*_MERGE_OPTIONS, *OUTPUT_OPTIONS, arguments=[sid])


def after_args(args: Arguments, sid: SessionId, rounds: int) -> Arguments:
    """Return the arguments of a `run` that continues after an evaluated session.

    The next session inherits the options of `init`. A baseline that was not measured is the metric
    of the winner.
    """
    values = {"after": str(sid)}
    if rounds > 1:
        values["rounds"] = str(rounds)
    if args.value("baseline") not in (None, MEASURE):
        values["baseline"] = NONE
    return args.without(*INIT_OPTIONS, "rounds").with_values(**values)
