"""Measure what would be merged, each agent's tip, and rank the agents; or record a judge's ranking.

The session's lock is held while it is planned and while the results are written, not while
commands run; a run that was killed has changed nothing of the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.evaluation.measure import (
    BASELINE,
    EvalWorktrees,
    Measurement,
    MeasureTarget,
    MetricCommand,
    MetricRunner,
)
from git_hub_session.evaluation.ranking import Rank, Score, rank_scores, ranks_from_list
from git_hub_session.git.ref_names import HEADS, AgentBranch, SessionId, agent_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.agents import (
    attempts_by_agent,
    base_now,
    find_base_commit,
    missing_agents_hint,
    running_agents,
)
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.session.record import with_evaluation, with_transition
from git_hub_session.session.state import State
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.detached import detached_reason
from git_hub_session.worktree.owner import agent_worktrees
from git_hub_session.worktree.status import read_worktree_status

if TYPE_CHECKING:
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.store import LockedSession


class Candidate(NamedTuple):
    """An agent's last attempt, and what it changed."""

    branch: AgentBranch
    commit: str
    """The tip."""
    diff: DiffStat | None
    """Since the base; None where that is not known."""
    directory: str = ""
    """The worktree that has just this commit checked out, or ''."""
    no_directory_reason: str = ""
    """Why there is no such worktree."""

    @property
    def name(self) -> str:
        """ "agent-2"."""
        return agent_name(self.branch.agent)


class RankedCandidate(NamedTuple):
    """A contestant, and where it stands."""

    contestant: Candidate
    rank: Rank | None = None
    """None where nobody is ranked."""
    score: Score | None = None
    reason: str = ""
    """Why it could not be measured."""
    delta: float | None = None
    """From the baseline, where there is one."""
    log: str = ""
    """Where what was printed is."""


class EvalResult(NamedTuple):
    """What an evaluation found, or would look at; the best first where there is a ranking."""

    session: Session
    """As it was before."""
    state: State
    standings: tuple[RankedCandidate, ...]
    recipe: MetricCommand | None = None
    baseline: float | None = None
    run: str = ""
    notes: tuple[str, ...] = ()


class EvalOptions(NamedTuple):
    """What is to be measured."""

    recipe: MetricCommand | None
    direction: str = ""
    """'lower' or 'higher'."""
    baseline: float | None = None
    measure_baseline: bool = False
    ranking: Sequence[int] = ()
    """A judge's: nothing is measured then."""
    force: bool = False


def preview_evaluation(sid: SessionId, project: Project, wish: EvalOptions) -> EvalResult:
    """Whom `evaluate` would look at now; nothing is changed."""
    session = project.store.read(sid)
    standings = tuple(RankedCandidate(one) for one in _find_candidates(session, project, wish))
    return EvalResult(session, session.state, standings, wish.recipe, wish.baseline)


def evaluate_session(sid: SessionId, project: Project, wish: EvalOptions) -> EvalResult:
    """Measure and rank, and write down what was found; `running` becomes `evaluating`.

    Without a recipe and a ranking nothing is ranked or changed. Raises Refused (state, an agent
    that still runs, another evaluation), CannotKeep, GitFailed, LockHeld.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        contestants = _find_candidates(session, project, wish)
        if wish.recipe is None and not wish.ranking:
            standings = tuple(RankedCandidate(one) for one in contestants)
            return EvalResult(session, session.state, standings)
        _refuse_if_busy(session, edit, force=wish.force)
        if wish.recipe is None:
            return _record_judge_ranking(session, edit, contestants, project, wish)
        task_file = edit.ensure_task_file(session)
        run = runs.start_run(edit.directory, runs.EVAL)
        checkouts = EvalWorktrees(sid, project)
        checkouts.remove_stale()
    with run, checkouts:
        spots = _measure_targets(session, contestants, checkouts, project, wish, task_file)
        progress = project.progress("Measuring", len(spots) * wish.recipe.repeat)
        found = MetricRunner(spots, wish.recipe, run, progress).measure(project)
        result = _rank_candidates(session, contestants, found, run, wish)
        with project.store.lock_session(sid) as edit:
            return _record_result(result, edit, project, wish)


def _find_candidates(session: Session, project: Project, wish: EvalOptions) -> list[Candidate]:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': there is nothing to evaluate",
            hint=missing_agents_hint(session, project.repo),
        )
    repo, base = project.repo, base_now(session, project.repo)
    found = []
    for number, made in attempts_by_agent(session.id, repo).items():
        branch = AgentBranch(session.id, number, max(made))
        tip = repo.tip(branch.ref)
        diff = repo.diff_stat(tip, base) if tip and base else None
        found.append(Candidate(branch, tip, diff))
    if not found:
        raise Refused(
            f"session '{session.id}' has no agent's branch",
            hint=missing_agents_hint(session, repo),
        )
    if wish.recipe is None:
        return found
    worktrees = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    return [_choose_directory(one, worktrees.get(one.branch.agent), repo) for one in found]


def _choose_directory(
    contestant: Candidate, found: tuple[AgentBranch, Worktree] | None, repo: GitRepo
) -> Candidate:
    """With the worktree that can be measured in, or why there is none."""
    if found is None or found[0] != contestant.branch:
        return contestant._replace(no_directory_reason="it has no worktree")
    worktree = found[1]
    if worktree.link_error:
        return contestant._replace(no_directory_reason=worktree.link_error)
    if detached_reason(worktree):
        return contestant._replace(no_directory_reason=detached_reason(worktree))
    if worktree.head != contestant.branch.ref or worktree.operation:
        return contestant._replace(
            no_directory_reason="something else is checked out in its worktree"
        )
    facts = read_worktree_status(worktree, contestant.branch.ref, repo, ())
    if facts.changed is None:
        return contestant._replace(no_directory_reason="what is in its worktree cannot be told")
    if facts.changed or facts.untracked:
        return contestant._replace(no_directory_reason="its worktree holds uncommitted changes")
    return contestant._replace(directory=worktree.path)


def _refuse_if_busy(session: Session, edit: LockedSession, *, force: bool) -> None:
    busy = running_agents(session, edit.directory)
    if busy and not force:
        raise Refused(f"{next(iter(busy))} is still running", hint="wait for it, or use --force")
    if runs.active_runs(edit.directory, runs.EVAL):
        raise Refused(f"session '{session.id}' is being evaluated", hint="wait for it, or end it")


def _measure_targets(
    session: Session,
    contestants: Sequence[Candidate],
    checkouts: EvalWorktrees,
    project: Project,
    wish: EvalOptions,
    task_file: str,
) -> list[MeasureTarget]:
    """Where the contestants are measured, and the baseline; checkouts are made as far as they are needed."""
    base = find_base_commit(session, project.repo)
    spots = []
    for one in contestants:
        if one.commit:
            variables = agent_environment(project.environ, session, one.branch, base, task_file)
            directory = one.directory or checkouts.add(one.name, one.commit, variables)
            spots.append(MeasureTarget(one.name, one.commit, directory, variables))
    if wish.measure_baseline:
        if not base:
            raise Refused(
                "there is no commit to measure the baseline at", hint="--baseline <number>"
            )
        variables = agent_environment(project.environ, session, None, base, task_file)
        spots.insert(
            0, MeasureTarget(BASELINE, base, checkouts.add(BASELINE, base, variables), variables)
        )
    return spots


def _rank_candidates(
    session: Session,
    contestants: Sequence[Candidate],
    found: Mapping[str, Measurement],
    run: runs.Run,
    wish: EvalOptions,
) -> EvalResult:
    """The contestants in the order of what was found."""
    notes = [
        f"{one.name} was measured in a checkout of its own: {one.no_directory_reason}"
        for one in contestants
        if one.commit and not one.directory
    ]
    baseline, measured = wish.baseline, found.get(BASELINE)
    if measured is not None:
        baseline = _score(0, measured, None).metric if measured.values else None
        if not measured.values:
            notes.append(f"the baseline could not be measured: {measured.reason}")
    standings = {}
    for one in contestants:
        what = found.get(one.name, Measurement((), "its branch leads to no commit"))
        score = _score(one.branch.agent, what, one.diff)
        delta = score.metric - baseline if score.values and baseline is not None else None
        log = f"{run.path}/{one.name}.log" if one.name in found else ""
        standings[one.branch.agent] = RankedCandidate(one, None, score, what.reason, delta, log)
    ranks = rank_scores([one.score for one in standings.values() if one.score], wish.direction)
    ordered = tuple(standings[rank.agent]._replace(rank=rank) for rank in ranks)
    return EvalResult(
        session, session.state, ordered, wish.recipe, baseline, run.name, tuple(notes)
    )


def _score(agent: int, found: Measurement, diff: DiffStat | None) -> Score:
    size = (diff.insertions + diff.deletions, diff.files) if diff else (0, 0)
    return Score(agent, found.values, size)


def _record_judge_ranking(
    session: Session,
    edit: LockedSession,
    contestants: Sequence[Candidate],
    project: Project,
    wish: EvalOptions,
) -> EvalResult:
    """Record the ranking that a judge gave; who is not in it has no rank."""
    known = {one.branch.agent: one for one in contestants if one.commit}
    for number in wish.ranking:
        if number not in known:
            raise Refused(
                f"agent-{number} has no branch", hint=f"git hub-session status {session.id}"
            )
    standings = tuple(
        RankedCandidate(known[rank.agent], rank) for rank in ranks_from_list(wish.ranking)
    )
    return _record_result(EvalResult(session, session.state, standings), edit, project, wish)


def _record_result(
    result: EvalResult, edit: LockedSession, project: Project, wish: EvalOptions
) -> EvalResult:
    """Write the result into the session as it is by now."""
    session = edit.read()
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(f"session '{session.id}' became '{session.state}' meanwhile")
    moved = [
        f"the branch of {one.contestant.name} moved while it was measured"
        for one in result.standings
        if project.repo.tip(one.contestant.branch.ref) != one.contestant.commit
    ]
    at = format_iso(project.now())
    evaluation: dict[str, Any] = {
        "at": at,
        "base": project.repo.tip(HEADS + session.config.base_branch),
    }
    if result.recipe is not None:
        evaluation |= {
            "run": result.run,
            "command": result.recipe.command,
            "metric": result.recipe.metric,
            "direction": wish.direction,
            "baseline": result.baseline,
        }
    results = {
        one.contestant.name: _result_fields(one)
        for one in result.standings
        if one.contestant.commit
    }
    done = with_evaluation(session, evaluation, results, at=at)
    if session.state is State.RUNNING:
        done = with_transition(done, State.EVALUATING, at=at, by=project.identity, verb="eval")
    edit.save(done)
    return result._replace(session=session, state=done.state, notes=(*result.notes, *moved))


def _result_fields(standing: RankedCandidate) -> dict[str, Any]:
    """What state.json keeps of a standing."""
    one, score = standing.contestant, standing.score
    is_measured = score is not None and score.values
    found: dict[str, Any] = {
        "rank": standing.rank.place if standing.rank else None,
        "attempt": one.branch.attempt,
        "commit": one.commit,
        "metric": score.metric if score and is_measured else None,
        "tie": standing.rank.is_tie if standing.rank else False,
        "reason": standing.reason,
    }
    if score and is_measured:
        found |= {"values": list(score.values), "spread": score.spread, "delta": standing.delta}
    if one.diff:
        found |= one.diff._asdict()
    return found
