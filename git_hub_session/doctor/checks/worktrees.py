"""Checks of the worktrees of sessions. Other worktrees are not checked.

The link checks and then the branch checks of a worktree run until one finds a problem, because a
damaged link causes most of the later problems.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.checks.interrupted import (
    check_interrupted_removal,
    check_partial_add,
    check_removal_lock,
    finish_removal,
)
from git_hub_session.doctor.checks.locks import check_lock_files
from git_hub_session.doctor.checks.other_sessions import (
    check_orphan_worktree,
    foreign_attempts,
    foreign_findings,
    off_branch,
)
from git_hub_session.doctor.checks.posts import check_posts
from git_hub_session.doctor.checks.registrations import worktree_damaged
from git_hub_session.doctor.checks.sessions import leftover_file
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.doctor.snapshot import HubSnapshot, is_partial_add
from git_hub_session.errors import Damaged, GitFailed, HubError
from git_hub_session.git.index import read_index
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_name, parse_agent_branch
from git_hub_session.git.safe_open import read_text
from git_hub_session.git.worktrees import Worktree, linked_git_dir
from git_hub_session.removal.trash import leftover_files
from git_hub_session.session.attempts import recorded_paths
from git_hub_session.session.state import FINISHED
from git_hub_session.system import procfs
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.off_branch import (
    detached_reason,
    off_branch_reason,
    original_attempt,
    restore_branch_command,
)
from git_hub_session.worktree.owner import detached_owner
from git_hub_session.worktree.reattach import reattach_command
from git_hub_session.worktree.relocation import (
    can_repair,
    expected_paths,
    find_moved_with_repository,
    is_parent_missing,
    moved_paths,
)
from git_hub_session.worktree.repair_commands import (
    can_overwrite,
    move_back_command,
    relink_command,
    repair_command,
    unknown_location_hint,
    write_file_command,
)

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import LockedSession

_PID = re.compile(r"\bpid\b\W{0,3}([0-9]{1,9})\b", re.IGNORECASE | re.ASCII)


def worktree_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the worktrees of all sessions that no other process is changing."""
    foreign = foreign_attempts(hub)
    for worktree in hub.worktrees:
        sid = hub.session_by_git_dir.get(worktree.git_dir)
        attempt = foreign.get(worktree.git_dir)
        if attempt is not None:
            yield from foreign_findings(worktree, attempt)
            sid = sid if sid in hub.sessions else None
        if sid is not None and sid not in hub.locked_sessions:
            for finding in _findings_of(worktree, sid, hub):
                yield finding._replace(session=sid, git_dir=worktree.git_dir)


def _findings_of(worktree: Worktree, sid: SessionId, hub: HubSnapshot) -> Iterator[Finding]:
    if sid not in hub.sessions:
        if hub.hub_error is None:
            yield from check_orphan_worktree(worktree, sid, hub)
        return
    findings = (finding for run in _checks_of(worktree, hub) for finding in run(worktree, hub))
    yield from islice(findings, 1)
    yield from check_lock_reason(worktree)
    locks = list(check_lock_files(worktree.git_dir, hub))
    if locks and not hub.pids_in(worktree.path):
        yield from locks
    yield from check_git_dir_files(worktree)
    yield from check_posts(worktree, hub)


def _checks_of(worktree: Worktree, hub: HubSnapshot) -> Sequence[WorktreeCheck]:
    if not is_partial_add(worktree):
        return (*LINK_CHECKS, *BRANCH_CHECKS)
    # If a process uses the worktree, a spawn or a restore is still creating it.
    return BRANCH_CHECKS if hub.pids_in(worktree.path) else (check_partial_add,)


@worktree_damaged
def check_head(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    """Find a worktree with a truncated HEAD. git does not list such a worktree."""
    if worktree.head or worktree.detached:
        return
    session = hub.owner(worktree)
    head = quote_word(f"{worktree.git_dir}/HEAD")
    advice = f"inspect {head}"
    if session is not None:
        advice = _reattach_command(worktree, session, hub)
    yield Problem(worktree.path, detached_reason(worktree), advice=advice)


def repair_link(finding: Finding, hub: HubSnapshot, _locked: LockedSession) -> list[str]:
    """Let git repair the link to the directory."""
    worktree = hub.find_worktree(finding.session, finding.git_dir)
    [path] = _current_paths(worktree, hub)
    record = os.path.join(worktree.git_dir, "gitdir")
    if not can_overwrite(record):  # git would write through a link into another file
        problem = f"'{record}' is a link or not a regular file"
        raise HubError(problem, relink_command(path, worktree))
    try:
        hub.project.git.run(["worktree", "repair", "--", path])
    except GitFailed as error:
        # An old git does not recognize a directory that was moved with the repository.
        message = error.reason
        raise HubError(message, relink_command(path, worktree)) from None
    return []


@check("worktree-moved", "the directory was moved", fix=repair_link)
def check_moved(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    """Find the directory of a worktree at another path, or if git does not record the path."""
    is_lost = worktree.is_missing or not worktree.path
    paths = _current_paths(worktree, hub) if is_lost else []
    if not paths:
        return
    subject = worktree.path or worktree.git_dir
    occupied = _path_of_another(paths, hub)
    if occupied and worktree.path:
        evidence = f"it is in '{occupied}', the path of another worktree"
        advice = move_back_command(occupied, worktree)
        yield Problem(subject, evidence, advice=advice)
        return
    quoted = " or ".join(f"'{path}'" for path in paths)
    evidence = f"it is in {quoted}"
    others = [other for other in hub.worktrees if other.git_dir != worktree.git_dir]
    if len(paths) == 1 and can_repair(paths[0], worktree, others):
        yield Problem(subject, evidence, fix="record its path in git")
    else:
        yield Problem(subject, evidence, advice=relink_command(paths[0], worktree))


def _path_of_another(paths: Sequence[str], hub: HubSnapshot) -> str:
    """Return the path of a damaged worktree that is one of `paths`, or ''."""
    damaged = (other.path for other in hub.worktrees if other.link_error and other.path)
    return next((path for path in damaged if os.path.realpath(path) in paths), "")


def _current_paths(worktree: Worktree, hub: HubSnapshot) -> list[str]:
    """Return the paths at which the directory of a missing worktree was found.

    Search the expected and the recorded paths of the agent, the siblings of the old path, the paths of other
    worktrees and the directories of running processes. If all of these fail, search the paths
    to which the directory may have been moved together with the repository.
    """
    session = hub.owner(worktree)
    recorded = recorded_paths(session).values() if session else ()
    expected = [*expected_paths(worktree, hub.project), *recorded]
    candidates = [
        *expected,
        *(path for cwd in hub.read_processes().current_directories for path in _parents(cwd)),
    ]
    linked = [
        path
        for path in dict.fromkeys(candidates)
        if is_same_path(linked_git_dir(path), worktree.git_dir)
    ]
    paths = [*linked, *moved_paths(worktree, hub.worktrees)]
    if not paths and worktree.path:
        paths = [find_moved_with_repository(worktree, expected)]
    return sorted({os.path.realpath(path) for path in paths if path})


def _parents(path: str) -> Iterator[str]:
    """Yield the parents of an absolute path, and the path itself."""
    names = path.split("/")
    for length in range(2, len(names) + 1):
        yield "/".join(names[:length])


@check("worktree-missing", "the directory is missing", fix=finish_removal)
def check_missing(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    """Report a missing directory. Do not fix it if a cleanup would keep the worktree."""
    if not worktree.is_missing or worktree.lock_reason is not None:
        return
    evidence = "its directory is missing"
    if worktree.operation:
        evidence += f", in the middle of a {worktree.operation}"
    if is_parent_missing(worktree):
        evidence += ", and so is the parent directory: it was moved, or a disk is not mounted"
    if advice := _recreate_first_command(worktree, hub):
        yield Problem(worktree.path, evidence, advice=advice)
    elif is_parent_missing(worktree):
        sid = hub.session_by_git_dir[worktree.git_dir]
        force = f"git hub-session cleanup --force {sid}"
        advice = f"{unknown_location_hint(worktree)}; if it was deleted: {force}"
        yield Problem(worktree.path, evidence, advice=advice)
    else:
        fix = "save the staged changes and remove its administrative files"
        yield Problem(worktree.path, evidence, fix=fix)


def _recreate_first_command(worktree: Worktree, hub: HubSnapshot) -> str:
    """Return the command that must run before a missing worktree can be removed, or ''."""
    if worktree.operation or worktree.unsaved_operation or detached_reason(worktree):
        return repair_command(worktree)
    if worktree.head and not hub.project.repo.tip(worktree.head):
        return restore_branch_command(worktree) or repair_command(worktree)
    return ""


@worktree_damaged
def check_link(worktree: Worktree, _hub: HubSnapshot) -> Iterator[Problem]:
    # `--fix` does not repair it: git would write a .git file to any path that a git dir names,
    # and another program may have written that path.
    if worktree.link_error:
        path = worktree.path or worktree.git_dir
        yield Problem(path, worktree.link_error, advice=repair_command(worktree))


@worktree_damaged
def check_common_dir(worktree: Worktree, _hub: HubSnapshot) -> Iterator[Problem]:
    """Find a git dir that does not name its repository. No git command works in the worktree."""
    path = os.path.join(worktree.git_dir, "commondir")
    named = os.path.join(worktree.git_dir, read_text(path).strip())
    if not is_same_path(named, worktree.common_dir):
        evidence = "its git dir does not name the repository"
        advice = write_file_command("../..", path)
        yield Problem(worktree.path, evidence, advice=advice)


@check("index-damaged", "the index of a worktree cannot be read")
def check_index(worktree: Worktree, _hub: HubSnapshot) -> Iterator[Problem]:
    try:
        read_index(worktree.git_dir)
    except Damaged as error:
        path = os.path.join(worktree.git_dir, "index")
        reset = f"git -C {quote_word(worktree.path)} reset -q"
        advice = f"mv {quote_word(path)} {quote_word(f'{path}.damaged')} && {reset}"
        yield Problem(worktree.path, error.message, advice=advice)


@check("worktree-of-finished", "a worktree of a finished session")
def check_finished_session(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    session = hub.owner(worktree)
    if session is None or session.state not in FINISHED or _is_restored(worktree, session):
        return
    evidence = f"session '{session.id}' is '{session.state}'"
    commands = [f"git hub-session cleanup {session.id}"]
    reason = _off_branch_reason(worktree, hub)
    if reason:
        evidence += f", {reason}"
        commands.insert(0, _reattach_command(worktree, session, hub))
    yield Problem(worktree.path, evidence, advice=" && ".join(commands))


def _off_branch_reason(worktree: Worktree, hub: HubSnapshot) -> str:
    """Return why commits in the worktree are on no branch of its agent, or ''."""
    attempt = hub.off_branch.get(worktree.git_dir)
    return off_branch_reason(worktree, attempt.ref) if attempt else detached_reason(worktree)


def _is_restored(worktree: Worktree, session: Session) -> bool:
    """Return True if `restore` has recreated the worktree of the agent."""
    attempts = [*map(parse_agent_branch, worktree.branches), original_attempt(worktree)]
    agents = [agent_name(attempt.agent) for attempt in attempts if attempt is not None]
    return any(session.agent_record(agent).is_restored for agent in agents)


@off_branch
def check_branch(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    session = hub.owner(worktree)
    reason = _off_branch_reason(worktree, hub)
    if session is not None and reason and not hub.pids_in(worktree.path):
        yield Problem(worktree.path, reason, advice=_reattach_command(worktree, session, hub))


def _reattach_command(worktree: Worktree, session: Session, hub: HubSnapshot) -> str:
    """Return the command that puts HEAD on a branch of the agent and keeps all files."""
    if hub.open_error is not None:
        return f"git -C {quote_word(worktree.path)} status"
    if worktree.git_dir in hub.off_branch:
        return reattach_command(worktree, hub.off_branch[worktree.git_dir], hub.project)
    owners = detached_owner(worktree, {session.id: session}, hub.project)
    # HEAD can be unreadable in the middle of a rebase, whose branch is known.
    attempts = [owners.get(session.id), *map(parse_agent_branch, worktree.branches)]
    attempt = next(filter(None, attempts), AgentBranch(session.id, 1, 1))
    return reattach_command(worktree, attempt, hub.project)


WorktreeCheck = Callable[[Worktree, HubSnapshot], Iterator[Finding]]

LINK_CHECKS: Sequence[WorktreeCheck] = (
    check_interrupted_removal,
    check_removal_lock,
    check_head,
    check_moved,
    check_missing,
    check_link,
    check_common_dir,
    check_index,
)
BRANCH_CHECKS: Sequence[WorktreeCheck] = (check_finished_session, check_branch)


@check("lock-of-dead-process", "the process that locked the worktree has ended")
def check_lock_reason(worktree: Worktree) -> Iterator[Problem]:
    """Find a lock reason with the pid of an ended process."""
    match = _PID.search(worktree.lock_reason or "")
    if match and not procfs.is_alive(int(match[1])):
        evidence = f"locked: {worktree.lock_reason}; this process does not exist here"
        # No fix: the process may run on another machine, or in a container.
        advice = f"git worktree unlock {quote_word(worktree.path)}"
        yield Problem(worktree.path, evidence, advice=advice)


@leftover_file
def check_git_dir_files(worktree: Worktree) -> Iterator[Problem]:
    for name in leftover_files(worktree):
        path = f"{worktree.git_dir}/{name}"
        yield Problem(path, "a cleanup that was killed left it", fix="delete it")
