"""The options of `eval` that measure for the agents of a session."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import (
    AUTO,
    DIRECTION,
    GUARD,
    METRIC_REGEX,
    NO_GUARD,
    NO_REQUIRE,
    REQUIRE,
)
from git_hub_session.cli.options import TIMEOUT, Option
from git_hub_session.commands._executors.options import ON, check_executor_options
from git_hub_session.errors import UsageError

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments

MEASURE = "measure"
"""The value of --baseline that measures the base branch."""
FOR_EVALUATION = Option(
    "--measure", "measure for 'eval --on', which starts this command", "<evaluation>"
)
BASELINE = Option("--baseline", "number to compare with, or 'measure'", "<number>")
WORKER_OPTIONS = (
    Option("--eval", "command that measures (default: the session's)", "<command>"),
    Option("--metric", "name of the metric, or '' for pass or fail", "<name>"),
    METRIC_REGEX,
    Option("--metric-file", "file with the metric (default: standard output)", "<path>"),
    DIRECTION,
    Option("--repeat", "runs per agent, or 'auto' (default: 1)", "<number>"),
    Option("--warmup", "unmeasured runs per agent (default: 0)", "<number>"),
    Option("--prepare", "command to run before each run", "<command>"),
    Option(
        "--allow-failures", "number of failed runs to repeat per agent (default: 0)", "<number>"
    ),
    TIMEOUT,
    REQUIRE,
    NO_REQUIRE,
    GUARD,
    NO_GUARD,
    Option("--include-failed", "measure and rank agents whose command failed too"),
)
"""The options that workers on other machines have too."""
_EXCLUDED = (
    *("here", "ranking", "message", "judge", "tolerance", "holdout", "in-place"),
    *("budget", "jobs", "dry-run"),
)
"""The options that --on excludes."""


def check_eval_executors(args: Arguments) -> None:
    """Raise UsageError for options that exclude each other.

    The base branch is measured beside each agent, so another baseline has no meaning. A race needs
    the values of all agents on one machine.
    """
    check_executor_options(args, _EXCLUDED)
    if args.value("baseline") not in (None, MEASURE):
        raise UsageError(f"--{ON.name} and '--baseline <number>' exclude each other")
    if args.value("repeat") == AUTO:
        raise UsageError(f"--{ON.name} and '--repeat {AUTO}' exclude each other")
