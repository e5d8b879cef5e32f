"""Measure the baseline before the agents start."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import parse_repeat
from git_hub_session.cli.options import parse_timeout
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.evaluation.baseline import measure_baseline
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.metric.requirement import parse_requirements
from git_hub_session.util.numbers import format_number
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.evaluation.baseline import MeasuredBaseline
    from git_hub_session.git.ref_names import SessionId

_BASELINE_REPEATS = 5
"""The measurements of the base branch with `--repeat auto`."""


def measure_run_baseline(context: Context, args: Arguments, sid: SessionId) -> BaselineView:
    """Measure the base branch and record its metric, if there is one, in the session."""
    metric = args.value("metric") or ""
    metric_command = MetricCommand(
        args.value("eval") or "",
        metric,
        repeat=parse_repeat(args) or _BASELINE_REPEATS,
        timeout=parse_timeout(args),
        metric_regex=args.value("metric-regex") or "",
        requirements=parse_requirements(args.values("require")),
    )
    return BaselineView(sid, metric, measure_baseline(sid, context.project, metric_command))


class BaselineView(View):
    """The metric of the base branch, or the result of a command without a metric."""

    def __init__(self, session: SessionId, metric: str, baseline: MeasuredBaseline) -> None:
        self.session = session
        self.metric = metric
        self.baseline = baseline

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
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        quantity, failure = self.baseline.quantity, self.baseline.failure
        if quantity is None:
            result = f"fail ({escape_control(failure)})" if failure else "pass"
            return TextOutput([f"Baseline: {result}"])
        value = f"{format_number(quantity.value)} {quantity.unit}".rstrip()
        return TextOutput([f"Baseline: {escape_control(self.metric)} {value}"])
