"""What does not fit about branches, archive tags and rescue refs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from shlex import quote

from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot
from git_hub_session.git.head import reflog_commits, reflog_tip
from git_hub_session.git.ref_names import (
    ALL_BRANCHES,
    SessionId,
    agent_number,
    parse_agent_branch,
    parse_archive_tag,
    session_of_rescue,
    short_name,
)
from git_hub_session.git.refs import is_packed_ref
from git_hub_session.session.archived import session_archived_attempts
from git_hub_session.session.model import Session
from git_hub_session.session.state import FINISHED, AgentStatus


def look(facts: HubSnapshot) -> Iterator[Finding]:
    """All of them; nothing where libgit2 cannot see any."""
    yield from check_orphan_branches(facts)
    yield from check_broken_refs(facts)
    for session in facts.readable_sessions():
        yield from check_missing_branches(facts, session)
        yield from check_archive_tags(facts, session)
    yield from check_rescue_refs(facts)


def check_orphan_branches(facts: HubSnapshot) -> Iterator[Finding]:
    if facts.hub_error is not None:
        return  # nobody knows which sessions there are
    agents = filter(None, (parse_agent_branch(branch.ref) for branch in facts.branches))
    sids = [agent.session for agent in agents if agent.session not in facts.sessions]
    for sid in dict.fromkeys(sids):
        number = sids.count(sid)
        yield Finding(
            "branches-of-no-session",
            f"{short_name(ALL_BRANCHES)}{sid}/",
            f"{number} branch{'es' if number > 1 else ''}, and there is no session '{sid}' here",
            sid,
            advice=f"git hub-session init --id {sid} --task unknown",
        )


def check_broken_refs(facts: HubSnapshot) -> Iterator[Finding]:
    """Refs of sessions that lead to nothing, also those that libgit2 does not list: their file was cut off."""
    if facts.open_error is not None:
        return
    tips = {branch.ref: branch.oid for branch in facts.branches} | dict(facts.tags)
    # A rescue ref may keep a tag or a blob.
    tips |= {ref: facts.project.repo.find_ref_target(ref) for ref in facts.rescues}
    there = facts.project.repo.has_object
    astray = [ref for ref, oid in tips.items() if not (oid and there(oid))]
    unseen = [path for path in facts.ref_files if path not in tips and not path.endswith(".lock")]
    for ref in [*astray, *unseen]:
        sid = _session_of(ref)
        if sid is None or sid not in facts.sessions:
            continue
        path = os.path.join(facts.project.paths.common_dir, ref)
        evidence, way = "it leads to no commit", ""
        if os.path.lexists(path) and not facts.project.repo.find_ref_target(ref):
            evidence, way = f"git cannot read '{path}'", f"rm {quote(path)}"
        elif ref in unseen:
            continue  # it was made, or packed, while we looked
        last, write = _newest_reflog_commit(facts, ref), f"git update-ref --no-deref {quote(ref)}"
        advice = " && ".join(filter(None, (way, last and f"{write} {last}")))
        if not (last or (way and is_packed_ref(facts.project.paths.common_dir, ref))):
            back = f"{way and f'{way} && '}{write} <commit>"
            advice = f"look for it: git fsck --lost-found; then: {back}"
        yield Finding("ref-broken", short_name(ref), evidence, sid, advice=advice)


def _session_of(ref: str) -> SessionId | None:
    """The session of an agent's branch, an archive tag or a rescue ref."""
    named = parse_agent_branch(ref) or parse_archive_tag(ref)
    return named.session if named else session_of_rescue(ref)


def _newest_reflog_commit(facts: HubSnapshot, ref: str) -> str:
    """The newest commit that is there of the reflog of a ref, or of the worktree that it is checked out in; ''."""
    common_dir = facts.project.paths.common_dir
    tips = [one.head_reflog_tip for one in facts.worktrees if one.head == ref]
    commits = [reflog_tip(common_dir, ref), *tips, *reversed(reflog_commits(common_dir, ref))]
    return next(filter(facts.project.repo.has_commit, commits), "")


def check_missing_branches(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    """Agents whose branch somebody deleted: the session still counts on them."""
    if session.state in FINISHED or facts.open_error is not None:
        return
    sid = session.id
    agents = (parse_agent_branch(branch.ref) for branch in facts.branches)
    there = {one.agent for one in agents if one is not None and one.session == sid}
    # What is broken is said.
    files = (parse_agent_branch(path) or parse_archive_tag(path) for path in facts.ref_files)
    there |= {one.agent for one in files if one is not None and one.session == sid}
    there |= {
        one.agent for one in session_archived_attempts(session, list(facts.archive_tags(sid)))
    }
    for name in session.agents:
        known = session.agent_record(name)
        number = agent_number(name)
        if known.status == AgentStatus.READY and number and number not in there:
            evidence = f"{name} is 'ready', and has neither a branch nor a tag"
            advice = (
                f"look for its commits with git fsck --lost-found, or: git hub-session spawn {sid}"
            )
            yield Finding("agent-without-branch", f"{sid} {name}", evidence, sid, advice=advice)


def check_archive_tags(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    """A tag is where its branch was: what was restored may have gone on from there, and nowhere else."""
    tips = {branch.ref: branch.oid for branch in facts.branches}
    tags = facts.archive_tags(session.id)
    for branch, tag in session_archived_attempts(session, list(tags)).items():
        # A short tag of who made several attempts may be of the first or of the last.
        is_sure = branch.attempt == 1 or tag == branch.attempt_tag
        tip, oid = tips.get(branch.ref, "") if is_sure else "", tags[tag]
        if not (tip and oid) or facts.project.repo.is_ancestor(tip, oid):
            continue
        if oid not in reflog_commits(facts.project.paths.common_dir, branch.ref):
            evidence = (
                f"it points to {oid:.12}, which is not on '{short_name(branch.ref)}' ({tip:.12})"
            )
            advice = f"look at both: git log --graph {short_name(tag)} {short_name(branch.ref)}"
            yield Finding("tag-elsewhere", short_name(tag), evidence, session.id, advice=advice)


def check_rescue_refs(facts: HubSnapshot) -> Iterator[Finding]:
    """Yield the rescue refs that no session records."""
    recorded = {
        sid: set(_recorded(session))
        for sid, session in facts.sessions.items()
        if isinstance(session, Session)
    }
    for ref in facts.rescues:
        sid = session_of_rescue(ref)
        if facts.hub_error is not None:
            break
        if sid is None or sid not in facts.sessions:
            evidence = (
                f"it belongs to session '{sid}', which is not here"
                if sid
                else "it names no session"
            )
            advice = f"look at it: git log -2 {ref}; it keeps work until: git update-ref -d {ref}"
            yield Finding("rescue-of-no-session", ref, evidence, sid or "", advice=advice)
        elif sid not in facts.locked_sessions and ref not in recorded.get(sid, {ref}):
            evidence, fix = f"session '{sid}' does not say that it is there", "write it down there"
            yield Finding("rescue-unrecorded", ref, evidence, sid, fix=fix)


def _recorded(session: Session) -> Iterable[str]:
    for name in session.agents:
        yield from session.agent_record(name).rescue
