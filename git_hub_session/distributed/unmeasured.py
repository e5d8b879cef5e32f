"""Find the agents that are left to measure in an evaluation on several machines."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.evaluation.candidates import find_candidates
from git_hub_session.session.evaluation_log import read_measurements

if TYPE_CHECKING:
    from git_hub_session.distributed.key import MeasureOptions
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def unmeasured_agents(session: Session, project: Project, options: MeasureOptions) -> list[int]:
    """Return the agents with an attempt that no worker has measured for the evaluation."""
    candidates = find_candidates(
        session,
        project,
        in_place=False,
        include_failed=options.eval_options.include_failed,
        with_earlier=True,
    )
    with project.store.open_directory(session.id) as directory:
        entries = read_measurements(directory, options.key.id)
    measured = {(entry.agent, entry.attempt, entry.commit) for entry in entries}
    left = {
        each.branch.agent
        for each in candidates
        if not each.unmeasured_reason
        and (each.branch.agent, each.branch.attempt, each.commit) not in measured
    }
    return sorted(left)
