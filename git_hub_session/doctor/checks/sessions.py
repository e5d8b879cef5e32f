"""What does not fit in the files of a session, and between them and what goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from shlex import quote

from git_hub_session.doctor.finding import Finding
from git_hub_session.doctor.snapshot import HubSnapshot, is_partial_add
from git_hub_session.errors import Damaged, HubError, describe_read_error
from git_hub_session.git.ref_names import HEADS, SessionId, agent_number, branch_prefix
from git_hub_session.git.worktrees import Worktree
from git_hub_session.session import runs
from git_hub_session.session.agents import interrupted_spawns
from git_hub_session.session.history import find_contradiction
from git_hub_session.session.model import Session
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED, AgentStatus, State
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_age_since, format_iso, parse_iso

DAY = 24 * 3600  # seconds
STATES = list(State)


def look(facts: HubSnapshot) -> Iterator[Finding]:
    """All of them, those that somebody is changing at the moment only for what cannot be on its way."""
    for sid, session in facts.sessions.items():
        if sid in facts.locked_sessions:
            yield from check_orphaned_lock(facts, sid, facts.locked_sessions[sid])
        elif isinstance(session, UnreadableSession):
            yield from check_unreadable(facts, sid, session)
            yield from check_leftover_files(facts, sid)
        else:
            yield from check_history(session)
            yield from check_leftover_files(facts, sid)
            yield from check_interrupted_agents(facts, session)
            yield from check_base(facts, session)
            yield from check_interrupted_merge(facts, session)
            yield from check_idle(facts, session)


def _path(facts: HubSnapshot, sid: SessionId) -> str:
    return f"{facts.project.paths.hub}/sessions/{sid}"


def check_orphaned_lock(facts: HubSnapshot, sid: SessionId, holder: int) -> Iterator[Finding]:
    """An flock goes with its last holder: a fork that outlived who took it has it still."""
    heirs = (
        procfs.pids_with_open_directory(_path(facts, sid))
        if holder and not procfs.is_alive(holder)
        else []
    )
    if heirs:
        who = ", ".join(f"{pid} ({procfs.process_name(pid)})" for pid in heirs)
        yield Finding(
            "lock-orphaned",
            sid,
            f"process {holder}, which locked it, is dead; its lock is held by {who}",
            sid,
            advice=f"wait for it; if it hangs: kill {' '.join(map(str, heirs))}",
        )


def check_unreadable(
    facts: HubSnapshot, sid: SessionId, session: UnreadableSession
) -> Iterator[Finding]:
    path = _path(facts, sid)
    try:
        facts.project.store.open_directory(sid).close()
    except (HubError, OSError):  # a link, or not ours to open
        advice = f"look where it leads, then: mv {quote(path)} somewhere else"
        yield Finding("hub-damaged", path, session.reason, sid, advice=advice)
        return
    try:
        document = facts.project.store.read_state_document(sid)
    except (Damaged, OSError) as fault:
        document, reason = None, describe_read_error(fault)
    if session.config is None:
        if document is None and _is_empty(facts, sid):
            yield Finding(
                "not-a-session", path, "an empty directory", sid, advice=f"rmdir {quote(path)}"
            )
            return
        yield Finding(
            "config-damaged",
            sid,
            session.reason,
            sid,
            advice=f"put back {path}/config.yaml, with at least the lines task: and base_branch:",
        )
    if document is None:
        fix = f"keep it under another name, and write one that says '{guess_state(facts, sid, {})}'"
        yield Finding("state-damaged", sid, reason, sid, fix=fix)
    elif document.get("state") not in STATES:
        what = f"state.json says '{document.get('state', '')!s:.60}', which is no state"
        fix = f"let it say '{guess_state(facts, sid, document)}'"
        yield Finding("state-unknown", sid, what, sid, fix=fix)


def _is_empty(facts: HubSnapshot, sid: SessionId) -> bool:
    with facts.project.store.open_directory(sid) as directory:
        return not directory.names()


def guess_state(facts: HubSnapshot, sid: SessionId, document: Mapping[str, object]) -> State:
    """Where a session stands whose state.json does not say: as its history, or else refs and worktrees tell."""
    entries = document.get("history")
    last = entries[-1] if isinstance(entries, list) and entries else None
    told = last.get("to") if isinstance(last, dict) else None
    if told in STATES:
        return State(told)
    if any(one.ref.startswith(branch_prefix(sid)) for one in facts.branches) or facts.worktrees_of(
        sid
    ):
        return State.RUNNING
    return State.ARCHIVED if facts.archive_tags(sid) else State.INIT


def check_history(session: Session) -> Iterator[Finding]:
    entries = session.document.get("history", [])
    if not isinstance(entries, list) or len(entries) != len(session.history):
        fault = "its history is no list of transitions"
    else:
        fault = find_contradiction(session.history, session.state)
    if fault:
        fix = f"add an entry that says that it is '{session.state}'"
        yield Finding("history-contradicts", session.id, fault, session.id, fix=fix)


def check_leftover_files(facts: HubSnapshot, sid: SessionId) -> Iterator[Finding]:
    try:
        with facts.project.store.open_directory(sid) as directory:
            names = directory.temporary_files()
    except (Damaged, OSError):
        return  # said already
    for name in names:
        path = f"{_path(facts, sid)}/{name}"
        yield Finding(
            "leftover-file",
            path,
            "it was being written when its writer was killed",
            sid,
            fix="delete it",
        )


def check_interrupted_agents(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    """Who is said to be made, or to work, while nobody does it."""
    sid = session.id
    half_added = any(is_partial_add(one) for one in facts.worktrees_of(sid))
    for name in session.agents:
        status = session.agent_record(name).status
        number = agent_number(name)
        if status in (AgentStatus.SPAWNING, AgentStatus.RESTORING):
            if half_added:
                continue  # which says it
            word = "spawn" if status == AgentStatus.SPAWNING else "restore"
            if _is_there(facts, sid, name):
                yield _cut_off(session, name, word, fix="say 'ready' of it")
            elif number and status == AgentStatus.RESTORING:
                yield _cut_off(session, name, word, advice=f"git hub-session restore {sid}")
            elif number in interrupted_spawns(session) and session.state not in FINISHED:
                advice = f"git hub-session spawn {sid} --agents {number}"
                yield _cut_off(session, name, word, advice=advice)
            else:
                yield _cut_off(session, name, word, fix="say 'failed' of it")
        elif status in (AgentStatus.RUNNING, AgentStatus.WAITING) and not _is_agent_running(
            facts, session, name
        ):
            yield _cut_off(session, name, "exec", fix="say 'failed' of it")


def _is_there(facts: HubSnapshot, sid: SessionId, name: str) -> bool:
    """Whether the agent has a worktree that is whole."""
    prefix = f"{branch_prefix(sid)}{name}/"
    return any(
        one.head.startswith(prefix)
        and not (one.is_missing or one.link_error or one.lock_reason is not None)
        for one in facts.worktrees_of(sid)
    )


def _cut_off(session: Session, name: str, what: str, *, fix: str = "", advice: str = "") -> Finding:
    status = session.agent_record(name).status
    evidence = f"the session says '{status}' of {name}, and no {what} works on it"
    return Finding("agent-cut-off", f"{session.id} {name}", evidence, session.id, fix, advice)


def _is_agent_running(facts: HubSnapshot, session: Session, name: str) -> bool:
    """Whether the run that the session names goes on, or any process at the agent's."""
    if not agent_number(name):
        return False
    run = session.agent_record(name).run
    with facts.project.store.open_directory(session.id) as directory:
        if run in runs.active_runs(directory, runs.EXEC):
            return True
    told = {"HUB_SESSION_ID": session.id, "HUB_AGENT": name}
    return bool(procfs.pids_with_environment(told)) or _has_process_in(
        facts, session.id, f"{branch_prefix(session.id)}{name}/"
    )


def _has_process_in(facts: HubSnapshot, sid: SessionId, prefix: str) -> bool:
    tops = [
        one.path
        for one in facts.worktrees_of(sid)
        if any(ref.startswith(prefix) for ref in one.branches)
    ]
    return any(procfs.processes_in(top, facts.processes) for top in tops)


def check_base(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    if facts.open_error is not None or session.state in FINISHED:
        return
    sid, base = session.id, session.config.base_branch
    if base and not facts.project.repo.tip(HEADS + base):
        advice = f"git hub-session merge {sid} --into <branch>, when it comes to that"
        yield Finding(
            "base-gone", sid, f"its base branch '{base}' is not there", sid, advice=advice
        )
    if session.base_commit and not facts.project.repo.has_commit(session.base_commit):
        evidence = f"the commit that its agents started from is gone: {session.base_commit}"
        yield Finding(
            "base-gone",
            sid,
            evidence,
            sid,
            advice=f"git hub-session spawn {sid} --base <commit>, for the agents to come",
        )


def check_interrupted_merge(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    merge = session.merge
    if merge is None or session.state is not State.EVALUATING or facts.open_error is not None:
        return
    repo, sid = facts.project.repo, session.id
    landed = repo.is_ancestor(repo.tip(HEADS + merge.into), merge.commit)
    evidence = (
        f"'{merge.into}' has the merge of agent-{merge.agent}, and the session does not say so"
        if landed
        else f"the merge of agent-{merge.agent} into '{merge.into}' was begun, and is not there"
    )
    advice = f"git hub-session merge {sid}{' --yes' if landed else ''}"
    yield Finding("merge-cut-off", sid, evidence, sid, advice=advice)


def check_idle(facts: HubSnapshot, session: Session) -> Iterator[Finding]:
    if session.state is not State.RUNNING:
        return
    sid, prefix = session.id, branch_prefix(session.id)
    times: list[float] = [branch.time for branch in facts.branches if branch.ref.startswith(prefix)]
    times += [time for one in facts.worktrees_of(sid) for time in _modification_times(one)]
    last = max([parse_iso(session.updated) or 0.0, *times])
    if facts.now - last <= DAY or _is_session_active(facts, session):
        return
    since = format_age_since(format_iso(last), facts.now)
    evidence = f"it is 'running', without a process, a commit or a change since {since}"
    advice = f"git hub-session eval {sid}, or: git hub-session archive {sid}"
    yield Finding("session-forgotten", sid, evidence, sid, advice=advice)


def _modification_times(worktree: Worktree) -> list[float]:
    """When git, or somebody at the top of it, last changed a worktree; seconds since the epoch."""
    try:
        return [worktree.index_mtime_ns / 1e9, os.stat(worktree.path).st_mtime]
    except OSError:
        return []


def _is_session_active(facts: HubSnapshot, session: Session) -> bool:
    with facts.project.store.open_directory(session.id) as directory:
        if runs.active_runs(directory, runs.EXEC) or runs.active_runs(directory, runs.EVAL):
            return True
    return _has_process_in(facts, session.id, branch_prefix(session.id)) or bool(
        procfs.pids_with_environment({"HUB_SESSION_ID": session.id})
    )
