"""Create the agents of a session, a branch and a worktree each: all of them or none.

1. Mark the agents as "spawning" in state.json.
2. Create the branches in one ref transaction.
3. Let git add the worktrees, several at a time.
4. Mark the agents as "ready".

If a step fails, the branches and worktrees of this call are removed. After a kill the marks
remain. If git has completed a worktree, the next call keeps it and runs the setup in it. It removes
and recreates a partial worktree.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.agents.spawn_plan import PlannedAgent, SpawnOptions, SpawnResult, plan_spawn
from git_hub_session.board.assignment import post_assignments
from git_hub_session.errors import GitFailed, HookRefused, HubError, Refused
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
from git_hub_session.session.layout import exclude_hub
from git_hub_session.session.record import (
    attempt_change,
    with_agents,
    with_transition,
    without_change,
)
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.signals import run_uninterrupted
from git_hub_session.util.clock import format_iso
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree import git_settings
from git_hub_session.worktree.locks import GIT_ADD_LOCK
from git_hub_session.worktree.repair_commands import repair_command
from git_hub_session.worktree.setup import WorktreeSetup, read_setup_command

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def preview_spawn(sid: SessionId, project: Project, options: SpawnOptions) -> SpawnResult:
    """Return the plan of `spawn_agents`."""
    worktrees = linked_worktrees(project.paths.common_dir)
    return plan_spawn(project.store.read(sid), project, options, worktrees)


def spawn_agents(sid: SessionId, project: Project, options: SpawnOptions) -> SpawnResult:
    """Create the missing agents: all of them or none.

    Raises:
        Refused: the state, the base commit or an occupied path forbids it.
        GitFailed: git could not create the branches.
        HubError: git could not add a worktree, or its setup failed.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        worktrees = recover_interrupted(sid, project)
        at = format_iso(project.now())
        plan = plan_spawn(session, project, options, worktrees)
        if not plan.created:
            locked.update(partial(_with_corrections, plan=plan, project=project, at=at))
            return _post_assignments(plan, project)
        setup = WorktreeSetup(project, read_setup_command(project), options.on_wait)
        plan = _remove_partial_worktrees(plan, project)
        settings = git_settings.read_settings(project.paths.common_dir)
        with_status = partial(_with_status, plan=plan, at=at, settings=settings)
        locked.update(partial(with_status, status=AgentStatus.SPAWNING))
        task_file = locked.ensure_task_file(session)
        try:
            _create_branches(plan, project.git)
            plan = _create_worktrees(plan, project, setup, task_file, jobs=options.jobs)
        except BaseException as error:
            remaining = run_uninterrupted(_undo_spawn, error, plan, project)
            # If something remains, keep the marks: the next call recognizes the rest by them.
            if not remaining:
                marked = with_status(session, status=AgentStatus.SPAWNING)
                locked.update(partial(without_change, changed=marked, original=session))
            raise
        plan = plan._replace(notes=(*plan.notes, *exclude_hub(project.paths)))

        def with_ready_agents(session: Session) -> Session:
            ready = with_status(session, status=AgentStatus.READY)
            return _with_corrections(ready, plan, project, at)

        locked.update(with_ready_agents)
        return _post_assignments(plan, project)


def _post_assignments(plan: SpawnResult, project: Project) -> SpawnResult:
    """Post the assignments that are missing on the board. Return the result with the warnings.

    Agents that another tool created have no assignment of this program.
    """
    recorded = [
        branch.agent for branch in plan.present if agent_name(branch.agent) in plan.session.agents
    ]
    agents = sorted({*recorded, *(agent.branch.agent for agent in plan.created)})
    notes = post_assignments(plan.session, agents, project.store.hub, now=project.now())
    return plan._replace(notes=(*plan.notes, *notes))


def _undo_spawn(error: BaseException, plan: SpawnResult, project: Project) -> list[str]:
    """Remove the branches and worktrees of this call. Return the refs and paths that remain."""
    if not isinstance(error, GitFailed | HookRefused):
        return _remove_created_agents(plan, project)
    # Only the ref transaction raises these errors: no worktree was created. A branch exists only
    # if git was killed during the transaction.
    new_refs = [agent.branch.ref for agent in plan.created if not agent.has_branch]
    return [ref for ref in new_refs if project.repo.tip(ref)]


def _with_corrections(session: Session, plan: SpawnResult, project: Project, at: str) -> Session:
    """Return the session of existing agents: another program may have changed state.json."""
    session = _with_fixed_status(session, plan, at)
    if session.state is not State.INIT or not (plan.present or plan.created):
        return session
    return with_transition(session, State.RUNNING, at=at, by=project.identity, verb="spawn")


def _with_fixed_status(session: Session, plan: SpawnResult, at: str) -> Session:
    """Return the session without "spawning" marks on agents that existed before this call."""
    names = [agent_name(branch.agent) for branch in plan.present]
    marked = [name for name in names if session.agent_record(name).status == AgentStatus.SPAWNING]
    if not marked:
        return session
    return with_agents(session, {name: {"status": AgentStatus.READY} for name in marked}, at=at)


def _with_status(
    session: Session,
    plan: SpawnResult,
    *,
    status: str,
    at: str,
    settings: Mapping[str, list[str]],
) -> Session:
    fields: dict[str, dict[str, Any]] = {}
    for branch, path, _, _, base in plan.created:
        name = agent_name(branch.agent)
        fields[name] = attempt_change(session, branch, status=status, worktree=path)
        fields[name] |= _start_fields(session, branch, base if base != plan.base else "")
    marked = with_agents(session, fields, at=at)
    document = {**marked.document, "base_commit": plan.base}
    # A later spawn keeps the settings: an agent may have changed them in the meantime.
    document.setdefault(git_settings.KEY, settings)
    return marked._replace(document=document)


def _start_fields(session: Session, branch: AgentBranch, start: str) -> dict[str, Any]:
    """Return the changed field `starts` of an agent. `start` is '' for the base commit."""
    name, attempt = agent_name(branch.agent), f"attempt-{branch.attempt}"
    starts = dict(as_mapping(session.agent_fields(name).get("starts")))
    if start == starts.get(attempt, ""):
        return {}
    starts.pop(attempt, None)
    return {"starts": {**starts, **({attempt: start} if start else {})}}


def _create_branches(plan: SpawnResult, git: Git) -> None:
    missing = [agent for agent in plan.created if not agent.has_branch]
    if not missing:
        return
    try:
        git.update_refs(
            "hub-session spawn: created",
            [create_command(agent.branch.ref, agent.base) for agent in missing],
        )
    except HookRefused as error:
        raise HookRefused(error.hook, "the new branches; nothing was changed") from None


def _create_worktrees(
    plan: SpawnResult, project: Project, setup: WorktreeSetup, task_file: str, *, jobs: int | None
) -> SpawnResult:
    """Add and set up the worktrees. Return the plan with the errors of hooks. Raise HubError."""
    show_progress = project.progress("Adding worktrees", len(plan.created))
    main_process = os.getpid()

    def create(agent: PlannedAgent) -> tuple[str, str]:
        """Return the error, and the error of a hook."""
        error, hook_error = "", ""
        if not agent.partial_worktree:
            error, hook_error = _add_worktree(agent, project.git)
            setup.on_wait()
        if not error:
            variables = agent_environment(
                project.environ, plan.session, agent.branch, agent.base, task_file
            )
            error = setup.apply(agent.path, agent.base, variables)
        if os.getpid() == main_process:
            show_progress(sum(os.path.lexists(f"{other.path}/.git") for other in plan.created))
        return error, hook_error

    results = parallel_map(create, plan.created, processes=jobs or cpu_count())
    show_progress(len(plan.created))
    names = [agent_name(agent.branch.agent) for agent in plan.created]
    for name, (error, _) in zip(names, results, strict=True):
        if error:
            raise HubError(f"{name}: {error}", hint="nothing was changed")
    pairs = zip(names, results, strict=True)
    hook_errors = [f"{name}: {hook_error}" for name, (_, hook_error) in pairs if hook_error]
    return plan._replace(hook_errors=tuple(hook_errors))


def _add_worktree(agent: PlannedAgent, git: Git) -> tuple[str, str]:
    """Add the worktree. Return git's error message, or '', and the error of a hook, or ''."""
    try:
        return "", git.add_worktree(agent.path, short_name(agent.branch.ref), ())
    except GitFailed as error:
        return error.reason, ""
    except HubError as error:
        return error.message, ""


def _remove_partial_worktrees(plan: SpawnResult, project: Project) -> SpawnResult:
    """Remove the partial worktrees of an interrupted spawn. Return the plan without them."""
    created: list[PlannedAgent] = []
    notes: list[str] = []
    for agent in plan.created:
        name = agent_name(agent.branch.agent)
        worktree = agent.partial_worktree
        if worktree is not None:
            refuse_if_git_running(worktree, name)
            if is_marked_for_deletion(worktree):
                removal.finish_removal(worktree)
                agent = agent._replace(partial_worktree=None)
            elif _is_partial(worktree):
                notes += remove_or_keep(worktree, project, [agent.base], "spawn")
                agent = agent._replace(partial_worktree=None)
            else:
                _refuse_if_damaged(worktree)
        elif plan.session.agent_record(name).status == AgentStatus.SPAWNING:
            remove_empty_git_dir(agent.path, project, GIT_ADD_LOCK, [agent.base])
        created.append(agent)
    if any(agent.partial_worktree is not None for agent in plan.created):
        empty_trash(project.paths.common_dir)
    return plan._replace(created=tuple(created), notes=tuple(notes))


def _is_partial(worktree: Worktree) -> bool:
    """Return True if git has not completed the worktree, or its directory is missing."""
    is_unlocked = worktree.lock_reason is None
    return worktree.lock_reason == GIT_ADD_LOCK or (worktree.is_missing and is_unlocked)


def _refuse_if_damaged(worktree: Worktree) -> None:
    if worktree.is_missing:
        unlock_command = f"git worktree unlock {quote_word(worktree.path)}"
        raise Refused(f"'{worktree.path}' is locked, but missing", hint=unlock_command)
    if worktree.link_error:
        raise Refused(f"'{worktree.path}': {worktree.link_error}", hint=repair_command(worktree))


def _remove_created_agents(plan: SpawnResult, project: Project) -> list[str]:
    """Remove the branches and worktrees of this call. Return the refs and paths that remain.

    Keep a worktree that an earlier call left: the user may have worked in it since. Remove a branch
    of this call even if a hook or the setup command has committed to it: both run again in the next
    call. Remove a branch of an earlier call only if it is still at the base commit.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    remaining = []
    refs = {}
    for agent in plan.created:
        if agent.partial_worktree is not None:
            continue
        worktree = find_partial(agent.branch, agent.path, worktrees, GIT_ADD_LOCK)
        try:
            if worktree is not None:
                removal.remove_unchecked(worktree)
            else:
                remove_orphan_directory(agent.path, project, [agent.base])
                remove_empty_git_dir(agent.path, project, GIT_ADD_LOCK, [agent.base])
        except RemovalFailed:
            remaining.append(agent.path)
            continue
        tip = project.repo.tip(agent.branch.ref)
        if tip and (tip == agent.base or not agent.has_branch):
            refs[agent.branch.ref] = tip
    empty_trash(project.paths.common_dir)
    try:
        if refs:
            project.git.update_refs(
                "hub-session spawn: undone",
                [delete_command(ref, tip) for ref, tip in refs.items()],
            )
    except HubError:
        remaining += refs
    return remaining
