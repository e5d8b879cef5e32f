"""Plan a restore: the attempts, and the path, the commit and the saved work of each.

Paths and refs that state.json records are only used to choose among existing refs and worktrees.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, NoBranch
from git_hub_session.git.ref_names import (
    AgentBranch,
    agent_name,
    attempt_name,
    branch_prefix,
    parse_agent_branch,
    rescue_number,
    rescue_prefix,
)
from git_hub_session.removal.journal import STEP_TRASH, is_marked_for_deletion, read_journal
from git_hub_session.removal.partial_add import find_partial
from git_hub_session.session.attempts import (
    archived_refs,
    ranked_attempt,
    session_archived_attempts,
)
from git_hub_session.session.state import AgentStatus
from git_hub_session.worktree.locks import GIT_ADD_LOCK, RESTORE_LOCK
from git_hub_session.worktree.owner import session_worktrees
from git_hub_session.worktree.paths import can_create_at, worktree_path
from git_hub_session.worktree.reattach import occupied_reason, unusable_reason, unwritable_reason
from git_hub_session.worktree.repair_commands import unregister_command

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import AgentRecord, Session
    from git_hub_session.session.project import Project

_FIND_COMMAND = "git fsck --no-reflogs --lost-found"


class RestoreOptions(NamedTuple):
    """The agents to restore, and the paths of their worktrees."""

    agent: int = 0
    """The number of one agent, or 0 for all agents."""
    template: str = ""
    """The template for the paths."""
    attempt: int = 0
    """The attempt of the agent, or 0 for its last one."""


class UnappliedRescue(NamedTuple):
    """A rescue ref that the restore does not apply."""

    ref: str
    kind: str
    """'work' for uncommitted changes that were saved at another commit, or 'commits'."""


class RestoreItem(NamedTuple):
    """A worktree to restore."""

    branch: AgentBranch
    path: str
    commit: str
    """The object id of the branch's tip."""
    archive: str = ""
    """The tag or the archive ref to recreate the branch from, or '' if the branch exists."""
    work: str = ""
    """The rescue ref to apply, or ''."""
    unapplied: tuple[UnappliedRescue, ...] = ()
    is_earlier: bool = False
    """True if the agent has a later attempt with a branch or an archive tag."""

    @property
    def agent(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.branch.agent)


class ExistingWorktree(NamedTuple):
    """A worktree that need not be restored."""

    branch: AgentBranch
    worktree: Worktree


class RestoreFailure(NamedTuple):
    """A worktree that cannot be restored. No part of it is created, or it is removed again."""

    branch: AgentBranch
    reason: str
    hint: str = ""


class RestoreResult(NamedTuple):
    """The result or the plan of a restore."""

    session: Session
    restored: tuple[RestoreItem, ...]
    """The worktrees to restore, or the restored worktrees."""
    present: tuple[ExistingWorktree, ...]
    failed: tuple[RestoreFailure, ...]
    notes: tuple[str, ...] = ()
    hook_errors: tuple[str, ...] = ()
    """The errors of the hooks of restored worktrees. The worktrees are complete."""


def plan_restore(
    session: Session, project: Project, options: RestoreOptions, worktrees: Sequence[Worktree]
) -> RestoreResult:
    """Return what to do with the requested attempt.

    Without a requested agent, return what to do with the last attempt of each agent, and with the
    attempt that the last evaluation ranked.

    Args:
        worktrees: all linked worktrees of the repository.

    Raises:
        Refused: the requested attempt has neither a branch nor an archive tag.
    """
    own = session_worktrees(session.id, project, worktrees)
    off_branch = {ref: worktree for worktree, ref in own if ref not in worktree.branches}
    restored: list[RestoreItem] = []
    present: list[ExistingWorktree] = []
    failed: list[RestoreFailure] = []
    for item in _select_attempts(session, project.repo, options):
        plan = _plan_one(
            item, session, project, options, worktrees=worktrees, off_branch=off_branch
        )
        if isinstance(plan, RestoreItem):
            restored.append(plan)
        elif isinstance(plan, ExistingWorktree):
            present.append(plan)
        else:
            failed.append(plan)
    notes = tuple(filter(None, (_missing_work(item, session, project.repo) for item in restored)))
    return RestoreResult(session, tuple(restored), tuple(present), tuple(failed), notes)


def _missing_work(item: RestoreItem, session: Session, repo: GitRepo) -> str:
    """Return a warning if the rescue ref of the last saved work was deleted, or ''.

    `git fetch --prune` in a mirror deletes it.
    """
    attempt = f"attempt-{item.branch.attempt}"
    recorded = session.agent_record(item.agent).work.get(attempt) or ""
    is_own = recorded.startswith(rescue_prefix(session.id, item.branch.ref))
    if not is_own or repo.find_ref_target(recorded):
        return ""
    return (
        f"{item.agent}: its saved changes are not restored, because '{recorded}' was deleted "
        f"(find them: {_FIND_COMMAND})"
    )


def _select_attempts(session: Session, repo: GitRepo, options: RestoreOptions) -> list[RestoreItem]:
    """Return the attempts to restore, without paths. See `plan_restore`."""
    items = _find_attempts(session, repo)
    last = {branch.agent: branch.attempt for branch in items}
    if options.agent:
        attempt = options.attempt or last.get(options.agent, 0)
        branch = AgentBranch(session.id, options.agent, attempt)
        selected = {branch}
        if branch not in items:
            name = attempt_name(branch) if options.attempt else agent_name(options.agent)
            raise NoBranch(
                f"{name} has neither a branch nor an archive tag",
                hint=f"git hub-session status {session.id}",
            )
    else:
        selected = {AgentBranch(session.id, *pair) for pair in last.items()}
        selected |= {
            AgentBranch(session.id, agent, ranked_attempt(session, agent, attempt))
            for agent, attempt in last.items()
        }
    return [
        item._replace(is_earlier=branch.attempt < last[branch.agent])
        for branch, item in items.items()
        if branch in selected
    ]


def _find_attempts(session: Session, repo: GitRepo) -> dict[AgentBranch, RestoreItem]:
    """Return the sorted attempts that have a branch, an archive tag or an archive ref.

    The items have no paths yet. If an attempt has a branch, its archive is ignored.
    """
    archived = archived_refs(session.id, repo)
    attempts = session_archived_attempts(session, archived)
    items = {
        branch: RestoreItem(branch, "", archived[ref], ref) for branch, ref in attempts.items()
    }
    for ref in repo.refs(branch_prefix(session.id)):
        branch = parse_agent_branch(ref)
        if branch is not None:
            items[branch] = RestoreItem(branch, "", repo.tip(ref))
    return {branch: items[branch] for branch in sorted(items) if items[branch].commit}


def _plan_one(
    item: RestoreItem,
    session: Session,
    project: Project,
    options: RestoreOptions,
    *,
    worktrees: Sequence[Worktree],
    off_branch: Mapping[str, Worktree],
) -> RestoreItem | ExistingWorktree | RestoreFailure:
    """Return what to do with an attempt.

    Args:
        off_branch: the session's worktrees with a detached HEAD or another branch checked out, by
            the full ref of their own branch.
    """
    branch = item.branch
    record = session.agent_record(item.agent)
    path = worktree_path(options.template, project.paths, branch)
    worktree = find_partial(branch, path, worktrees, RESTORE_LOCK) or off_branch.get(branch.ref)
    if worktree is not None:
        is_partial = is_restoring(session, branch) and is_partial_restore(worktree)
        if not is_partial and not is_marked_for_deletion(worktree):
            return _check_existing(branch, worktree, session, project)
        path = worktree.path
    elif not can_create_at(path):
        return RestoreFailure(branch, *occupied_reason(path, branch, worktrees, project))
    else:
        new_ref = branch.ref if item.archive else ""
        unwritable = unwritable_reason(path, project.paths.common_dir, new_ref)
        if unwritable:
            return RestoreFailure(branch, *unwritable)
    unreadable = _unreadable_rescue(branch, record, project)
    if unreadable:
        reason = f"cannot read the saved work '{unreadable}': an object is missing"
        return RestoreFailure(branch, reason, f"git hub-session doctor {session.id}")
    work, unapplied = _choose_rescue(branch, item.commit, record, project.repo)
    return item._replace(path=path, work=work, unapplied=unapplied)


def is_restoring(session: Session, branch: AgentBranch) -> bool:
    """Return True if state.json marks the attempt as "restoring"."""
    name = agent_name(branch.agent)
    fields = session.attempt_fields(name, branch.attempt)
    is_recorded = branch.attempt <= session.agent_record(name).attempt
    return is_recorded and fields.get("status") == AgentStatus.RESTORING


def is_partial_restore(worktree: Worktree) -> bool:
    """Return True if an interrupted restore has not finished the worktree."""
    if worktree.lock_reason == RESTORE_LOCK:
        return True
    # If `git worktree add` fails, it has removed the lock, but has not written an index.
    return not (worktree.lock_reason or worktree.index_mtime_ns)


def _check_existing(
    branch: AgentBranch, worktree: Worktree, session: Session, project: Project
) -> ExistingWorktree | RestoreFailure:
    """Return the worktree if it is usable, or the reason that it blocks the restore."""
    if worktree.lock_reason == GIT_ADD_LOCK:
        hint = f"git hub-session spawn {session.id}"
        incomplete = f"'{worktree.path}' is incomplete: 'git worktree add' was interrupted"
        return RestoreFailure(branch, incomplete, hint)
    if worktree.is_missing:
        if read_journal(worktree).step == STEP_TRASH:
            return ExistingWorktree(branch, worktree)
        hint = unregister_command(worktree, session.id)
        missing = f"its worktree '{worktree.path}' is missing, but registered"
        return RestoreFailure(branch, missing, hint)
    reason, hint = unusable_reason(worktree, branch, project) or ("", "")
    if reason:
        return RestoreFailure(branch, f"'{worktree.path}': {reason}", hint)
    return ExistingWorktree(branch, worktree)


def _choose_rescue(
    branch: AgentBranch, commit: str, record: AgentRecord, repo: GitRepo
) -> tuple[str, tuple[UnappliedRescue, ...]]:
    """Return the rescue ref to apply at `commit`, or '', and the rescue refs only to report.

    If state.json records the work that the last cleanup saved, apply only that work. Without
    a record, apply the newest work that was saved at `commit`. Older work was restored before, or
    given up.
    """
    refs = _rescue_refs(branch, repo)
    stashes = {ref: stash[0] for ref in refs if (stash := _find_stash(ref, repo))}
    attempt = f"attempt-{branch.attempt}"
    last_work = [*stashes]
    if attempt in record.work:
        last_work = [ref for ref in stashes if ref == record.work[attempt]]
    work = next((ref for ref in last_work if stashes[ref] == commit), "")
    unapplied = [UnappliedRescue(ref, "work") for ref in last_work[:1] if ref != work]
    for ref in refs:
        if ref not in stashes and _has_more_commits(ref, commit, repo):
            unapplied.append(UnappliedRescue(ref, "commits"))
    return work, tuple(unapplied)


def _unreadable_rescue(branch: AgentBranch, record: AgentRecord, project: Project) -> str:
    """Return a rescue ref that the restore may need, and that cannot be read, or ''.

    If state.json records the work, the restore needs only that ref. git does not list a ref whose
    file is truncated.
    """
    refs = _rescue_refs(branch, project.repo)
    attempt = f"attempt-{branch.attempt}"
    if attempt in record.work:
        recorded = record.work[attempt] or ""
        is_own = recorded.startswith(rescue_prefix(branch.session, branch.ref))
        exists = is_own and os.path.lexists(os.path.join(project.paths.common_dir, recorded))
        refs = [recorded] if recorded in refs or exists else []
    return next((ref for ref in refs if not _is_readable(ref, project.repo)), "")


def _is_readable(ref: str, repo: GitRepo) -> bool:
    """Return True if the object of the ref exists and, if it is a stash, its commits and trees."""
    try:
        stash = repo.find_stash(ref)
    except HubError:
        return False
    if stash:
        return all(repo.has_object(oid) for oid in filter(None, stash))
    return repo.has_object(repo.find_ref_target(ref))


def _find_stash(ref: str, repo: GitRepo) -> tuple[str, ...]:
    """Return the parts of a stash, or () if `ref` is no stash or cannot be read."""
    try:
        return repo.find_stash(ref)
    except HubError:
        return ()


def _rescue_refs(branch: AgentBranch, repo: GitRepo) -> list[str]:
    """Return the rescue refs of the branch, the newest first."""
    prefix = rescue_prefix(branch.session, branch.ref)
    numbers = {ref: rescue_number(ref, prefix) for ref in repo.refs(prefix)}
    numbered = [(number, ref) for ref, number in numbers.items() if number is not None]
    return [ref for _, ref in sorted(numbered, reverse=True)]


def _has_more_commits(ref: str, commit: str, repo: GitRepo) -> bool:
    tip = repo.tip(ref)
    return bool(tip) and repo.ahead_behind(tip, commit)[0] > 0
