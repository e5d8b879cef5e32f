"""Reattach a worktree to its branch, and tell why a worktree cannot be used.

The commands keep all files and commits. If the commits are on no branch of the agent, a command
creates another attempt from them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import count

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import OffBranch
from git_hub_session.git.ref_names import (
    AgentBranch,
    archive_prefixes,
    branch_prefix,
    parse_agent_branch,
    short_name,
)
from git_hub_session.git.refs import list_files_below
from git_hub_session.git.worktrees import Worktree, linked_worktrees, unusable_git_dir
from git_hub_session.session.attempts import describe_attempt
from git_hub_session.system.deletable import find_unwritable
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.branches_in_use import branches_in_use
from git_hub_session.worktree.off_branch import (
    detached_reason,
    has_other_branch,
    missing_branch,
    off_branch_command,
    off_branch_reason,
    original_attempt,
    wrong_branch_reason,
)
from git_hub_session.worktree.owner import WorktreeIndex, reported_worktrees
from git_hub_session.worktree.paths import CHOOSE_PATH_HINT
from git_hub_session.worktree.repair_commands import repair_command, write_file_command

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


_END_COMMANDS = {"rebase": "rebase --abort", "bisect": "bisect reset"}
"""{operation: the git command that ends it and returns to the original branch or commit}."""


class OffBranchWork(NamedTuple):
    """The work of an attempt that is not on the branch of the attempt."""

    branch: AgentBranch
    reason: str
    hint: str
    """The command that adopts the work, or recreates the deleted branch."""


def reattach_command(worktree: Worktree, branch: AgentBranch, project: Project) -> str:
    """Return the command that puts HEAD on the branch of the attempt, or on a new attempt."""
    if has_other_branch(worktree, branch.ref):
        return off_branch_command(worktree, branch)
    # `git symbolic-ref` would allow a branch that another worktree has checked out: do not use it.
    tip = "" if branch.ref in branches_in_use(project.paths) else project.repo.tip(branch.ref)
    if not worktree.detached:
        return _restore_head_command(worktree, branch, tip)
    git = f"git -C {quote_word(worktree.path)}"
    if worktree.operation in _END_COMMANDS:
        return f"{git} {_END_COMMANDS[worktree.operation]}"
    # `git switch` fails in the middle of a merge, `git symbolic-ref` does not.
    if tip == worktree.detached:
        return f"{git} symbolic-ref HEAD {branch.ref}"
    if project.repo.is_ancestor(tip, worktree.detached) and not worktree.operation:
        return f"{git} checkout {short_name(branch.ref)}"
    attempt = next_free_attempt(branch, project)
    return f"{git} branch {short_name(attempt.ref)} && {git} symbolic-ref HEAD {attempt.ref}"


def unusable_reason(
    worktree: Worktree, branch: AgentBranch, project: Project
) -> tuple[str, str] | None:
    """Return why no command can run for the agent in its worktree, with a hint, or None."""
    if worktree.link_error:
        # The doctor searches for a directory whose path is not recorded.
        find = f"git hub-session doctor --fix {branch.session}"
        return worktree.link_error, repair_command(worktree) if worktree.path else find
    reason = off_branch_reason(worktree, branch.ref)
    if reason:
        return reason, reattach_command(worktree, branch, project)
    return missing_branch(worktree, branch.ref, project)


def blocked_command_reason(
    worktree: Worktree, branch: AgentBranch, project: Project
) -> tuple[str, str] | None:
    """Return why `exec` starts no command in the worktree, with a hint, or None.

    A command would commit on no branch in the middle of a rebase or a bisect too.
    """
    reason = unusable_reason(worktree, branch, project)
    return reason or (left_branch_reason(worktree, branch, project) if worktree.detached else None)


def left_branch_reason(
    worktree: Worktree, branch: AgentBranch, project: Project
) -> tuple[str, str] | None:
    """Return why the next commit would not be on the branch of the agent, with a hint, or None.

    In the middle of a rebase or a bisect, HEAD is detached. There may be no new commits yet.
    """
    reason = wrong_branch_reason(worktree, branch, project)
    if reason or not (worktree.detached and worktree.operation in _END_COMMANDS):
        return reason
    # `git rebase --abort` would throw away resolved conflicts.
    words = "status" if worktree.operation == "rebase" else _END_COMMANDS[worktree.operation]
    hint = f"git -C {quote_word(worktree.path)} {words}"
    return f"in the middle of a {worktree.operation}", hint


def refuse_other_branches(session: Session, project: Project) -> None:
    """Raise Refused if the commits of an agent are not on its branch.

    A merge, a final state, and a session that starts from the winner would leave its work behind.
    """
    for work in find_off_branch(session, project, linked_worktrees(project.paths.common_dir)):
        raise OffBranch(f"{describe_attempt(session, work.branch)}: {work.reason}", work.hint)


def find_off_branch(
    session: Session, project: Project, worktrees: Sequence[Worktree]
) -> Iterator[OffBranchWork]:
    """Yield the attempts of the session whose commits are not on their branches."""
    for worktree, ref in reported_worktrees(session.id, project, WorktreeIndex(worktrees)):
        branch = parse_agent_branch(ref)
        reason = wrong_branch_reason(worktree, branch, project) if branch else None
        if branch is not None and reason is not None:
            yield OffBranchWork(branch, *reason)


def occupied_reason(
    path: str, branch: AgentBranch, worktrees: Sequence[Worktree], project: Project
) -> tuple[str, str]:
    """Return why no worktree of the branch can be created at an existing path, with a hint."""
    worktree = next((other for other in worktrees if is_same_path(other.path, path)), None)
    git_dir = "" if worktree else unusable_git_dir(path, project.paths.common_dir)
    if os.path.islink(git_dir):
        hint = f"git hub-session doctor {branch.session}"
        return f"'{path}' exists, but its git dir is a symbolic link", hint
    if git_dir:
        hint = f"git hub-session doctor --fix {branch.session}"
        return f"'{path}' exists, but its git dir is missing", hint
    if worktree is None or worktree.link_error:
        return f"'{path}' exists already", CHOOSE_PATH_HINT
    if worktree.branches:
        checked_out = short_name(worktree.branches[0])
        message = f"'{path}' exists already, with '{checked_out}' checked out"
        return message, CHOOSE_PATH_HINT
    original = original_attempt(worktree)
    was_of_agent = original is not None and original[:2] == branch[:2]
    if was_of_agent or not (worktree.detached or worktree.previous_branches):
        message = f"'{path}': {detached_reason(worktree)}"
        return message, reattach_command(worktree, branch, project)
    return f"'{path}' exists already, with a detached HEAD", CHOOSE_PATH_HINT


def next_free_attempt(branch: AgentBranch, project: Project) -> AgentBranch:
    """Return the agent's next attempt that has no branch and no archive tag.

    Its number is greater than the numbers of `branch` and of all attempts that have a ref.
    """
    prefixes = branch_prefix(branch.session), *archive_prefixes(branch.session)
    taken: set[str] = set()
    for prefix in prefixes:
        taken.update(project.repo.refs(prefix))
        # libgit2 does not list a ref with a truncated file.
        taken.update(list_files_below(project.paths.common_dir, prefix.rstrip("/")))
    attempts = [attempt for attempt in map(parse_agent_branch, taken) if attempt is not None]
    numbers = [attempt.attempt for attempt in attempts if attempt.agent == branch.agent]
    last = max([branch.attempt, *numbers])
    following = (branch._replace(attempt=number) for number in count(last + 1))
    return next(attempt for attempt in following if not _is_taken(attempt, taken))


def _is_taken(attempt: AgentBranch, refs: Collection[str]) -> bool:
    """Return True if an archive tag or an archive ref of the attempt exists.

    Its branch cannot exist: the number of the attempt is greater than the number of each branch.
    """
    if attempt.attempt == 1 and attempt.archive_tag in refs:
        return True
    has_ref = any(ref.startswith(attempt.archive_prefix) for ref in refs)
    return has_ref or attempt.attempt_tag in refs


def _restore_head_command(worktree: Worktree, branch: AgentBranch, tip: str) -> str:
    """Return the command that rewrites a truncated HEAD, or a hint to inspect it."""
    head = f"{worktree.git_dir}/HEAD"
    last_commit = worktree.head_reflog_tip
    if not last_commit:
        return f"inspect {quote_word(head)}"
    if tip == last_commit and not worktree.operation:
        return write_file_command(branch.ref, head, prefix="ref: ")
    # HEAD was on another branch, or detached: detach it at its last commit.
    return write_file_command(last_commit, head)


def unwritable_reason(path: str, common_dir: str, new_ref: str) -> tuple[str, str] | None:
    """Return why no worktree can be created at `path`, with a hint, or None if it can be.

    Args:
        common_dir: the git dir of the repository, in which git creates that of the worktree.
        new_ref: the full ref of the branch to create, or '' if it exists.
    """
    git_dirs = os.path.join(common_dir, "worktrees")
    for problem in find_unwritable(git_dirs if os.path.lexists(git_dirs) else common_dir):
        return f"cannot create a git dir in '{problem.path}': {problem.reason}", problem.hint
    files = [f"{common_dir}/{new_ref}", f"{common_dir}/logs/{new_ref}"] if new_ref else []
    # A branch can be in the place of a directory: git reports it.
    for problem in find_unwritable(*filter(os.path.isdir, map(_nearest_path, files))):
        return f"cannot create a branch in '{problem.path}': {problem.reason}", problem.hint
    parent = _nearest_path(path)
    if not os.path.isdir(parent):
        return f"cannot create a worktree in '{parent}': it is not a directory", CHOOSE_PATH_HINT
    for problem in find_unwritable(parent):
        message = f"cannot create a worktree in '{parent}': {problem.reason}"
        return message, problem.access_command or CHOOSE_PATH_HINT
    return None


def _nearest_path(path: str) -> str:
    """Return the nearest path above `path` that exists."""
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    return parent
