"""A look at everything, and what comes of it: each finding named, and mended if that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from git_hub_session.errors import HubError
from git_hub_session.operations.doctor import locks, place, refs, sessions, worktrees
from git_hub_session.operations.doctor.facts import Facts, gather, gather_session
from git_hub_session.operations.doctor.finding import Finding
from git_hub_session.operations.doctor.mending import OF_SESSIONS, OF_THE_HUB
from git_hub_session.operations.removal import Obstructed, Stuck, Written
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.verdict import reason_of, said
from git_hub_session.refnames import SessionId
from git_hub_session.typed import NamedTuple

_ROUNDS = 3
"""What is mended shows what lay below it: a state.json that reads, the worktree's own fault."""

_FAULTS = (HubError, OSError, Obstructed, Stuck, Written)


class Outcome(NamedTuple):
    """A finding, and what became of it."""

    finding: Finding
    mended: bool = False
    failure: str = ""
    """Why it could not be mended."""
    hint: str = ""
    """What a person can do then."""
    notes: tuple[str, ...] = ()


class Visit(NamedTuple):
    """What was looked at, and what was found."""

    sessions: int
    worktrees: int
    outcomes: tuple[Outcome, ...]
    in_use: tuple[str, ...] = ()
    """The sessions that were not looked into, for somebody is changing them."""


def look(scene: Scene, sid: SessionId | None) -> Visit:
    """Look at the hub, or at one session and what it needs; nothing is changed."""
    facts = gather(scene)
    return _visit(facts, sid, [Outcome(finding) for finding in _findings(facts, sid)])


def treat(scene: Scene, sid: SessionId | None) -> Visit:
    """The same, and mend what can be mended."""
    before = gather(scene)
    found = _findings(before, sid)
    done: list[Outcome] = []
    mendable = [finding for finding in found if finding.fix]
    of_hub = [finding for finding in mendable if finding.code in OF_THE_HUB]
    try:
        done += _treat_hub(scene, sid) if of_hub else ()
    except HubError as fault:
        done += [_failed(finding, fault) for finding in of_hub]
    for name in dict.fromkeys(finding.session for finding in mendable if finding.session):
        try:
            done += _treat_session(before, SessionId(name))
        except HubError as fault:  # somebody else has it, or it went: the others are treated
            ours = [finding for finding in mendable if finding.session == name]
            done += [_failed(finding, fault) for finding in ours]
    facts = gather(scene)
    now = _findings(facts, sid)
    mended = [one for one in done if one.mended and one.finding not in now]
    failed = {one.finding: _still_there(one) for one in done}
    return _visit(facts, sid, [*mended, *(failed.get(one, Outcome(one)) for one in now)])


def _still_there(outcome: Outcome) -> Outcome:
    """Of what is found again: that nothing failed does not say that it is mended."""
    return outcome._replace(mended=False, failure=outcome.failure or "it is still there")


def _visit(facts: Facts, sid: SessionId | None, outcomes: list[Outcome]) -> Visit:
    looked = list(facts.sessions) if sid is None else [sid]
    in_use = tuple(one for one in facts.busy if one in looked)
    number = len(facts.owners) if sid is None else len(facts.of(sid))
    return Visit(len(looked), number, tuple(outcomes), in_use)


def _findings(facts: Facts, sid: SessionId | None) -> list[Finding]:
    """What is found: of the whole hub, or of one session; what hinders every session is part of that."""
    everything = (place, locks, sessions, worktrees, refs)
    found = [finding for part in everything for finding in part.look(facts)]
    if sid is None:
        return found
    return [one for one in found if one.session == sid or one.code in _HINDERS_ALL]


_HINDERS_ALL = {"git-missing", "git-too-old", "git-lock-left", "cannot-open", "hub-damaged"}


def _treat_hub(scene: Scene, sid: SessionId | None) -> Iterator[Outcome]:
    # Where nobody has made the hub's own directory there is nothing to lock, and nobody to wait for.
    with scene.store.alone() if scene.store.exists() else nullcontext():
        facts = gather(scene)
        for finding in _findings(facts, sid):
            if finding.fix and finding.code in OF_THE_HUB:
                try:
                    notes = OF_THE_HUB[finding.code](finding, facts)
                except _FAULTS as fault:
                    yield _failed(finding, fault)
                else:
                    yield Outcome(finding, mended=True, notes=tuple(notes))


def _treat_session(before: Facts, sid: SessionId) -> Iterator[Outcome]:
    """Fix what is found in one session under its lock; `before` may show unfinished work of others."""
    tried: set[tuple[str, str]] = set()
    with before.scene.store.edit(sid) as edit:
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
                    yield _failed(finding, fault)
                else:
                    yield Outcome(finding, mended=True, notes=tuple(notes))
                # A fix changes the session, also one that fails halfway.
                facts, found = _look_again(before, sid)


def _look_again(before: Facts, sid: SessionId) -> tuple[Facts, list[Finding]]:
    """Return a new snapshot of one session, and what can be fixed in it."""
    facts = gather_session(before, sid, others=False)
    found = _fixable(facts, sid)
    if any(one.entry for one in found):
        # The fix of a link depends on the other worktrees: one at the same path, or a damaged one.
        facts = gather_session(before, sid, others=True)
        found = _fixable(facts, sid)
    return facts, found


def _fixable(facts: Facts, sid: SessionId) -> list[Finding]:
    checks = (sessions.look, worktrees.check_worktrees, refs.check_rescue_refs)
    found = [finding for check in checks for finding in check(facts)]
    return [finding for finding in found if finding.session == sid and finding.fix]


def _failed(finding: Finding, fault: Exception) -> Outcome:
    if isinstance(fault, HubError | OSError):
        hint = fault.hint if isinstance(fault, HubError) else ""
        return Outcome(finding, failure=said(fault), hint=hint)
    reason = reason_of(fault)
    return Outcome(finding, failure=reason.message, hint=reason.hint)
