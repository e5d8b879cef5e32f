"""Remove the worktrees of a session, and lose nothing that was in them.

All worktrees are judged first, then acted on: uncommitted work is saved under
refs/hub/rescue, the directory is renamed aside, looked at again and deleted, the entry
goes last. What cannot be removed safely is kept, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from git_hub_session import procfs
from git_hub_session.clock import iso
from git_hub_session.errors import HubError
from git_hub_session.operations import removal
from git_hub_session.operations.archive import ArchivePlan, archive, plan_archive
from git_hub_session.operations.checkout import branches_in_use, in_main_worktree
from git_hub_session.operations.judge import CHANGED, Reason, in_use
from git_hub_session.operations.neighbors import Neighbors
from git_hub_session.operations.policy import Policy
from git_hub_session.operations.recovery import recovered
from git_hub_session.operations.report import Kept, Removed, Report, Saved, untouched
from git_hub_session.operations.saving import (
    by_agent,
    keep,
    left_of,
    record,
    rescues_of,
    save_all,
    save_reflogs,
)
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.trash import empty_trash
from git_hub_session.operations.verdict import (
    Verdict,
    plan_cleanup,
    reason_of,
    said,
)
from git_hub_session.refnames import (
    SessionId,
    branch_prefix,
    rescue_prefix,
    short,
)
from git_hub_session.sidebyside import side_by_side
from git_hub_session.store import CannotWrite
from git_hub_session.typed import TYPE_CHECKING
from git_hub_session.worktrees import lies_in

if TYPE_CHECKING:
    from git_hub_session.discovery import Place
    from git_hub_session.gitrepo import Branch
    from git_hub_session.store import Edit


def rehearse(
    sid: SessionId,
    scene: Scene,
    policy: Policy,
    *,
    archiving: bool,
    neighbors: Neighbors | None = None,
) -> Report:
    """What clean_up would do now; nothing is changed. Sessions may share `neighbors`."""
    neighbors = neighbors or Neighbors(scene)
    verdicts = plan_cleanup(sid, scene, policy, neighbors)
    removed = [verdict for verdict in verdicts if verdict.reason is None]
    branches = ArchivePlan((), ())
    if archiving:
        gone = {verdict.worktree.entry for verdict in removed}
        used = neighbors.branches_in_use(gone) | _left_by(_kept(verdicts))
        branches = plan_archive(scene.repo.branches(branch_prefix(sid)), used, scene.repo.target)
    return Report(
        sid,
        tuple(_removed(verdict, _would_save(sid, verdict)) for verdict in removed),
        (*_kept(verdicts), *_main_worktree(sid, scene.place)),
        branches,
        tuple(_unseen(removed)),
    )


def failed(sid: SessionId, fault: HubError | OSError) -> Report:
    """Of a session that could not be cleaned up at all."""
    return untouched(sid)._replace(notes=(said(fault),), failed=True)


def _would_save(sid: SessionId, verdict: Verdict) -> list[Saved]:
    prefix = rescue_prefix(sid, verdict.branch)
    kinds = ["work"] * verdict.dirty + ["commits"] * len(verdict.commits)
    return [Saved(f"{prefix}<n>", kind) for kind in kinds]


def clean_up(sid: SessionId, scene: Scene, policy: Policy, *, archiving: bool) -> Report:
    """Carry a cleanup out under the session's lock; a killed one is finished by the next."""
    with scene.store.edit(sid) as edit:
        return carry_out(edit, sid, scene, policy, archiving=archiving)


def carry_out(
    edit: Edit, sid: SessionId, scene: Scene, policy: Policy, *, archiving: bool, spare: str = ""
) -> Report:
    """`clean_up` for who holds the session's lock already; the branch `spare` (a full ref) stays one."""
    verdicts = plan_cleanup(sid, scene, policy, Neighbors(scene, recovered(sid, scene)))
    report = _acted_on(edit, sid, scene, policy, verdicts)
    kept, notes = [*report.kept, *_main_worktree(sid, scene.place)], [*report.notes]
    branches, undone = ArchivePlan((), ()), False
    if archiving:
        try:
            left = _left_by(kept)
            notes += _reflogs_saved(edit, sid, scene, _going(sid, scene, {*left, spare}))
            used = lambda: branches_in_use(scene.place) | left
            branches = archive(sid, scene.repo, scene.git, used, spare=spare)
        except HubError as fault:  # it must not hide what became of the worktrees
            notes.append(f"the branches were not archived: {fault.message}")
            undone = True
    return Report(sid, report.removed, tuple(kept), branches, tuple(notes), failed=undone)


def _reflogs_saved(
    edit: Edit, sid: SessionId, scene: Scene, branches: Iterable[Branch]
) -> list[str]:
    saved = save_reflogs(sid, scene, branches)
    notes = [
        f"a commit that only the reflog of '{short(branch)}' had is in {ref}"
        for branch, refs in saved.items()
        for ref in refs
    ]
    return [*notes, *record(edit, by_agent(sid, saved.items()), {}, iso(scene.now()))]


def finish_one(edit: Edit, sid: SessionId, scene: Scene, policy: Policy, entry: str) -> Report:
    """The same for the worktree of one entry, whose directory is gone, if it does not come back by that."""
    neighbors = Neighbors(scene, recovered(sid, scene))
    verdicts = plan_cleanup(sid, scene, policy, neighbors, entries={entry})
    gone = [one for one in verdicts if not os.path.lexists(one.worktree.path)]
    return _acted_on(edit, sid, scene, policy, gone)


def _acted_on(
    edit: Edit, sid: SessionId, scene: Scene, policy: Policy, verdicts: Sequence[Verdict]
) -> Report:
    """Save what is in the worktrees, and remove those that may go."""
    kept = _kept(verdicts)
    going = save_all(sid, scene, policy, verdicts, kept)
    # Before anything goes: whatever happens now, the session says where the work is.
    left = left_of(sid, scene, going)
    try:
        notes = record(edit, rescues_of(sid, going, kept), left, iso(scene.now()))
    except CannotWrite as fault:
        reason = Reason(
            "cannot-save", f"that it was saved cannot be noted: {said(fault)}", fault.hint
        )
        kept += [keep(verdict, reason, saved) for verdict, saved in going]
        notes, going = [], []
    removed = _remove_all(sid, scene, policy, going, kept)
    notes = [*notes, *_unseen(removed)]
    return Report(sid, tuple(removed), tuple(kept), ArchivePlan((), ()), tuple(notes))


def _unseen(removed: Sequence[object]) -> list[str]:
    """What could not be asked of worktrees that went."""
    if not removed or not procfs.is_blind():
        return []
    return [
        "without /proc nobody can see whether a process works in a worktree, or what is mounted in it"
    ]


def _left_by(kept: Iterable[Kept]) -> set[str]:
    """The branches that kept worktrees were taken off: what is said to be typed leads back there."""
    return {one.branch for one in kept if one.reason.code == "off-branch"}


def _going(sid: SessionId, scene: Scene, spare: set[str]) -> list[Branch]:
    """The branches that can go: nobody has them checked out, and no other ref is meant by them."""
    used = branches_in_use(scene.place) | spare
    branches = scene.repo.branches(branch_prefix(sid))
    return [branch for branch in branches if branch.ref not in used and not branch.symbolic]


def _remove_all(
    sid: SessionId,
    scene: Scene,
    policy: Policy,
    going: Sequence[tuple[Verdict, list[Saved]]],
    kept: list[Kept],
) -> list[Removed]:
    """Remove the worktrees side by side; those that had to stay are added to `kept`."""
    shown = scene.progress("Removing worktrees", len(going))
    parent = os.getpid()

    def take(pair: tuple[Verdict, list[Saved]]) -> Reason | None:
        reason = _take_away(sid, *pair, scene, policy)
        if os.getpid() == parent:  # for all of them: a fork's work shows by the entries
            shown(sum(not os.path.lexists(verdict.worktree.entry) for verdict, _ in going))
        return reason

    reasons = side_by_side(take, going, waits=True)
    shown(len(going))
    empty_trash(scene.place.common_dir)
    removed: list[Removed] = []
    for (verdict, saved), reason in zip(going, reasons, strict=True):
        if reason is None:
            removed.append(_removed(verdict, saved))
        else:
            kept.append(keep(verdict, reason, saved))
    return removed


def _take_away(
    sid: SessionId, verdict: Verdict, saved: Sequence[Saved], scene: Scene, policy: Policy
) -> Reason | None:
    """Remove the worktree; why it had to stay, or None. Repeatable, if it is killed."""
    worktree = verdict.worktree
    try:
        removal.take_away(
            worktree,
            None if verdict.half_removed else verdict.judged,
            obstacle=lambda path: _obstacle(path, sid, scene, policy),
            saved=[str(one) for one in saved],
        )
    except (removal.Obstructed, removal.Written, removal.Stuck, OSError) as fault:
        return reason_of(fault)
    return None


def _obstacle(path: str, sid: SessionId, scene: Scene, policy: Policy) -> Reason | None:
    """Why a directory that was renamed to `path` has to go back: who or what came since it was judged."""
    top = os.path.realpath(path)
    if any(lies_in(point, top) for point in procfs.mount_points()):
        return CHANGED
    users = procfs.describe_processes(procfs.processes_in(top, procfs.processes()))
    return in_use(users, sid) if users and not policy.force else None


def _kept(verdicts: Sequence[Verdict]) -> list[Kept]:
    return [keep(verdict, verdict.reason) for verdict in verdicts if verdict.reason is not None]


def _removed(verdict: Verdict, saved: Iterable[Saved]) -> Removed:
    return Removed(
        verdict.worktree.path,
        verdict.branch,
        tuple(saved),
        verdict.worktree.missing and not verdict.half_removed,
    )


def _main_worktree(sid: SessionId, place: Place) -> list[Kept]:
    """The main worktree, where it has a branch of the session in use: it never goes."""
    prefix = branch_prefix(sid)
    for ref in in_main_worktree(place):
        if ref.startswith(prefix):
            reason = Reason(
                "main-worktree", "it is the main worktree", "check out another branch in it"
            )
            return [Kept(place.main_worktree, ref, reason)]
    return []
