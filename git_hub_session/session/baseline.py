"""Compare a result with the baseline of its evaluation, and record a baseline."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, append_setting
from git_hub_session.session.read import CONFIG_FILE
from git_hub_session.util.json_values import as_count, as_mapping, as_number, as_text

if TYPE_CHECKING:
    from git_hub_session.session.model import AgentResult, Session
    from git_hub_session.session.store import LockedSession

_IN_NEW_WORKTREE, _IN_PLACE = "measured_baseline", "in_place_baseline"
"""The keys of state.json with the baseline in config.yaml, if it was measured in this way."""
BY_RATIO = "the ratio to the base branch, measured on the same machine"
"""The order of a ranking of several machines."""
_SIGNS = {"lower": 1, "higher": -1}
_NO_IMPROVEMENT = "no agent improves on the baseline"


class Evaluation(NamedTuple):
    """The data that all results of an evaluation share."""

    metric: str = ""
    """The name of the metric, or ''."""
    direction: str = ""
    """'lower', 'higher', or ''."""
    baseline: float | None = None
    baseline_spread: float = 0.0
    unit: str = ""
    """The unit of all values, or ''."""
    verdict: str | None = None
    """The text of the person or the judge that ranked the agents. None without such a ranking."""
    is_measured: bool = False
    """False if a person or a judge ranked agents that were never measured."""
    time_limit: int = 0
    """The proposed time limit of a measurement in the next session, in seconds, or 0."""
    has_no_improvement: bool = False
    """True if the judge found no agent better than the baseline."""
    in_place: bool = False
    """True if each agent was measured in its own worktree."""
    has_measured_baseline: bool = False
    """True if the baseline was measured with the agents, in a temporary worktree."""
    baseline_failure: str = ""
    """The reason that the values could not be compared with the baseline, or ''."""
    by_ratio: bool = False
    """True if each result has its own baseline, measured on the same machine (eval --on)."""

    @property
    def verdict_text(self) -> str:
        """The text of the verdict to show, or ''."""
        return describe_verdict(self.verdict or "", has_no_improvement=self.has_no_improvement)

    def baseline_of(self, result: AgentResult) -> float | None:
        """Return the baseline of a result, or None."""
        return result.baseline if self.by_ratio else self.baseline

    def is_regression(self, result: AgentResult) -> bool:
        """Return True if the result is not better than the baseline.

        The difference must be larger than the margin of the result. Without a baseline or a metric
        to compare, return True only if the judge found no agent better than the baseline, or if the
        baseline could not be compared.
        """
        if self.has_no_improvement:
            return True
        if self.baseline_failure and result.metric is not None:
            return True
        if self.by_ratio and result.metric is not None and result.ratio is None:
            return True
        baseline = self.baseline_of(result)
        if baseline is None or self.direction not in _SIGNS or result.metric is None:
            return False
        return gain(result.metric, baseline, self.direction) <= self.margin(result)

    def margin(self, result: AgentResult) -> float:
        """Return the difference to the baseline that noise can explain.

        If an older version recorded no margin, return the larger spread of the agent and the
        baseline.
        """
        if result.margin is not None:
            return result.margin
        return max(result.spread, self.baseline_spread)


def gain(value: float, baseline: float, direction: str) -> float:
    """Return by how much a value is better than the baseline.

    The result is negative if the value is worse.

    Args:
        direction: 'lower' or 'higher'.
    """
    return _SIGNS[direction] * (baseline - value)


def describe_verdict(text: str, *, has_no_improvement: bool) -> str:
    """Return the text of a verdict. If no agent improves on the baseline, it says so first."""
    if not has_no_improvement:
        return text
    return f"{_NO_IMPROVEMENT}: {text}" if text else _NO_IMPROVEMENT


def last_evaluation(session: Session) -> Evaluation:
    """Return the shared data of the last evaluation.

    A value of the wrong type counts as missing.
    """
    fields = as_mapping(session.document.get("evaluation"))
    verdict = fields.get("verdict")
    improves = as_mapping(verdict).get("improves")
    return Evaluation(
        as_text(fields.get("metric")),
        as_text(fields.get("direction")),
        as_number(fields.get("baseline")),
        as_number(fields.get("baseline_spread")) or 0.0,
        as_text(fields.get("unit")),
        as_text(verdict.get("text")) if isinstance(verdict, dict) else None,
        bool(as_text(fields.get("command"))),
        as_count(fields.get("time_limit")),
        improves is False,
        fields.get("in_place") is True,
        "baseline_spread" in fields or fields.get("by_ratio") is True,
        as_text(fields.get("baseline_failure")),
        fields.get("by_ratio") is True,
    )


def record_baseline(locked: LockedSession, baseline: str) -> None:
    """Append the baseline to config.yaml, and keep its other lines. Raise CannotWrite.

    state.json records that this baseline was measured in a temporary worktree.
    """
    text = locked.directory.read(CONFIG_FILE, limit=MAX_CONFIG_BYTES).decode()
    state = baseline_state(baseline, in_place=False)
    locked.update(lambda session: session._replace(document={**session.document, **state}))
    locked.ensure_text_file(CONFIG_FILE, append_setting(text, "baseline", baseline))


def baseline_state(baseline: str, *, in_place: bool) -> dict[str, str]:
    """Return the key of state.json that records how the baseline in config.yaml was measured."""
    return {_IN_PLACE if in_place else _IN_NEW_WORKTREE: baseline}


def is_baseline_in_place(session: Session) -> bool | None:
    """Return True if the baseline in config.yaml was measured in the worktree of an agent.

    Return None without a baseline, or if a person has given it.
    """
    baseline = session.config.get("baseline")
    for key in (_IN_PLACE, _IN_NEW_WORKTREE) if baseline else ():
        if as_text(session.document.get(key)) == baseline:
            return key == _IN_PLACE
    return None
