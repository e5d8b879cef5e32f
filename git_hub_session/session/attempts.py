"""The attempts of an agent: those in state.json, their tags, and the one that counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import (
    ALL_ARCHIVES,
    ALL_BRANCHES,
    ALL_RESCUES,
    ALL_TAGS,
    AgentBranch,
    SessionId,
    agent_name,
    agent_number,
    archive_prefixes,
    attempt_name,
    branch_prefix,
    parse_agent_branch,
    parse_archive_ref,
    parse_archive_tag,
    short_name,
)
from git_hub_session.session.state import FINISHED, AgentStatus, State
from git_hub_session.util.json_values import as_count, as_mapping, as_text
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import is_encodable

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session

_PREFIX = "attempt-"

SESSION_PREFIXES = (ALL_BRANCHES, ALL_TAGS, ALL_ARCHIVES, ALL_RESCUES)
"""The prefixes of the refs of sessions. The id of the session follows, and then a slash."""

NO_BRANCH = "its branch does not exist"
"""The reason that an agent without a branch is neither run nor measured."""


def group_by_session(refs: Iterable[str]) -> dict[str, list[str]]:
    """Return the refs of each session by its id, in their order.

    Use this for many sessions: to search all refs for each session would take quadratic time.
    """
    groups: dict[str, list[str]] = {}
    for ref in refs:
        prefix = next(filter(ref.startswith, SESSION_PREFIXES), None)
        if prefix is not None:
            sid, slash, _ = ref[len(prefix) :].partition("/")
            if slash:
                groups.setdefault(sid, []).append(ref)
    return groups


def earlier_attempts(session: Session, agent: str) -> list[int]:
    """Return the sorted numbers of the earlier attempts of `agent` ("agent-2") in state.json."""
    fields = session.agent_fields(agent)
    names = [name for name in as_mapping(fields.get("attempts")) if name.startswith(_PREFIX)]
    numbers = {parse_int(name.removeprefix(_PREFIX), MAX_COUNT) or 0 for name in names}
    return sorted(number for number in numbers if 0 < number < as_count(fields.get("attempt")))


def archived_attempts(
    sid: SessionId, tags: Sequence[str], last: Callable[[int], int]
) -> dict[AgentBranch, str]:
    """Return the attempt of each archive tag, as plan_archive() names the tags.

    A tag whose name has an attempt number belongs to that attempt. A tag without a number belongs to
    the last attempt of the agent, or to attempt 1 if the last attempt has a tag with its number.
    If attempt 1 has such a tag too, ignore the tag without a number: it is the older one.

    Args:
        tags: the archive tags of the session.
        last: returns the last attempt of an agent, or 0 if it is unknown.
    """
    attempts: dict[AgentBranch, str] = {}
    parsed = {tag: parse_archive_tag(tag) for tag in tags}
    archived = {tag: name for tag, name in parsed.items() if name is not None}
    for tag, (_, agent, attempt) in archived.items():
        if attempt:
            attempts[AgentBranch(sid, agent, attempt)] = tag
    for tag, (_, agent, attempt) in archived.items():
        if not attempt:
            branch = AgentBranch(sid, agent, max(last(agent), 1))
            if branch in attempts:
                branch = branch._replace(attempt=1)
            attempts.setdefault(branch, tag)
    return attempts


def archived_refs(sid: SessionId, repo: GitRepo) -> dict[str, str]:
    """Return the archive tags and the archive refs of a session with their commits, or ''."""
    return {ref: repo.tip(ref) for ref in repo.refs(*archive_prefixes(sid))}


def session_archived_attempts(session: Session, refs: Mapping[str, str]) -> dict[AgentBranch, str]:
    """Return the tag or the archive ref of each archived attempt of the session.

    The newest archive ref of an attempt has its commit. Return a tag for the attempt only if the tag
    has this commit, or if there is no archive ref.

    Args:
        refs: the archive tags and the archive refs of the session with their commits, or ''.
    """
    tags = [ref for ref in refs if parse_archive_tag(ref)]
    attempts = archived_attempts(
        session.id, tags, lambda agent: session.agent_record(agent_name(agent)).attempt
    )
    for branch, ref in newest_archive_refs(refs).items():
        tags = [branch.archive_tag, branch.attempt_tag]
        attempts[branch] = next((tag for tag in tags if refs.get(tag) == refs[ref]), ref)
    return attempts


def attempt_refs(
    session: Session, repo: GitRepo, names: Sequence[str] | None = None
) -> dict[AgentBranch, str]:
    """Return the branch or the archive of each attempt that has one.

    A branch has precedence.

    Args:
        names: all refs of the repository. None to list those of the session: for many sessions
            that takes long, because each call reads all directories of loose refs.
    """
    heads, archives = branch_prefix(session.id), archive_prefixes(session.id)
    if names is None:
        names = repo.refs(heads, *archives)
    archived = {ref: repo.tip(ref) for ref in names if ref.startswith(archives)}
    branches = filter(None, [parse_agent_branch(ref) for ref in names if ref.startswith(heads)])
    refs = session_archived_attempts(session, archived)
    return refs | {branch: branch.ref for branch in sorted(branches)}


def attempt_commits(session: Session, repo: GitRepo) -> dict[AgentBranch, str]:
    """Return the commit of each attempt that has a branch or is archived, or ''."""
    return {branch: repo.tip(ref) for branch, ref in attempt_refs(session, repo).items()}


def newest_archive_refs(refs: Mapping[str, str]) -> dict[AgentBranch, str]:
    """Return the archive ref of each attempt that has the highest number and a commit."""
    newest: dict[AgentBranch, tuple[int, str]] = {}
    for ref, commit in refs.items():
        archived = parse_archive_ref(ref)
        if archived and commit:
            last = newest.get(archived.branch, (0, ""))
            newest[archived.branch] = max(last, (archived.number, ref))
    return {branch: ref for branch, (_, ref) in newest.items()}


def find_counting_attempt(session: Session, agent: int, attempts: Sequence[int]) -> int:
    """Return the attempt of an agent that the last evaluation ranked, or else the last attempt.

    Args:
        attempts: the attempts that have a branch, at least one.
    """
    ranked = ranked_attempt(session, agent, max(attempts))
    return ranked if ranked in attempts else max(attempts)


def ranked_attempt(session: Session, agent: int, last: int) -> int:
    """Return the attempt of an agent that the last evaluation ranked, or 0.

    Return 0 too if the agent has made another attempt since: the evaluation no longer counts.

    Args:
        last: the last attempt of the agent.
    """
    for result in session.results:
        if result.agent == agent and last <= max(result.attempt, result.last_attempt):
            return result.attempt
    return 0


def is_earlier_attempt(session: Session, branch: AgentBranch) -> bool:
    """Return True if state.json records a later attempt of the agent."""
    return branch.attempt < session.agent_record(agent_name(branch.agent)).attempt


def describe_attempt(session: Session, branch: AgentBranch) -> str:
    """Return the name of the agent, or "agent-2/attempt-1" for an earlier attempt."""
    is_earlier = is_earlier_attempt(session, branch)
    return attempt_name(branch) if is_earlier else agent_name(branch.agent)


def recorded_attempts(session: Session) -> dict[AgentBranch, str]:
    """Return the attempts for which state.json records a worktree, each with its path.

    If several attempts of an agent have used a worktree, return the last of them.
    """
    attempts: dict[AgentBranch, str] = {}
    for name in filter(agent_number, session.agents):
        last = session.agent_record(name).attempt or 1
        by_path = {}
        for attempt in [*earlier_attempts(session, name), last]:
            path = as_text(session.attempt_fields(name, attempt).get("worktree"))
            if _is_path(path):
                by_path[path] = AgentBranch(session.id, agent_number(name), attempt)
        attempts |= {branch: path for path, branch in by_path.items()}
    return attempts


def recorded_paths(session: Session) -> dict[str, str]:
    """Return the absolute path that state.json records for the last worktree of each agent.

    state.json may be wrong: only look at these paths, and change nothing there.
    """
    recorded = {name: session.agent_record(name).worktree for name in session.agents}
    return {name: path for name, path in recorded.items() if _is_path(path)}


def _is_path(text: str) -> bool:
    return os.path.isabs(text) and "\0" not in text and is_encodable(text)


def attempt_branches(sid: SessionId, repo: GitRepo) -> list[AgentBranch]:
    """Return the sorted attempts that have a branch."""
    return sorted(filter(None, map(parse_agent_branch, repo.refs(branch_prefix(sid)))))


def attempts_by_agent(sid: SessionId, repo: GitRepo) -> dict[int, list[int]]:
    """Return the attempts that have a branch, for each agent, sorted by the agent's number."""
    attempts: dict[int, list[int]] = {}
    for branch in attempt_branches(sid, repo):
        attempts.setdefault(branch.agent, []).append(branch.attempt)
    return attempts


def archived_agents(sid: SessionId, repo: GitRepo) -> set[int]:
    """Return the numbers of the agents that have an archive tag or an archive ref."""
    refs = repo.refs(*archive_prefixes(sid))
    numbers = {tag.agent for tag in filter(None, map(parse_archive_tag, refs))}
    return numbers | {ref.branch.agent for ref in filter(None, map(parse_archive_ref, refs))}


def lost_attempts(
    session: Session, repo: GitRepo, present: Iterable[AgentBranch]
) -> dict[int, AgentBranch]:
    """Return the last attempt of each agent that state.json records, and that has no ref.

    Args:
        present: the attempts that have a branch or a worktree.
    """
    if session.state in (State.INIT, *FINISHED):
        return {}
    last = {branch.agent: branch for branch in sorted(present)}
    lost = {}
    for name in filter(agent_number, session.agents):
        number, record = agent_number(name), session.agent_record(name)
        branch = AgentBranch(session.id, number, record.attempt)
        is_created = record.attempt > 0 and record.status != AgentStatus.SPAWNING
        if is_created and branch > last.get(number, AgentBranch(session.id, number, 0)):
            lost[number] = branch
    if lost:
        archived = session_archived_attempts(session, archived_refs(session.id, repo))
        last_archived = {branch.agent: branch for branch in sorted(archived)}
        lost = {
            number: branch
            for number, branch in lost.items()
            if number not in last_archived or branch > last_archived[number]
        }
    return lost


def lost_reason(branch: AgentBranch, session: Session, repo: GitRepo) -> tuple[str, str] | None:
    """Return the reason that an attempt has no branch, with a hint, or None if it has one.

    The hint recreates the branch at the evaluated commit, or finds its commits.
    """
    if repo.find_ref_target(branch.ref):
        return None
    for result in session.results:
        is_same = (result.agent, result.attempt) == (branch.agent, branch.attempt)
        if is_same and repo.has_commit(result.commit):
            return NO_BRANCH, f"git branch {short_name(branch.ref)} {result.commit}"
    return NO_BRANCH, f"git hub-session doctor {session.id}"


def grouped_attempts(
    session: Session, repo: GitRepo, worktrees: Iterable[AgentBranch]
) -> list[list[AgentBranch]]:
    """Return the attempts of each agent that have a branch or a worktree, and the lost ones.

    If an attempt has only a worktree, its branch was renamed or deleted. If no attempt has either,
    return [].
    """
    present = {*attempt_branches(session.id, repo), *worktrees}
    lost = lost_attempts(session, repo, present) if present else {}
    groups: dict[int, list[AgentBranch]] = {}
    for branch in sorted({*present, *lost.values()}):
        groups.setdefault(branch.agent, []).append(branch)
    return list(groups.values())
