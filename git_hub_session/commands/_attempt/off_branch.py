"""Warn about the work of agents that is not on the branches of their attempts."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.attempts import describe_attempt
from git_hub_session.session.read import UnreadableSession
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.reattach import find_off_branch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.worktree.reattach import OffBranchWork


def warn_off_branch(
    context: Context, session: Session, agents: Sequence[int] = ()
) -> list[OffBranchWork]:
    """Print a warning and a hint for each attempt whose work is not on its branch.

    Args:
        agents: the agents to consider, or () for all agents of the session.
    """
    worktrees = linked_worktrees(context.project.paths.common_dir)
    works = [
        work
        for work in find_off_branch(session, context.project, worktrees)
        if not agents or work.branch.agent in agents
    ]
    for work in works:
        context.reporter.warn(escape_control(describe_work(session, work)))
        context.reporter.print_hints([escape_control(work.hint)])
    return works


def warn_if_off_branch(context: Context, sid: SessionId, agent: int) -> list[OffBranchWork]:
    """Print a warning and a hint for each attempt of one agent whose work is not on its branch.

    A session that cannot be read has no warning: its branches and worktrees can be used.
    """
    session = context.project.store.find(sid)
    if session is None or isinstance(session, UnreadableSession):
        return []
    return warn_off_branch(context, session, [agent])


def describe_work(session: Session, work: OffBranchWork) -> str:
    """Return the name of the attempt and the reason that its work is not on its branch."""
    return f"{describe_attempt(session, work.branch)}: {work.reason}"
