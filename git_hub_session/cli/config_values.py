"""Turn the options of `init` into values of config.yaml."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import parse_guard_options
from git_hub_session.errors import HubError, UsageError
from git_hub_session.metric.metric import parse_metric_regex
from git_hub_session.metric.quantity import parse_finite_quantity
from git_hub_session.metric.requirement import parse_requirements

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments

METRIC_OPTIONS = ("eval", "metric", "metric-regex", "direction")
"""The options whose values have a baseline of their own."""
# Half of the size limit of config.yaml.
MAX_TEXT_BYTES = 512 << 10


def parse_evaluation_values(args: Arguments) -> dict[str, str]:
    """Return the values of the evaluation, in the order of config.yaml, or raise UsageError."""
    return {**_parse_evaluation(args), **_parse_guard(args), **_parse_require(args)}


def check_text(name: str, text: str) -> str:
    """Return a text of the user, or raise HubError if config.yaml cannot have it."""
    if len(os.fsencode(text)) > MAX_TEXT_BYTES:
        raise HubError(f"the {name} is larger than {MAX_TEXT_BYTES} bytes")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise HubError(f"the {name} is not UTF-8") from None
    return text


def _parse_evaluation(args: Arguments) -> dict[str, str]:
    """Return the settings of the evaluation, in the order of config.yaml."""
    metric = args.value("metric")
    direction = args.value("direction")
    if (metric is None) != (direction is None):
        raise UsageError(
            "--metric and --direction must be used together",
            hint="say whether lower or higher is better",
        )
    options = {
        "eval_cmd": args.value("eval"),
        "metric": metric,
        "direction": direction,
        "baseline": _parse_baseline(args),
        "metric_regex": args.value("metric-regex"),
    }
    if options["metric_regex"] is not None:
        if metric is None:
            raise UsageError("--metric-regex requires --metric")
        parse_metric_regex(options["metric_regex"])
    values = {key: check_text(key, value) for key, value in options.items() if value is not None}
    for key, value in values.items():
        if not value.strip() or (key != "eval_cmd" and "\n" in value):
            raise UsageError(f"not a value for {key}: '{value}'")
    return values


def _parse_baseline(args: Arguments) -> str | None:
    """Return the value of --baseline, or None."""
    baseline = args.value("baseline")
    if baseline is None:
        return None
    if args.value("metric") is None and args.value("after") is None:
        raise UsageError("--baseline requires --metric")
    if baseline != baseline.strip() or parse_finite_quantity(baseline) is None:
        raise UsageError(f"not a number: '{baseline}'")
    return baseline


def _parse_guard(args: Arguments) -> dict[str, str]:
    """Return the setting with the guarded paths, or {} without an option."""
    guard = parse_guard_options(args)
    return {} if guard is None else {"guard": "\n".join(guard)}


def _parse_require(args: Arguments) -> dict[str, str]:
    """Return the setting with the requirements, or {} without an option."""
    requirements = parse_requirements(args.values("require"))
    text = "\n".join(requirement.text for requirement in requirements)
    return {"require": check_text("requirement", text)} if requirements else {}
