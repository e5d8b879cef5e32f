"""Each worktree of a session judged: may it go, and what has to be saved first."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

from git_hub_session import procfs
from git_hub_session.errors import Damaged, HubError
from git_hub_session.gitindex import Index
from git_hub_session.operations import removal
from git_hub_session.operations.examine import (
    Examination,
    examine,
    head_commit,
    read_index,
    staged_paths,
)
from git_hub_session.operations.judge import (
    Reason,
    Surroundings,
    reason_after_looking,
    reason_before_looking,
    to_save,
)
from git_hub_session.operations.links import moved_back, out_of_the_way, told_anew, way_back
from git_hub_session.operations.neighbors import Neighbors
from git_hub_session.operations.note import ASIDE, unfinished
from git_hub_session.operations.offbranch import off_branch, way_onto
from git_hub_session.operations.ownership import own_worktrees
from git_hub_session.operations.policy import Policy
from git_hub_session.operations.rescue import Snapshot
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.whereabouts import (
    is_uprooted,
    lying,
    may_be_repaired,
    moved_along,
    places,
)
from git_hub_session.refnames import SessionId, parse_agent_branch
from git_hub_session.sidebyside import side_by_side
from git_hub_session.tree import NOTHING
from git_hub_session.typed import TYPE_CHECKING, NamedTuple
from git_hub_session.worktrees import (
    Worktree,
    lies_in,
)

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo


class Verdict(NamedTuple):
    """What is to become of one worktree: kept for `reason`, or removed."""

    worktree: Worktree
    branch: str
    reason: Reason | None
    judged: removal.Judged | None = None
    """What it was judged by, where it was looked into."""
    head: str = ""
    dirty: bool = False
    """Whether there is work to save, as far as can be told without git."""
    commits: tuple[str, ...] = ()
    """Commits that need a ref of their own."""
    half_removed: bool = False
    """A killed run left it to be deleted: nothing is judged or saved again."""
    saved_before: tuple[str, ...] = ()
    """What that run saved, as its note says."""


def plan_cleanup(
    sid: SessionId,
    scene: Scene,
    policy: Policy,
    neighbors: Neighbors,
    entries: Container[str] | None = None,
) -> list[Verdict]:
    """Judge every worktree of the session (or those of these `entries`) among the repository's; nothing is changed."""
    worktrees = neighbors.worktrees

    def judge(pair: tuple[Worktree, str]) -> Verdict:
        worktree, branch = pair
        around = _surroundings(worktree, sid, scene, neighbors)
        if worktree.missing:
            away, back = _away(sid, worktree, worktrees, scene)
            around = around._replace(away=away, back=back, uprooted=is_uprooted(worktree))
        if off_branch(worktree):
            around = around._replace(onto=_way_onto(worktree, branch, scene))
        return _judge(worktree, branch, scene, policy, around)

    pairs = own_worktrees(sid, scene, worktrees)
    return side_by_side(judge, [one for one in pairs if entries is None or one[0].entry in entries])


def _away(
    sid: SessionId, worktree: Worktree, worktrees: Sequence[Worktree], scene: Scene
) -> tuple[str, str]:
    """Where the directory of a worktree that is missing lies, and what to type then; ('', '') where nobody knows."""
    for found in lying(worktree, worktrees):
        return found, moved_back(found, worktree)
    found = moved_along(worktree, places(worktree, scene))
    if found and may_be_repaired(found, worktree, worktrees):
        return found, f"git hub-session doctor --fix {sid}"
    return found, told_anew(found, worktree) if found else ""


def _way_onto(worktree: Worktree, branch: str, scene: Scene) -> str:
    agent = parse_agent_branch(branch)
    if worktree.missing or agent is None:
        return way_back(worktree)
    return way_onto(worktree, agent, scene)


def _judge(
    worktree: Worktree,
    branch: str,
    scene: Scene,
    policy: Policy,
    around: Surroundings,
) -> Verdict:
    note = unfinished(worktree)
    if removal.is_half_removed(worktree):
        return Verdict(worktree, branch, None, half_removed=True, saved_before=note.saved)
    if note.step and os.path.lexists(note.trash) and os.path.lexists(worktree.path):
        fault = f"its directory was moved to '{note.trash}', and something else lies in its place"
        return Verdict(worktree, branch, Reason("stuck", fault, out_of_the_way(worktree.path)))
    if note.step == ASIDE and worktree.missing:  # a dry run: a real one has put it back by now
        fault = f"a removal of it was cut off: its directory waits in '{note.trash}'"
        return Verdict(worktree, branch, Reason("stuck", fault, "cleanup puts it back and goes on"))
    reason = reason_before_looking(worktree, around, policy)
    if reason is not None:
        return Verdict(worktree, branch, reason)
    try:
        seen = look_into(worktree, scene)
        own = worktree.commits()
        commits = scene.repo.unreached(own)
    except Damaged as fault:
        return Verdict(worktree, branch, Reason("unreadable-index", fault.message))
    except (OSError, HubError) as fault:
        hint = fault.hint if isinstance(fault, HubError) else ""
        reason = Reason("unreadable", f"cannot be looked at: {said(fault)}", hint)
        return Verdict(worktree, branch, reason)
    reason = reason_after_looking(worktree, seen, policy)
    return Verdict(
        worktree,
        branch,
        reason,
        judged=_judged(seen, own),
        head=seen.head,
        dirty=not policy.discard and bool(seen.staged or seen.changed or to_save(seen, policy)),
        commits=() if reason else tuple(commits),
    )


def _judged(seen: Examination, own: Sequence[str]) -> removal.Judged:
    tracked = frozenset(path for path in seen.indexed.entries if path.endswith(b"/HEAD"))
    return removal.Judged(seen.tree.digest(), tracked, removal.number_of(own))


def said(fault: HubError | OSError) -> str:
    """What a fault says, without a number that says nothing to people."""
    if not isinstance(fault, OSError):
        return fault.message
    where = f": '{fault.filename}'" if fault.filename else ""
    return f"{fault.strerror or fault}{where}"


def reason_of(fault: Exception) -> Reason:
    """Why a worktree had to stay, as what its removal raised says it."""
    if isinstance(fault, removal.Obstructed):
        return fault.reason
    if isinstance(fault, removal.Written):
        return Reason("changed", f"written into while it was removed: what is new is in '{fault}'")
    if isinstance(fault, removal.Stuck):
        return Reason("stuck", str(fault), fault.hint)
    message = said(fault) if isinstance(fault, HubError | OSError) else str(fault)
    return Reason("stuck", message, "try again")


def look_into(worktree: Worktree, scene: Scene) -> Examination:
    """Examine a worktree; a split or sparse index is completed by git. Raises Damaged, OSError, GitFailed."""
    index, written = read_index(worktree)
    if index.partial:
        index = Snapshot(scene.git, worktree).full_index()
    if worktree.missing:
        return _missing(worktree, scene.repo, index)
    return examine(worktree, scene.repo, index, written)


def _missing(worktree: Worktree, repo: GitRepo, index: Index) -> Examination:
    """What is left of a worktree whose directory is gone: what was staged."""
    head = head_commit(worktree, repo)
    staged = staged_paths(head, repo, index) if index.entries else frozenset()
    return Examination(head, NOTHING, index, staged, frozenset(), (), (), (), (), ())


def _surroundings(
    worktree: Worktree,
    sid: SessionId,
    scene: Scene,
    neighbors: Neighbors,
) -> Surroundings:
    top = os.path.realpath(worktree.path) if worktree.path else ""
    return Surroundings(
        sid,
        lies_in(os.path.realpath(scene.cwd), top),
        procfs.describe_processes(procfs.processes_in(top, neighbors.processes)),
        tuple(point for point in neighbors.mounts if lies_in(point, top)),
        neighbors.inside(top, worktree.entry) if top else (),
    )
