"""What does not fit about the worktrees of sessions; others are none of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from shlex import quote

from git_hub_session import procfs
from git_hub_session.operations import removal, trash
from git_hub_session.operations.doctor.facts import Facts, is_half_added
from git_hub_session.operations.doctor.finding import Finding
from git_hub_session.operations.doctor.locks import left_locks
from git_hub_session.operations.links import (
    elsewhere,
    moved_back,
    out_of_the_way,
    told_anew,
    way_back,
)
from git_hub_session.operations.note import unfinished
from git_hub_session.operations.offbranch import off_branch, way_onto
from git_hub_session.operations.ownership import left_by, made_for, told_paths
from git_hub_session.operations.recovery import is_locked_for_nothing
from git_hub_session.operations.whereabouts import (
    is_uprooted,
    lying,
    may_be_repaired,
    moved_along,
    places,
)
from git_hub_session.refnames import (
    AgentBranch,
    SessionId,
    parse_agent_branch,
)
from git_hub_session.session import Session
from git_hub_session.states import FINISHED
from git_hub_session.worktrees import Worktree, git_dir_of, is_same

_PID = re.compile(r"\bpid\b\W{0,3}([0-9]{1,9})\b", re.IGNORECASE | re.ASCII)


def look(facts: Facts) -> Iterator[Finding]:
    """All of them, but for those of sessions that somebody is changing."""
    yield from check_worktrees(facts)
    yield from _trash(facts)


def check_worktrees(facts: Facts) -> Iterator[Finding]:
    """Yield the problems of the sessions' worktrees, except those of locked sessions."""
    for worktree in facts.worktrees:
        sid = facts.owners.get(worktree.entry)
        if sid is not None and sid not in facts.busy:
            yield from _one(facts, worktree, sid)


def _one(facts: Facts, worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    session = facts.sessions.get(sid)
    if session is None:
        if facts.refusal is None:
            evidence = f"session '{sid}' is not there, and its worktree is"
            make = f"git hub-session init --id {sid} --task unknown"
            advice = f"{make} && git hub-session cleanup {sid}"
            yield Finding("worktree-of-no-session", worktree.path, evidence, sid, advice=advice)
        return
    link = _link(facts, worktree, sid)
    if link is not None:
        yield link
    elif isinstance(session, Session):
        yield from _of_session(facts, worktree, session)
    yield from _lock(worktree, sid)
    locks = list(left_locks(facts, worktree.entry, sid))
    if locks and not facts.at_work(worktree.path):
        yield from locks
    for name in trash.written_aside(worktree):
        path = f"{worktree.entry}/{name}"
        yield Finding(
            "leftover-file", path, "left by a cleanup that was killed", sid, fix="delete it"
        )


def _of_session(facts: Facts, worktree: Worktree, session: Session) -> Iterator[Finding]:
    """What does not fit about a worktree that is in its place, and the session that it belongs to."""
    sid, off = session.id, off_branch(worktree)
    way = _way_onto(facts, worktree, session) if off else ""
    if _is_left(session, worktree):
        evidence, advice = f"session '{sid}' is '{session.state}'", f"git hub-session cleanup {sid}"
        advice = f"{way} && {advice}" if off else advice
        yield Finding("worktree-of-finished", worktree.path, evidence, sid, advice=advice)
    elif off and not facts.at_work(worktree.path):
        yield Finding("worktree-off-branch", worktree.path, off, sid, advice=way)


def _way_onto(facts: Facts, worktree: Worktree, session: Session) -> str:
    """How a worktree that is off its branch becomes the agent's again, with all that is in it."""
    if facts.closed is not None:
        return f"git -C {quote(worktree.path)} status"
    return way_onto(worktree, _branch_of(facts, worktree, session), facts.scene)


def _branch_of(facts: Facts, worktree: Worktree, session: Session) -> AgentBranch:
    """The attempt that it belongs to."""
    known = left_by(worktree, {session.id: session}, facts.scene).get(session.id)
    # In the middle of a rebase HEAD may be cut off as well.
    on = next(filter(None, map(parse_agent_branch, worktree.branches)), None)
    return known or on or AgentBranch(session.id, 1, 1)


def _headless(facts: Facts, worktree: Worktree, sid: SessionId) -> Finding:
    """Its HEAD was cut off: to git it is no worktree then, whatever is in it."""
    session, advice = facts.sessions.get(sid), f"look at {quote(worktree.entry)}/HEAD"
    if isinstance(session, Session):
        advice = _way_onto(facts, worktree, session)
    evidence = off_branch(worktree)
    return Finding("worktree-damaged", worktree.path, evidence, sid, advice=advice)


def _is_left(session: Session, worktree: Worktree) -> bool:
    """Whether the session is over, and nobody has brought the worktree back since."""
    agents = filter(None, [*map(parse_agent_branch, worktree.branches), made_for(worktree)])
    return session.state in FINISHED and not any(
        "restored" in session.agent(f"agent-{one.agent}") for one in agents
    )


def _link(facts: Facts, worktree: Worktree, sid: SessionId) -> Finding | None:
    """What is wrong between entry and directory, the first thing that explains the others."""
    if is_half_added(worktree):
        return None if facts.at_work(worktree.path) else _half_added(facts, worktree, sid)
    if unfinished(worktree).step:
        return _cut_off(worktree, sid)
    if is_locked_for_nothing(worktree):
        evidence, fix = "a removal locked it, and was cut off", "unlock it"
        return Finding(
            "removal-cut-off", worktree.path, evidence, sid, fix=fix, entry=worktree.entry
        )
    if not (worktree.head or worktree.detached):
        return _headless(facts, worktree, sid)
    found = moved_to(facts, worktree) if worktree.missing else []
    if found or (worktree.missing and worktree.lock is None):
        return _missing(facts, worktree, sid, found)
    if worktree.fault:
        # Not by --fix: git writes a .git file wherever an entry says, and who wrote the entry?
        path = worktree.path or worktree.entry
        advice = way_back(worktree)
        return Finding("worktree-damaged", path, worktree.fault, sid, advice=advice)
    return None


def _half_added(facts: Facts, worktree: Worktree, sid: SessionId) -> Finding:
    """Taken away only where the session has it, and nothing else lies there: an entry can name any place."""
    path, entry = worktree.path or worktree.entry, worktree.entry
    session, real = facts.sessions.get(sid), os.path.realpath(worktree.path)
    told = told_paths(session).values() if isinstance(session, Session) else ()
    ours = real in map(os.path.realpath, [*told, *places(worktree, facts.scene)])
    alone = sum(one.path == worktree.path for one in facts.worktrees) == 1
    evidence = f"git was not done with it: locked, {worktree.lock}"
    if ours and alone and worktree.fault in ("", "its .git file is missing"):
        fix = "take it away; what somebody put into it is kept under another name"
        return Finding("worktree-half-added", path, evidence, sid, fix=fix, entry=entry)
    advice = f"look at both; then: rm -r {quote(entry)}"
    return Finding("worktree-half-added", path, evidence, sid, advice=advice)


def _missing(facts: Facts, worktree: Worktree, sid: SessionId, found: Sequence[str]) -> Finding:
    """Its directory lies in one of the places `found`; nowhere, if there is none."""
    path, entry = worktree.path, worktree.entry
    faulty = [one.path for one in facts.worktrees if one.fault and one.path]
    taken = [path for path in faulty if os.path.realpath(path) in found]
    if taken:
        evidence = f"it lies in '{taken[0]}' now, the place of another"
        advice = moved_back(taken[0], worktree)
        return Finding("worktree-moved", path, evidence, sid, advice=advice)
    if found:
        both = "' or '".join(found)
        evidence = f"it lies in '{both}' now"
        if len(found) == 1 and may_be_repaired(found[0], worktree, facts.worktrees):
            fix = "tell git where it is"
            return Finding("worktree-moved", path, evidence, sid, fix=fix, entry=entry)
        advice = told_anew(found[0], worktree)
        return Finding("worktree-moved", path, evidence, sid, advice=advice)
    evidence = "its directory is gone"
    if worktree.operation:
        evidence += f", in the middle of a {worktree.operation}"
    if is_uprooted(worktree):
        evidence += ", and so is the one that it was in: a disk, or all of it moved"
    if worktree.operation or off_branch(worktree):  # a cleanup would not remove it
        return Finding("worktree-missing", path, evidence, sid, advice=way_back(worktree))
    if is_uprooted(worktree):
        advice = f"{elsewhere(worktree)}; if it is gone: git hub-session cleanup --force {sid}"
        return Finding("worktree-missing", path, evidence, sid, advice=advice)
    fix = "remove its entry; what was staged is saved"
    return Finding("worktree-missing", path, evidence, sid, fix=fix, entry=entry)


def _cut_off(worktree: Worktree, sid: SessionId) -> Finding:
    note, path = unfinished(worktree), worktree.path
    if os.path.lexists(note.trash) and os.path.lexists(path):
        evidence = f"a removal moved it to '{note.trash}', and something else lies in its place"
        advice = out_of_the_way(worktree.path)
        return Finding("removal-cut-off", path, evidence, sid, advice=advice)
    fix, evidence = "put it back", "a removal of it was begun, and cut off"
    if removal.is_half_removed(worktree):
        fix, evidence = "finish that", "its work was saved, and not all of it is deleted yet"
    return Finding("removal-cut-off", path, evidence, sid, fix=fix, entry=worktree.entry)


def moved_to(facts: Facts, worktree: Worktree) -> list[str]:
    """Where a missing worktree's directory is: beside its old place, in the place of another, where it would be made, or
    where a process stands; if nowhere, where it is if it was moved along with the repository."""
    paths = made = places(worktree, facts.scene)
    for process in facts.processes:
        steps = process.directory.split("/")
        paths = [*paths, *("/".join(steps[:end]) for end in range(2, len(steps) + 1))]
    here = [path for path in dict.fromkeys(paths) if is_same(git_dir_of(path), worktree.entry)]
    found = [*here, *lying(worktree, facts.worktrees)] or [moved_along(worktree, made)]
    return sorted({os.path.realpath(path) for path in found if path})


def _lock(worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    named = _PID.search(worktree.lock or "")
    if named and not procfs.is_alive(int(named[1])):
        yield Finding(
            "lock-of-dead-process",
            worktree.path,
            f"locked: {worktree.lock}; there is no such process here",
            sid,
            # It may live on another machine, or in a container.
            advice=f"git worktree unlock {quote(worktree.path)}",
        )


def _trash(facts: Facts) -> Iterator[Finding]:
    """Directories with the name of a worktree that is being removed, and no entry that knows of it."""
    place = facts.scene.place
    if facts.busy:
        return
    parents = {os.path.dirname(one.path) for one in facts.worktrees if one.path}
    for session in facts.readable():
        parents |= set(map(os.path.dirname, told_paths(session).values()))
    known = {os.path.realpath(trash.trash_name(one)) for one in facts.worktrees if one.path}
    entries = os.path.join(os.path.realpath(place.common_dir), "worktrees")
    for parent in sorted(parents):
        for path in trash.trash_in(parent):
            # What another repository's cleanup has moved aside is none of ours.
            git_dir = git_dir_of(path)
            ours = not git_dir or os.path.dirname(os.path.realpath(git_dir)) == entries
            if ours and os.path.realpath(path) not in known:
                evidence = "a cleanup moved it aside, and its entry is gone since"
                advice = f"look what is in it; then: rm -r {quote(path)}"
                yield Finding("trash-left", path, evidence, advice=advice)
    entries_trash = trash.trash_of_entries(place.common_dir)
    if os.path.isdir(entries_trash) and not os.path.islink(entries_trash):
        evidence = "entries that a killed cleanup had renamed"
        yield Finding("trash-left", entries_trash, evidence, fix="delete them")
