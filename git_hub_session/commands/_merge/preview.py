"""A planned merge as text."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import metric_text
from git_hub_session.git.ref_names import short_name
from git_hub_session.merge.options import MergeKind
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.util.text import count_noun, describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.merge.plan import MergePlan


def preview_lines(plan: MergePlan, style: TerminalStyle) -> list[str]:
    """Return the lines that show a planned merge."""
    branch = escape_control(short_name(plan.winner.ref))
    into = escape_control(short_name(plan.into))
    if plan.existing_commit:
        commit = style.abbreviate(plan.existing_commit)
        return [f"{branch} is already merged into {into}, in {commit}"]
    out = [f"Merging {branch} into {into}{_kind_text(plan)}"]
    if plan.result is not None and plan.result.rank:
        out.append(f"  Rank: {plan.result.rank}")
    return [
        *out,
        *result_lines(plan, style),
        *(f" {escape_control(line)}" for line in plan.summary),
    ]


def _kind_text(plan: MergePlan) -> str:
    """Return the kind of the merge in parentheses, or '' for a merge commit."""
    if plan.replay is not None:
        count = len(plan.replay.commits)
        if count:
            return f" (rebase: {count_noun(count, 'new commit')})"
        return " (fast-forward)"
    names = {MergeKind.SQUASH: " (squash)", MergeKind.FAST_FORWARD: " (fast-forward)"}
    return names.get(plan.kind, "")


def result_lines(plan: MergePlan, style: TerminalStyle) -> list[str]:
    """Return the lines with the winner's metric and its change, the verdict, and its failed run."""
    out = []
    evaluation = last_evaluation(plan.session)
    if plan.result is not None and plan.result.metric is not None:
        name = evaluation.metric or "metric"
        value, baseline = plan.result.metric, plan.baseline
        out.append(f"  {metric_text(name, value, baseline, style, unit=evaluation.unit)}")
    elif plan.result is not None and plan.result.passed is not None:
        out.append(f"  Result: {describe_pass(plan.result.passed)}")
    if plan.result is not None and evaluation.verdict_text:
        out.append(style.fit(f"  Verdict: {escape_control(evaluation.verdict_text)}", 0))
    if plan.failure:
        out.append(f"  Last run: {escape_control(plan.failure)}")
    return out
