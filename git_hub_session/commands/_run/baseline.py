"""Measure the baseline before the agents start."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import parse_repeat
from git_hub_session.cli.options import parse_timeout
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.evaluation.baseline import measure_baseline
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.util.numbers import format_number
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.metric.quantity import Quantity

_BASELINE_REPEATS = 5
"""The measurements of the base branch with `--repeat auto`."""


def measure_run_baseline(context: Context, args: Arguments, sid: SessionId) -> BaselineView:
    """Measure the base branch and record its metric in the session."""
    metric = args.value("metric") or ""
    metric_command = MetricCommand(
        args.value("eval") or "",
        metric,
        repeat=parse_repeat(args) or _BASELINE_REPEATS,
        timeout=parse_timeout(args),
        metric_regex=args.value("metric-regex") or "",
    )
    measured = measure_baseline(sid, context.project, metric_command)
    return BaselineView(sid, metric, measured.quantity, measured.notes)


class BaselineView(View):
    """The metric of the base branch."""

    def __init__(
        self, session: SessionId, metric: str, baseline: Quantity, notes: Sequence[str]
    ) -> None:
        self.session = session
        self.metric = metric
        self.baseline = baseline
        self.notes = notes

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.notes)

    @property
    def changed(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "metric": self.metric,
            "baseline": self.baseline.value,
            "unit": self.baseline.unit or None,
            "notes": list(self.notes),
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        value = f"{format_number(self.baseline.value)} {self.baseline.unit}".rstrip()
        return TextOutput([f"Baseline: {escape_control(self.metric)} {value}"])
