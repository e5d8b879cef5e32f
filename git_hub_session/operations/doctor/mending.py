"""What --fix does, kind by kind, under the session's lock. Each is repeatable, and none deletes what no ref keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from git_hub_session.board import Board
from git_hub_session.clock import iso
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.heads import reflog_commits
from git_hub_session.history import corrected
from git_hub_session.hub import clear, ignore
from git_hub_session.operations.cleanup import finish_one
from git_hub_session.operations.doctor.facts import Facts
from git_hub_session.operations.doctor.finding import Finding
from git_hub_session.operations.doctor.sessions import state_of
from git_hub_session.operations.doctor.worktrees import moved_to
from git_hub_session.operations.halfmade import refuse_if_made, set_aside
from git_hub_session.operations.links import told_anew
from git_hub_session.operations.policy import policy_of
from git_hub_session.operations.recovery import is_locked_for_nothing, unlock
from git_hub_session.operations.removal import recover
from git_hub_session.operations.saving import by_agent
from git_hub_session.operations.trash import empty_trash
from git_hub_session.refnames import SessionId, branch_of_rescue, branch_prefix
from git_hub_session.session import new_document, with_agents, with_rescues
from git_hub_session.states import State
from git_hub_session.typed import TYPE_CHECKING
from git_hub_session.worktrees import Worktree

if TYPE_CHECKING:
    from git_hub_session.store import Edit

Notes = list[str]


def _rewrite_state(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    """A state.json that nobody can read: set aside, and another one for it."""
    sid, known = SessionId(finding.session), facts.sessions[SessionId(finding.session)].config
    created = known.get("created") if known else ""
    kept = edit.keep_damaged()
    document = new_document(sid, at=created or iso(facts.now))
    base = _base_of(sid, facts)
    if base:
        document["base_commit"] = base
    reason = (
        f"state.json could not be read; what it was is in {kept}" if kept else "state.json was gone"
    )
    edit.rewrite(_corrected(document, state_of(facts, sid, {}), "unknown", facts, reason))
    return []


def _base_of(sid: SessionId, facts: Facts) -> str:
    """The commit that the agents started from: the first that the reflog of a branch has; ''."""
    common_dir = facts.scene.place.common_dir
    mine = [one.ref for one in facts.branches if one.ref.startswith(branch_prefix(sid))]
    firsts = {commits[0] for ref in mine if (commits := reflog_commits(common_dir, ref))}
    return firsts.pop() if len(firsts) == 1 else ""


def _name_state(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    """A state.json that says a state that there is not."""
    sid = SessionId(finding.session)
    document = facts.scene.store.document(sid)
    said, state = str(document.get("state", ""))[:60], state_of(facts, sid, document)
    edit.rewrite(_corrected(document, state, said, facts, f"'{said}' is no state"))
    return []


def _start_history(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    session = edit.read()
    entries = session.history
    source = entries[-1].target if entries else str(session.state)
    edit.rewrite(_corrected(session.document, session.state, source, facts, finding.evidence))
    return []


def _corrected(
    document: Mapping[str, object], target: State, source: str, facts: Facts, reason: str
) -> dict[str, object]:
    scene = facts.scene
    return corrected(
        document, target, source=source, at=iso(facts.now), by=scene.identity, reason=reason
    )


def _give_up(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    name = finding.subject.removeprefix(f"{finding.session} ")
    status = "ready" if "ready" in finding.fix else "failed"
    edit.save(with_agents(edit.read(), {name: {"status": status}}, at=iso(facts.now)))
    return []


def _delete_file(finding: Finding, _facts: Facts, edit: Edit) -> Notes:
    directory, name = os.path.split(finding.subject)
    if directory == edit.directory.path:
        edit.directory.discard(name)
    else:
        os.unlink(finding.subject)  # in an entry of git's, where this cleanup's lock is what counts
    return []


def _take_half_away(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    worktree, session = _worktree(finding, facts), edit.read()
    refuse_if_made(worktree, "it")
    repo = facts.scene.repo
    sources = [session.base_commit, *map(repo.tip, worktree.branches)]
    notes = set_aside(worktree, facts.scene, [*filter(None, sources)], "spawn or a restore")
    empty_trash(facts.scene.place.common_dir)
    return notes


def _finish_removal(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    """As a cleanup of this one worktree: put back, or judged, saved and removed."""
    worktree, scene = _worktree(finding, facts), facts.scene
    if is_locked_for_nothing(worktree):
        unlock(worktree)
        return []
    if not worktree.branches:  # which a cleanup would keep
        recover(worktree)
        return []
    entry = worktree.entry
    report = finish_one(edit, SessionId(finding.session), scene, policy_of(scene), entry)
    for kept in report.kept:
        raise HubError(kept.reason.message, kept.reason.hint)
    saved = (f"what was staged is in {one.ref}" for gone in report.removed for one in gone.saved)
    return [*report.notes, *saved]


def _repair(finding: Finding, facts: Facts, _edit: Edit) -> Notes:
    worktree = _worktree(finding, facts)
    [path] = moved_to(facts, worktree)
    try:
        facts.scene.git.run(["worktree", "repair", "--", path])
    except GitFailed as fault:  # an old one does not find what was moved along with the repository
        raise HubError(fault.stderr.strip() or fault.message, told_anew(path, worktree)) from None
    return []


def _record_rescue(finding: Finding, facts: Facts, edit: Edit) -> Notes:
    sid, ref = SessionId(finding.session), finding.subject
    rescues = by_agent(sid, [(branch_of_rescue(ref), [ref])])
    edit.save(with_rescues(edit.read(), rescues, at=iso(facts.now)))
    return []


def _worktree(finding: Finding, facts: Facts) -> Worktree:
    of_session = facts.of(SessionId(finding.session))
    found = next((one for one in of_session if one.entry == finding.entry), None)
    if found is None:
        raise HubError("it is gone by now")
    return found


OF_SESSIONS: Mapping[str, Callable[[Finding, Facts, Edit], Notes]] = {
    "state-damaged": _rewrite_state,
    "state-unknown": _name_state,
    "history-contradicts": _start_history,
    "leftover-file": _delete_file,
    "agent-cut-off": _give_up,
    "worktree-half-added": _take_half_away,
    "removal-cut-off": _finish_removal,
    "worktree-missing": _finish_removal,
    "worktree-moved": _repair,
    "rescue-unrecorded": _record_rescue,
}


def _ignore_hub(_finding: Finding, facts: Facts) -> Notes:
    ignore(facts.scene.place.hub)
    return []


def _count_posts(_finding: Finding, facts: Facts) -> Notes:
    Board(facts.scene.place.hub).count_anew()
    return []


def _delete_half_made(_finding: Finding, facts: Facts) -> Notes:
    clear(facts.scene.place.hub)
    return []


def _empty_trash(_finding: Finding, facts: Facts) -> Notes:
    empty_trash(facts.scene.place.common_dir)
    return []


OF_THE_HUB: Mapping[str, Callable[[Finding, Facts], Notes]] = {
    "hub-not-ignored": _ignore_hub,
    "board-damaged": _count_posts,
    "half-made-session": _delete_half_made,
    "trash-left": _empty_trash,
}
