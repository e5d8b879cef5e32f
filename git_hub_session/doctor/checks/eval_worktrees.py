"""Checks of the temporary worktrees that killed evaluations left."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import SessionId, is_session_id
from git_hub_session.temporary.worktrees import (
    leftover_worktrees,
    reason_to_keep,
    remove_command,
    remove_eval_worktrees,
    session_of_eval_worktree,
)

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.store import LockedSession


def eval_worktree_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the temporary worktrees of all sessions that no other process is changing."""
    marked = [(worktree, session_of_eval_worktree(worktree)) for worktree in hub.worktrees]
    for name in dict.fromkeys(name for _, name in marked if is_session_id(name)):
        sid = SessionId(name)
        if sid in hub.sessions and sid not in hub.locked_sessions:
            for worktree in _leftover_worktrees(sid, hub):
                for finding in check_leftover_worktree(worktree, hub):
                    yield finding._replace(session=sid, git_dir=worktree.git_dir)
        elif sid not in hub.sessions and hub.hub_error is None:
            for worktree in [worktree for worktree, owner in marked if owner == sid]:
                yield from check_orphan_eval_worktree(worktree, sid)


def _leftover_worktrees(sid: SessionId, hub: HubSnapshot) -> list[Worktree]:
    try:
        return leftover_worktrees(sid, hub.worktrees, hub.project)
    except HubError:  # The directory of the session is a link: another check reports it.
        return []


def remove_leftover_worktree(
    finding: Finding, hub: HubSnapshot, _locked: LockedSession
) -> list[str]:
    """Remove the worktree with everything in it."""
    sid = SessionId(finding.session)
    for worktree in leftover_worktrees(sid, hub.worktrees, hub.project):
        if worktree.git_dir == finding.git_dir:
            reason = reason_to_keep(worktree, hub.project)
            if reason is not None:
                raise HubError(reason.message, reason.hint)
            remove_eval_worktrees([worktree], hub.project)
    return []


temporary_worktree = check(
    "temporary-worktree",
    "a temporary worktree of an interrupted evaluation",
    fix=remove_leftover_worktree,
)


@temporary_worktree
def check_leftover_worktree(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    evidence = "an evaluation was interrupted"
    reason = reason_to_keep(worktree, hub.project)
    if reason is None:
        yield Problem(worktree.path, evidence, fix="remove it")
    else:
        yield Problem(worktree.path, f"{evidence}: {reason.message}", advice=reason.hint)


@temporary_worktree
def check_orphan_eval_worktree(worktree: Worktree, sid: SessionId) -> Iterator[Problem]:
    evidence = f"session '{sid}' does not exist"
    yield Problem(worktree.path, evidence, advice=remove_command(worktree))
