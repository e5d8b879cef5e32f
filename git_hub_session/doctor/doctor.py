"""A look at everything, and what comes of it: each finding named, and mended if that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from git_hub_session._typing import NamedTuple
from git_hub_session.doctor.checks import hub as place
from git_hub_session.doctor.checks import locks, refs, sessions, worktrees
from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.fixes import OF_SESSIONS, OF_THE_HUB
from git_hub_session.doctor.snapshot import HubSnapshot, gather_session, take_snapshot
from git_hub_session.errors import HubError, describe
from git_hub_session.git.ref_names import SessionId
from git_hub_session.removal.errors import (
    ModifiedDuringRemoval,
    RemovalBlocked,
    RemovalFailed,
    reason_from_error,
)
from git_hub_session.session.project import Project

_ROUNDS = 3
"""What is mended shows what lay below it: a state.json that reads, the worktree's own fault."""

_FAULTS = (HubError, OSError, RemovalBlocked, RemovalFailed, ModifiedDuringRemoval)


class FindingResult(NamedTuple):
    """A finding, and what became of it."""

    finding: Finding
    is_fixed: bool = False
    failure: str = ""
    """Why it could not be mended."""
    hint: str = ""
    """What a person can do then."""
    notes: tuple[str, ...] = ()


class DoctorResult(NamedTuple):
    """What was looked at, and what was found."""

    sessions: int
    worktrees: int
    outcomes: tuple[FindingResult, ...]
    locked_sessions: tuple[str, ...] = ()
    """The sessions that were not looked into, for somebody is changing them."""


def check_hub(project: Project, sid: SessionId | None) -> DoctorResult:
    """Look at the hub, or at one session and what it needs; nothing is changed."""
    facts = take_snapshot(project)
    return _make_result(facts, sid, [FindingResult(finding) for finding in _run_checks(facts, sid)])


def fix_hub(project: Project, sid: SessionId | None) -> DoctorResult:
    """The same, and mend what can be mended."""
    before = take_snapshot(project)
    found = _run_checks(before, sid)
    done: list[FindingResult] = []
    mendable = [finding for finding in found if finding.fix]
    of_hub = [finding for finding in mendable if finding.code in OF_THE_HUB]
    try:
        done += _fix_hub_findings(project, sid) if of_hub else ()
    except HubError as fault:
        done += [_failed_result(finding, fault) for finding in of_hub]
    for name in dict.fromkeys(finding.session for finding in mendable if finding.session):
        try:
            done += _fix_session(before, SessionId(name))
        except HubError as fault:  # somebody else has it, or it went: the others are treated
            ours = [finding for finding in mendable if finding.session == name]
            done += [_failed_result(finding, fault) for finding in ours]
    facts = take_snapshot(project)
    now = _run_checks(facts, sid)
    mended = [one for one in done if one.is_fixed and one.finding not in now]
    failed = {one.finding: _not_fixed(one) for one in done}
    return _make_result(
        facts, sid, [*mended, *(failed.get(one, FindingResult(one)) for one in now)]
    )


def _not_fixed(outcome: FindingResult) -> FindingResult:
    """Of what is found again: that nothing failed does not say that it is mended."""
    return outcome._replace(is_fixed=False, failure=outcome.failure or "it is still there")


def _make_result(
    facts: HubSnapshot, sid: SessionId | None, outcomes: list[FindingResult]
) -> DoctorResult:
    looked = list(facts.sessions) if sid is None else [sid]
    in_use = tuple(one for one in facts.locked_sessions if one in looked)
    number = len(facts.session_by_git_dir) if sid is None else len(facts.worktrees_of(sid))
    return DoctorResult(len(looked), number, tuple(outcomes), in_use)


def _run_checks(facts: HubSnapshot, sid: SessionId | None) -> list[Finding]:
    """What is found: of the whole hub, or of one session; what hinders every session is part of that."""
    everything = (place, locks, sessions, worktrees, refs)
    found = [finding for part in everything for finding in part.look(facts)]
    if sid is None:
        return found
    return [one for one in found if one.session == sid or one.code in _HUB_WIDE_CODES]


_HUB_WIDE_CODES = {"git-missing", "git-too-old", "git-lock-left", "cannot-open", "hub-damaged"}


def _fix_hub_findings(project: Project, sid: SessionId | None) -> Iterator[FindingResult]:
    # Where nobody has made the hub's own directory there is nothing to lock, and nobody to wait for.
    with project.store.lock_hub() if project.store.hub_exists() else nullcontext():
        facts = take_snapshot(project)
        for finding in _run_checks(facts, sid):
            if finding.fix and finding.code in OF_THE_HUB:
                try:
                    notes = OF_THE_HUB[finding.code](finding, facts)
                except _FAULTS as fault:
                    yield _failed_result(finding, fault)
                else:
                    yield FindingResult(finding, is_fixed=True, notes=tuple(notes))


def _fix_session(before: HubSnapshot, sid: SessionId) -> Iterator[FindingResult]:
    """Fix what is found in one session under its lock; `before` may show unfinished work of others."""
    tried: set[tuple[str, str]] = set()
    with before.project.store.lock_session(sid) as edit:
        facts, found = _look_again(before, sid)
        for _ in range(_ROUNDS):
            untried = [one for one in found if (one.code, one.subject) not in tried]
            if not untried:
                break
            for finding in untried:
                tried.add((finding.code, finding.subject))
                try:
                    notes = OF_SESSIONS[finding.code](finding, facts, edit)
                except _FAULTS as fault:
                    yield _failed_result(finding, fault)
                else:
                    yield FindingResult(finding, is_fixed=True, notes=tuple(notes))
                # A fix changes the session, also one that fails halfway.
                facts, found = _look_again(before, sid)


def _look_again(before: HubSnapshot, sid: SessionId) -> tuple[HubSnapshot, list[Finding]]:
    """Return a new snapshot of one session, and what can be fixed in it."""
    facts = gather_session(before, sid, others=False)
    found = _fixable(facts, sid)
    if any(one.git_dir for one in found):
        # The fix of a link depends on the other worktrees: one at the same path, or a damaged one.
        facts = gather_session(before, sid, others=True)
        found = _fixable(facts, sid)
    return facts, found


def _fixable(facts: HubSnapshot, sid: SessionId) -> list[Finding]:
    checks = (sessions.look, worktrees.check_worktrees, refs.check_rescue_refs)
    found = [finding for check in checks for finding in check(facts)]
    return [finding for finding in found if finding.session == sid and finding.fix]


def _failed_result(finding: Finding, fault: Exception) -> FindingResult:
    if isinstance(fault, HubError | OSError):
        message, hint = describe(fault)
        return FindingResult(finding, failure=message, hint=hint)
    reason = reason_from_error(fault)
    return FindingResult(finding, failure=reason.message, hint=reason.hint)
