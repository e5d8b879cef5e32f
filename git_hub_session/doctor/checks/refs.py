"""Checks of branches, archive tags and rescue refs.

They find nothing if libgit2 cannot open the repository.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import GitFailed
from git_hub_session.git.head import reflog_commits, reflog_tip
from git_hub_session.git.process import GitMissing
from git_hub_session.git.ref_names import (
    ALL_BRANCHES,
    HEADS,
    AgentBranch,
    SessionId,
    agent_name,
    agent_number,
    branch_of_rescue,
    parse_agent_branch,
    parse_archive_ref,
    parse_archive_tag,
    session_of_rescue,
    short_name,
)
from git_hub_session.git.refs import is_packed_ref
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.attempts import session_archived_attempts
from git_hub_session.session.create import adopt_command, bring_back_command
from git_hub_session.session.model import Session
from git_hub_session.session.record import with_rescues
from git_hub_session.session.state import FINISHED, AgentStatus
from git_hub_session.util.clock import format_iso
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.off_branch import restore_branch_command

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.session.store import LockedSession


def ref_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Run the checks of this module."""
    if hub.hub_error is None:
        yield from check_orphan_branches(hub)
    if hub.open_error is None:
        yield from check_broken_refs(hub)
    for session in hub.readable_sessions():
        if session.state not in FINISHED and hub.open_error is None:
            yield from check_missing_branches(session, hub)
        yield from check_archive_tags(session, hub)
    yield from rescue_ref_findings(hub)


def rescue_ref_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the rescue refs one by one."""
    if hub.hub_error is not None:
        return  # the sessions are unknown
    recorded = _recorded_rescues(hub)
    for ref in hub.rescues:
        yield from check_orphan_rescue(ref, hub)
        yield from check_unrecorded_rescue(ref, recorded, hub)


@check("branches-of-no-session", "branches of a session that does not exist")
def check_orphan_branches(hub: HubSnapshot) -> Iterator[Problem]:
    agents = filter(None, (parse_agent_branch(branch.ref) for branch in hub.branches))
    counts = Counter(agent.session for agent in agents if agent.session not in hub.sessions)
    for sid, count in counts.items():
        yield Problem(
            f"{short_name(ALL_BRANCHES)}{sid}/",
            f"{count} branch{'es' if count > 1 else ''}, but no session '{sid}'",
            sid,
            advice=bring_back_command(sid, hub.project),
        )


@check("ref-broken", "an agent's branch, an archive tag or a rescue ref has no object")
def check_broken_refs(hub: HubSnapshot) -> Iterator[Problem]:
    """Find refs of sessions that point to no object.

    libgit2 does not list a ref with a truncated file.
    """
    tips = {branch.ref: branch.oid for branch in hub.branches}
    tips |= {**hub.tags, **hub.archives}
    # A rescue ref may point to a tag or a blob.
    tips |= {ref: hub.project.repo.find_ref_target(ref) for ref in hub.rescues}
    incomplete = _incomplete_refs(tips, hub)
    for ref, oid in tips.items():
        if ref in incomplete or not (oid and hub.project.repo.has_object(oid)):
            yield from _broken_ref(ref, hub)
    for ref in hub.ref_files:
        is_unlisted = ref not in tips and not ref.endswith(".lock")
        # A readable ref was created, or packed, after the refs were listed.
        if is_unlisted and _has_unreadable_file(ref, hub):
            yield from _broken_ref(ref, hub)


def _incomplete_refs(tips: Mapping[str, str], hub: HubSnapshot) -> set[str]:
    """Return the rescue refs and archive tags whose commit exists, but not all that it reaches.

    The user's branches are not searched: they can have a long history.
    """
    repo = hub.project.repo
    saved = {
        ref: oid for ref, oid in tips.items() if not ref.startswith(HEADS) and repo.has_object(oid)
    }
    branches = {branch.oid for branch in repo.branches(HEADS)}
    reached = [oid for oid in branches if oid and repo.has_object(oid)]
    if _has_all_objects(saved.values(), reached, hub):
        return set()
    return {ref for ref, oid in saved.items() if not _has_all_objects([oid], reached, hub)}


def _has_all_objects(oids: Iterable[str], reached: Sequence[str], hub: HubSnapshot) -> bool:
    """Return True if all objects exist that `oids` reach and `reached` do not."""
    revisions = "".join(f"{oid}\n" for oid in [*oids, *(f"^{oid}" for oid in reached)])
    git = hub.project.git.at(hub.project.paths.common_dir)
    command = ["rev-list", "--objects", "--quiet", "--missing=allow-promisor", "--stdin"]
    try:
        git.run(command, stdin=revisions.encode())
    except GitMissing:
        return True  # check_git_exists reports it
    except GitFailed:
        return False
    return True


def _broken_ref(ref: str, hub: HubSnapshot) -> Iterator[Problem]:
    """Report a broken ref if it belongs to a session of this hub."""
    sid = _session_of_ref(ref)
    if sid is None or sid not in hub.sessions:
        return
    evidence = "the ref points to no object"
    if hub.project.repo.has_object(hub.project.repo.find_ref_target(ref)):
        evidence = "an object that the ref needs is missing"
    if _has_unreadable_file(ref, hub):
        evidence = f"git cannot read '{_ref_path(ref, hub)}'"
    yield Problem(short_name(ref), evidence, sid, advice=_restore_ref_command(ref, hub))


def _session_of_ref(ref: str) -> SessionId | None:
    """Return the session of an agent's branch, an archive tag or a rescue ref, or None."""
    archived = parse_archive_ref(ref)
    attempt = archived.branch if archived else parse_agent_branch(ref) or parse_archive_tag(ref)
    return attempt.session if attempt else session_of_rescue(ref)


def _ref_path(ref: str, hub: HubSnapshot) -> str:
    return os.path.join(hub.project.paths.common_dir, ref)


def _has_unreadable_file(ref: str, hub: HubSnapshot) -> bool:
    """Return True if the ref has a file, but git cannot read an object id from it."""
    return os.path.lexists(_ref_path(ref, hub)) and not hub.project.repo.find_ref_target(ref)


def _restore_ref_command(ref: str, hub: HubSnapshot) -> str:
    """Return the command that points a broken ref to a commit that still exists."""
    is_unreadable = _has_unreadable_file(ref, hub)
    commands = [f"rm {quote_word(_ref_path(ref, hub))}"] if is_unreadable else []
    update = f"git update-ref --no-deref {quote_word(ref)}"
    commit = _newest_reflog_commit(ref, hub)
    if commit:
        return " && ".join([*commands, f"{update} {commit}"])
    # Without its file, the ref has the object id in packed-refs again.
    if is_unreadable and is_packed_ref(hub.project.paths.common_dir, ref):
        return commands[0]
    restore = " && ".join([*commands, f"{update} <commit>"])
    return f"find its commit: git fsck --lost-found; then: {restore}"


def _newest_reflog_commit(ref: str, hub: HubSnapshot) -> str:
    """Return the newest commit in the reflog of the ref or of a HEAD on it that exists, or ''."""
    common_dir = hub.project.paths.common_dir
    commits = [
        reflog_tip(common_dir, ref),
        *(worktree.head_reflog_tip for worktree in hub.worktrees if worktree.head == ref),
        *reversed(reflog_commits(common_dir, ref)),
    ]
    return next(filter(hub.project.repo.has_commit, commits), "")


@check("agent-without-branch", "an agent has no branch and no archive tag")
def check_missing_branches(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find agents of an active session whose last attempt has lost its branch."""
    sid = session.id
    last_attempts = _last_attempts_with_refs(session, hub)
    for name in session.agents:
        number = agent_number(name)
        record = session.agent_record(name)
        last = last_attempts.get(number, 0)
        status = record.status
        # `spawn` and `restore` create the branch while the agent has one of these statuses. An
        # agent that failed without a run never had a branch.
        is_pending = status in (AgentStatus.SPAWNING, AgentStatus.RESTORING, "")
        has_begun = not is_pending and (status != AgentStatus.FAILED or record.run is not None)
        if number and has_begun and (not last or record.attempt > last):
            attempt = f"attempt-{record.attempt} of {name}" if last else name
            evidence = f"{attempt} is '{status}', but it has no branch and no archive tag"
            advice = _recreate_branch_command(number, last, session, hub)
            if not advice:
                evidence += "; find its commits: git fsck --lost-found"
                advice = _start_again_command(number, last, sid)
            yield Problem(f"{sid} {name}", evidence, sid, advice=advice)


def _recreate_branch_command(agent: int, last: int, session: Session, hub: HubSnapshot) -> str:
    """Return the command that recreates the branch of the last attempt, or ''.

    Its commit is in the reflog of the agent's worktree, or in the result of the last evaluation.

    Args:
        last: the last attempt that has a branch or an archive tag, or 0.
    """
    sid = session.id
    checked_out = ""
    for worktree in hub.by_session.worktrees(sid):
        attempt = parse_agent_branch(worktree.head)
        if attempt is not None and attempt.agent == agent and attempt.attempt > last:
            command = restore_branch_command(worktree)
            if command:
                return command
            if not worktree.is_missing:
                checked_out = short_name(attempt.ref)
    for result in session.results:
        is_lost = result.agent == agent and result.attempt > last
        if is_lost and hub.project.repo.has_commit(result.commit):
            name = short_name(AgentBranch(sid, agent, result.attempt).ref)
            return f"git branch {name} {result.commit}"
    if checked_out:  # `spawn` would refuse
        return f"find its commit: git fsck --lost-found; then: git branch {checked_out} <commit>"
    return ""


def _start_again_command(agent: int, last: int, sid: SessionId) -> str:
    """Return the command that starts the agent again without its lost commits."""
    if not last:
        return f"git hub-session spawn {sid}"
    branch = short_name(AgentBranch(sid, agent, last).ref)
    return f"git hub-session adopt {sid} {agent_name(agent)} {branch}"


def _last_attempts_with_refs(session: Session, hub: HubSnapshot) -> dict[int, int]:
    """Return the last attempt of each agent that has a branch or an archive tag.

    Broken refs count. Include the agents that have renamed their branch: check_branch reports them.
    """
    # check_broken_refs reports a file of a ref that cannot be read.
    listed = [branch.ref for branch in hub.by_session.branches(session.id)]
    refs = [*listed, *hub.by_session.ref_files(session.id)]
    attempts = [parse_agent_branch(ref) or parse_archive_tag(ref) for ref in refs]
    attempts += session_archived_attempts(session, hub.by_session.archived(session.id))
    attempts += hub.off_branch.values()
    last_attempts: dict[int, int] = {}
    for attempt in attempts:
        if attempt is not None and attempt.session == session.id:
            # An archive tag without a number belongs to the last attempt.
            recorded = session.agent_record(agent_name(attempt.agent)).attempt
            last = last_attempts.get(attempt.agent, 0)
            last_attempts[attempt.agent] = max(last, attempt.attempt or recorded)
    return last_attempts


@check("tag-elsewhere", "an archive tag is not on its branch")
def check_archive_tags(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find archive tags that neither the branch nor its reflog contains.

    A restored branch may continue from its tag.
    """
    tips = {branch.ref: branch.oid for branch in hub.by_session.branches(session.id)}
    tags = hub.by_session.archive_tags(session.id)
    for branch, tag in session_archived_attempts(session, tags).items():
        # The short tag of an agent with several attempts may be of the first or the last attempt.
        if branch.attempt > 1 and tag != branch.attempt_tag:
            continue
        tip = tips.get(branch.ref, "")
        oid = tags[tag]
        if not (tip and oid) or hub.project.repo.is_ancestor(tip, oid):
            continue
        if oid not in reflog_commits(hub.project.paths.common_dir, branch.ref):
            name = short_name(branch.ref)
            yield Problem(
                short_name(tag),
                f"the tag points to {oid:.12}, which is not on '{name}' ({tip:.12})",
                session.id,
                advice=f"compare them: git log --graph {short_name(tag)} {name}",
            )


@check("rescue-of-no-session", "a rescue ref of no session")
def check_orphan_rescue(ref: str, hub: HubSnapshot) -> Iterator[Problem]:
    sid = session_of_rescue(ref)
    if sid is not None and sid in hub.sessions:
        return
    evidence = f"its session '{sid}' does not exist" if sid else "its name contains no session"
    advice = f"inspect it: git log -2 {ref}; delete the saved work: git update-ref -d {ref}"
    if sid is not None:
        advice = f"record it: {adopt_command(sid)}; {advice}"
    yield Problem(ref, evidence, sid or "", advice=advice)


def record_rescue(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Record the rescue ref in state.json."""
    ref = finding.subject
    rescues = group_by_agent(SessionId(finding.session), [(branch_of_rescue(ref), [ref])])
    locked.update(partial(with_rescues, rescues=rescues, at=format_iso(hub.now)))
    return []


@check("rescue-unrecorded", "state.json does not record a rescue ref", fix=record_rescue)
def check_unrecorded_rescue(
    ref: str, recorded: Mapping[SessionId, set[str]], hub: HubSnapshot
) -> Iterator[Problem]:
    sid = session_of_rescue(ref)
    if sid is None or sid in hub.locked_sessions or sid not in recorded:
        return
    if ref not in recorded[sid]:
        evidence = f"session '{sid}' does not record it"
        yield Problem(ref, evidence, sid, fix="record it in state.json")


def _recorded_rescues(hub: HubSnapshot) -> dict[SessionId, set[str]]:
    """Return the rescue refs that each readable session records."""
    sessions = [session for session in hub.sessions.values() if isinstance(session, Session)]
    return {session.id: _rescues_of(session) for session in sessions}


def _rescues_of(session: Session) -> set[str]:
    return {ref for name in session.agents for ref in session.agent_record(name).rescue}
