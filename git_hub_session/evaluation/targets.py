"""Prepare the directories in which the agents and the baseline are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.evaluation.units import BASELINE
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.agents import find_base_commit

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.evaluation.measure import EvalWorktrees
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


class MeasureTarget(NamedTuple):
    """A commit to measure, and the directory to measure it in."""

    name: str
    """The name of the agent, such as "agent-2", or "baseline"."""
    commit: str
    directory: str
    environ: Mapping[str, str]


def prepare_targets(
    session: Session,
    candidates: Sequence[Candidate],
    project: Project,
    worktrees: EvalWorktrees,
    *,
    task_file: str,
    with_baseline: bool,
) -> list[MeasureTarget]:
    """Add temporary worktrees if necessary. Return the targets, the baseline first."""
    base = find_base_commit(session, project.repo)

    def prepare(
        name: str, branch: AgentBranch | None, commit: str, directory: str = ""
    ) -> MeasureTarget:
        variables = agent_environment(project.environ, session, branch, base, task_file)
        directory = directory or worktrees.add(name, commit, variables)
        return MeasureTarget(name, commit, directory, variables)

    targets = [
        prepare(candidate.name, candidate.branch, candidate.commit, candidate.directory)
        for candidate in candidates
        if not candidate.unmeasured_reason
    ]
    if with_baseline:
        if not base:
            raise Refused(
                "cannot measure the baseline: the base commit is missing",
                hint="give a number with --baseline <number>",
            )
        targets.insert(0, prepare(BASELINE, None, base))
    return targets
