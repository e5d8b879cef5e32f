"""The warnings of a planned merge that need no computed merge."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import agent_name, attempt_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.merge.winner import moves_since_evaluation
from git_hub_session.session.attempts import (
    NO_BRANCH,
    attempt_branches,
    describe_attempt,
    is_earlier_attempt,
    lost_attempts,
)
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.guarded import describe_guarded
from git_hub_session.worktree.git_settings import settings_warnings
from git_hub_session.worktree.off_branch import detached_reason
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.uncommitted import (
    UNCOMMITTED,
    commit_hint,
    uncommitted_warning,
    uncommitted_work,
)

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.model import AgentResult, Session
    from git_hub_session.session.project import Project


class UncommittedWork(NamedTuple):
    """The uncommitted files of the agents, which are not merged."""

    warnings: tuple[str, ...] = ()
    """A warning for each attempt that has uncommitted files."""
    hints: tuple[str, ...] = ()
    """The commands that commit the files and evaluate the session again."""


def plan_warnings(plan: MergePlan, project: Project) -> Iterator[str]:
    """Yield the warnings that need no computed merge."""
    session, winner = plan.session, plan.winner
    if plan.failure:
        yield f"the last run of {plan.winner_name}: {plan.failure}"
    yield from settings_warnings(session, project.paths.common_dir)
    yield from _evaluation_warnings(session, project, winner, plan.result, plan.into)
    yield from _worktree_warnings(session, project, winner)
    yield from _lost_agents(session, project)


def _evaluation_warnings(
    session: Session, project: Project, winner: AgentBranch, result: AgentResult | None, into: str
) -> Iterator[str]:
    name = describe_attempt(session, winner)
    if result is None:
        is_ranked = any(other.agent == winner.agent for other in session.results)
        yield f"{attempt_name(winner)} was not ranked" if is_ranked else f"{name} was not evaluated"
        return
    yield from moves_since_evaluation(session, project.repo, winner, result, into=into)
    guarded = describe_guarded(session.agent_record(agent_name(winner.agent)).guarded)
    if guarded:
        yield f"{name} {guarded}"
    if result.passed is False:
        reason = f": {result.reason}" if result.reason else ""
        yield f"{name} failed the evaluation{reason}"
    elif result.reason and result.metric is not None:
        yield f"{name} has {result.reason}"
    elif result.reason:
        yield f"{name} could not be measured: {result.reason}"
    evaluation = last_evaluation(session)
    if evaluation.is_regression(result):
        failure = evaluation.baseline_failure
        yield f"{name} does not improve on the baseline{f': {failure}' if failure else ''}"


def read_uncommitted_work(plan: MergePlan, project: Project) -> UncommittedWork:
    """Return the uncommitted files of the agents.

    The hints commit the files of the winner, and of agents that had only uncommitted files at the
    evaluation. An agent without a worktree has the number of files of that time.
    """
    session = plan.session
    unmeasured = {
        result.agent: result.reason
        for result in session.results
        if result.reason.endswith(UNCOMMITTED)
    }
    warnings: dict[int, list[str]] = {}
    agents = set()
    for branch, files in uncommitted_work(session.id, project).items():
        name = describe_attempt(session, branch)
        warnings.setdefault(branch.agent, [])
        if not files:
            continue
        warnings[branch.agent].append(uncommitted_warning(name, files))
        is_needed = branch == plan.winner or branch.agent in unmeasured
        if is_needed and not is_earlier_attempt(session, branch):
            agents.add(branch.agent)
    for agent, reason in unmeasured.items():
        warnings.setdefault(agent, [f"{agent_name(agent)}: {reason}"])
    lines = tuple(line for agent in sorted(warnings) for line in warnings[agent])
    hints = commit_hint(session.id, sorted(agents)).splitlines() if agents else []
    return UncommittedWork(lines, tuple(hints))


def _lost_agents(session: Session, project: Project) -> list[str]:
    """Return a warning for each agent whose last attempt has no branch.

    A warning is enough: the user may have deleted the branch on purpose.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    owned = attempt_worktrees(session.id, project, worktrees)
    present = {*attempt_branches(session.id, project.repo), *owned}
    lost = lost_attempts(session, project.repo, present)
    earlier = {branch.agent for branch in present}
    return [
        f"{attempt_name(branch) if number in earlier else agent_name(number)}: {NO_BRANCH}"
        for number, branch in lost.items()
    ]


def _worktree_warnings(session: Session, project: Project, winner: AgentBranch) -> Iterator[str]:
    worktrees = linked_worktrees(project.paths.common_dir)
    worktree = attempt_worktrees(session.id, project, worktrees).get(winner)
    if worktree is None:
        return
    name = describe_attempt(session, winner)
    reason = detached_reason(worktree)
    if reason:
        yield f"the worktree of {name}: {reason}; later commits are not merged"
