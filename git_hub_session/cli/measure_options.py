"""Options of the commands that measure agents."""

from __future__ import annotations

from git_hub_session.cli.options import Arguments, Option
from git_hub_session.errors import Damaged, UsageError
from git_hub_session.metric.quantity import parse_finite_quantity
from git_hub_session.metric.requirement import Requirement, parse_requirements
from git_hub_session.session.guarded import parse_guards
from git_hub_session.session.model import Config
from git_hub_session.settings import table
from git_hub_session.util.numbers import parse_int

MAX_REPEATS = 1000
_MAX_BUDGET = 100_000
AUTO = "auto"
"""The value of --repeat for a race (ranking/race.py)."""

METRIC_REGEX = Option("--metric-regex", "regular expression with a group for the metric", "<regex>")
DIRECTION = Option(
    "--direction",
    "whether a lower or a higher metric is better",
    "<direction>",
    choices=table.DIRECTION.choices,
)

GUARD = Option("--guard", "path to measure as in the base branch", "<path>", repeatable=True)
NO_GUARD = Option("--no-guard", "guard no path, not even one that the eval command names")

HOLDOUT = Option(
    "--holdout", "directory with files that only measured worktrees get", "<directory>"
)

REQUIRE = Option(
    "--require",
    "condition that each run must meet, such as 'errors==0'",
    "<condition>",
    repeatable=True,
)
NO_REQUIRE = Option("--no-require", "ignore the requirements of the session")

JUDGE = Option("--judge", "command that reads the candidates as JSON and ranks them", "<command>")
TOLERANCE = Option(
    "--tolerance", "let --judge rank only agents this close to the best", "<percent>"
)


def parse_repeat(args: Arguments) -> int | None:
    """Return the value of --repeat, by default 1, or None for `auto`."""
    text = args.value("repeat")
    if text is None:
        return 1
    if text == AUTO:
        return None
    number = parse_int(text, MAX_REPEATS)
    if not number:
        raise UsageError(
            f"not a number of times: '{text}'", hint=f"use 1 to {MAX_REPEATS}, or {AUTO}"
        )
    return number


def parse_budget(args: Arguments) -> int:
    """Return the value of --budget, or 0. Raise UsageError without `--repeat auto`."""
    text = args.value("budget")
    if text is None:
        return 0
    if args.value("repeat") != AUTO:
        raise UsageError("--budget needs '--repeat auto'")
    number = parse_int(text, _MAX_BUDGET)
    if not number:
        raise UsageError(f"not a number of measurements: '{text}'", hint=f"use 1 to {_MAX_BUDGET}")
    return number


def parse_guard_options(args: Arguments) -> tuple[str, ...] | None:
    """Return the paths of GUARD, () with NO_GUARD, or None without them."""
    if args.is_set("no-guard"):
        return ()
    paths = args.values("guard")
    return parse_guards(paths) if paths else None


def parse_require_options(args: Arguments, config: Config) -> tuple[Requirement, ...]:
    """Return the requirements of REQUIRE, or else those of the session without NO_REQUIRE.

    Raise Damaged if config.yaml has an invalid requirement.
    """
    texts = args.values("require")
    if texts or args.is_set("no-require"):
        return parse_requirements(texts)
    try:
        return parse_requirements(config.require)
    except UsageError as error:
        raise Damaged(
            f"config.yaml: require: {error.message}",
            hint="correct config.yaml, or use --no-require",
        ) from None


def parse_tolerance(args: Arguments) -> float | None:
    """Return the value of TOLERANCE as a fraction, such as 0.1 for 10 %, or None."""
    text = args.value("tolerance")
    if text is None:
        return None
    if args.value("judge") is None:
        raise UsageError("--tolerance requires --judge")
    quantity = parse_finite_quantity(text)
    if quantity is None or quantity.unit not in ("", "%") or quantity.value < 0:
        raise UsageError(f"not a percentage: '{text}'", hint="give a percentage such as 10%")
    return quantity.value / 100


def parse_judge_command(args: Arguments) -> str | None:
    """Return the value of JUDGE, or None without it. Raise UsageError if the command is empty."""
    command = args.value("judge")
    if command is not None and not command.strip():
        raise UsageError("the command of --judge is empty")
    return command


def parse_run_count(args: Arguments, option: str) -> int:
    """Return the number of runs in the value of an option, by default 0."""
    text = args.value(option)
    number = 0 if text is None else parse_int(text, MAX_REPEATS)
    if number is None:
        raise UsageError(f"not a number of runs: '{text}'", hint=f"use 0 to {MAX_REPEATS}")
    return number


def refuse_other_baseline(args: Arguments, *, is_in_place: bool | None) -> None:
    """Raise UsageError if values in place would be compared with values from new worktrees.

    A worktree of an agent can have build results or a cache that a new worktree does not have.

    Args:
        is_in_place: True if the baseline of the session was measured in place. It is None without a
            baseline, or if a person has given it. The option --baseline replaces this baseline.
    """
    text = args.value("baseline")
    if text is not None:
        is_in_place = False if text == "measure" else None
    if is_in_place is None or is_in_place == args.is_set("in-place"):
        return
    if is_in_place:
        raise UsageError(
            "a baseline that was measured in place cannot be compared with new worktrees",
            hint="give --in-place or --baseline measure",
        )
    raise UsageError(
        "--in-place cannot be compared with a baseline that is measured in a new worktree",
        hint="leave out --in-place, or give --baseline <number>",
    )
