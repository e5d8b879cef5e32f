"""The guarded paths that agents without a result of an evaluation have changed."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.session.agents import base_now
from git_hub_session.session.state import FINISHED

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.status import BranchStatus, SessionStatus


def with_guarded_paths(status: SessionStatus, project: Project) -> SessionStatus:
    """Return the status with the guarded paths that unmeasured attempts have changed.

    Leave out holdout files: to read them takes time.
    """
    session = status.session
    measured = {result.agent for result in session.results}
    unmeasured = {
        branch.branch.ref
        for branch in status.branches
        if branch.agent and branch.agent.agent not in measured and branch.has_own_commit
    }
    base, repo = base_now(session, project.repo), project.repo
    if not unmeasured or not base or session.state in FINISHED:
        return status
    from git_hub_session.evaluation.guard import changed_guarded_paths, choose_guard

    try:
        fixed_paths = choose_guard(session, project, None, session.config.get("eval_cmd"))
    except HubError:
        return status  # `eval` gives the reason
    if not fixed_paths.paths:
        return status

    def with_guarded(branch: BranchStatus) -> BranchStatus:
        if branch.branch.ref not in unmeasured:
            return branch
        guarded = changed_guarded_paths(branch.branch.oid, base, fixed_paths, repo)
        return branch._replace(guarded=guarded)

    return status._replace(branches=tuple(map(with_guarded, status.branches)))
