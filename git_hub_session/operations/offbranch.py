"""An agent's worktree that is off its branch: HEAD was detached, or cut off. What a person can type then.

What lies in it and what was committed there stays: where it is not on a branch it becomes an
attempt of the agent's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from shlex import quote

from git_hub_session.operations.checkout import branches_in_use
from git_hub_session.operations.links import way_back
from git_hub_session.operations.ownership import made_for
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import (
    AgentBranch,
    archive_prefix,
    branch_prefix,
    parse_agent_branch,
    short,
)
from git_hub_session.worktrees import Worktree, files_below, is_same

_COMES_BACK = {"rebase": "rebase --abort", "bisect": "bisect reset"}


def off_branch(worktree: Worktree) -> str:
    """Why nothing that is committed in it gets onto a branch, or ''."""
    if not (worktree.head or worktree.detached):
        return "its HEAD cannot be read"
    if worktree.branches:
        return ""
    was = made_for(worktree)
    return f"its HEAD is detached from '{short(was.ref)}'" if was else "its HEAD is detached"


def way_onto(worktree: Worktree, branch: AgentBranch, scene: Scene) -> str:
    """What to type to have it on the branch of an agent's attempt, or on one of a further attempt, as it is."""
    # That of another worktree it is not given to, too: git would let the two have it.
    tip = "" if branch.ref in branches_in_use(scene.place) else scene.repo.tip(branch.ref)
    if not worktree.detached:
        return _head_again(worktree, branch, tip)
    here = f"git -C {quote(worktree.path)}"  # `git switch` refuses in the middle of a merge
    # To the commit that it began at, whatever branch is checked out by then.
    if worktree.operation in _COMES_BACK:
        return f"{here} {_COMES_BACK[worktree.operation]}"
    if tip == worktree.detached:
        return f"{here} symbolic-ref HEAD {branch.ref}"
    if scene.repo.contains(tip, worktree.detached) and not worktree.operation:
        return f"{here} checkout {short(branch.ref)}"
    free = _free(branch, scene)
    return f"{here} branch {short(free.ref)} && {here} symbolic-ref HEAD {free.ref}"


def unfit(worktree: Worktree, branch: AgentBranch, scene: Scene) -> tuple[str, str] | None:
    """Why nobody can work for the agent in a worktree that is there, and what to type; None where one can."""
    if worktree.fault:
        return f"'{worktree.path}': {worktree.fault}", way_back(worktree)
    off = off_branch(worktree)
    return (f"'{worktree.path}': {off}", way_onto(worktree, branch, scene)) if off else None


def in_the_way(
    path: str, branch: AgentBranch, worktrees: Sequence[Worktree], scene: Scene
) -> tuple[str, str]:
    """Why no worktree of `branch` can be made at `path`, where something lies, and what to do."""
    there = next((one for one in worktrees if is_same(one.path, path)), None)
    if there is None or there.fault:
        return f"'{path}' exists already", "choose another --path"
    if there.branches:
        others = short(there.branches[0])
        return f"'{path}' exists already, with '{others}' checked out", "choose another --path"
    was = made_for(there)
    if (was and was[:2] == branch[:2]) or not (there.detached or there.left):
        return f"'{path}': {off_branch(there)}", way_onto(there, branch, scene)
    return f"'{path}' exists already, with a detached HEAD", "choose another --path"


def _free(branch: AgentBranch, scene: Scene) -> AgentBranch:
    """The agent's next attempt, of which there is neither a branch nor an archive tag, nor what is left of one."""
    tops = branch_prefix(branch.session), archive_prefix(branch.session)
    taken = {ref for top in tops for ref in scene.repo.refs(top)}
    taken |= {path for top in tops for path in files_below(scene.place.common_dir, top.rstrip("/"))}
    known = filter(None, map(parse_agent_branch, taken))
    last = max((one.attempt for one in known if one.agent == branch.agent), default=0)
    following = (branch._replace(attempt=attempt) for attempt in count(last + 1))
    return next(
        one
        for one in following
        if one.attempt_tag not in taken and (one.attempt > 1 or one.archive_tag not in taken)
    )


def _head_again(worktree: Worktree, branch: AgentBranch, tip: str) -> str:
    head, was = quote(f"{worktree.entry}/HEAD"), worktree.came_from
    if tip and tip == was and not worktree.operation:
        return f"printf 'ref: %s\\n' {branch.ref} >{head}"
    if was:  # it was on another branch, or on none
        return f"printf '%s\\n' {was} >{head}"
    return f"look at {head}"
