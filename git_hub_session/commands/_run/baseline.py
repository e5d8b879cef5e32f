"""Measure the baseline before the agents start."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import parse_repeat, parse_run_count
from git_hub_session.cli.options import parse_timeout
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.evaluation.baseline import measure_baseline
from git_hub_session.evaluation.measure import (
    LIMIT_FACTOR,
    SMALLEST_LIMIT,
    MetricCommand,
    propose_time_limit,
)
from git_hub_session.metric.requirement import parse_requirements
from git_hub_session.util.numbers import format_number
from git_hub_session.util.text import describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.evaluation.baseline import MeasuredBaseline
    from git_hub_session.git.ref_names import SessionId

_BASELINE_REPEATS = 5
"""The measurements of the base branch with `--repeat auto`."""

NO_TIME_LIMIT = "No time limit for the agents and the measurements (to set one: --timeout <time>)"


def measure_run_baseline(context: Context, args: Arguments, sid: SessionId) -> BaselineView:
    """Measure the base branch and record its metric, if there is one, in the session."""
    metric = args.value("metric") or ""
    metric_command = MetricCommand(
        args.value("eval") or "",
        metric,
        repeat=parse_repeat(args) or _BASELINE_REPEATS,
        timeout=parse_timeout(args),
        metric_regex=args.value("metric-regex") or "",
        warmup=parse_run_count(args, "warmup"),
        prepare=args.value("prepare") or "",
        allowed_failures=parse_run_count(args, "allow-failures"),
        requirements=parse_requirements(args.values("require")),
    )
    measured = measure_baseline(sid, context.project, metric_command)
    has_own_limit = args.value("timeout") is not None
    limit = 0 if has_own_limit or measured.failure else propose_time_limit(measured.seconds)
    return BaselineView(sid, metric, measured, limit, has_own_limit=has_own_limit)


class BaselineView(View):
    """The metric of the base branch, or the result of a command without a metric."""

    def __init__(
        self,
        session: SessionId,
        metric: str,
        baseline: MeasuredBaseline,
        time_limit: int,
        *,
        has_own_limit: bool,
    ) -> None:
        self.session = session
        self.metric = metric
        self.baseline = baseline
        self.time_limit = time_limit
        """The proposed time limit for the measurements of the agents in seconds, or 0."""
        self.has_own_limit = has_own_limit
        """True if the user has given --timeout."""

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.baseline.notes)

    @property
    def changed(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        quantity, failure = self.baseline.quantity, self.baseline.failure
        return {
            "session_id": self.session,
            "metric": self.metric or None,
            "baseline": quantity.value if quantity else None,
            "unit": (quantity.unit or None) if quantity else None,
            "notes": list(self.baseline.notes),
            "passed": None if quantity else not failure,
            "reason": failure or None,
            "time_limit": self.time_limit or None,
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        quantity, failure = self.baseline.quantity, self.baseline.failure
        if quantity is None:
            result = describe_pass(not failure)
            result += f" ({escape_control(failure)})" if failure else ""
        else:
            value = f"{format_number(quantity.value)} {quantity.unit}".rstrip()
            result = f"{escape_control(self.metric)} {value}"
        return TextOutput([f"Baseline: {result}", *self._limit_lines()])

    def _limit_lines(self) -> list[str]:
        if not self.time_limit:
            return [] if self.has_own_limit else [NO_TIME_LIMIT]
        factor = f"{LIMIT_FACTOR} times the longest run of the baseline"
        limit = f"Time limit for each measurement: {self.time_limit} s"
        return [f"{limit} ({factor}, at least {SMALLEST_LIMIT} s)"]
