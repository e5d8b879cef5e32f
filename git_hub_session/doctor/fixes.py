"""What --fix does, kind by kind, under the session's lock. Each is repeatable, and none deletes what no ref keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.board import Board
from git_hub_session.cleanup.cleanup import clean_up_missing_worktree
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.doctor.checks.sessions import guess_state
from git_hub_session.doctor.checks.worktrees import current_paths
from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.head import reflog_commits
from git_hub_session.git.ref_names import SessionId, branch_of_rescue, branch_prefix
from git_hub_session.git.worktrees import Worktree
from git_hub_session.removal.partial_add import refuse_if_git_running, remove_or_keep
from git_hub_session.removal.recover import has_stale_lock, recover_removal, remove_stale_lock
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.history import with_correction
from git_hub_session.session.layout import remove_incomplete_sessions, write_gitignore
from git_hub_session.session.model import new_state_document
from git_hub_session.session.record import with_agents, with_rescues
from git_hub_session.session.state import AgentStatus, State
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.repair_commands import relink_command

if TYPE_CHECKING:
    from git_hub_session.session.store import LockedSession


Notes = list[str]


def _rewrite_state(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    """A state.json that nobody can read: set aside, and another one for it."""
    sid, known = SessionId(finding.session), facts.sessions[SessionId(finding.session)].config
    created = known.get("created") if known else ""
    kept = edit.move_damaged_state_aside()
    document = new_state_document(sid, at=created or format_iso(facts.now))
    base = _base_of(sid, facts)
    if base:
        document["base_commit"] = base
    reason = (
        f"state.json could not be read; what it was is in {kept}" if kept else "state.json was gone"
    )
    edit.replace_document(
        _corrected(document, guess_state(facts, sid, {}), "unknown", facts, reason)
    )
    return []


def _base_of(sid: SessionId, facts: HubSnapshot) -> str:
    """The commit that the agents started from: the first that the reflog of a branch has; ''."""
    common_dir = facts.project.paths.common_dir
    mine = [one.ref for one in facts.branches if one.ref.startswith(branch_prefix(sid))]
    firsts = {commits[0] for ref in mine if (commits := reflog_commits(common_dir, ref))}
    return firsts.pop() if len(firsts) == 1 else ""


def fix_unknown_state(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    """A state.json that says a state that there is not."""
    sid = SessionId(finding.session)
    document = facts.project.store.read_state_document(sid)
    said, state = str(document.get("state", ""))[:60], guess_state(facts, sid, document)
    edit.replace_document(_corrected(document, state, said, facts, f"'{said}' is no state"))
    return []


def fix_history(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    session = edit.read()
    entries = session.history
    source = entries[-1].target if entries else str(session.state)
    edit.replace_document(
        _corrected(session.document, session.state, source, facts, finding.evidence)
    )
    return []


def _corrected(
    document: Mapping[str, object], target: State, source: str, facts: HubSnapshot, reason: str
) -> dict[str, object]:
    project = facts.project
    return with_correction(
        document,
        target,
        source=source,
        at=format_iso(facts.now),
        by=project.identity,
        reason=reason,
    )


def fix_agent_status(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    name = finding.subject.removeprefix(f"{finding.session} ")
    status = AgentStatus.READY if "ready" in finding.fix else AgentStatus.FAILED
    edit.save(with_agents(edit.read(), {name: {"status": status}}, at=format_iso(facts.now)))
    return []


def _delete_file(finding: Finding, _facts: HubSnapshot, edit: LockedSession) -> Notes:
    directory, name = os.path.split(finding.subject)
    if directory == edit.directory.path:
        edit.directory.unlink_if_exists(name)
    else:
        os.unlink(finding.subject)  # in an entry of git's, where this cleanup's lock is what counts
    return []


def remove_partial(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    worktree, session = find_worktree(finding, facts), edit.read()
    refuse_if_git_running(worktree, "it")
    repo = facts.project.repo
    sources = [session.base_commit, *map(repo.tip, worktree.branches)]
    notes = remove_or_keep(worktree, facts.project, [*filter(None, sources)], "spawn or a restore")
    empty_trash(facts.project.paths.common_dir)
    return notes


def _finish_removal(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    """As a cleanup of this one worktree: put back, or judged, saved and removed."""
    worktree, project = find_worktree(finding, facts), facts.project
    if has_stale_lock(worktree):
        remove_stale_lock(worktree)
        return []
    if not worktree.branches:  # which a cleanup would keep
        recover_removal(worktree)
        return []
    entry = worktree.git_dir
    report = clean_up_missing_worktree(
        edit, SessionId(finding.session), project, read_cleanup_options(project), entry
    )
    for kept in report.kept:
        raise HubError(kept.reason.message, kept.reason.hint)
    saved = (f"what was staged is in {one.ref}" for gone in report.removed for one in gone.saved)
    return [*report.notes, *saved]


def repair_link(finding: Finding, facts: HubSnapshot, _edit: LockedSession) -> Notes:
    worktree = find_worktree(finding, facts)
    [path] = current_paths(facts, worktree)
    try:
        facts.project.git.run(["worktree", "repair", "--", path])
    except GitFailed as fault:  # an old one does not find what was moved along with the repository
        raise HubError(
            fault.stderr.strip() or fault.message, relink_command(path, worktree)
        ) from None
    return []


def _record_rescue(finding: Finding, facts: HubSnapshot, edit: LockedSession) -> Notes:
    sid, ref = SessionId(finding.session), finding.subject
    rescues = group_by_agent(sid, [(branch_of_rescue(ref), [ref])])
    edit.save(with_rescues(edit.read(), rescues, at=format_iso(facts.now)))
    return []


def find_worktree(finding: Finding, facts: HubSnapshot) -> Worktree:
    of_session = facts.worktrees_of(SessionId(finding.session))
    found = next((one for one in of_session if one.git_dir == finding.git_dir), None)
    if found is None:
        raise HubError("it is gone by now")
    return found


OF_SESSIONS: Mapping[str, Callable[[Finding, HubSnapshot, LockedSession], Notes]] = {
    "state-damaged": _rewrite_state,
    "state-unknown": fix_unknown_state,
    "history-contradicts": fix_history,
    "leftover-file": _delete_file,
    "agent-cut-off": fix_agent_status,
    "worktree-half-added": remove_partial,
    "removal-cut-off": _finish_removal,
    "worktree-missing": _finish_removal,
    "worktree-moved": repair_link,
    "rescue-unrecorded": _record_rescue,
}


def _ignore_hub(_finding: Finding, facts: HubSnapshot) -> Notes:
    write_gitignore(facts.project.paths.hub)
    return []


def rebuild_board_index(_finding: Finding, facts: HubSnapshot) -> Notes:
    Board(facts.project.paths.hub).rebuild_index()
    return []


def remove_incomplete(_finding: Finding, facts: HubSnapshot) -> Notes:
    remove_incomplete_sessions(facts.project.paths.hub)
    return []


def _empty_trash(_finding: Finding, facts: HubSnapshot) -> Notes:
    empty_trash(facts.project.paths.common_dir)
    return []


OF_THE_HUB: Mapping[str, Callable[[Finding, HubSnapshot], Notes]] = {
    "hub-not-ignored": _ignore_hub,
    "board-damaged": rebuild_board_index,
    "half-made-session": remove_incomplete,
    "trash-left": _empty_trash,
}
