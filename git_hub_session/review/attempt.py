"""Find the attempt that the user names: its commit, its ref and its worktree."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, NoWorktree
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    SessionId,
    agent_name,
    attempt_name,
)
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session.agents import (
    comparison_base,
    find_base_commit,
    missing_agents_hint,
    require_agent,
)
from git_hub_session.session.attempts import (
    archived_agents,
    attempt_refs,
    attempts_by_agent,
    lost_reason,
)
from git_hub_session.session.state import State
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.reattach import find_off_branch
from git_hub_session.worktree.repair_commands import repair_command

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree without files. git knows it in each repository."""


class Attempt(NamedTuple):
    """One attempt with commits."""

    branch: AgentBranch
    ref: str
    """The full ref that keeps the attempt: its branch, an archive, or the branch with its merge."""
    commit: str

    @property
    def name(self) -> str:
        """The name of the attempt, such as "agent-2/attempt-1"."""
        return attempt_name(self.branch)


def find_attempt(number: int, attempt: int, session: Session, project: Project) -> Attempt:
    """Return an attempt that has a branch, is archived or is merged.

    Args:
        number: the number of the agent.
        attempt: the number of the attempt, or 0 for the last one.

    Raises:
        NoSuchAgent: the session does not have the agent.
        HubError: no ref keeps the attempt, or its commit is missing.
    """
    repo = project.repo
    refs = attempt_refs(session, repo)
    branches = [
        branch for branch in refs if branch.agent == number and attempt in (0, branch.attempt)
    ]
    if not branches:
        merged = merged_attempt(session, repo)
        if merged and merged.branch.agent == number and attempt in (0, merged.branch.attempt):
            return merged
        raise _no_commits_error(number, attempt, session, project)
    branch = max(branches)
    commit = repo.tip(refs[branch])
    if not commit:
        raise HubError(
            f"the commit of {attempt_name(branch)} is missing",
            hint=f"git hub-session doctor {session.id}",
        )
    return Attempt(branch, refs[branch], commit)


def merged_attempt(session: Session, repo: GitRepo) -> Attempt | None:
    """Return the attempt that a finished session has merged, also without its branch, or None."""
    merge = session.merge
    if merge is None or session.state is not State.MERGED or not repo.has_commit(merge.tip):
        return None
    branch = AgentBranch(session.id, merge.agent, merge.attempt)
    return Attempt(branch, HEADS + merge.into, merge.tip)


def _no_commits_error(number: int, attempt: int, session: Session, project: Project) -> HubError:
    require_agent(number, session)
    last = session.agent_record(agent_name(number)).attempt
    branch = AgentBranch(session.id, number, attempt or last)
    for work in find_off_branch(session, project, linked_worktrees(project.paths.common_dir)):
        if work.branch == branch:
            name = f"{attempt_name(branch)} of session '{session.id}'"
            return HubError(f"{name}: {work.reason}", work.hint)
    lost = lost_reason(branch, session, project.repo)
    if lost and 0 < branch.attempt <= last:
        return HubError(f"{attempt_name(branch)} of session '{session.id}': {lost[0]}", lost[1])
    return HubError(
        f"{_name(session.id, number, attempt)} of session '{session.id}' has no commits",
        hint=f"git hub-session status {session.id}",
    )


def _name(sid: SessionId, number: int, attempt: int) -> str:
    branch = AgentBranch(sid, number, attempt)
    return attempt_name(branch) if attempt else agent_name(number)


def find_start(attempt: Attempt, session: Session, project: Project) -> str:
    """Return the commit that the attempt is compared with, or the empty tree.

    That is the merge base with the base branch. If the base branch contains the attempt, it is the
    commit from which the attempt started.
    """
    repo = project.repo
    base = comparison_base(session, repo)
    start = repo.find_merge_base(attempt.commit, base) if base else ""
    if start == attempt.commit:
        base = find_base_commit(session, repo, attempt.branch)
        start = repo.find_merge_base(attempt.commit, base) if base else ""
    return start or EMPTY_TREE


def find_worktree(
    number: int, attempt: int, sid: SessionId, project: Project
) -> tuple[AgentBranch, Worktree]:
    """Return the worktree of an attempt with a directory, and the attempt.

    Args:
        number: the number of the agent.
        attempt: the number of the attempt, or 0 for the last one that has a worktree.

    Raises:
        NoSuchAgent: the session does not have the agent.
        NoWorktree: the attempt, or the agent, has no worktree.
        HubError: the directory of the worktree is not linked to the repository.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    owned = attempt_worktrees(sid, project, worktrees)
    found = [
        pair
        for pair in owned.items()
        if pair[0].agent == number and attempt in (0, pair[0].attempt)
    ]
    if not found:
        session = project.store.read(sid)
        require_agent(number, session)
        name = _name(sid, number, attempt)
        hint = _restore_hint(session, number, attempt, project)
        raise NoWorktree(f"{name} of session '{sid}' has no worktree", hint=hint)
    branch, worktree = found[-1]
    # A directory without a valid link may belong to another repository.
    if worktree.link_error:
        raise HubError(f"'{worktree.path}': {worktree.link_error}", hint=repair_command(worktree))
    return branch, worktree


def _restore_hint(session: Session, number: int, attempt: int, project: Project) -> str:
    """Return the command that creates the worktree of an attempt, or of the agent if it is 0."""
    branch = AgentBranch(session.id, number, attempt)
    if attempt and branch not in attempt_refs(session, project.repo):
        return f"git hub-session status {session.id}"  # it lists the attempts
    name = _name(session.id, number, attempt)
    known = {
        *attempts_by_agent(session.id, project.repo),
        *archived_agents(session.id, project.repo),
    }
    if number in known and session.state is not State.INIT:
        return f"git hub-session restore {session.id} --agent {name}"
    return missing_agents_hint(session, project.repo)
