"""Make the agents of a session: a branch and a worktree each, all of them or none.

What is to be made is written into the session first ("spawning"), the branches come in one
ref transaction, the worktrees are added by git side by side. What fails takes back what this
call made. What a killed call left is known by its mark: finished, or taken away and made anew.
"""

from __future__ import annotations

import os
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.spawn_plan import PlannedAgent, SpawnOptions, SpawnResult, plan_spawn
from git_hub_session.errors import GitFailed, HubError, Refused
from git_hub_session.git.ref_names import (
    SessionId,
    agent_name,
    create_command,
    delete_command,
    short_name,
)
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.journal import is_marked_for_deletion
from git_hub_session.removal.partial_add import (
    find_partial,
    refuse_if_git_running,
    remove_empty_git_dir,
    remove_or_keep,
    remove_orphan_directory,
)
from git_hub_session.removal.recover import recover_interrupted
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.session.record import with_agents, with_transition
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.signals import run_uninterrupted
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.locks import GIT_ADD_LOCK
from git_hub_session.worktree.repair_commands import repair_command
from git_hub_session.worktree.setup import WorktreeSetup

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.session.store import LockedSession


def preview_spawn(sid: SessionId, project: Project, wish: SpawnOptions) -> SpawnResult:
    """What `spawn` would make now; nothing is changed."""
    return plan_spawn(
        project.store.read(sid), project, wish, linked_worktrees(project.paths.common_dir)
    )


def spawn_agents(sid: SessionId, project: Project, wish: SpawnOptions) -> SpawnResult:
    """Make the agents that are missing; all of them, or none.

    Raises Refused (state, base, a path that is taken), GitFailed and HubError; what was made
    is taken away again then.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        worktrees, at = recover_interrupted(sid, project), format_iso(project.now())
        plan = plan_spawn(session, project, wish, worktrees)
        if not plan.created:
            _fix_status(edit, session, plan, project, at)
            return plan
        outfit = WorktreeSetup(project, plan.base)
        plan = _remove_partial_worktrees(plan, project)
        edit.save(_with_status(session, plan, AgentStatus.SPAWNING, at))
        task = edit.ensure_task_file(session)
        try:
            _create_branches(plan, project.git)
            _create_worktrees(session, plan, project, wish, outfit, task)
        except BaseException as fault:
            if run_uninterrupted(_undo_spawn, fault, plan, project):
                edit.save(session)
            raise
        done = _with_running_state(_with_status(session, plan, AgentStatus.READY, at), project, at)
        edit.save(_with_fixed_status(done, plan, at))
        return plan


def _undo_spawn(fault: BaseException, plan: SpawnResult, project: Project) -> bool:
    """Whether nothing is left of what this call made, by now; else the marks stay, for the next call to know it by."""
    if isinstance(fault, GitFailed):  # it refused the branches, or came to an end among them
        return not any(
            project.repo.tip(one.branch.ref) for one in plan.created if not one.has_branch
        )
    return _remove_created_agents(plan, project)


def _with_running_state(session: Session, project: Project, at: str) -> Session:
    if session.state is not State.INIT:
        return session
    return with_transition(session, State.RUNNING, at=at, by=project.identity, verb="spawn")


def _fix_status(
    edit: LockedSession, session: Session, plan: SpawnResult, project: Project, at: str
) -> None:
    """Where all agents are there the session says so, whatever somebody else has made of it."""
    done = _with_fixed_status(session, plan, at)
    if plan.present:
        done = _with_running_state(done, project, at)
    if done is not session:
        edit.save(done)


def _with_fixed_status(session: Session, plan: SpawnResult, at: str) -> Session:
    """The session without marks of half-made agents on those that are there, and are none of ours."""
    wrong = [agent_name(one.agent) for one in plan.present]
    wrong = [name for name in wrong if session.agent_record(name).status == AgentStatus.SPAWNING]
    if not wrong:
        return session
    return with_agents(session, {name: {"status": AgentStatus.READY} for name in wrong}, at=at)


def _with_status(session: Session, plan: SpawnResult, status: str, at: str) -> Session:
    changes = {
        agent_name(branch.agent): {"status": status, "attempt": branch.attempt, "worktree": path}
        for branch, path, _, _ in plan.created
    }
    marked = with_agents(session, changes, at=at)
    return marked._replace(document={**marked.document, "base_commit": plan.base})


def _create_branches(plan: SpawnResult, git: Git) -> None:
    new = [create_command(one.branch.ref, plan.base) for one in plan.created if not one.has_branch]
    if new:
        git.update_refs(new)


def _create_worktrees(
    session: Session,
    plan: SpawnResult,
    project: Project,
    wish: SpawnOptions,
    outfit: WorktreeSetup,
    task: str,
) -> None:
    shown = project.progress("Adding worktrees", len(plan.created))
    parent = os.getpid()

    def make(newborn: PlannedAgent) -> str:
        said = _add_worktree(newborn, project.git) if newborn.partial_worktree is None else ""
        if not said:
            variables = agent_environment(project.environ, session, newborn.branch, plan.base, task)
            said = outfit.apply(newborn.path, variables)
        if os.getpid() == parent:
            shown(sum(os.path.lexists(f"{one.path}/.git") for one in plan.created))
        return said

    faults = parallel_map(make, plan.created, processes=wish.jobs or cpu_count())
    shown(len(plan.created))
    for newborn, fault in zip(plan.created, faults, strict=True):
        if fault:
            agent = agent_name(newborn.branch.agent)
            raise HubError(f"{agent}: {fault}", hint="nothing was changed")


def _add_worktree(newborn: PlannedAgent, git: Git) -> str:
    """Add the worktree; what git says if it cannot, or ''."""
    try:
        git.add_worktree(newborn.path, short_name(newborn.branch.ref))
    except GitFailed as fault:
        return fault.stderr.strip() or fault.message
    return ""


def _remove_partial_worktrees(plan: SpawnResult, project: Project) -> SpawnResult:
    """The plan, once what git had not finished in a call that was cut off is taken away."""
    made: list[PlannedAgent] = []
    notes: list[str] = []
    for newborn in plan.created:
        left = newborn.partial_worktree
        if left is not None:
            refuse_if_git_running(left, agent_name(newborn.branch.agent))
            if is_marked_for_deletion(left):
                removal.finish_removal(left)
                left = None
            elif left.lock_reason == GIT_ADD_LOCK or (left.is_missing and left.lock_reason is None):
                notes += remove_or_keep(left, project, [plan.base], "spawn")
                left = None
            elif left.is_missing:
                locked = f"'{left.path}' is locked, and its directory is gone"
                raise Refused(locked, hint=f"git worktree unlock {quote(left.path)}")
            elif left.link_error:
                raise Refused(f"'{left.path}': {left.link_error}", hint=repair_command(left))
            newborn = newborn._replace(partial_worktree=left)
        elif (
            plan.session.agent_record(agent_name(newborn.branch.agent)).status
            == AgentStatus.SPAWNING
        ):
            remove_empty_git_dir(newborn.path, project, GIT_ADD_LOCK, [plan.base])
        made.append(newborn)
    if any(newborn.partial_worktree is not None for newborn in plan.created):
        empty_trash(project.paths.common_dir)
    return plan._replace(created=tuple(made), notes=tuple(notes))


def _remove_created_agents(plan: SpawnResult, project: Project) -> bool:
    """Undo what this call made; whether that is all undone: what is left the next call knows by its mark.

    A worktree that an earlier call left may have been worked in since: it stays. What a hook or
    the setup command has committed goes with the branch, as they will do it again.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    going, stuck = [], False
    for newborn in plan.created:
        if newborn.partial_worktree is not None:
            continue
        worktree = find_partial(newborn.branch, newborn.path, worktrees, GIT_ADD_LOCK)
        try:
            if worktree is not None:
                removal.remove_unchecked(worktree)
            else:
                remove_orphan_directory(newborn.path, project, [plan.base])
                remove_empty_git_dir(newborn.path, project, GIT_ADD_LOCK, [plan.base])
        except RemovalFailed:
            stuck = True
            continue
        tip = project.repo.tip(newborn.branch.ref)
        if tip and (tip == plan.base or not newborn.has_branch):
            going.append(delete_command(newborn.branch.ref, tip))
    empty_trash(project.paths.common_dir)
    try:
        if going:
            project.git.update_refs(going)
    except HubError:
        return False
    return not stuck
