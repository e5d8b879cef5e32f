"""Checks of the recorded progress of a session: agents, base, merge and activity."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.doctor.snapshot import HubSnapshot, is_partial_add
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    SessionId,
    agent_number,
    branch_prefix,
)
from git_hub_session.session import runs
from git_hub_session.session.agents import interrupted_spawns
from git_hub_session.session.attempts import earlier_attempts
from git_hub_session.session.record import with_agents, with_attempts
from git_hub_session.session.state import FINISHED, AgentStatus, State
from git_hub_session.session.store import TASK_FILE
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_age_since, format_iso, parse_iso
from git_hub_session.util.json_values import as_text
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.worktree.git_settings import (
    describe_changed,
    describe_replaced,
    find_changes,
    settings_advice,
)

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import LockedSession
    from git_hub_session.system.directory import SafeDirectory

_ATTEMPT = "/attempt-"
"""The text between the agent and the number in the name of an earlier attempt."""

IDLE_SECONDS = 24 * 3600
"""The time after which a session without any activity is reported."""


def progress_findings(session: Session, hub: HubSnapshot) -> Iterator[Finding]:
    """Run the checks of this module."""
    yield from check_interrupted_agents(session, hub)
    if hub.open_error is None:
        yield from check_base(session, hub)
        yield from check_interrupted_merge(session, hub)
    yield from check_idle_session(session, hub)
    if session.state not in FINISHED:
        yield from check_git_settings(session, hub)
        yield from check_replaced_objects(session, hub)


def fix_agent_status(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Set the status of the attempt to the result of its interrupted command."""
    subject = finding.subject.removeprefix(f"{finding.session} ")
    name, _, number = subject.partition(_ATTEMPT)
    attempt = parse_int(number, MAX_COUNT) or 0
    at = format_iso(hub.now)

    def with_final_status(session: Session) -> Session:
        change = {"status": _final_status(session, name, attempt, hub)}
        if not attempt:
            return with_agents(session, {name: change}, at=at)
        branch = AgentBranch(session.id, agent_number(name), attempt)
        return with_attempts(session, {branch: change}, at=at)

    locked.update(with_final_status)
    return []


@check(
    "agent-cut-off", "a command was interrupted while it worked for an agent", fix=fix_agent_status
)
def check_interrupted_agents(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find attempts whose status names a running command although no process runs it."""
    for name in session.agents:
        earlier = earlier_attempts(session, name) if agent_number(name) else []
        for attempt in (0, *earlier):
            command = _interrupted_command(session, name, attempt, hub)
            if command:
                yield _interrupted_problem(session, name, attempt, command, hub)


def _interrupted_problem(
    session: Session, name: str, attempt: int, command: str, hub: HubSnapshot
) -> Problem:
    status = _status(session, name, attempt)
    subject = f"{name}{_ATTEMPT}{attempt}" if attempt else name
    advice = "" if attempt else _continue_command(session, name, hub)
    final_status = _final_status(session, name, attempt, hub)
    fix = "" if advice else f"set its status to '{final_status}'"
    evidence = f"the status of {subject} is '{status}', but no {command} is running"
    return Problem(f"{session.id} {subject}", evidence, session.id, fix, advice)


def _status(session: Session, name: str, attempt: int) -> str:
    """Return the status of an attempt in state.json. 0 is the last attempt."""
    return as_text(session.attempt_fields(name, attempt).get("status"))


def _interrupted_command(session: Session, name: str, attempt: int, hub: HubSnapshot) -> str:
    """Return the command that was interrupted while it worked for the attempt, or ''."""
    status = _status(session, name, attempt)
    if status in (AgentStatus.RUNNING, AgentStatus.WAITING):
        return "" if _is_agent_running(session, name, attempt, hub) else "exec"
    if status not in (AgentStatus.SPAWNING, AgentStatus.RESTORING):
        return ""
    # check_partial_add reports the partial worktree. Its fix has to come first.
    if any(is_partial_add(worktree) for worktree in hub.by_session.worktrees(session.id)):
        return ""
    return "spawn" if status == AgentStatus.SPAWNING else "restore"


def _continue_command(session: Session, name: str, hub: HubSnapshot) -> str:
    """Return the command that finishes an interrupted spawn or restore, or '' if none can."""
    number = agent_number(name)
    status = _status(session, name, 0)
    if not number or _has_complete_worktree(_branch_prefix(session, name, 0), session.id, hub):
        return ""
    if status == AgentStatus.RESTORING:
        return f"git hub-session restore {session.id}"
    if number in interrupted_spawns(session) and session.state not in FINISHED:
        return f"git hub-session spawn {session.id} --only {name}"
    return ""


def _final_status(session: Session, name: str, attempt: int, hub: HubSnapshot) -> AgentStatus:
    """Return the status of an attempt whose interrupted command cannot be finished."""
    is_created = _status(session, name, attempt) in (AgentStatus.SPAWNING, AgentStatus.RESTORING)
    prefix = _branch_prefix(session, name, attempt)
    if is_created and _has_complete_worktree(prefix, session.id, hub):
        return AgentStatus.READY
    return AgentStatus.FAILED


def _branch_prefix(session: Session, name: str, attempt: int) -> str:
    """Return the full ref of an earlier attempt, or the prefix of all attempts of the agent.

    It ends with a slash: attempt-1 is not a prefix of attempt-10.
    """
    if attempt:
        return f"{AgentBranch(session.id, agent_number(name), attempt).ref}/"
    return f"{branch_prefix(session.id)}{name}/"


def _has_complete_worktree(prefix: str, sid: SessionId, hub: HubSnapshot) -> bool:
    """Return True if a branch with this prefix has an unlocked worktree with an intact link."""
    return any(
        f"{worktree.head}/".startswith(prefix)
        and not (worktree.is_missing or worktree.link_error or worktree.lock_reason is not None)
        for worktree in hub.by_session.worktrees(sid)
    )


def _is_agent_running(session: Session, name: str, attempt: int, hub: HubSnapshot) -> bool:
    """Return True if the recorded run is active, or if a process works for the attempt."""
    if not agent_number(name):
        return False
    with hub.project.store.open_directory(session.id) as directory:
        if runs.recorded_run(session, name, attempt) in runs.active_runs(directory, runs.EXEC):
            return True
        variables = {**_command_variables(directory), "HUB_AGENT": name}
    if attempt:
        variables["HUB_ATTEMPT"] = str(attempt)
    if procfs.pids_with_environment(variables):
        return True
    return _has_process_in(session.id, _branch_prefix(session, name, attempt), hub)


def _has_process_in(sid: SessionId, prefix: str, hub: HubSnapshot) -> bool:
    """Return True if a process uses a worktree that is on a branch with this prefix."""
    return any(
        procfs.processes_in(worktree.path, hub.read_processes())
        for worktree in hub.by_session.worktrees(sid)
        if any(f"{ref}/".startswith(prefix) for ref in worktree.branches)
    )


@check("base-gone", "the base branch or the base commit is missing")
def check_base(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    if session.state in FINISHED:
        return
    sid = session.id
    base_branch = session.config.base_branch
    if base_branch and not hub.project.repo.tip(HEADS + base_branch):
        evidence = f"the base branch '{base_branch}' does not exist"
        advice = f"git hub-session merge {sid} --into <branch>, once there is a winner"
        yield Problem(sid, evidence, sid, advice=advice)
    if session.base_commit and not hub.project.repo.has_commit(session.base_commit):
        evidence = f"the base commit does not exist: {session.base_commit}"
        advice = f"git hub-session spawn {sid} --base <commit>, to add agents"
        yield Problem(sid, evidence, sid, advice=advice)


@check("merge-cut-off", "a merge was interrupted")
def check_interrupted_merge(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    merge = session.merge
    if merge is None or session.state is not State.EVALUATING:
        return
    is_merged = hub.project.repo.is_ancestor(hub.project.repo.tip(HEADS + merge.into), merge.commit)
    if is_merged:
        evidence = f"'{merge.into}' contains the merge of agent-{merge.agent}, but the state is not 'merged'"
        advice = f"git hub-session merge {session.id} --yes"
    else:
        evidence = f"the merge of agent-{merge.agent} into '{merge.into}' was interrupted"
        advice = f"git hub-session merge {session.id}"
    yield Problem(session.id, evidence, session.id, advice=advice)


@check("config-changed", "git settings changed since the first agent was created")
def check_git_settings(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find changed settings. Another agent may have changed them: do not record them as right."""
    names = find_changes(session, hub.project.paths.common_dir).names
    if names:
        advice = settings_advice(names)
        yield Problem(session.id, describe_changed(names), session.id, advice=advice)


@check("objects-replaced", "git replaces objects since the first agent was created")
def check_replaced_objects(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    """Find new refs in refs/replace. The user may have created them: do not delete them."""
    replaced = find_changes(session, hub.project.paths.common_dir).replaced
    if replaced:
        advice = f"git replace -d {' '.join(replaced)}"
        yield Problem(session.id, describe_replaced(replaced), session.id, advice=advice)


@check("session-forgotten", "a running session without any activity for a day")
def check_idle_session(session: Session, hub: HubSnapshot) -> Iterator[Problem]:
    if session.state is not State.RUNNING:
        return
    last = _last_activity(session, hub)
    if hub.now - last <= IDLE_SECONDS or _is_session_active(session, hub):
        return
    age = format_age_since(format_iso(last), hub.now)
    idle = f"it is 'running' without a process; its last commit or change was {age}"
    evidence = f"{idle}; archive it: git hub-session archive {session.id}"
    advice = f"git hub-session eval {session.id}"
    yield Problem(session.id, evidence, session.id, advice=advice)


def _last_activity(session: Session, hub: HubSnapshot) -> float:
    """Return the time of the last change to the session, its branches or its worktrees."""
    times: list[float] = [parse_iso(session.updated) or 0.0]
    times += [branch.time for branch in hub.by_session.branches(session.id)]
    for worktree in hub.by_session.worktrees(session.id):
        times += _modification_times(worktree)
    return max(times)


def _modification_times(worktree: Worktree) -> list[float]:
    """Return when the index and the top directory of the worktree were modified."""
    try:
        return [worktree.index_mtime_ns / 1e9, os.stat(worktree.path).st_mtime]
    except OSError:
        return []


def _is_session_active(session: Session, hub: HubSnapshot) -> bool:
    """Return True if a run is active, or if a process works for the session."""
    with hub.project.store.open_directory(session.id) as directory:
        if runs.active_runs(directory, runs.EXEC) or runs.active_runs(directory, runs.EVAL):
            return True
        variables = _command_variables(directory)
    if _has_process_in(session.id, branch_prefix(session.id), hub):
        return True
    return bool(procfs.pids_with_environment(variables))


def _command_variables(directory: SafeDirectory) -> dict[str, str]:
    """Return the variable that identifies the commands of a session.

    Sessions of other repositories can have the same id, but not the same directory.
    """
    return {"HUB_TASK_FILE": f"{directory.path}/{TASK_FILE}"}
