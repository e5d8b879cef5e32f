"""Choose the winner of a session: the requested agent, or the best agent."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import NoBranch, NothingToMerge, NotRanked, Refused
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    agent_name,
    attempt_name,
    short_name,
)
from git_hub_session.lineage.parent import read_parent
from git_hub_session.merge.options import MergeKind, MergeOptions, merge_command
from git_hub_session.session.agents import require_agent
from git_hub_session.session.attempts import (
    archived_agents,
    attempts_by_agent,
    describe_attempt,
    ranked_attempt,
)
from git_hub_session.session.baseline import Evaluation, last_evaluation
from git_hub_session.session.model import CONFLICTS
from git_hub_session.session.runs import read_last_run
from git_hub_session.session.state import State
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.worktree.merge_tree import resolve_commands

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.model import AgentResult, Session


class NoImprovement(Refused):
    """No agent, or not the requested agent, is better than the baseline."""

    code = "no-improvement"


class OutdatedEvaluation(Refused):
    """The evaluation did not measure the result of the merge."""

    code = "outdated-evaluation"


def choose_winner(
    session: Session, repo: GitRepo, options: MergeOptions
) -> tuple[AgentBranch, AgentResult | None]:
    """Return the attempt of the winner to merge, and its result.

    Raises:
        Refused: no agent was measured, or the winner has no branch.
        OutdatedEvaluation: another attempt of the agent counts, and `unmeasured` is not set.
    """
    result = (
        _requested_result(session, options) if options.agent else _best_result(session, options)
    )
    agent = result.agent if result else options.agent
    winner = _find_attempt(session, agent, repo, options)
    if not options.attempt or result is None or result.attempt == winner.attempt:
        return winner, result
    if not options.unmeasured:
        raise _not_counted(session, winner, result, options)
    return winner, None


def _not_counted(
    session: Session, winner: AgentBranch, result: AgentResult, options: MergeOptions
) -> OutdatedEvaluation:
    """Return the error that the attempt `winner` has no rank. `result` is of another attempt."""
    name = attempt_name(winner)
    if winner.attempt > max(result.attempt, result.last_attempt):
        return _outdated(session, options, f"{name} was made after the evaluation")
    counted = attempt_name(winner._replace(attempt=result.attempt))
    return OutdatedEvaluation(
        f"{name} has no rank: {counted} counts in the evaluation",
        hint=merge_command(session.id, options._replace(unmeasured=True)),
    )


def refuse_contained_winner(
    session: Session,
    repo: GitRepo,
    winner: AgentBranch,
    result: AgentResult | None,
    options: MergeOptions,
    *,
    into: str,
) -> None:
    """Raise Refused if the branch `into` (a full ref) contains the winner's commits already.

    Raises:
        OutdatedEvaluation: the branch does not contain the measured commit.
    """
    base = repo.tip(into)
    if not repo.is_ancestor(base, repo.tip(winner.ref)):
        return
    moves = [*moves_since_evaluation(session, repo, winner, result, into=into)]
    if result and moves and not repo.is_ancestor(base, result.commit):
        raise _outdated(session, options, moves[0])
    raise nothing_to_merge(session, winner, into, "commits")


def nothing_to_merge(session: Session, winner: AgentBranch, into: str, content: str) -> Refused:
    """Return the error that the branch has the `content` of the winner: its commits or changes."""
    name = describe_attempt(session, winner)
    return NothingToMerge(
        f"nothing to merge: '{short_name(into)}' already contains the {content} of {name}",
        hint=f"git hub-session update {session.id} --state {State.MERGED}",
    )


def refuse_unfit_result(
    session: Session,
    repo: GitRepo,
    winner: AgentBranch,
    result: AgentResult | None,
    options: MergeOptions,
    *,
    into: str,
) -> None:
    """Raise an error if the result of the evaluation forbids the merge.

    Args:
        into: the full ref of the branch to merge into.

    Raises:
        OutdatedEvaluation: a branch moved since the evaluation, and `unmeasured` is not set.
        NoImprovement: no agent is better than the baseline, and a regression is not allowed.
    """
    moves = [*moves_since_evaluation(session, repo, winner, result, into=into)]
    if moves and not options.unmeasured:
        raise _outdated(session, options, moves[0])
    evaluation = last_evaluation(session)
    if result and evaluation.is_regression(result) and not options.allow_regression:
        raise _no_improvement(session, evaluation, result, options)


def check_measured_tree(plan: MergePlan, options: MergeOptions, repo: GitRepo) -> str:
    """Return a warning if the evaluation measured another tree than the computed merge, or ''.

    For example, it measured the winner in its own worktree, without new commits of the base branch.

    Raises:
        OutdatedEvaluation: it measured another tree, and `unmeasured` is not set.
    """
    warning = _find_rebase_difference(plan)
    if warning and not options.unmeasured:
        raise _unmeasured_rebase(plan.session, options, warning)
    warning = warning or _find_unmeasured_tree(plan, repo)
    if warning and not options.unmeasured:
        raise _outdated(plan.session, options, warning)
    return warning


def _find_rebase_difference(plan: MergePlan) -> str:
    """Return a sentence if a rebase creates other files than the measured merge, or ''.

    A rebase leaves out merge commits, and the resolved conflicts in them.
    """
    merge = plan.merge_tree
    if merge is None or plan.conflicts or merge.conflicts or plan.final_tree == merge.tree:
        return ""
    into = short_name(plan.into)
    return (
        f"the rebased commits of {plan.winner_name} and a merge with '{into}' have different files"
    )


def _find_unmeasured_tree(plan: MergePlan, repo: GitRepo) -> str:
    """Return the reason that the tree of the computed merge was not measured, or ''."""
    result = plan.result
    if plan.merge_tree is None or plan.conflicts:
        return ""
    name, into = plan.winner_name, short_name(plan.into)
    if plan.merge_tree.conflicts:
        return f"the commits of {name} can be rebased, but a merge with '{into}' conflicts"
    is_base_branch = plan.into == HEADS + plan.session.config.base_branch
    if result is None or not is_base_branch or result.tree in ("", plan.final_tree):
        return ""
    is_merge_measured = result.tree != repo.tree_id(plan.tip).hex()
    if is_merge_measured and plan.session.evaluated_base == plan.base:  # another merge driver
        return f"a merge of {name} into '{into}' has other files than the measured one"
    return f"the evaluation of {name} did not include '{into}'"


def _outdated(session: Session, options: MergeOptions, reason: str) -> OutdatedEvaluation:
    ranking = ""
    if not last_evaluation(session).is_measured:  # A person has ranked the agents.
        agents = ",".join(str(result.agent) for result in session.ranking)
        ranking = f"--ranking {agents} "
    has_failed = any(
        read_last_run(session, agent_name(result.agent), attempt=result.attempt).failure
        for result in session.ranking
    )
    failed = "--include-failed " if has_failed else ""
    command = f"git hub-session eval {ranking}{failed}{session.id}"
    return _outdated_error(session, options, reason, command)


def _unmeasured_rebase(session: Session, options: MergeOptions, reason: str) -> OutdatedEvaluation:
    # Another evaluation does not help: it measures the merge.
    merge = merge_command(session.id, options._replace(kind=MergeKind.MERGE))
    return _outdated_error(session, options, reason, merge)


def _outdated_error(
    session: Session, options: MergeOptions, reason: str, command: str
) -> OutdatedEvaluation:
    """Return the error. Its hints are `command`, and the same merge without a measurement."""
    unmeasured = merge_command(session.id, options._replace(unmeasured=True))
    return OutdatedEvaluation(
        f"{reason}: the result of the merge was not measured", hint=f"{command}\n{unmeasured}"
    )


def moves_since_evaluation(
    session: Session, repo: GitRepo, winner: AgentBranch, result: AgentResult | None, *, into: str
) -> Iterator[str]:
    """Yield a sentence for each branch that moved since the evaluation of the winner.

    An evaluation measures a merge into the base branch. A merge into another branch was never
    measured, so a move of that branch does not matter.
    """
    if result is None:
        return
    name = agent_name(winner.agent)
    if result.attempt != winner.attempt:
        yield f"{name} made another attempt since the evaluation"
    elif result.commit != repo.tip(winner.ref):
        yield f"{name} committed since the evaluation"
    is_base_branch = into == HEADS + session.config.base_branch
    if is_base_branch and session.evaluated_base not in ("", repo.tip(into)):
        yield f"'{short_name(into)}' moved since the evaluation"


def _requested_result(session: Session, options: MergeOptions) -> AgentResult | None:
    return session.result(options.agent)


def _best_result(session: Session, options: MergeOptions) -> AgentResult:
    """Return the first result of the ranking, or the first one that is better than the baseline.

    In a tie, a result that is not better can be before a result that is better. If a person or a
    judge ranked the agents, their first agent is never replaced.
    """
    measured = [result for result in session.ranking if not result.reason]
    if not measured:
        raise _no_result(session, options)
    evaluation = last_evaluation(session)
    if evaluation.verdict is not None:
        return measured[0]
    better = [result for result in measured if not evaluation.is_regression(result)]
    return (better or measured)[0]


def _no_result(session: Session, options: MergeOptions) -> Refused:
    """Return the error that no agent was measured. If an agent conflicts, the hint resolves it."""
    sid = session.id
    has_failed = any(result.passed is False for result in session.ranking)
    problem = "passed the evaluation" if has_failed else "could be measured"
    problem = f"no agent of session '{sid}' {problem if session.ranking else 'is ranked'}"
    conflicts = (each for each in session.ranking if each.reason.startswith(CONFLICTS))
    if first := next(conflicts, None):
        attempt = AgentBranch(sid, first.agent, first.attempt)
        commands = resolve_commands("merge", attempt, session.config.base_branch)
        then = f"resolve and commit the conflicts there, then: git hub-session eval {sid}"
        problem = f"{problem}: {agent_name(first.agent)} {first.reason}"
        return NotRanked(problem, hint="\n".join([*commands, then]))
    return NotRanked(problem, hint=f"{merge_command(sid, options)} --agent <agent>")


def _find_attempt(
    session: Session, agent: int, repo: GitRepo, options: MergeOptions
) -> AgentBranch:
    """Return the requested attempt of an agent, or else the one that counts."""
    if options.agent:  # an evaluated agent counts, also if config.yaml has fewer agents now
        require_agent(agent, session)
    attempts = attempts_by_agent(session.id, repo).get(agent)
    name = agent_name(agent)
    if options.attempt:
        branch = AgentBranch(session.id, agent, options.attempt)
        name = attempt_name(branch)
    elif attempts:
        ranked = ranked_attempt(session, agent, max(attempts))
        branch = AgentBranch(session.id, agent, ranked or max(attempts))
        name = describe_attempt(session, branch)
    if attempts and repo.tip(branch.ref):
        return branch
    verb = "status" if options.agent else "eval"
    if agent in archived_agents(session.id, repo):
        verb = "restore"
    option = f" --agent {name}" if verb == "restore" and attempts else ""
    raise NoBranch(f"{name} has no branch", hint=f"git hub-session {verb} {session.id}{option}")


def _no_improvement(
    session: Session, evaluation: Evaluation, result: AgentResult, options: MergeOptions
) -> NoImprovement:
    hint = _no_improvement_hint(session, options)
    if evaluation.has_no_improvement:
        chosen = f"{agent_name(result.agent)} does not improve"
        finding = chosen if options.agent else "no agent improves"
        return NoImprovement(f"{finding} on the baseline, according to the judge", hint=hint)
    if evaluation.baseline_failure:
        problem = f"no agent is compared with the baseline: {evaluation.baseline_failure}"
        return NoImprovement(problem, hint=hint)
    is_chosen = bool(options.agent) or evaluation.verdict is not None
    if not is_chosen:
        result = _best_value(session, evaluation)
    name = agent_name(result.agent)
    own_baseline = evaluation.baseline_of(result)
    has_ratio = result.ratio is not None or not evaluation.by_ratio
    if own_baseline is None or result.metric is None or not has_ratio:
        problem = f"{name} is not compared with the baseline: {result.reason}"
        return NoImprovement(problem, hint=hint)
    unit = f" {evaluation.unit}" if evaluation.unit else ""
    baseline, value = (f"{each}{unit}" for each in format_values(own_baseline, result.metric))
    margin = evaluation.margin(result)
    noise = f", margin {format_number(margin)}" if margin else ""
    if is_chosen:
        problem = f"{name} does not improve on the baseline: its '{evaluation.metric}' is {value}"
    else:
        problem = f"no agent improves on the baseline: the best '{evaluation.metric}' is {value}"
        noise = f", {name}{noise}"
    details = f" ({noise.removeprefix(', ')})" if noise else ""
    return NoImprovement(f"{problem}{details}, the baseline is {baseline}", hint=hint)


def _no_improvement_hint(session: Session, options: MergeOptions) -> str:
    parent = read_parent(session)
    parent_options = MergeOptions(is_approved=options.is_approved)
    hints = [
        f"git hub-session archive {session.id}",
        *([merge_command(parent.session_id, parent_options)] if parent else []),
        merge_command(session.id, options._replace(allow_regression=True)),
    ]
    return "\n".join(hints)


def _best_value(session: Session, evaluation: Evaluation) -> AgentResult:
    """Return the result with the best metric or ratio. A tie can rank another one first."""
    sign = -1 if evaluation.direction == "higher" else 1
    key = "ratio" if evaluation.by_ratio else "metric"
    measured = [result for result in session.ranking if getattr(result, key) is not None]
    return min(measured, key=lambda result: sign * getattr(result, key))
