"""Plan an adopt: the commit, the worktree and the number of the agent's next attempt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import NoWorktree, OffBranch, Refused, WrongState
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    agent_name,
    parse_agent_branch,
    short_name,
)
from git_hub_session.git.worktrees import linked_git_dir
from git_hub_session.session.agents import accepts_agents
from git_hub_session.session.attempts import archived_agents, attempts_by_agent
from git_hub_session.session.model import Session
from git_hub_session.session.state import FINISHED, NEW_SESSION_HINT, AgentStatus, State
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.branches_in_use import branches_in_use
from git_hub_session.worktree.locks import RESTORE_LOCK
from git_hub_session.worktree.off_branch import (
    has_detached_commits,
    has_other_branch,
    off_branch_command,
    off_branch_reason,
)
from git_hub_session.worktree.owner import (
    attempt_worktrees,
    detached_owner,
    finished_owner,
    off_branch_attempts,
)
from git_hub_session.worktree.reattach import next_free_attempt
from git_hub_session.worktree.repair_commands import relink_command, repair_command

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project


class AdoptOptions(NamedTuple):
    """The agent, and the work to adopt."""

    agent: int
    source: str = ""
    """A branch, a commit or the path of a worktree; '': the agent's worktree."""
    force: bool = False
    """Adopt even if another program has marked the agent as running."""


class AdoptSource(NamedTuple):
    """The work to adopt."""

    commit: str
    """The object id of the commit, or '' if the branch has no commit yet."""
    name: str
    """The short name of the branch, or the object id of the commit."""
    worktree: Worktree | None
    """The linked worktree that has the work checked out, or None."""


class AdoptPlan(NamedTuple):
    """The attempt to record, and the changes that it needs."""

    session: Session
    branch: AgentBranch
    source: AdoptSource
    has_branch: bool
    """True if the branch of the attempt exists at the commit."""
    state: State
    """The state of the session after the adopt."""

    @property
    def path(self) -> str:
        """The path of the attempt's worktree, or '' if it has no complete worktree."""
        return self.source.worktree.path if self.source.worktree else ""

    @property
    def is_recorded(self) -> bool:
        """True if state.json has the attempt and its worktree."""
        record = self.session.agent_record(agent_name(self.branch.agent))
        has_path = not self.path or is_same_path(record.worktree, self.path)
        has_state = self.session.state == self.state
        return has_state and has_path and record.attempt == self.branch.attempt

    @property
    def is_complete(self) -> bool:
        """True if there is nothing to change."""
        worktree = self.source.worktree
        is_on_branch = worktree is not None and worktree.head == self.branch.ref
        return self.has_branch and is_on_branch and self.is_recorded


def plan_adopt(
    session: Session, project: Project, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> AdoptPlan:
    """Return the attempt to record. Change nothing.

    Raises:
        NoSuchCommit: the source is neither a branch nor a worktree nor a commit.
        Refused: the session, the worktree or the owner of the work forbids it.
    """
    _refuse_state(session, project, options, worktrees)
    source = _find_source(session, project, options, worktrees)
    if options.source:
        _refuse_lost_work(source, session, options, worktrees)
    if source.worktree is not None:
        _refuse_unusable(source, session, project, options, worktrees)
    branch, has_branch = _choose_attempt(session, project, options, source)
    if source.worktree is None and has_branch:
        source = source._replace(worktree=_find_complete(branch, session, worktrees))
    state = State.RUNNING if session.state is State.INIT else session.state
    return AdoptPlan(session, branch, source, has_branch, state)


def _find_complete(
    branch: AgentBranch, session: Session, worktrees: Sequence[Worktree]
) -> Worktree | None:
    """Return the worktree of the attempt, or None if it has none or an interrupted call left it."""
    worktree = _find_checkout(branch.ref, worktrees)
    if worktree is None or worktree.is_missing or worktree.lock_reason == RESTORE_LOCK:
        return None
    fields = session.attempt_fields(agent_name(branch.agent), branch.attempt)
    return None if fields.get("status") == AgentStatus.RESTORING else worktree


def _refuse_state(
    session: Session, project: Project, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> None:
    """Raise WrongState if the session accepts no more attempts of the agent.

    A finished session accepts only the work that the agent left in its worktree: nothing else would
    keep this work with the session.
    """
    repo, agent = project.repo, options.agent
    if session.state in FINISHED:
        owned = _owned_worktrees(session, project, options, worktrees)
        is_accepted = not options.source and bool(_left_worktrees(owned, project))
    else:
        has_attempts = agent in attempts_by_agent(session.id, repo) or agent in archived_agents(
            session.id, repo
        )
        has_record = bool(session.agent_record(agent_name(agent)).attempt)
        is_accepted = has_attempts or has_record or accepts_agents(session, repo)
    if not is_accepted:
        raise WrongState(
            f"session '{session.id}' is '{session.state}': it accepts no more attempts",
            hint=NEW_SESSION_HINT,
        )


def _find_source(
    session: Session, project: Project, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> AdoptSource:
    text = options.source
    if not text:
        return _from_worktree(_agent_worktree(session, project, options, worktrees), project)
    ref = HEADS + text.removeprefix(HEADS)
    worktree = _find_checkout(ref, worktrees)
    commit = project.repo.tip(ref)
    if commit or worktree is not None:
        _refuse_other_agent(parse_agent_branch(ref), session, options, f"'{short_name(ref)}'")
        return AdoptSource(commit, short_name(ref), worktree)
    path = os.path.join(project.cwd, text)
    worktree = next((other for other in worktrees if is_same_path(other.path, path)), None)
    if worktree is not None:
        return _from_worktree(worktree, project)
    if is_same_path(project.paths.main_worktree, path):
        raise Refused(
            "the main worktree cannot be an agent's worktree",
            hint=_hint(session, options, "<branch>"),
        )
    if os.path.isdir(path):
        _refuse_moved_worktree(path, worktrees)
        raise Refused(f"'{text}' is not a worktree of this repository", hint="git worktree list")
    commit = project.git.resolve_commit(text, project.paths.git_dir)
    return AdoptSource(commit, commit, None)


def _refuse_moved_worktree(path: str, worktrees: Sequence[Worktree]) -> None:
    """Raise Refused if `path` is the directory of a worktree that git expects at another path."""
    git_dir = linked_git_dir(path)
    for worktree in worktrees:
        if worktree.is_missing and git_dir and is_same_path(git_dir, worktree.git_dir):
            place = os.path.realpath(path)
            message = f"'{place}' was moved from '{worktree.path}'"
            raise Refused(message, hint=relink_command(place, worktree))


def _hint(session: Session, options: AdoptOptions, source: str) -> str:
    return f"git hub-session adopt {session.id} {agent_name(options.agent)} {source}"


def _agent_worktree(
    session: Session, project: Project, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> Worktree:
    """Return the agent's last worktree that left its branch, or else the agent's last worktree."""
    owned = _owned_worktrees(session, project, options, worktrees)
    if not owned:
        raise NoWorktree(
            f"{agent_name(options.agent)} has no worktree",
            hint=_hint(session, options, "<branch>"),
        )
    return (_left_worktrees(owned, project) or [*owned.values()])[-1]


def _owned_worktrees(
    session: Session, project: Project, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> dict[AgentBranch, Worktree]:
    """Return the worktree of each attempt of the agent that has one."""
    owned = attempt_worktrees(session.id, project, worktrees)
    return {branch: owned[branch] for branch in owned if branch.agent == options.agent}


def _left_worktrees(owned: Mapping[AgentBranch, Worktree], project: Project) -> list[Worktree]:
    """Return the worktrees whose work is not on the branch of the attempt."""
    return [
        worktree
        for branch, worktree in owned.items()
        if has_other_branch(worktree, branch.ref)
        or has_detached_commits(worktree, branch.ref, project)
    ]


def _from_worktree(worktree: Worktree, project: Project) -> AdoptSource:
    if not worktree.head:
        return AdoptSource(worktree.detached, worktree.detached, worktree)
    return AdoptSource(project.repo.tip(worktree.head), short_name(worktree.head), worktree)


def _find_checkout(ref: str, worktrees: Sequence[Worktree]) -> Worktree | None:
    """Return the linked worktree that uses the branch, or None."""
    return next((worktree for worktree in worktrees if ref in worktree.reserved_branches), None)


def _refuse_lost_work(
    source: AdoptSource, session: Session, options: AdoptOptions, worktrees: Sequence[Worktree]
) -> None:
    """Raise Refused if the agent has other work off its branch, which no record would name then."""
    adopted = source.worktree.git_dir if source.worktree else ""
    for git_dir, attempt in off_branch_attempts([session], worktrees).items():
        if attempt.agent == options.agent and git_dir != adopted:
            [worktree] = [other for other in worktrees if other.git_dir == git_dir]
            raise OffBranch(
                f"'{worktree.path}': {off_branch_reason(worktree, attempt.ref)}",
                hint=off_branch_command(worktree, attempt),
            )


def _refuse_unusable(
    source: AdoptSource,
    session: Session,
    project: Project,
    options: AdoptOptions,
    worktrees: Sequence[Worktree],
) -> None:
    """Raise Refused if HEAD of the worktree must not be moved to the branch of the attempt."""
    worktree = source.worktree
    assert worktree is not None
    path, git = worktree.path, f"git -C {quote_word(worktree.path)}"
    for owner in _owners(worktree, session, project, worktrees):
        _refuse_other_agent(owner, session, options, f"'{path}'")
    if worktree.is_missing or worktree.link_error:
        error = "its directory is missing" if worktree.is_missing else worktree.link_error
        raise Refused(f"'{path}': {error}", hint=repair_command(worktree))
    if worktree.lock_reason is not None:
        reason = f": {worktree.lock_reason}" if worktree.lock_reason else ""
        raise Refused(f"'{path}' is locked{reason}", hint=f"git worktree unlock {quote_word(path)}")
    if worktree.operation:
        raise Refused(f"'{path}' is in the middle of a {worktree.operation}", f"{git} status")
    if worktree.is_index_locked:
        lock = quote_word(f"{worktree.git_dir}/index.lock")
        raise Refused(
            f"'{path}': the index is locked: a git command is running or was killed",
            hint=f"wait for the git command, or delete {lock}",
        )
    if not source.commit:
        raise Refused(f"'{path}': HEAD points to no commit", hint=f"{git} commit")


def _owners(
    worktree: Worktree, session: Session, project: Project, worktrees: Sequence[Worktree]
) -> list[AgentBranch | None]:
    """Return the attempts to which the worktree belongs now.

    A worktree of a finished session belongs to its agent too: the discard of another session must
    not delete the agent's uncommitted changes.
    """
    readable = [entry for entry in project.store.read_all() if isinstance(entry, Session)]
    off_branch = off_branch_attempts(readable, worktrees).get(worktree.git_dir)
    owners = [off_branch, finished_owner(worktree, readable)]
    if worktree.branches:
        return [*owners, *map(parse_agent_branch, worktree.branches)]
    return [
        *owners,
        *detached_owner(worktree, {each.id: each for each in readable}, project).values(),
    ]


def _refuse_other_agent(
    owner: AgentBranch | None, session: Session, options: AdoptOptions, subject: str
) -> None:
    if owner is not None and owner[:2] != (session.id, options.agent):
        raise Refused(
            f"{subject} belongs to {agent_name(owner.agent)} of session '{owner.session}'",
            hint=_hint(session, options, "<commit>"),
        )


def _choose_attempt(
    session: Session, project: Project, options: AdoptOptions, source: AdoptSource
) -> tuple[AgentBranch, bool]:
    """Return the attempt to record, and True if its branch exists.

    An adopt that was killed has created the branch of the attempt, but has not recorded it.
    """
    recorded = session.agent_record(agent_name(options.agent)).attempt
    attempts = attempts_by_agent(session.id, project.repo).get(options.agent, [])
    last = AgentBranch(session.id, options.agent, max(attempts, default=0))
    head = source.worktree.head if source.worktree else ""
    if head == last.ref:
        return last, True
    if last.attempt and project.repo.tip(last.ref) == source.commit:
        is_unrecorded = last.attempt > recorded and last.ref not in branches_in_use(project.paths)
        if is_unrecorded or source.worktree is None:
            return last, True
    return next_free_attempt(last._replace(attempt=recorded), project), False
