"""Record a branch, a commit or a worktree as the next attempt of an agent.

1. Create the branch of the attempt at the commit.
2. Let HEAD of the worktree name this branch. The files, the index and the old branch stay.
3. Record the attempt in state.json.

After a kill, the same call finishes: it finds the branch that state.json does not record.
"""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.adopt_plan import AdoptOptions, AdoptPlan, plan_adopt
from git_hub_session.errors import HubError
from git_hub_session.git.head import read_head
from git_hub_session.git.ref_names import SessionId, agent_name, create_command, delete_command
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import find_base_commit, refuse_if_evaluated, refuse_if_running
from git_hub_session.session.layout import exclude_hub
from git_hub_session.session.record import attempt_change, with_agents, with_transition
from git_hub_session.session.state import FINISHED, AgentStatus
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree import git_settings

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def preview_adopt(sid: SessionId, project: Project, options: AdoptOptions) -> AdoptPlan:
    """Return the plan of `adopt_work`."""
    worktrees = linked_worktrees(project.paths.common_dir)
    return plan_adopt(project.store.read(sid), project, options, worktrees)


def adopt_work(sid: SessionId, project: Project, options: AdoptOptions) -> AdoptPlan:
    """Record the work as the agent's next attempt. Create no worktree.

    Raises:
        NoSuchCommit: the source is neither a branch nor a worktree nor a commit.
        Refused: the session, a running agent, the worktree or its owner forbids it.
        GitFailed: git or a hook refused. Nothing was changed.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        worktrees = linked_worktrees(project.paths.common_dir)
        plan = plan_adopt(session, project, options, worktrees)
        if plan.is_complete:
            return plan
        _refuse_if_busy(session, locked, options)
        exclude_hub(project.paths)
        _apply(plan, project)
        # Do not save a recorded attempt again: that would remove the mark of an interrupted restore.
        if not plan.is_recorded:
            locked.update(partial(_with_attempt, plan=plan, project=project))
        return plan


def _refuse_if_busy(session: Session, locked: LockedSession, options: AdoptOptions) -> None:
    names = {agent_name(options.agent)}
    refuse_if_running(session, locked.directory, among=names, force=options.force)
    refuse_if_evaluated(session.id, locked.directory)


def _apply(plan: AdoptPlan, project: Project) -> None:
    """Create the branch, and let HEAD of the worktree name it."""
    ref, commit = plan.branch.ref, plan.source.commit
    worktree = plan.source.worktree
    if not plan.has_branch:
        project.git.update_refs("hub-session adopt: created", [create_command(ref, commit)])
    if worktree is None or worktree.head == ref:
        return
    try:
        git = project.git.at(worktree.git_dir, worktree.path)
        # `git switch` would compare the files, and fails in a worktree with conflicts.
        git.run(["symbolic-ref", "-m", "hub-session: adopt", "HEAD", ref])
    except HubError:
        # A git that was killed may have moved HEAD already.
        head, _ = read_head(worktree.git_dir)
        if head != ref and not plan.has_branch:
            project.git.update_refs("hub-session adopt: undone", [delete_command(ref, commit)])
        raise


def _with_attempt(session: Session, plan: AdoptPlan, project: Project) -> Session:
    at = format_iso(project.now())
    branch = plan.branch
    fields = attempt_change(session, branch, status=AgentStatus.READY, worktree=plan.path)
    session = with_agents(session, {agent_name(branch.agent): fields}, at=at)
    document = dict(session.document)
    document.setdefault("base_commit", find_base_commit(session, project.repo))
    document.setdefault(git_settings.KEY, git_settings.read_settings(project.paths.common_dir))
    session = session._replace(document=document)
    if session.state in (plan.state, *FINISHED):
        return session
    return with_transition(session, plan.state, at=at, by=project.identity, verb="adopt")
