"""Find the removed worktrees that one `git hub-session restore` recreates exactly."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import AgentBranch, attempt_name, parse_agent_branch
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.cleanup.report import CleanupReport
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.restore.plan import RestoreItem
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def restore_commands(report: CleanupReport, project: Project) -> dict[str, str]:
    """Return the command that restores saved work with its worktree, by rescue ref.

    A rescue ref is missing if the command would use another path, commit or rescue ref, or none.
    """
    saved_worktrees = [worktree for worktree in report.removed if worktree.saved]
    if not saved_worktrees:
        return {}
    try:
        session = project.store.read(report.session)
    except (HubError, OSError):
        return {}  # a session that cannot be read, for example
    worktrees = linked_worktrees(project.paths.common_dir)
    commands = {}
    for worktree in saved_worktrees:
        branch = parse_agent_branch(worktree.branch)
        if branch is None:
            continue
        item = _plan_attempt(session, project, branch, worktrees)
        if item is None or item.branch != branch or not is_same_path(item.path, worktree.path):
            continue
        if item.work in [saved.ref for saved in worktree.saved if saved.on_branch]:
            name = attempt_name(branch) if item.is_earlier else item.agent
            commands[item.work] = f"git hub-session restore {report.session} --agent {name}"
    return commands


def _plan_attempt(
    session: Session, project: Project, branch: AgentBranch, worktrees: Sequence[Worktree]
) -> RestoreItem | None:
    """Return the plan of a restore of one attempt now, or None if nothing would be restored."""
    from git_hub_session.restore.plan import RestoreOptions, plan_restore

    if not 1 <= branch.agent <= (session.config.agent_count or branch.agent):
        return None
    options = RestoreOptions(
        branch.agent, worktree_template(project.settings, project.paths), branch.attempt
    )
    try:
        return next(iter(plan_restore(session, project, options, worktrees).restored), None)
    except (HubError, OSError):
        return None
