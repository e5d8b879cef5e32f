"""The environment of a command that a person or `exec` runs for an agent, with its files."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.assignment import ensure_prompt_file
from git_hub_session.session.agent_environment import PROMPT_VARIABLE, agent_environment
from git_hub_session.session.agents import find_base_commit

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def write_environment(
    locked: LockedSession, session: Session, branch: AgentBranch, project: Project
) -> dict[str, str]:
    """Write the files with the task and the assignment, and return the agent's environment."""
    task_file = locked.ensure_task_file(session)
    base = find_base_commit(session, project.repo, branch)
    variables = agent_environment(project.environ, session, branch, base, task_file)
    return {**variables, PROMPT_VARIABLE: ensure_prompt_file(locked, session, branch.agent)}
