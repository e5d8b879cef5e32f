"""The Python interface. Import its names from `git_hub_session`; docs/api.md has examples."""

from __future__ import annotations

from git_hub_session.api.hub import Answer, CommandFailed, Hub
from git_hub_session.errors import HubError
from git_hub_session.session.model import AgentRecord, AgentResult, Config, MergeRecord, Session
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import State
from git_hub_session.worktree.agent_progress import AgentProgress
from git_hub_session.worktree.status import BranchStatus, SessionStatus, WorktreeStatus

__all__ = [
    "AgentProgress",
    "AgentRecord",
    "AgentResult",
    "Answer",
    "BranchStatus",
    "CommandFailed",
    "Config",
    "Hub",
    "HubError",
    "MergeRecord",
    "Session",
    "SessionStatus",
    "State",
    "UnreadableSession",
    "WorktreeStatus",
]
