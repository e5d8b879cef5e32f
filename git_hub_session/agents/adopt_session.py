"""Plan a session that records the refs and worktrees of a lost session.

A lost session has refs or worktrees, but no directory in the hub. The new session is created in one
step, with all of its agents: after a kill, it is complete, or does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import (
    HEADS,
    LIST_BRANCHES_COMMAND,
    AgentBranch,
    SessionId,
    agent_name,
    branch_of_rescue,
    branch_prefix,
    parse_agent_branch,
    rescue_prefix,
)
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.attempts import (
    archived_refs,
    newest_archive_refs,
    session_archived_attempts,
)
from git_hub_session.session.create import unrecorded_names
from git_hub_session.session.model import MAX_AGENTS, Config, Session
from git_hub_session.session.record import (
    attempt_change,
    with_agents,
    with_rescues,
    with_transition,
)
from git_hub_session.session.state import AgentStatus, State, new_state_document
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree import git_settings
from git_hub_session.worktree.owner import attempt_worktrees

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project


class AdoptedSession(NamedTuple):
    """The agents and the state of a session whose directory is missing."""

    agents: tuple[str, ...]
    """The names of the agents, such as "agent-1"."""
    agent_count: int
    """The largest number of an agent, or 0."""
    state: Mapping[str, Any]
    """The keys of state.json."""


def plan_adopted_session(
    sid: SessionId, values: Mapping[str, str], project: Project
) -> AdoptedSession:
    """Return the agents with their attempts, worktrees and saved work. Change nothing.

    Args:
        values: the values of config.yaml.

    Raises:
        Refused: the repository has neither a ref nor a worktree of the session.
    """
    if not unrecorded_names(sid, project.paths.common_dir):
        raise Refused(
            f"nothing to adopt: the repository has no branch, tag or worktree of session '{sid}'",
            hint=LIST_BRANCHES_COMMAND,
        )
    attempts = _find_attempts(sid, values, project)
    session = _new_session(sid, values, attempts, project)
    rescues = group_by_agent(
        sid, ((branch_of_rescue(ref), [ref]) for ref in _rescues(sid, project))
    )
    at = format_iso(project.now())
    session = with_rescues(session, rescues, at=at)
    if attempts:
        settings = git_settings.read_settings(project.paths.common_dir)
        base = _find_base(session, attempts, project.repo)
        document = {**session.document, "base_commit": base, git_settings.KEY: settings}
        session = session._replace(document=document)
        session = with_transition(session, State.RUNNING, at=at, by=project.identity, verb="init")
    largest = max((branch.agent for branch in attempts), default=0)
    return AdoptedSession(session.agents, min(largest, MAX_AGENTS), session.document)


def _new_session(
    sid: SessionId, values: Mapping[str, str], attempts: Mapping[AgentBranch, str], project: Project
) -> Session:
    """Return a session that records the attempts, each with the path of its worktree or ''."""
    at = format_iso(project.now())
    session = Session(sid, Config(values), State.INIT, new_state_document(sid, at=at))
    for branch, path in sorted(attempts.items()):
        fields = attempt_change(session, branch, status=AgentStatus.READY, worktree=path)
        session = with_agents(session, {agent_name(branch.agent): fields}, at=at)
    return session


def _find_attempts(
    sid: SessionId, values: Mapping[str, str], project: Project
) -> dict[AgentBranch, str]:
    """Return all attempts of the session, each with the path of its worktree or ''.

    An attempt has a branch, an archive, saved work, or a worktree on its branch.
    """
    branches = project.repo.refs(branch_prefix(sid))
    archived = archived_refs(sid, project.repo)
    saved = map(branch_of_rescue, _rescues(sid, project))
    worktrees = attempt_worktrees(sid, project, linked_worktrees(project.paths.common_dir))
    paths = {branch: worktree.path for branch, worktree in worktrees.items()}
    named = [*filter(None, map(parse_agent_branch, (*branches, *saved)))]
    attempts = {**dict.fromkeys((*named, *newest_archive_refs(archived)), ""), **paths}
    # A tag without an attempt number belongs to the last attempt of its agent.
    session = _new_session(sid, values, attempts, project)
    return {**dict.fromkeys(session_archived_attempts(session, archived), ""), **attempts}


def _rescues(sid: SessionId, project: Project) -> list[str]:
    return project.repo.refs(rescue_prefix(sid))


def _find_base(session: Session, attempts: Iterable[AgentBranch], repo: GitRepo) -> str:
    """Return the newest commit that the base branch and all attempts contain.

    Skip an attempt without a common commit.
    """
    archived = archived_refs(session.id, repo)
    tags = session_archived_attempts(session, archived)
    base = repo.tip(HEADS + session.config.base_branch)
    for branch in attempts:
        tip = repo.tip(branch.ref) or archived.get(tags.get(branch, ""), "")
        if tip:
            base = repo.find_merge_base(base, tip) or base
    return base
