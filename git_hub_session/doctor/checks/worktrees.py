"""What does not fit about the worktrees of sessions; others are none of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from shlex import quote

from git_hub_session.doctor.checks.locks import stale_locks
from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot, is_partial_add
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_name, parse_agent_branch
from git_hub_session.git.worktrees import Worktree, linked_git_dir
from git_hub_session.removal import trash
from git_hub_session.removal.journal import is_marked_for_deletion, read_journal
from git_hub_session.removal.recover import has_stale_lock
from git_hub_session.session.model import Session
from git_hub_session.session.state import FINISHED
from git_hub_session.system import procfs
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.detached import detached_reason, reattach_command
from git_hub_session.worktree.owner import detached_owner, original_attempt, recorded_paths
from git_hub_session.worktree.relocation import (
    can_repair,
    expected_paths,
    find_moved_with_repository,
    is_parent_missing,
    moved_paths,
)
from git_hub_session.worktree.repair_commands import (
    move_aside_command,
    move_back_command,
    relink_command,
    repair_command,
    unknown_location_hint,
)

_PID = re.compile(r"\bpid\b\W{0,3}([0-9]{1,9})\b", re.IGNORECASE | re.ASCII)


def look(facts: HubSnapshot) -> Iterator[Finding]:
    """All of them, but for those of sessions that somebody is changing."""
    yield from check_worktrees(facts)
    yield from check_trash(facts)


def check_worktrees(facts: HubSnapshot) -> Iterator[Finding]:
    """Yield the problems of the sessions' worktrees, except those of locked sessions."""
    for worktree in facts.worktrees:
        sid = facts.session_by_git_dir.get(worktree.git_dir)
        if sid is not None and sid not in facts.locked_sessions:
            yield from _one(facts, worktree, sid)


def _one(facts: HubSnapshot, worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    session = facts.sessions.get(sid)
    if session is None:
        if facts.hub_error is None:
            evidence = f"session '{sid}' is not there, and its worktree is"
            make = f"git hub-session init --id {sid} --task unknown"
            advice = f"{make} && git hub-session cleanup {sid}"
            yield Finding("worktree-of-no-session", worktree.path, evidence, sid, advice=advice)
        return
    link = check_link(facts, worktree, sid)
    if link is not None:
        yield link
    elif isinstance(session, Session):
        yield from _of_session(facts, worktree, session)
    yield from check_dead_lock(worktree, sid)
    locks = list(stale_locks(facts, worktree.git_dir, sid))
    if locks and not facts.pids_in(worktree.path):
        yield from locks
    for name in trash.leftover_files(worktree):
        path = f"{worktree.git_dir}/{name}"
        yield Finding(
            "leftover-file", path, "left by a cleanup that was killed", sid, fix="delete it"
        )


def _of_session(facts: HubSnapshot, worktree: Worktree, session: Session) -> Iterator[Finding]:
    """What does not fit about a worktree that is in its place, and the session that it belongs to."""
    sid, off = session.id, detached_reason(worktree)
    way = _way_onto(facts, worktree, session) if off else ""
    if _is_in_finished_session(session, worktree):
        evidence, advice = f"session '{sid}' is '{session.state}'", f"git hub-session cleanup {sid}"
        advice = f"{way} && {advice}" if off else advice
        yield Finding("worktree-of-finished", worktree.path, evidence, sid, advice=advice)
    elif off and not facts.pids_in(worktree.path):
        yield Finding("worktree-off-branch", worktree.path, off, sid, advice=way)


def _way_onto(facts: HubSnapshot, worktree: Worktree, session: Session) -> str:
    """How a worktree that is off its branch becomes the agent's again, with all that is in it."""
    if facts.open_error is not None:
        return f"git -C {quote(worktree.path)} status"
    return reattach_command(worktree, _branch_of(facts, worktree, session), facts.project)


def _branch_of(facts: HubSnapshot, worktree: Worktree, session: Session) -> AgentBranch:
    """The attempt that it belongs to."""
    known = detached_owner(worktree, {session.id: session}, facts.project).get(session.id)
    # In the middle of a rebase HEAD may be cut off as well.
    on = next(filter(None, map(parse_agent_branch, worktree.branches)), None)
    return known or on or AgentBranch(session.id, 1, 1)


def check_unreadable_head(facts: HubSnapshot, worktree: Worktree, sid: SessionId) -> Finding:
    """Its HEAD was cut off: to git it is no worktree then, whatever is in it."""
    session, advice = facts.sessions.get(sid), f"look at {quote(worktree.git_dir)}/HEAD"
    if isinstance(session, Session):
        advice = _way_onto(facts, worktree, session)
    evidence = detached_reason(worktree)
    return Finding("worktree-damaged", worktree.path, evidence, sid, advice=advice)


def _is_in_finished_session(session: Session, worktree: Worktree) -> bool:
    """Whether the session is over, and nobody has brought the worktree back since."""
    agents = filter(None, [*map(parse_agent_branch, worktree.branches), original_attempt(worktree)])
    return session.state in FINISHED and not any(
        session.agent_record(agent_name(one.agent)).is_restored for one in agents
    )


def check_link(facts: HubSnapshot, worktree: Worktree, sid: SessionId) -> Finding | None:
    """What is wrong between entry and directory, the first thing that explains the others."""
    if is_partial_add(worktree):
        return None if facts.pids_in(worktree.path) else check_partial_add(facts, worktree, sid)
    if read_journal(worktree).step:
        return check_interrupted_removal(worktree, sid)
    if has_stale_lock(worktree):
        evidence, fix = "a removal locked it, and was cut off", "unlock it"
        return Finding(
            "removal-cut-off", worktree.path, evidence, sid, fix=fix, git_dir=worktree.git_dir
        )
    if not (worktree.head or worktree.detached):
        return check_unreadable_head(facts, worktree, sid)
    found = current_paths(facts, worktree) if worktree.is_missing else []
    if found or (worktree.is_missing and worktree.lock_reason is None):
        return check_missing(facts, worktree, sid, found)
    if worktree.link_error:
        # Not by --fix: git writes a .git file wherever an entry says, and who wrote the entry?
        path = worktree.path or worktree.git_dir
        advice = repair_command(worktree)
        return Finding("worktree-damaged", path, worktree.link_error, sid, advice=advice)
    return None


def check_partial_add(facts: HubSnapshot, worktree: Worktree, sid: SessionId) -> Finding:
    """Taken away only where the session has it, and nothing else lies there: an entry can name any place."""
    path, entry = worktree.path or worktree.git_dir, worktree.git_dir
    session, real = facts.sessions.get(sid), os.path.realpath(worktree.path)
    told = recorded_paths(session).values() if isinstance(session, Session) else ()
    ours = real in map(os.path.realpath, [*told, *expected_paths(worktree, facts.project)])
    alone = sum(one.path == worktree.path for one in facts.worktrees) == 1
    evidence = f"git was not done with it: locked, {worktree.lock_reason}"
    if ours and alone and worktree.link_error in ("", "its .git file is missing"):
        fix = "take it away; what somebody put into it is kept under another name"
        return Finding("worktree-half-added", path, evidence, sid, fix=fix, git_dir=entry)
    advice = f"look at both; then: rm -r {quote(entry)}"
    return Finding("worktree-half-added", path, evidence, sid, advice=advice)


def check_missing(
    facts: HubSnapshot, worktree: Worktree, sid: SessionId, found: Sequence[str]
) -> Finding:
    """Its directory lies in one of the places `found`; nowhere, if there is none."""
    path, entry = worktree.path, worktree.git_dir
    faulty = [one.path for one in facts.worktrees if one.link_error and one.path]
    taken = [path for path in faulty if os.path.realpath(path) in found]
    if taken:
        evidence = f"it lies in '{taken[0]}' now, the place of another"
        advice = move_back_command(taken[0], worktree)
        return Finding("worktree-moved", path, evidence, sid, advice=advice)
    if found:
        both = "' or '".join(found)
        evidence = f"it lies in '{both}' now"
        if len(found) == 1 and can_repair(found[0], worktree, facts.worktrees):
            fix = "tell git where it is"
            return Finding("worktree-moved", path, evidence, sid, fix=fix, git_dir=entry)
        advice = relink_command(found[0], worktree)
        return Finding("worktree-moved", path, evidence, sid, advice=advice)
    evidence = "its directory is gone"
    if worktree.operation:
        evidence += f", in the middle of a {worktree.operation}"
    if is_parent_missing(worktree):
        evidence += ", and so is the one that it was in: a disk, or all of it moved"
    if worktree.operation or detached_reason(worktree):  # a cleanup would not remove it
        return Finding("worktree-missing", path, evidence, sid, advice=repair_command(worktree))
    if is_parent_missing(worktree):
        advice = f"{unknown_location_hint(worktree)}; if it is gone: git hub-session cleanup --force {sid}"
        return Finding("worktree-missing", path, evidence, sid, advice=advice)
    fix = "remove its entry; what was staged is saved"
    return Finding("worktree-missing", path, evidence, sid, fix=fix, git_dir=entry)


def check_interrupted_removal(worktree: Worktree, sid: SessionId) -> Finding:
    note, path = read_journal(worktree), worktree.path
    if os.path.lexists(note.trash) and os.path.lexists(path):
        evidence = f"a removal moved it to '{note.trash}', and something else lies in its place"
        advice = move_aside_command(worktree.path)
        return Finding("removal-cut-off", path, evidence, sid, advice=advice)
    fix, evidence = "put it back", "a removal of it was begun, and cut off"
    if is_marked_for_deletion(worktree):
        fix, evidence = "finish that", "its work was saved, and not all of it is deleted yet"
    return Finding("removal-cut-off", path, evidence, sid, fix=fix, git_dir=worktree.git_dir)


def current_paths(facts: HubSnapshot, worktree: Worktree) -> list[str]:
    """Where a missing worktree's directory is: beside its old place, in the place of another, where it would be made, or
    where a process stands; if nowhere, where it is if it was moved along with the repository."""
    paths = made = expected_paths(worktree, facts.project)
    for process in facts.processes:
        steps = process.cwd.split("/")
        paths = [*paths, *("/".join(steps[:end]) for end in range(2, len(steps) + 1))]
    here = [
        path
        for path in dict.fromkeys(paths)
        if is_same_path(linked_git_dir(path), worktree.git_dir)
    ]
    found = [*here, *moved_paths(worktree, facts.worktrees)] or [
        find_moved_with_repository(worktree, made)
    ]
    return sorted({os.path.realpath(path) for path in found if path})


def check_dead_lock(worktree: Worktree, sid: SessionId) -> Iterator[Finding]:
    named = _PID.search(worktree.lock_reason or "")
    if named and not procfs.is_alive(int(named[1])):
        yield Finding(
            "lock-of-dead-process",
            worktree.path,
            f"locked: {worktree.lock_reason}; there is no such process here",
            sid,
            # It may live on another machine, or in a container.
            advice=f"git worktree unlock {quote(worktree.path)}",
        )


def check_trash(facts: HubSnapshot) -> Iterator[Finding]:
    """Directories with the name of a worktree that is being removed, and no entry that knows of it."""
    place = facts.project.paths
    if facts.locked_sessions:
        return
    parents = {os.path.dirname(one.path) for one in facts.worktrees if one.path}
    for session in facts.readable_sessions():
        parents |= set(map(os.path.dirname, recorded_paths(session).values()))
    known = {os.path.realpath(trash.trash_name(one)) for one in facts.worktrees if one.path}
    entries = os.path.join(os.path.realpath(place.common_dir), "worktrees")
    for parent in sorted(parents):
        for path in trash.list_trash(parent):
            # What another repository's cleanup has moved aside is none of ours.
            git_dir = linked_git_dir(path)
            ours = not git_dir or os.path.dirname(os.path.realpath(git_dir)) == entries
            if ours and os.path.realpath(path) not in known:
                evidence = "a cleanup moved it aside, and its entry is gone since"
                advice = f"look what is in it; then: rm -r {quote(path)}"
                yield Finding("trash-left", path, evidence, advice=advice)
    entries_trash = trash.git_dir_trash(place.common_dir)
    if os.path.isdir(entries_trash) and not os.path.islink(entries_trash):
        evidence = "entries that a killed cleanup had renamed"
        yield Finding("trash-left", entries_trash, evidence, fix="delete them")
