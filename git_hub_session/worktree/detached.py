"""An agent's worktree that is off its branch: HEAD was detached, or cut off. What a person can type then.

What lies in it and what was committed there stays: where it is not on a branch it becomes an
attempt of the agent's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    archive_prefix,
    branch_prefix,
    parse_agent_branch,
    short_name,
)
from git_hub_session.git.worktrees import Worktree, list_files_below
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.checkouts import branches_in_use
from git_hub_session.worktree.owner import original_attempt
from git_hub_session.worktree.repair_commands import repair_command

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


_COMES_BACK = {"rebase": "rebase --abort", "bisect": "bisect reset"}


def detached_reason(worktree: Worktree) -> str:
    """Why nothing that is committed in it gets onto a branch, or ''."""
    if not (worktree.head or worktree.detached):
        return "its HEAD cannot be read"
    if worktree.branches:
        return ""
    was = original_attempt(worktree)
    return f"its HEAD is detached from '{short_name(was.ref)}'" if was else "its HEAD is detached"


def reattach_command(worktree: Worktree, branch: AgentBranch, project: Project) -> str:
    """What to type to have it on the branch of an agent's attempt, or on one of a further attempt, as it is."""
    # That of another worktree it is not given to, too: git would let the two have it.
    tip = "" if branch.ref in branches_in_use(project.paths) else project.repo.tip(branch.ref)
    if not worktree.detached:
        return _restore_head_file_command(worktree, branch, tip)
    here = f"git -C {quote(worktree.path)}"  # `git switch` refuses in the middle of a merge
    # To the commit that it began at, whatever branch is checked out by then.
    if worktree.operation in _COMES_BACK:
        return f"{here} {_COMES_BACK[worktree.operation]}"
    if tip == worktree.detached:
        return f"{here} symbolic-ref HEAD {branch.ref}"
    if project.repo.is_ancestor(tip, worktree.detached) and not worktree.operation:
        return f"{here} checkout {short_name(branch.ref)}"
    free = _free_name(branch, project)
    return f"{here} branch {short_name(free.ref)} && {here} symbolic-ref HEAD {free.ref}"


def restore_branch_command(worktree: Worktree) -> str:
    """Return the command that recreates the deleted branch that is checked out in the worktree."""
    if worktree.head.startswith(HEADS) and worktree.head_reflog_tip:
        return f"git branch {quote(short_name(worktree.head))} {worktree.head_reflog_tip}"
    if worktree.is_missing:
        return repair_command(worktree)
    return f"git -C {quote(worktree.path)} status"


def unusable_reason(
    worktree: Worktree, branch: AgentBranch, project: Project
) -> tuple[str, str] | None:
    """Why nobody can work for the agent in a worktree that is there, and what to type; None where one can."""
    if worktree.link_error:
        return f"'{worktree.path}': {worktree.link_error}", repair_command(worktree)
    off = detached_reason(worktree)
    return (
        (f"'{worktree.path}': {off}", reattach_command(worktree, branch, project)) if off else None
    )


def occupied_reason(
    path: str, branch: AgentBranch, worktrees: Sequence[Worktree], project: Project
) -> tuple[str, str]:
    """Why no worktree of `branch` can be made at `path`, where something lies, and what to do."""
    there = next((one for one in worktrees if is_same_path(one.path, path)), None)
    if there is None or there.link_error:
        return f"'{path}' exists already", "choose another --path"
    if there.branches:
        others = short_name(there.branches[0])
        return f"'{path}' exists already, with '{others}' checked out", "choose another --path"
    was = original_attempt(there)
    if (was and was[:2] == branch[:2]) or not (there.detached or there.previous_branches):
        return f"'{path}': {detached_reason(there)}", reattach_command(there, branch, project)
    return f"'{path}' exists already, with a detached HEAD", "choose another --path"


def _free_name(branch: AgentBranch, project: Project) -> AgentBranch:
    """The agent's next attempt, of which there is neither a branch nor an archive tag, nor what is left of one."""
    tops = branch_prefix(branch.session), archive_prefix(branch.session)
    taken = {ref for top in tops for ref in project.repo.refs(top)}
    taken |= {
        path for top in tops for path in list_files_below(project.paths.common_dir, top.rstrip("/"))
    }
    known = filter(None, map(parse_agent_branch, taken))
    last = max((one.attempt for one in known if one.agent == branch.agent), default=0)
    following = (branch._replace(attempt=attempt) for attempt in count(last + 1))
    return next(
        one
        for one in following
        if one.attempt_tag not in taken and (one.attempt > 1 or one.archive_tag not in taken)
    )


def _restore_head_file_command(worktree: Worktree, branch: AgentBranch, tip: str) -> str:
    head, was = quote(f"{worktree.git_dir}/HEAD"), worktree.head_reflog_tip
    if tip and tip == was and not worktree.operation:
        return f"printf 'ref: %s\\n' {branch.ref} >{head}"
    if was:  # it was on another branch, or on none
        return f"printf '%s\\n' {was} >{head}"
    return f"look at {head}"
