"""The options and the result of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.ranking.statistics import median

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.evaluation.judge import Judge
    from git_hub_session.evaluation.measure import MetricCommand
    from git_hub_session.metric.quantity import Quantity
    from git_hub_session.ranking.ranking import Rank, Score
    from git_hub_session.ranking.ratio import Ratio
    from git_hub_session.session.model import Session
    from git_hub_session.session.state import State
    from git_hub_session.util.machine import Machine


class PairedResult(NamedTuple):
    """The base branch beside a candidate, as another machine has measured them (eval --on)."""

    ratio: Ratio | None
    """The ratio of the candidate to the base branch, or None if there is none."""
    base_values: tuple[float, ...]
    machine: Machine | None
    tree: str
    """The object id of the measured tree."""

    @property
    def baseline(self) -> float | None:
        """The median of the values of the base branch, or None."""
        return median(self.base_values) if self.base_values else None


class RankedCandidate(NamedTuple):
    """A candidate with its rank and its measurement."""

    candidate: Candidate
    rank: Rank | None = None
    """None if the agent has no rank."""
    score: Score | None = None
    reason: str = ""
    """The reason that the candidate could not be measured, or ''."""
    delta: float | None = None
    """The difference to the baseline, or None without a baseline or a score."""
    log: str = ""
    """The path of the file with the output, or ''."""
    margin: float | None = None
    """The smallest difference to the baseline that noise does not explain, or None."""
    passed: bool | None = None
    """True or False if the exit status or a requirement decides (see AgentResult)."""
    counted_attempt: int = 0
    """The attempt that counts for the agent, or 0 if it is this one."""
    pair: PairedResult | None = None
    """The base branch beside the candidate, if another machine has measured them."""

    @property
    def is_counted(self) -> bool:
        """False if another attempt of the agent counts."""
        return not self.counted_attempt

    @property
    def unranked_reason(self) -> str:
        """The reason that the attempt itself is not ranked, or ''."""
        counted = f"attempt-{self.counted_attempt} counts" if self.counted_attempt else ""
        return self.reason or counted

    @property
    def has_result(self) -> bool:
        """True if the candidate has a value, or passed."""
        return bool(self.score and self.score.values) or bool(self.passed)


class Verdict(NamedTuple):
    """The ranking of a person or a judge."""

    ranking: tuple[int, ...]
    """The agents, the best first."""
    text: str
    judge: str = ""
    """The command of the judge, or '' for a person."""
    improves: bool | None = None
    """False if the judge found no agent better than the baseline. None if it did not say."""


class EvalResult(NamedTuple):
    """The result or the preview of an evaluation."""

    session: Session
    """The session before the evaluation."""
    state: State
    """The state of the session after the evaluation."""
    candidates: tuple[RankedCandidate, ...]
    """The candidates, the best first if they are ranked."""
    metric_command: MetricCommand | None = None
    baseline: float | None = None
    baseline_spread: float | None = None
    """The spread of a measured baseline, or None if it was given."""
    run: str = ""
    notes: tuple[str, ...] = ()
    unit: str = ""
    """The unit of all values and of the baseline, or ''."""
    guard: tuple[str, ...] = ()
    """The guarded paths."""
    base: str = ""
    """The tip of the base branch that the candidates were merged with, or ''."""
    verdict: Verdict | None = None
    """The ranking of a person or a judge, or None."""

    holdout: tuple[str, ...] = ()
    """The paths of the holdout files."""
    holdout_digest: str = ""
    """The SHA-256 of the holdout files, or ''."""
    time_limit: int = 0
    """The proposed time limit of a measurement in the next session, in seconds, or 0."""
    baseline_failure: str = ""
    """The reason that the values cannot be compared with the baseline, or ''."""
    by_ratio: bool = False
    """True if the ratios to the base branch are compared, and not the values."""
    uncommitted: tuple[str, ...] = ()
    """The files to commit: the eval command names them, and did not find them."""

    @property
    def rankable_agents(self) -> str:
        """The agents that the user may rank, as a list for --ranking."""
        candidates = [ranked.candidate for ranked in self.candidates]
        return ",".join(candidate.agent for candidate in candidates if not candidate.is_left_out)


class EvalOptions(NamedTuple):
    """The command to measure with, or the ranking to record."""

    metric_command: MetricCommand | None
    direction: str = ""
    """'lower' or 'higher'."""
    baseline: Quantity | None = None
    measure_baseline: bool = False
    is_baseline_given: bool = False
    """True if an option has the baseline, and not the session."""
    ranking: Sequence[int] = ()
    """The user's ranking of the agents. Nothing is measured if there is one."""
    message: str = ""
    """The text to record with the user's ranking."""
    judge: Judge | None = None
    """The command that ranks the candidates, or None."""
    force: bool = False
    """Evaluate even if an agent is marked as running."""
    guard: Sequence[str] | None = None
    """The guarded paths, or None for those of the session, the setting or the eval command."""
    holdout: str | None = None
    """The directory with the holdout files, or None for that of the session or the setting."""
    in_place: bool = False
    """Measure each agent in its own worktree, and not in a temporary one."""
    include_failed: bool = False
    """Measure and rank agents whose last run failed."""
