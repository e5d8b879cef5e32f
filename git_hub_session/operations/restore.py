"""Bring removed worktrees back: the branch from its tag, the worktree from git, and the work that was saved.

A worktree is locked until it is whole, and the session says "restoring" of its agent: what a
killed call left is known by that, taken away and made anew.
"""

from __future__ import annotations

import os

from git_hub_session.clock import iso
from git_hub_session.errors import GitFailed, HubError, Refused
from git_hub_session.operations import removal
from git_hub_session.operations.halfmade import (
    drop_begun,
    drop_torn,
    left_behind,
    refuse_if_made,
    set_aside,
)
from git_hub_session.operations.reapply import reapply
from git_hub_session.operations.recovery import recovered
from git_hub_session.operations.returns import (
    LOCK,
    RESTORING,
    Failed,
    Restored,
    Return,
    Wish,
    is_half_made,
    plan_restore,
)
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import empty_trash
from git_hub_session.operations.verdict import reason_of, said
from git_hub_session.refnames import AgentBranch, SessionId, created, deleted, short
from git_hub_session.session import with_agents
from git_hub_session.sidebyside import processors, side_by_side
from git_hub_session.signals import uncut
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.worktrees import Worktree, linked_worktrees

_FAULTS = (HubError, OSError, removal.Stuck, removal.Written, removal.Obstructed)


class _Outcome(NamedTuple):
    """Of one worktree: why it could not be made (None if it was), and what there is to say."""

    failed: Failed | None
    notes: list[str]


def rehearse(sid: SessionId, scene: Scene, wish: Wish) -> Restored:
    """What `restore` would do now; nothing is changed."""
    session = scene.store.read(sid)
    return plan_restore(session, scene, wish, linked_worktrees(scene.place.common_dir))


def restore(sid: SessionId, scene: Scene, wish: Wish) -> Restored:
    """Bring the worktrees back; each is whole, or nothing is left of it. Raises Refused, LockHeld."""
    with scene.store.edit(sid) as edit:
        session, at = edit.read(), iso(scene.now())
        plan = plan_restore(session, scene, wish, recovered(sid, scene))
        if plan.made:
            for one in plan.made:
                if session.agent(one.agent).get("status") == RESTORING:
                    drop_begun(one.path, scene, LOCK, [one.commit])
            marks = {one.agent: _mark(one, RESTORING) for one in plan.made}
            edit.save(with_agents(session, marks, at=at))
            plan = _carried_out(plan, scene)
            whole = {one.agent: _mark(one, "ready") for one in plan.made}
            edit.save(with_agents(session, whole, at=at))
        return plan._replace(notes=(*plan.notes, *_unlocked(plan, scene)))


def _mark(one: Return, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "attempt": one.branch.attempt,
        "worktree": one.path,
        "restored": one.work or None,
    }


def _carried_out(plan: Restored, scene: Scene) -> Restored:
    """The plan with what became of it; what was made is still locked."""
    shown = scene.progress("Restoring worktrees", len(plan.made))
    parent = os.getpid()

    def make(one: Return) -> _Outcome:
        outcome = _made(one, scene)
        if os.getpid() == parent:
            shown(sum(os.path.lexists(f"{other.path}/.git") for other in plan.made))
        return outcome

    try:
        outcomes = side_by_side(make, plan.made, processes=processors())
    finally:
        empty_trash(scene.place.common_dir)
    shown(len(plan.made))
    pairs = list(zip(plan.made, outcomes, strict=True))
    return plan._replace(
        made=tuple(one for one, outcome in pairs if outcome.failed is None),
        failed=(*plan.failed, *(done.failed for _, done in pairs if done.failed is not None)),
        notes=tuple(note for _, outcome in pairs for note in outcome.notes),
    )


def _made(one: Return, scene: Scene) -> _Outcome:
    """Make the worktree, locked; where that fails, take back what was made. Repeatable, if it is killed."""
    notes: list[str] = []
    ours = False
    try:
        notes += _cleared(one, scene)
        if one.tag and scene.repo.target(one.branch.ref) == "":
            scene.git.change_refs([created(one.branch.ref, one.commit)])
            ours = True
        try:
            _add(one, scene)
        except BaseException:
            notes += uncut(_taken_back, one, scene, branch_too=ours)
            raise
    except _FAULTS as fault:
        return _Outcome(_why(one.branch, fault), notes)
    return _Outcome(None, notes)


def _why(branch: AgentBranch, fault: Exception) -> Failed:
    if isinstance(fault, GitFailed):
        return Failed(branch, "; ".join(fault.stderr.strip().splitlines()) or fault.message)
    if isinstance(fault, HubError | OSError):
        return Failed(branch, said(fault), fault.hint if isinstance(fault, HubError) else "")
    reason = reason_of(fault)
    return Failed(branch, reason.message, reason.hint)


def _found(one: Return, scene: Scene) -> Worktree | None:
    """The worktree, as far as it is made: at its place, and nobody else's."""
    found = left_behind(one.branch, one.path, linked_worktrees(scene.place.common_dir), LOCK)
    if found is None or os.path.realpath(found.path) != os.path.realpath(one.path):
        return None
    return found


def _cleared(one: Return, scene: Scene) -> list[str]:
    """Take away what is half-made, or half removed; what there is to say."""
    left = _found(one, scene)
    if left is None:
        return []
    if removal.is_half_removed(left):
        removal.finish(left)
    elif is_half_made(left):
        refuse_if_made(left, "it")
        stash = scene.repo.stash_of(one.work) if one.work else ()
        tip = scene.repo.tip(one.branch.ref)  # it may have moved meanwhile
        sources = [one.commit, tip, *stash[2:]]
        return set_aside(left, scene, [*filter(None, sources)], "restore")
    return []


def _add(one: Return, scene: Scene) -> None:
    """The worktree, locked, and the work in it."""
    options = ("--lock", "--reason", LOCK)
    scene.git.add_worktree(one.path, short(one.branch.ref), options)
    worktree = _found(one, scene)
    if worktree is None or scene.repo.tip(one.branch.ref) != one.commit:
        raise Refused("its branch moved meanwhile", hint="try again")
    if one.work:
        reapply(worktree, one.work, scene.git, scene.repo)


def _taken_back(one: Return, scene: Scene, *, branch_too: bool) -> list[str]:
    """Undo what was made of the worktree; what there is to say."""
    try:
        notes = _cleared(one, scene)
        drop_torn(one.path, scene, [one.commit])
        drop_begun(one.path, scene, LOCK, [one.commit])
        if branch_too:
            scene.git.change_refs([deleted(one.branch.ref, one.commit)])
    except _FAULTS as fault:
        return [f"what was made of {one.agent} is not taken back: {_why(one.branch, fault).reason}"]
    return notes


def _unlocked(plan: Restored, scene: Scene) -> list[str]:
    """Unlock what is whole: also what a call that was killed just before had made."""
    paths = [one.path for one in plan.made]
    paths += [one.worktree.path for one in plan.present if one.worktree.lock == LOCK]
    notes = []
    for path in paths:
        try:
            scene.git.unlock_worktree(path)
        except HubError as fault:
            notes.append(f"'{path}' stays locked: {said(fault)}")
    return notes
