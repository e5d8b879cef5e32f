"""Measure what would be merged, each agent's tip, and rank the agents; or record a judge's ranking.

The session's lock is held while it is planned and while the results are written, not while
commands run; a run that was killed has changed nothing of the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session import runs
from git_hub_session.clock import iso
from git_hub_session.errors import Refused
from git_hub_session.operations.agents import (
    EVAL,
    attempts,
    base_now,
    base_of,
    environment,
    running,
    way_to_agents,
)
from git_hub_session.operations.measure import BASELINE, Checkouts, Found, Meter, Recipe, Spot
from git_hub_session.operations.offbranch import off_branch
from git_hub_session.operations.ownership import agent_worktrees
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.survey import worktree_facts
from git_hub_session.ranking import Rank, Score, judged, ranked
from git_hub_session.refnames import HEADS, AgentBranch, SessionId
from git_hub_session.session import Session, advanced, with_evaluation
from git_hub_session.states import State
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.worktrees import Worktree, linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.gitrepo import DiffStat, GitRepo
    from git_hub_session.store import Edit


class Contestant(NamedTuple):
    """An agent's last attempt, and what it changed."""

    branch: AgentBranch
    commit: str
    """The tip."""
    diff: DiffStat | None
    """Since the base; None where that is not known."""
    directory: str = ""
    """The worktree that has just this commit checked out, or ''."""
    why: str = ""
    """Why there is no such worktree."""

    @property
    def name(self) -> str:
        """ "agent-2"."""
        return f"agent-{self.branch.agent}"


class Standing(NamedTuple):
    """A contestant, and where it stands."""

    contestant: Contestant
    rank: Rank | None = None
    """None where nobody is ranked."""
    score: Score | None = None
    reason: str = ""
    """Why it could not be measured."""
    delta: float | None = None
    """From the baseline, where there is one."""
    log: str = ""
    """Where what was printed is."""


class Evaluated(NamedTuple):
    """What an evaluation found, or would look at; the best first where there is a ranking."""

    session: Session
    """As it was before."""
    state: State
    standings: tuple[Standing, ...]
    recipe: Recipe | None = None
    baseline: float | None = None
    run: str = ""
    notes: tuple[str, ...] = ()


class Wish(NamedTuple):
    """What is to be measured."""

    recipe: Recipe | None
    direction: str = ""
    """'lower' or 'higher'."""
    baseline: float | None = None
    measure_baseline: bool = False
    ranking: Sequence[int] = ()
    """A judge's: nothing is measured then."""
    force: bool = False


def rehearse(sid: SessionId, scene: Scene, wish: Wish) -> Evaluated:
    """Whom `evaluate` would look at now; nothing is changed."""
    session = scene.store.read(sid)
    standings = tuple(Standing(one) for one in _contestants(session, scene, wish))
    return Evaluated(session, session.state, standings, wish.recipe, wish.baseline)


def evaluate(sid: SessionId, scene: Scene, wish: Wish) -> Evaluated:
    """Measure and rank, and write down what was found; `running` becomes `evaluating`.

    Without a recipe and a ranking nothing is ranked or changed. Raises Refused (state, an agent
    that still runs, another evaluation), CannotKeep, GitFailed, LockHeld.
    """
    with scene.store.edit(sid) as edit:
        session = edit.read()
        contestants = _contestants(session, scene, wish)
        if wish.recipe is None and not wish.ranking:
            standings = tuple(Standing(one) for one in contestants)
            return Evaluated(session, session.state, standings)
        _refuse_if_busy(session, edit, force=wish.force)
        if wish.recipe is None:
            return _record_judged(session, edit, contestants, scene, wish)
        task_file = edit.task_file(session)
        run = runs.begin(edit.directory, EVAL)
        checkouts = Checkouts(sid, scene)
        checkouts.tidy()
    with run, checkouts:
        spots = _spots(session, contestants, checkouts, scene, wish, task_file)
        progress = scene.progress("Measuring", len(spots) * wish.recipe.repeat)
        found = Meter(spots, wish.recipe, run, progress).measure(scene.run_all)
        result = _ranked(session, contestants, found, run, wish)
        with scene.store.edit(sid) as edit:
            return _recorded(result, edit, scene, wish)


def _contestants(session: Session, scene: Scene, wish: Wish) -> list[Contestant]:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': there is nothing to evaluate",
            hint=way_to_agents(session, scene.repo),
        )
    repo, base = scene.repo, base_now(session, scene.repo)
    found = []
    for number, made in attempts(session.id, repo).items():
        branch = AgentBranch(session.id, number, max(made))
        tip = repo.tip(branch.ref)
        diff = repo.diff_stat(tip, base) if tip and base else None
        found.append(Contestant(branch, tip, diff))
    if not found:
        raise Refused(
            f"session '{session.id}' has no agent's branch",
            hint=way_to_agents(session, repo),
        )
    if wish.recipe is None:
        return found
    worktrees = agent_worktrees(session.id, scene, linked_worktrees(scene.place.common_dir))
    return [_placed(one, worktrees.get(one.branch.agent), repo) for one in found]


def _placed(
    contestant: Contestant, found: tuple[AgentBranch, Worktree] | None, repo: GitRepo
) -> Contestant:
    """With the worktree that can be measured in, or why there is none."""
    if found is None or found[0] != contestant.branch:
        return contestant._replace(why="it has no worktree")
    worktree = found[1]
    if worktree.fault:
        return contestant._replace(why=worktree.fault)
    if off_branch(worktree):
        return contestant._replace(why=off_branch(worktree))
    if worktree.head != contestant.branch.ref or worktree.operation:
        return contestant._replace(why="something else is checked out in its worktree")
    facts = worktree_facts(worktree, contestant.branch.ref, repo, ())
    if facts.changed is None:
        return contestant._replace(why="what is in its worktree cannot be told")
    if facts.changed or facts.untracked:
        return contestant._replace(why="its worktree holds uncommitted changes")
    return contestant._replace(directory=worktree.path)


def _refuse_if_busy(session: Session, edit: Edit, *, force: bool) -> None:
    busy = running(session, edit.directory)
    if busy and not force:
        raise Refused(f"{next(iter(busy))} is still running", hint="wait for it, or use --force")
    if runs.alive(edit.directory, EVAL):
        raise Refused(f"session '{session.id}' is being evaluated", hint="wait for it, or end it")


def _spots(
    session: Session,
    contestants: Sequence[Contestant],
    checkouts: Checkouts,
    scene: Scene,
    wish: Wish,
    task_file: str,
) -> list[Spot]:
    """Where the contestants are measured, and the baseline; checkouts are made as far as they are needed."""
    base = base_of(session, scene.repo)
    spots = []
    for one in contestants:
        if one.commit:
            variables = environment(scene.environ, session, one.branch, base, task_file)
            directory = one.directory or checkouts.make(one.name, one.commit, variables)
            spots.append(Spot(one.name, one.commit, directory, variables))
    if wish.measure_baseline:
        if not base:
            raise Refused(
                "there is no commit to measure the baseline at", hint="--baseline <number>"
            )
        variables = environment(scene.environ, session, None, base, task_file)
        spots.insert(0, Spot(BASELINE, base, checkouts.make(BASELINE, base, variables), variables))
    return spots


def _ranked(
    session: Session,
    contestants: Sequence[Contestant],
    found: Mapping[str, Found],
    run: runs.Run,
    wish: Wish,
) -> Evaluated:
    """The contestants in the order of what was found."""
    notes = [
        f"{one.name} was measured in a checkout of its own: {one.why}"
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
        what = found.get(one.name, Found((), "its branch leads to no commit"))
        score = _score(one.branch.agent, what, one.diff)
        delta = score.metric - baseline if score.values and baseline is not None else None
        log = f"{run.path}/{one.name}.log" if one.name in found else ""
        standings[one.branch.agent] = Standing(one, None, score, what.reason, delta, log)
    ranks = ranked([one.score for one in standings.values() if one.score], wish.direction)
    ordered = tuple(standings[rank.agent]._replace(rank=rank) for rank in ranks)
    return Evaluated(session, session.state, ordered, wish.recipe, baseline, run.name, tuple(notes))


def _score(agent: int, found: Found, diff: DiffStat | None) -> Score:
    size = (diff.insertions + diff.deletions, diff.files) if diff else (0, 0)
    return Score(agent, found.values, size)


def _record_judged(
    session: Session, edit: Edit, contestants: Sequence[Contestant], scene: Scene, wish: Wish
) -> Evaluated:
    """Record the ranking that a judge gave; who is not in it has no rank."""
    known = {one.branch.agent: one for one in contestants if one.commit}
    for number in wish.ranking:
        if number not in known:
            raise Refused(
                f"agent-{number} has no branch", hint=f"git hub-session status {session.id}"
            )
    standings = tuple(Standing(known[rank.agent], rank) for rank in judged(wish.ranking))
    return _recorded(Evaluated(session, session.state, standings), edit, scene, wish)


def _recorded(result: Evaluated, edit: Edit, scene: Scene, wish: Wish) -> Evaluated:
    """Write the result into the session as it is by now."""
    session = edit.read()
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(f"session '{session.id}' became '{session.state}' meanwhile")
    moved = [
        f"the branch of {one.contestant.name} moved while it was measured"
        for one in result.standings
        if scene.repo.tip(one.contestant.branch.ref) != one.contestant.commit
    ]
    at = iso(scene.now())
    evaluation: dict[str, Any] = {
        "at": at,
        "base": scene.repo.tip(HEADS + session.config.base_branch),
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
        one.contestant.name: _result(one) for one in result.standings if one.contestant.commit
    }
    done = with_evaluation(session, evaluation, results, at=at)
    if session.state is State.RUNNING:
        done = advanced(done, State.EVALUATING, at=at, by=scene.identity, verb="eval")
    edit.save(done)
    return result._replace(session=session, state=done.state, notes=(*result.notes, *moved))


def _result(standing: Standing) -> dict[str, Any]:
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
