"""Run the checks of the doctor, and apply their fixes under a lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.doctor.checks.archives import (
    archive_findings,
    archive_limit_findings,
    exposed_findings,
)
from git_hub_session.doctor.checks.eval_worktrees import eval_worktree_findings
from git_hub_session.doctor.checks.hub import hidden_hub_findings, hub_findings
from git_hub_session.doctor.checks.interrupted import trash_findings
from git_hub_session.doctor.checks.locks import lock_findings
from git_hub_session.doctor.checks.refs import ref_findings, rescue_ref_findings
from git_hub_session.doctor.checks.registrations import registration_findings
from git_hub_session.doctor.checks.sessions import session_findings
from git_hub_session.doctor.checks.sharing import sharing_findings
from git_hub_session.doctor.checks.worktrees import worktree_findings
from git_hub_session.doctor.finding import FIXES, Finding, FindingResult
from git_hub_session.doctor.snapshot import HubSnapshot, take_session_snapshot, take_snapshot
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import SessionId
from git_hub_session.removal.errors import (
    ModifiedDuringRemoval,
    RemovalBlocked,
    RemovalFailed,
    reason_from_error,
)

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession

CHECKS = (
    hub_findings,
    lock_findings,
    session_findings,
    worktree_findings,
    registration_findings,
    eval_worktree_findings,
    trash_findings,
    ref_findings,
    archive_findings,
    exposed_findings,
    archive_limit_findings,
    sharing_findings,
)
"""The groups of checks, in the order in which their findings are printed."""

SESSION_CHECKS = (
    session_findings,
    worktree_findings,
    registration_findings,
    eval_worktree_findings,
    rescue_ref_findings,
    archive_findings,
)
"""The groups of checks whose findings `--fix` can fix under the lock of a session."""

_HUB_WIDE_CODES = {"git-missing", "git-too-old", "git-lock-left", "cannot-open", "hub-damaged"}
"""The findings that affect every session. They are reported also if one session is checked."""

_MAX_ROUNDS = 3
"""The largest number of rounds for one session. A fix can uncover other findings.

For example, the owner of a detached worktree is known only after state.json was fixed.
"""

_FIX_ERRORS = (HubError, OSError, RemovalBlocked, RemovalFailed, ModifiedDuringRemoval)


class DoctorResult(NamedTuple):
    """The number of checked sessions and worktrees, and the findings."""

    sessions: int
    worktrees: int
    outcomes: tuple[FindingResult, ...]
    locked_sessions: tuple[str, ...] = ()
    """The sessions that were not checked because another process is changing them."""


def check_hub(project: Project, sid: SessionId | None) -> DoctorResult:
    """Check the hub or one session. Change nothing."""
    hidden = hidden_hub_findings(project)
    if hidden:
        return DoctorResult(0, 0, tuple(map(FindingResult, hidden)))
    hub = take_snapshot(project)
    results = [FindingResult(finding) for finding in _run_checks(hub, sid)]
    return _make_result(hub, sid, results)


def fix_hub(project: Project, sid: SessionId | None) -> DoctorResult:
    """Check the hub or one session, and fix the findings that can be fixed.

    At the end, take a new snapshot and check again. A finding counts as fixed if it is gone.
    """
    if hidden_hub_findings(project):
        return check_hub(project, sid)  # every other finding would be wrong
    before = take_snapshot(project)
    fixable = [finding for finding in _run_checks(before, sid) if finding.fix]
    attempted = [*_fix_hub_findings(before, sid, fixable), *_fix_sessions(before, fixable)]
    after = take_snapshot(project)
    remaining = _run_checks(after, sid)
    fixed = [result for result in attempted if result.is_fixed and result.finding not in remaining]
    attempts = {result.finding: _mark_remaining(result) for result in attempted}
    kept = [attempts.get(finding, FindingResult(finding)) for finding in remaining]
    return _make_result(after, sid, [*fixed, *kept])


def _mark_remaining(result: FindingResult) -> FindingResult:
    """Return the result of a fix whose finding remains, even if the fix did not fail."""
    return result._replace(is_fixed=False, failure=result.failure or "the finding remains")


def _make_result(
    hub: HubSnapshot, sid: SessionId | None, results: list[FindingResult]
) -> DoctorResult:
    sessions = list(hub.sessions) if sid is None else [sid]
    worktrees = hub.session_by_git_dir if sid is None else hub.by_session.worktrees(sid)
    locked = tuple(session for session in hub.locked_sessions if session in sessions)
    return DoctorResult(len(sessions), len(worktrees), tuple(results), locked)


def _run_checks(hub: HubSnapshot, sid: SessionId | None) -> list[Finding]:
    """Return the findings of the whole hub, or those that affect one session."""
    findings = [finding for run in CHECKS for finding in run(hub)]
    if sid is None:
        return findings
    return [
        finding for finding in findings if finding.session == sid or finding.code in _HUB_WIDE_CODES
    ]


def _fix_hub_findings(
    before: HubSnapshot, sid: SessionId | None, fixable: Iterable[Finding]
) -> list[FindingResult]:
    """Fix the findings that belong to no session, under the lock of the hub."""
    of_hub = [finding for finding in fixable if not finding.session]
    if not of_hub:
        return []
    try:
        return list(_fix_hub_under_lock(before.project, sid))
    except HubError as error:
        return [_failed_result(finding, error) for finding in of_hub]


def _fix_hub_under_lock(project: Project, sid: SessionId | None) -> Iterator[FindingResult]:
    # If the hub directory is missing, nothing can be locked and no process can be changing it.
    with project.store.lock_hub() if project.store.hub_exists() else nullcontext():
        hub = take_snapshot(project)
        for finding in _run_checks(hub, sid):
            if finding.fix and not finding.session:
                yield _apply_fix(finding, hub)


def _fix_sessions(before: HubSnapshot, fixable: Iterable[Finding]) -> Iterator[FindingResult]:
    """Fix the findings of each session under its lock."""
    of_sessions: dict[str, list[Finding]] = {}
    for finding in fixable:
        if finding.session:
            of_sessions.setdefault(finding.session, []).append(finding)
    for sid, findings in of_sessions.items():
        try:
            yield from _fix_session(before, SessionId(sid))
        except HubError as error:
            # Another process has locked or removed the session. Continue with the others.
            yield from (_failed_result(finding, error) for finding in findings)


def _fix_session(before: HubSnapshot, sid: SessionId) -> Iterator[FindingResult]:
    """Fix one session under its lock. `before` may show unfinished work of another process."""
    tried: set[tuple[str, str]] = set()
    with before.project.store.lock_session(sid) as locked:
        hub, findings = _check_session_again(before, sid)
        for _ in range(_MAX_ROUNDS):
            untried = [
                finding for finding in findings if (finding.code, finding.subject) not in tried
            ]
            if not untried:
                break
            for finding in untried:
                tried.add((finding.code, finding.subject))
                yield _apply_fix(finding, hub, locked)
                # Also a fix that fails may have changed the session.
                hub, findings = _check_session_again(before, sid)


def _apply_fix(
    finding: Finding, hub: HubSnapshot, locked: LockedSession | None = None
) -> FindingResult:
    """Run the fix of a finding. `locked` is its session, or None if it belongs to no session."""
    fix = FIXES[finding.code]
    try:
        notes = fix(finding, hub) if locked is None else fix(finding, hub, locked)
    except _FIX_ERRORS as error:
        return _failed_result(finding, error)
    return FindingResult(finding, is_fixed=True, notes=tuple(notes))


def _check_session_again(before: HubSnapshot, sid: SessionId) -> tuple[HubSnapshot, list[Finding]]:
    """Return a new snapshot of one session, and its fixable findings."""
    hub = take_session_snapshot(before, sid, all_worktrees=False)
    findings = _fixable_findings(hub, sid)
    if any(finding.git_dir for finding in findings):
        # The fix of a link depends on the paths and the links of the other worktrees.
        hub = take_session_snapshot(before, sid, all_worktrees=True)
        findings = _fixable_findings(hub, sid)
    return hub, findings


def _fixable_findings(hub: HubSnapshot, sid: SessionId) -> list[Finding]:
    findings = [finding for run in SESSION_CHECKS for finding in run(hub)]
    return [finding for finding in findings if finding.session == sid and finding.fix]


def _failed_result(finding: Finding, error: Exception) -> FindingResult:
    if isinstance(error, HubError | OSError):
        failure = to_hub_error(error)
        return FindingResult(finding, failure=failure.message, hint=failure.hint)
    reason = reason_from_error(error)
    return FindingResult(finding, failure=reason.message, hint=reason.hint)
