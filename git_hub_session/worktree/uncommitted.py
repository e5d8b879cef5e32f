"""Find agents without a commit of their own, and the uncommitted files in their worktrees."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import agent_list, agent_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import base_now, find_base_commit
from git_hub_session.util.text import count_noun, quote_list
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.status import map_worktrees, read_worktree_changes, uncommitted_paths

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch, SessionId
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_MAX_AGENTS = 5
UNCOMMITTED = " uncommitted, not measured"
"""The end of the reason that an agent was not measured."""


class NoCommits(Refused):
    """No agent has a commit of its own or an uncommitted file."""

    code = "no-commits"


def has_own_commit(tip: str, session: Session, repo: GitRepo, branch: AgentBranch) -> bool:
    """Return True if neither the base branch nor the start of the attempt contains the commit."""
    bases = {base_now(session, repo), find_base_commit(session, repo, branch)}
    return bool(tip) and not any(repo.is_ancestor(base, tip) for base in bases)


def uncommitted_files(worktree: Worktree, project: Project) -> tuple[str, ...] | None:
    """Return the sorted paths of the uncommitted files, or None if they cannot be read.

    `uncommitted_paths` leaves out the files of a hub.
    """
    changes = read_worktree_changes(worktree, project)
    if changes is None:
        return None
    return tuple(sorted(map(os.fsdecode, uncommitted_paths(changes))))


def uncommitted_files_of(branch: AgentBranch, project: Project) -> tuple[str, ...] | None:
    """Return the uncommitted files in the worktree of an attempt.

    Return None without a worktree, or if the files cannot be read.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    worktree = attempt_worktrees(branch.session, project, worktrees).get(branch)
    return uncommitted_files(worktree, project) if worktree else None


def uncommitted_work(
    sid: SessionId, project: Project, branches: Container[AgentBranch] | None = None
) -> dict[AgentBranch, tuple[str, ...]]:
    """Return the uncommitted files of each attempt that has a worktree, sorted by attempt.

    The files of a worktree that cannot be read are missing.

    Args:
        sid: the session.
        project: its project.
        branches: the attempts to return. None means all.
    """
    owned = attempt_worktrees(sid, project, linked_worktrees(project.paths.common_dir))
    worktrees = {
        branch: worktree
        for branch, worktree in owned.items()
        if branches is None or branch in branches
    }
    files = map_worktrees(
        lambda worktree: uncommitted_files(worktree, project) or (), [*worktrees.values()]
    )
    return dict(zip(worktrees, files, strict=True))


def uncommitted_text(count: int) -> str:
    """Return the remark about uncommitted files, such as "3 files uncommitted, not measured"."""
    return f"{count_noun(count, 'file')}{UNCOMMITTED}"


def uncommitted_warning(name: str, files: Sequence[str]) -> str:
    """Return a warning with the first names: "agent-1: 1 file uncommitted, not measured: 'a'"."""
    return f"{name}: {uncommitted_text(len(files))}: {quote_list(files)}"


def commit_hint(sid: SessionId, agents: Iterable[int]) -> str:
    """Return the commands that commit the files of agents and evaluate the session again."""
    return (
        f"git hub-session exec --only {agent_list(agents)} --commit {sid} -- true\n"
        f"git hub-session eval {sid}"
    )


def no_commit_error(
    sid: SessionId, agents: Mapping[int, Sequence[str]], *, is_every_agent: bool
) -> Refused:
    """Return the error that names the uncommitted files, and the command that commits them.

    Args:
        agents: the agents without a commit of their own, with their uncommitted files.
        is_every_agent: True if no agent of the session has a commit of its own. If not, `agents`
            has one agent.
    """
    with_files = {agent: files for agent, files in agents.items() if files}
    if is_every_agent:
        message = _describe_all(with_files)
    else:
        [(agent, files)] = agents.items()
        but = f", but {describe_files(files)}" if files else ""
        message = f"{agent_name(agent)} has no commit of its own{but}"
    if not with_files:
        error = NoCommits if is_every_agent else Refused
        return error(message, hint=f"git hub-session exec {sid} -- <command>")
    return Refused(message, hint=commit_hint(sid, with_files))


def _describe_all(agents: Mapping[int, Sequence[str]]) -> str:
    parts = [
        f"{agent_name(agent)} has {describe_files(files)}"
        for agent, files in list(agents.items())[:_MAX_AGENTS]
    ]
    if len(agents) > _MAX_AGENTS:
        parts.append(f"and {len(agents) - _MAX_AGENTS} more agents")
    return "; ".join(["no agent has a commit of its own", *parts])


def describe_files(files: Sequence[str]) -> str:
    """Return the number and the first names, such as "2 files uncommitted: 'a', 'b'"."""
    return f"{count_noun(len(files), 'file')} uncommitted: {quote_list(files)}"
