"""Checks of the temporary worktrees that killed evaluations left."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.checkout.temporary import (
    left_checkouts,
    reason_to_keep,
    remove_checkouts,
    session_of_checkout,
)
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import SessionId, is_session_id

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.store import LockedSession


def checkout_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the temporary worktrees of all sessions that no other process is changing."""
    marked = [(worktree, session_of_checkout(worktree)) for worktree in hub.worktrees]
    for name in dict.fromkeys(name for _, name in marked if is_session_id(name)):
        sid = SessionId(name)
        if sid in hub.sessions and sid not in hub.locked_sessions:
            for worktree in _left_checkouts(sid, hub):
                for finding in check_left_checkout(worktree, hub):
                    yield finding._replace(session=sid, git_dir=worktree.git_dir)
        elif sid not in hub.sessions and hub.hub_error is None:
            for worktree in [worktree for worktree, owner in marked if owner == sid]:
                yield from check_orphan_checkout(worktree, sid)


def _left_checkouts(sid: SessionId, hub: HubSnapshot) -> list[Worktree]:
    try:
        return left_checkouts(sid, hub.worktrees, hub.project)
    except HubError:  # The directory of the session is a link: another check reports it.
        return []


def remove_left_checkout(finding: Finding, hub: HubSnapshot, _locked: LockedSession) -> list[str]:
    """Remove the worktree with everything in it."""
    sid = SessionId(finding.session)
    for worktree in left_checkouts(sid, hub.worktrees, hub.project):
        if worktree.git_dir == finding.git_dir:
            reason = reason_to_keep(worktree, hub.project)
            if reason is not None:
                raise HubError(reason.message, reason.hint)
            remove_checkouts([worktree], hub.project)
    return []


checkout_left = check(
    "checkout-left", "a temporary worktree of an interrupted evaluation", fix=remove_left_checkout
)


@checkout_left
def check_left_checkout(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    evidence = "an evaluation was interrupted"
    reason = reason_to_keep(worktree, hub.project)
    if reason is None:
        yield Problem(worktree.path, evidence, fix="remove it")
    else:
        yield Problem(worktree.path, f"{evidence}: {reason.message}", advice=reason.hint)


@checkout_left
def check_orphan_checkout(worktree: Worktree, sid: SessionId) -> Iterator[Problem]:
    advice = f"git worktree remove -f -f {quote(worktree.path)}"
    yield Problem(worktree.path, f"session '{sid}' does not exist", advice=advice)
