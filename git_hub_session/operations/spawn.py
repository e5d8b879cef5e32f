"""Make the agents of a session: a branch and a worktree each, all of them or none.

What is to be made is written into the session first ("spawning"), the branches come in one
ref transaction, the worktrees are added by git side by side. What fails takes back what this
call made. What a killed call left is known by its mark: finished, or taken away and made anew.
"""

from __future__ import annotations

import os
from shlex import quote

from git_hub_session.clock import iso
from git_hub_session.errors import GitFailed, HubError, Refused
from git_hub_session.operations import removal
from git_hub_session.operations.agents import (
    SPAWNING,
    environment,
)
from git_hub_session.operations.births import Newborn, Spawned, Wish, plan_spawn
from git_hub_session.operations.halfmade import (
    INITIALIZING,
    drop_begun,
    drop_torn,
    left_behind,
    refuse_if_made,
    set_aside,
)
from git_hub_session.operations.links import way_back
from git_hub_session.operations.outfit import Outfit
from git_hub_session.operations.recovery import recovered
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import empty_trash
from git_hub_session.refnames import (
    SessionId,
    created,
    deleted,
    short,
)
from git_hub_session.session import Session, advanced, with_agents
from git_hub_session.sidebyside import processors, side_by_side
from git_hub_session.signals import uncut
from git_hub_session.states import State
from git_hub_session.typed import TYPE_CHECKING
from git_hub_session.worktrees import linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.gitcommand import Git
    from git_hub_session.store import Edit


def rehearse(sid: SessionId, scene: Scene, wish: Wish) -> Spawned:
    """What `spawn` would make now; nothing is changed."""
    return plan_spawn(scene.store.read(sid), scene, wish, linked_worktrees(scene.place.common_dir))


def spawn(sid: SessionId, scene: Scene, wish: Wish) -> Spawned:
    """Make the agents that are missing; all of them, or none.

    Raises Refused (state, base, a path that is taken), GitFailed and HubError; what was made
    is taken away again then.
    """
    with scene.store.edit(sid) as edit:
        session = edit.read()
        worktrees, at = recovered(sid, scene), iso(scene.now())
        plan = plan_spawn(session, scene, wish, worktrees)
        if not plan.made:
            _put_right(edit, session, plan, scene, at)
            return plan
        outfit = Outfit(scene, plan.base)
        plan = _tidied(plan, scene)
        edit.save(_marked(session, plan, SPAWNING, at))
        task = edit.task_file(session)
        try:
            _make_branches(plan, scene.git)
            _make_worktrees(session, plan, scene, wish, outfit, task)
        except BaseException as fault:
            if uncut(_is_undone, fault, plan, scene):
                edit.save(session)
            raise
        done = _begun(_marked(session, plan, "ready", at), scene, at)
        edit.save(_put_right_marks(done, plan, at))
        return plan


def _is_undone(fault: BaseException, plan: Spawned, scene: Scene) -> bool:
    """Whether nothing is left of what this call made, by now; else the marks stay, for the next call to know it by."""
    if isinstance(fault, GitFailed):  # it refused the branches, or came to an end among them
        return not any(scene.repo.tip(one.branch.ref) for one in plan.made if not one.has_branch)
    return _is_taken_back(plan, scene)


def _begun(session: Session, scene: Scene, at: str) -> Session:
    if session.state is not State.INIT:
        return session
    return advanced(session, State.RUNNING, at=at, by=scene.identity, verb="spawn")


def _put_right(edit: Edit, session: Session, plan: Spawned, scene: Scene, at: str) -> None:
    """Where all agents are there the session says so, whatever somebody else has made of it."""
    done = _put_right_marks(session, plan, at)
    if plan.present:
        done = _begun(done, scene, at)
    if done is not session:
        edit.save(done)


def _put_right_marks(session: Session, plan: Spawned, at: str) -> Session:
    """The session without marks of half-made agents on those that are there, and are none of ours."""
    wrong = [f"agent-{one.agent}" for one in plan.present]
    wrong = [name for name in wrong if session.agent(name).get("status") == SPAWNING]
    if not wrong:
        return session
    return with_agents(session, {name: {"status": "ready"} for name in wrong}, at=at)


def _marked(session: Session, plan: Spawned, status: str, at: str) -> Session:
    changes = {
        f"agent-{branch.agent}": {"status": status, "attempt": branch.attempt, "worktree": path}
        for branch, path, _, _ in plan.made
    }
    marked = with_agents(session, changes, at=at)
    return marked._replace(document={**marked.document, "base_commit": plan.base})


def _make_branches(plan: Spawned, git: Git) -> None:
    new = [created(one.branch.ref, plan.base) for one in plan.made if not one.has_branch]
    if new:
        git.change_refs(new)


def _make_worktrees(
    session: Session,
    plan: Spawned,
    scene: Scene,
    wish: Wish,
    outfit: Outfit,
    task: str,
) -> None:
    shown = scene.progress("Adding worktrees", len(plan.made))
    parent = os.getpid()

    def make(newborn: Newborn) -> str:
        said = _added(newborn, scene.git) if newborn.left is None else ""
        if not said:
            variables = environment(scene.environ, session, newborn.branch, plan.base, task)
            said = outfit.put_on(newborn.path, variables)
        if os.getpid() == parent:
            shown(sum(os.path.lexists(f"{one.path}/.git") for one in plan.made))
        return said

    faults = side_by_side(make, plan.made, processes=wish.jobs or processors())
    shown(len(plan.made))
    for newborn, fault in zip(plan.made, faults, strict=True):
        if fault:
            agent = f"agent-{newborn.branch.agent}"
            raise HubError(f"{agent}: {fault}", hint="nothing was changed")


def _added(newborn: Newborn, git: Git) -> str:
    """Add the worktree; what git says if it cannot, or ''."""
    try:
        git.add_worktree(newborn.path, short(newborn.branch.ref))
    except GitFailed as fault:
        return fault.stderr.strip() or fault.message
    return ""


def _tidied(plan: Spawned, scene: Scene) -> Spawned:
    """The plan, once what git had not finished in a call that was cut off is taken away."""
    made: list[Newborn] = []
    notes: list[str] = []
    for newborn in plan.made:
        left = newborn.left
        if left is not None:
            refuse_if_made(left, f"agent-{newborn.branch.agent}")
            if removal.is_half_removed(left):
                removal.finish(left)
                left = None
            elif left.lock == INITIALIZING or (left.missing and left.lock is None):
                notes += set_aside(left, scene, [plan.base], "spawn")
                left = None
            elif left.missing:
                locked = f"'{left.path}' is locked, and its directory is gone"
                raise Refused(locked, hint=f"git worktree unlock {quote(left.path)}")
            elif left.fault:
                raise Refused(f"'{left.path}': {left.fault}", hint=way_back(left))
            newborn = newborn._replace(left=left)
        elif plan.session.agent(f"agent-{newborn.branch.agent}").get("status") == SPAWNING:
            drop_begun(newborn.path, scene, INITIALIZING, [plan.base])
        made.append(newborn)
    if any(newborn.left is not None for newborn in plan.made):
        empty_trash(scene.place.common_dir)
    return plan._replace(made=tuple(made), notes=tuple(notes))


def _is_taken_back(plan: Spawned, scene: Scene) -> bool:
    """Undo what this call made; whether that is all undone: what is left the next call knows by its mark.

    A worktree that an earlier call left may have been worked in since: it stays. What a hook or
    the setup command has committed goes with the branch, as they will do it again.
    """
    worktrees = linked_worktrees(scene.place.common_dir)
    going, stuck = [], False
    for newborn in plan.made:
        if newborn.left is not None:
            continue
        worktree = left_behind(newborn.branch, newborn.path, worktrees, INITIALIZING)
        try:
            if worktree is not None:
                removal.discard(worktree)
            else:
                drop_torn(newborn.path, scene, [plan.base])
                drop_begun(newborn.path, scene, INITIALIZING, [plan.base])
        except removal.Stuck:
            stuck = True
            continue
        tip = scene.repo.tip(newborn.branch.ref)
        if tip and (tip == plan.base or not newborn.has_branch):
            going.append(deleted(newborn.branch.ref, tip))
    empty_trash(scene.place.common_dir)
    try:
        if going:
            scene.git.change_refs(going)
    except HubError:
        return False
    return not stuck
