"""What can come back of a session: for each agent its last attempt, from where, to where, with which work.

What the session has of paths and refs only ever chooses among what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import (
    AgentBranch,
    agent_name,
    archive_prefix,
    branch_prefix,
    parse_agent_branch,
    rescue_number,
    rescue_prefix,
)
from git_hub_session.git.worktrees import Worktree
from git_hub_session.removal.journal import STEP_TRASH, is_marked_for_deletion, read_journal
from git_hub_session.removal.partial_add import find_partial
from git_hub_session.session.archived import session_archived_attempts
from git_hub_session.session.model import AgentRecord, Session
from git_hub_session.session.project import Project
from git_hub_session.session.state import AgentStatus
from git_hub_session.worktree.detached import occupied_reason, unusable_reason
from git_hub_session.worktree.locks import GIT_ADD_LOCK, RESTORE_LOCK
from git_hub_session.worktree.owner import session_worktrees
from git_hub_session.worktree.paths import can_create_at, worktree_path

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo


class RestoreOptions(NamedTuple):
    """What is to be restored."""

    agent: int = 0
    """0: every agent that has something to bring back."""
    template: str = ""


class UnappliedRescue(NamedTuple):
    """A rescue ref that is left as it is: 'work' made at another commit, or 'commits'."""

    ref: str
    kind: str


class RestoreItem(NamedTuple):
    """A worktree that comes back."""

    branch: AgentBranch
    path: str
    commit: str
    """The object id of the branch's tip."""
    tag: str = ""
    """The full ref of the tag that the branch is made from; '' where it is there."""
    work: str = ""
    """The rescue ref that is applied, or ''."""
    unapplied: tuple[UnappliedRescue, ...] = ()

    @property
    def agent(self) -> str:
        """ "agent-2"."""
        return agent_name(self.branch.agent)


class ExistingWorktree(NamedTuple):
    """A worktree that is there."""

    branch: AgentBranch
    worktree: Worktree


class RestoreFailure(NamedTuple):
    """A worktree that cannot be brought back, and why; nothing of it is left half-made."""

    branch: AgentBranch
    reason: str
    hint: str = ""


class RestoreResult(NamedTuple):
    """What a restore did, or would do."""

    session: Session
    made: tuple[RestoreItem, ...]
    present: tuple[ExistingWorktree, ...]
    failed: tuple[RestoreFailure, ...]
    notes: tuple[str, ...] = ()


def plan_restore(
    session: Session, project: Project, wish: RestoreOptions, worktrees: Sequence[Worktree]
) -> RestoreResult:
    """What is to become of each agent's last attempt, given the repository's `worktrees`; nothing is changed."""
    tips = _last_attempts(session, project.repo)
    if wish.agent and wish.agent not in tips:
        raise Refused(
            f"agent-{wish.agent} has neither a branch nor an archive tag",
            hint=f"git hub-session status {session.id}",
        )
    own = session_worktrees(session.id, project, worktrees)
    off = {ref: worktree for worktree, ref in own if not worktree.branches}
    made: list[RestoreItem] = []
    present: list[ExistingWorktree] = []
    failed: list[RestoreFailure] = []
    for number in [wish.agent] if wish.agent else sorted(tips):
        one = _plan_one(tips[number], session, project, wish, worktrees, off)
        if isinstance(one, RestoreItem):
            made.append(one)
        elif isinstance(one, ExistingWorktree):
            present.append(one)
        else:
            failed.append(one)
    return RestoreResult(session, tuple(made), tuple(present), tuple(failed))


def _last_attempts(session: Session, repo: GitRepo) -> dict[int, RestoreItem]:
    """{agent: its last attempt, from its branch or else its tag}; the path is not chosen yet."""
    tags = session_archived_attempts(session, repo.refs(archive_prefix(session.id)))
    tips = {branch: RestoreItem(branch, "", repo.tip(tag), tag) for branch, tag in tags.items()}
    for ref in repo.refs(branch_prefix(session.id)):
        branch = parse_agent_branch(ref)
        if branch is not None:
            tips[branch] = RestoreItem(branch, "", repo.tip(ref))
    return {branch.agent: tips[branch] for branch in sorted(tips) if tips[branch].commit}


def _plan_one(
    one: RestoreItem,
    session: Session,
    project: Project,
    wish: RestoreOptions,
    worktrees: Sequence[Worktree],
    off: Mapping[str, Worktree],
) -> RestoreItem | ExistingWorktree | RestoreFailure:
    """What is to become of an agent's last attempt; `off` has worktrees that were taken off their branches."""
    branch, known = one.branch, session.agent_record(one.agent)
    path = worktree_path(wish.template, project.paths, branch)
    found = find_partial(branch, path, worktrees, RESTORE_LOCK) or off.get(branch.ref)
    cut_off = known.status == AgentStatus.RESTORING and known.attempt == branch.attempt
    if found is not None:
        if not (cut_off and is_partial_restore(found)) and not is_marked_for_deletion(found):
            return _existing(branch, found, session, project)
        path = found.path
    elif not can_create_at(path):
        return RestoreFailure(branch, *occupied_reason(path, branch, worktrees, project))
    work, unapplied = _choose_rescue(branch, one.commit, known, project.repo)
    return one._replace(path=path, work=work, unapplied=unapplied)


def is_partial_restore(worktree: Worktree) -> bool:
    """Whether a worktree that a restore was making is not whole."""
    # git takes the lock away where it fails, and has written no index then.
    return worktree.lock_reason == RESTORE_LOCK or not (
        worktree.lock_reason or worktree.index_mtime_ns
    )


def _existing(
    branch: AgentBranch, found: Worktree, session: Session, project: Project
) -> ExistingWorktree | RestoreFailure:
    """A worktree that is not to be made: there, or in the way of it."""
    if found.lock_reason == GIT_ADD_LOCK:
        hint = f"git hub-session spawn {session.id}"
        return RestoreFailure(branch, f"'{found.path}' is half-made by git", hint)
    if found.is_missing and read_journal(found).step != STEP_TRASH:
        hint = f"git hub-session cleanup {session.id}"
        return RestoreFailure(
            branch, f"its worktree '{found.path}' is missing, but registered", hint
        )
    wrong = None if found.is_missing else unusable_reason(found, branch, project)
    return RestoreFailure(branch, *wrong) if wrong else ExistingWorktree(branch, found)


def _choose_rescue(
    branch: AgentBranch, commit: str, known: AgentRecord, repo: GitRepo
) -> tuple[str, tuple[UnappliedRescue, ...]]:
    """The rescue ref that is to be applied at `commit` ('' if none is), and those that are only named.

    The work is that which the last cleanup says the worktree left; where it does not say, the
    newest at `commit`. Older work was brought back before, or given up.
    """
    prefix = rescue_prefix(branch.session, branch.ref)
    numbers = {ref: rescue_number(ref, prefix) for ref in repo.refs(prefix)}
    numbered = [(number, ref) for ref, number in numbers.items() if number is not None]
    refs = [ref for _, ref in sorted(numbered, reverse=True)]
    stashes = {ref: stash[0] for ref in refs if (stash := repo.find_stash(ref))}
    attempt, left = f"attempt-{branch.attempt}", known.work
    meant = [*stashes]
    if attempt in left:
        meant = [ref for ref in stashes if ref == left[attempt]]
    work = next((ref for ref in meant if stashes[ref] == commit), "")
    unapplied = [UnappliedRescue(ref, "work") for ref in meant[:1] if ref != work]
    commits = {ref: repo.tip(ref) for ref in refs if ref not in stashes}
    unapplied += [
        UnappliedRescue(ref, "commits")
        for ref, oid in commits.items()
        if oid and repo.ahead_behind(oid, commit)[0]
    ]
    return work, tuple(unapplied)
