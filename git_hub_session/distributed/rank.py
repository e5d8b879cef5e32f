"""Rank the agents by the measurements that workers have published, and record the ranking.

The values of two machines are never compared. The ranking compares the ratios to the base branch,
which each machine has measured in the same rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.evaluation.candidates import Candidate
from git_hub_session.evaluation.prepare import (
    candidate_notes,
    prepare_candidates,
    refuse_if_busy,
)
from git_hub_session.evaluation.rank import choose_attempts, rank_agents
from git_hub_session.evaluation.record import record_result
from git_hub_session.evaluation.result import EvalResult, PairedResult, RankedCandidate
from git_hub_session.evaluation.units import ComparedMeasurements, Measurement, convert_to_one_unit
from git_hub_session.git.ref_names import attempt_name
from git_hub_session.ranking.margin import MAX_MARGIN, baseline_margins
from git_hub_session.ranking.ranking import Score
from git_hub_session.ranking.ratio import NO_CHANGE, paired_ratio
from git_hub_session.session import runs
from git_hub_session.session.evaluation_log import check_log, read_measurements
from git_hub_session.temporary.objects import NewObjects
from git_hub_session.util.numbers import difference, format_number

if TYPE_CHECKING:
    from git_hub_session.distributed.key import MeasureOptions
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.git.ref_names import AgentBranch, SessionId
    from git_hub_session.session.evaluation_log import EvaluationEntry
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_UNMEASURED = "not measured"
_NO_RATIO = "no ratio: "
_Key = tuple[int, int, str]
"""The agent, the attempt and the commit of a measurement."""


class CollectedResult(NamedTuple):
    """The result of an evaluation on several machines."""

    result: EvalResult
    unmeasured: tuple[str, ...] = ()
    """The names of the attempts that no worker has measured. Then nothing is recorded."""


class DistributedEvaluation:
    """The evaluation of one session on several machines, as the caller of the workers sees it."""

    def __init__(self, sid: SessionId, project: Project) -> None:
        self._sid = sid
        self._project = project

    def list_candidates(
        self, options: EvalOptions
    ) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
        """Return the candidates and the guarded paths. Change nothing.

        Raises:
            Refused: the state, a running agent or another evaluation forbids it.
        """
        project = self._project
        with NewObjects(project.git) as objects, project.store.lock_session(self._sid) as locked:
            session = locked.read()
            # The jobs of an interrupted call can still measure in this clone.
            refuse_if_busy(session, locked, force=options.force, with_workers=False)
            candidates, fixed_paths = prepare_candidates(
                session, project, options, objects, dry_run=True
            )
        return tuple(candidates), fixed_paths.names

    def measure_nothing(self) -> CollectedResult:
        """Return a result without candidates."""
        session = self._project.store.read(self._sid)
        return CollectedResult(EvalResult(session, session.state, ()))

    def rank(self, options: MeasureOptions) -> CollectedResult:
        """Rank the agents and record the result, unless an attempt is not measured.

        Raises:
            Refused: the state forbids it.
            Damaged, CannotWrite: nothing was recorded.
        """
        project, key = self._project, options.key
        with NewObjects(project.git) as objects, project.store.lock_session(self._sid) as locked:
            session = locked.read()._replace(base_tip=key.base)
            candidates, fixed_paths = prepare_candidates(
                session, project, options.eval_options, objects, dry_run=False
            )
            entries = _newest_entries(read_measurements(locked.directory, key.id))
            missing = [each for each in candidates if _is_missing(each, entries)]
            result = _rank(session, candidates, entries, options.eval_options)
            notes = candidate_notes(candidates, fixed_paths, session, project)
            result = result._replace(
                base=key.base, guard=fixed_paths.names, notes=(*notes, *result.notes)
            )
            if missing:
                unranked = tuple(each._replace(rank=None) for each in result.candidates)
                result = result._replace(candidates=unranked)
                return CollectedResult(result, tuple(each.name for each in missing))
            check_log(locked.directory)
            with runs.start_run(locked.directory, runs.EVAL) as run:
                result = result._replace(run=run.name)
                result = record_result(result, locked, project, options.eval_options)
        return CollectedResult(result)


def _newest_entries(entries: Iterable[EvaluationEntry]) -> dict[_Key, EvaluationEntry]:
    """Return one entry for each commit. Several workers can have measured a commit.

    All clones choose the same entry, so the order does not depend on the order of fetches.
    """
    ordered = sorted(entries, key=lambda entry: (entry.at, entry.by, entry.run, entry.values))
    return {(entry.agent, entry.attempt, entry.commit): entry for entry in ordered}


def _key_of(candidate: Candidate) -> _Key:
    return candidate.branch.agent, candidate.branch.attempt, candidate.commit


def _is_missing(candidate: Candidate, entries: Mapping[_Key, EvaluationEntry]) -> bool:
    return not candidate.unmeasured_reason and _key_of(candidate) not in entries


def _rank(
    session: Session,
    candidates: Sequence[Candidate],
    entries: Mapping[_Key, EvaluationEntry],
    options: EvalOptions,
) -> EvalResult:
    """Return the candidates with their ranks, the best first, and those without a rank."""
    metric_command = options.metric_command
    assert metric_command is not None
    by_ratio = bool(metric_command.metric)
    found = {each.branch: entries.get(_key_of(each)) for each in candidates}
    units = _convert_units(found)
    made = [
        _with_entry(each, found[each.branch], units.measurements, by_ratio=by_ratio)
        for each in candidates
    ]
    counted, others = choose_attempts(made, options)
    compared = [ranked for ranked in counted if not ranked.reason.startswith(_NO_RATIO)]
    ranks, notes = rank_agents(compared, options)
    margins = _margins(compared, options) if by_ratio else {}
    by_agent = {ranked.candidate.branch.agent: _with_margin(ranked, margins) for ranked in counted}
    ranked = [by_agent.pop(rank.agent)._replace(rank=rank) for rank in ranks]
    return EvalResult(
        session._replace(base_tip=""),
        session.state,
        tuple(
            _with_values(each, units.measurements)
            for each in (*ranked, *by_agent.values(), *others)
        ),
        metric_command,
        notes=tuple(notes),
        unit=units.unit,
        by_ratio=by_ratio,
    )


def _convert_units(
    found: Mapping[AgentBranch, EvaluationEntry | None],
) -> ComparedMeasurements:
    """Return the values of the attempts and of the base branch beside them, in one unit."""
    measurements: dict[str, Measurement] = {}
    for branch, entry in found.items():
        if entry is not None:
            measured = Measurement(entry.values, entry.reason, entry.unit)
            base = Measurement(entry.base_values, entry.base_reason, entry.unit)
            measurements |= {attempt_name(branch): measured, _base_name(branch): base}
    return convert_to_one_unit(measurements, None)


def _base_name(branch: AgentBranch) -> str:
    return f"the base of {attempt_name(branch)}"


def _with_entry(
    candidate: Candidate,
    entry: EvaluationEntry | None,
    measurements: Mapping[str, Measurement],
    *,
    by_ratio: bool,
) -> RankedCandidate:
    """Return a candidate without a rank. Its score has the ratios, for the ranking."""
    score = Score(candidate.branch.agent, (), candidate.size)
    if candidate.unmeasured_reason or entry is None:
        reason = candidate.unmeasured_reason or _UNMEASURED
        return RankedCandidate(candidate, None, score, reason)
    measured = measurements[attempt_name(candidate.branch)]
    base = measurements[_base_name(candidate.branch)]
    ratio = paired_ratio(measured.values, base.values)
    reason = measured.reason
    if by_ratio and not reason and ratio is None:
        reason = f"{_NO_RATIO}{_missing_ratio_reason(base)}"
    pair = PairedResult(ratio, base.values, entry.machine, entry.tree)
    score = score._replace(values=ratio.values if ratio else ())
    return RankedCandidate(candidate, None, score, reason, passed=entry.passed, pair=pair)


def _missing_ratio_reason(base: Measurement) -> str:
    if not base.values:
        return f"the base branch could not be measured: {base.reason or 'no value'}"
    if min(base.values) <= 0:
        return f"the value of the base branch is {format_number(min(base.values))}"
    return "it is not a number"


def _margins(candidates: Sequence[RankedCandidate], options: EvalOptions) -> dict[int, float]:
    """Return the smallest significant difference of the ratio to NO_CHANGE, by agent."""
    scores = [ranked.score for ranked in candidates if ranked.score]
    return baseline_margins(scores, NO_CHANGE, (), options.direction)


def _with_margin(ranked: RankedCandidate, margins: Mapping[int, float]) -> RankedCandidate:
    """Return a candidate with its margin in the unit of the values."""
    margin = margins.get(ranked.candidate.branch.agent)
    baseline = ranked.pair.baseline if ranked.pair else None
    if margin is None or baseline is None:
        return ranked
    return ranked._replace(margin=min(margin * baseline, MAX_MARGIN))


def _with_values(
    ranked: RankedCandidate, measurements: Mapping[str, Measurement]
) -> RankedCandidate:
    """Return a candidate with the measured values in place of the ratios."""
    if ranked.pair is None or ranked.score is None:
        return ranked
    values = measurements[attempt_name(ranked.candidate.branch)].values
    score = ranked.score._replace(values=values)
    baseline = ranked.pair.baseline
    delta = difference(score.metric, baseline) if values and baseline is not None else None
    return ranked._replace(score=score, delta=delta)
