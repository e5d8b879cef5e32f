"""What does not fit about the worktrees of sessions; others are none of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from shlex import quote

from git_hub_session import procfs
from git_hub_session.operations import removal, trash
from git_hub_session.operations.doctor.facts import Facts, is_half_added, told_paths
from git_hub_session.operations.doctor.finding import Finding
from git_hub_session.operations.doctor.locks import left_locks
from git_hub_session.refnames import SessionId
from git_hub_session.session import Session
from git_hub_session.states import FINISHED
from git_hub_session.worktrees import Worktree, git_dir_of

_MOST = 10_000  # names of a directory that are looked through for a worktree that moved
_PID = re.compile(r"\bpid\b\W{0,3}([0-9]{1,9})\b", re.IGNORECASE | re.ASCII)


def look(facts: Facts) -> Iterator[Finding]:
    """All of them, but for those of sessions that somebody is changing."""
    for worktree in facts.worktrees:
        sid = facts.owners.get(worktree.entry)
        if sid is not None and sid not in facts.busy:
            yield from _one(facts, worktree, sid)
    yield from _trash(facts)


def _one(facts: Facts, worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    session = facts.sessions.get(sid)
    if session is None:
        yield Finding(
            "worktree-of-no-session",
            worktree.path,
            f"session '{sid}' is not there, and its worktree is",
            sid,
            advice=f"git worktree remove {quote(worktree.path)}",
        )
        return
    link = next(_link(facts, worktree, sid), None)
    if link is not None:
        yield link
    elif isinstance(session, Session) and session.state in FINISHED:
        yield Finding(
            "worktree-of-finished",
            worktree.path,
            f"session '{sid}' is '{session.state}'",
            sid,
            advice=f"git hub-session cleanup {sid}",
        )
    yield from _lock(worktree, sid)
    if not facts.at_work(worktree.path):
        yield from left_locks(facts, worktree.entry, sid)
    for name in trash.written_aside(worktree):
        path = f"{worktree.entry}/{name}"
        yield Finding(
            "leftover-file", path, "left by a cleanup that was killed", sid, fix="delete it"
        )


def _link(facts: Facts, worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    """What is wrong between entry and directory, the first thing that explains the others."""
    path = worktree.path or worktree.entry
    if is_half_added(worktree):
        if facts.at_work(worktree.path):
            return
        fix = "take it away; what somebody put into it is kept under another name"
        yield Finding("worktree-half-added", path, f"locked: {worktree.lock}", sid, fix=fix)
    elif removal.unfinished(worktree).step:
        yield _cut_off(worktree, sid)
    elif worktree.missing and worktree.lock is None:
        moved = moved_to(worktree)
        if moved:
            evidence = f"it lies in '{moved}' now"
            # git repairs all links at once: those of others have to be right.
            damaged = any(one.fault for one in facts.worktrees)
            fix = "" if damaged else "tell git where it is"
            advice = f"git worktree repair {quote(moved)}" if damaged else ""
            yield Finding("worktree-moved", path, evidence, sid, fix, advice)
        else:
            fix = "remove its entry; what was staged is saved"
            yield Finding("worktree-missing", path, "its directory is gone", sid, fix=fix)
    elif worktree.fault:
        # Not by --fix: git writes a .git file wherever an entry says, and who wrote the entry?
        advice = f"git worktree repair {quote(path)}"
        yield Finding("worktree-damaged", path, worktree.fault, sid, advice=advice)


def _cut_off(worktree: Worktree, sid: SessionId) -> Finding:
    note = removal.unfinished(worktree)
    if os.path.lexists(note.trash) and os.path.lexists(worktree.path):
        evidence = f"a removal moved it to '{note.trash}', and something else lies in its place"
        advice = f"move one of them away; {quote(note.trash)} is the worktree"
        return Finding("removal-cut-off", worktree.path, evidence, sid, advice=advice)
    if removal.is_half_removed(worktree):
        evidence, fix = "it was judged and saved, and is not yet deleted", "finish that"
    else:
        evidence, fix = f"a removal of it was cut off: {note.step} '{note.trash}'", "put it back"
    return Finding("removal-cut-off", worktree.path, evidence, sid, fix=fix)


def moved_to(worktree: Worktree) -> str:
    """Where a missing worktree's directory is, if it only got another name; '' if it is not there."""
    parent, entry = os.path.dirname(worktree.path), os.path.realpath(worktree.entry)
    try:
        names = sorted(os.listdir(parent))[:_MOST]
    except OSError:
        return ""
    for name in names:
        path = os.path.join(parent, name)
        if not trash.is_trash(name) and os.path.realpath(git_dir_of(path) or parent) == entry:
            return path
    return ""


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
    if os.path.isdir(entries_trash) and not facts.busy:
        evidence = "entries that a killed cleanup had renamed"
        yield Finding("trash-left", entries_trash, evidence, fix="delete them")
