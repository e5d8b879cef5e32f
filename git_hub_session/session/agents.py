"""The agents of a session: which are meant, where their worktrees go, and what their commands are told."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused, UsageError
from git_hub_session.git.ref_names import (
    HEADS,
    SessionId,
    agent_name,
    agent_number,
    archive_prefix,
    branch_prefix,
    name_in_session,
    parse_agent_branch,
    parse_archive_tag,
)
from git_hub_session.session import runs
from git_hub_session.session.model import MAX_AGENTS, Session
from git_hub_session.session.state import FINISHED, AgentStatus, State
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.system.directory import SafeDirectory


EXEC, EVAL = "exec", "eval"
"""The kinds of runs."""

NEW_SESSION_HINT = "make another one with 'git hub-session init'"
"""The way on from a session that takes nothing more."""

# A variable that is longer keeps a program from being started (Linux: 128 KiB each).
_MOST_TEXT = 100_000  # bytes


def parse_agents(text: str, count: int) -> list[int]:
    """The numbers in "1-3,5" or "agent-2", each at most `count`; raises UsageError."""
    count = min(count, MAX_AGENTS)  # which a config.yaml need not know
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().removeprefix("agent-").partition("-")
        low = parse_int(first, MAX_COUNT)
        high = parse_int(last, MAX_COUNT) if dash else low
        if low is None or high is None:
            raise UsageError(f"not a list of agents: '{text}'", hint="such as 1-3,5")
        if not 1 <= low <= high <= count:
            raise UsageError(
                f"no such agents: '{part.strip()}'", hint=f"the session has 1 to {count}"
            )
        found.update(dict.fromkeys(range(low, high + 1)))
    return list(found)


def parse_agent(text: str, count: int) -> int:
    """The number in "agent-2" or "2", at most `count`; raises UsageError."""
    number = parse_int(text.strip().removeprefix("agent-"), MAX_COUNT)
    most = min(count, MAX_AGENTS)
    if number is None:
        raise UsageError(f"not an agent: '{text}'", hint="such as agent-2")
    if not 1 <= number <= most:
        raise UsageError(f"no such agent: '{text}'", hint=f"agents have the numbers 1 to {most}")
    return number


def all_agents(session: Session) -> range:
    """The numbers of its agents, as its configuration says; raises Refused."""
    if not session.config.agent_count:
        raise Refused(
            f"config.yaml of session '{session.id}' does not say how many agents it has",
            hint="name them with --agents",
        )
    if session.config.agent_count > MAX_AGENTS:
        raise Refused(f"session '{session.id}' has more agents than {MAX_AGENTS}")
    return range(1, session.config.agent_count + 1)


def attempts_by_agent(sid: SessionId, repo: GitRepo) -> dict[int, list[int]]:
    """{agent: its attempts}, of those that have a branch, by number."""
    found: dict[int, list[int]] = {}
    for ref in repo.refs(branch_prefix(sid)):
        branch = parse_agent_branch(ref)
        if branch is not None:
            found.setdefault(branch.agent, []).append(branch.attempt)
    return dict(sorted(found.items()))


def recorded_attempt(session: Session, agent: int) -> int:
    """The number of the agent's last attempt, as the session says; 0 where it does not."""
    return session.agent_record(agent_name(agent)).attempt


def archived_agents(sid: SessionId, repo: GitRepo) -> set[int]:
    """The agents that have an archive tag."""
    tags = filter(None, map(parse_archive_tag, repo.refs(archive_prefix(sid))))
    return {tag.agent for tag in tags}


def accepts_agents(session: Session, repo: GitRepo) -> bool:
    """Not once they are evaluated: unless somebody said so before there was one."""
    if session.state is not State.EVALUATING:
        return session.state not in FINISHED
    return not (attempts_by_agent(session.id, repo) or archived_agents(session.id, repo))


def interrupted_spawns(session: Session) -> list[int]:
    """The agents that a spawn was making when it was cut off, by number."""
    marked = [
        name for name in session.agents if session.agent_record(name).status == AgentStatus.SPAWNING
    ]
    most = min(session.config.agent_count or MAX_AGENTS, MAX_AGENTS)
    return sorted(number for number in map(agent_number, marked) if 1 <= number <= most)


def missing_agents_hint(session: Session, repo: GitRepo, there: Collection[int] = ()) -> str:
    """What leads to the agents that are missed, besides those that are there."""
    if session.state in FINISHED:
        return NEW_SESSION_HINT
    made = {*attempts_by_agent(session.id, repo), *archived_agents(session.id, repo)}
    if made - {*there} and session.state is not State.INIT:
        return f"git hub-session restore {session.id}"
    goes = accepts_agents(session, repo) or interrupted_spawns(session)
    return f"git hub-session spawn {session.id}" if goes else NEW_SESSION_HINT


def find_base_commit(session: Session, repo: GitRepo) -> str:
    """The commit that the agents started from: nothing moves when the base branch does.

    Where that is not known, the tip of the base branch; '' where there is none.
    """
    base = session.base_commit
    return base if repo.has_commit(base) else repo.tip(HEADS + session.config.base_branch)


def base_now(session: Session, repo: GitRepo) -> str:
    """Return the tip of the base branch, to compare agents with.

    If the branch is gone, return the commit that the agents started from, or '' if that is unknown.
    """
    return repo.tip(HEADS + session.config.base_branch) or find_base_commit(session, repo)


def running_agents(session: Session, directory: SafeDirectory) -> dict[str, bool]:
    """{agent that the session calls running ("agent-2"): whether it is a run of ours, which goes on}.

    `directory` is the session's. Not one whose run was cut off; who is said to run by somebody
    else is believed.
    """
    living = runs.active_runs(directory, EXEC)
    found = {}
    for name in session.agents:
        record = session.agent_record(name)
        if record.status in (AgentStatus.RUNNING, AgentStatus.WAITING) and (
            record.run is None or record.run in living
        ):
            found[name] = record.run is not None
    return found


def refuse_if_running(
    session: Session, directory: SafeDirectory, *, among: Container[str], force: bool
) -> None:
    """Raise Refused where one of the agents runs; `force` overrules what somebody else has written of them."""
    for name, is_ours in running_agents(session, directory).items():
        if name in among and not (force and not is_ours):
            way_out = "end it" if is_ours else "use --force"
            raise Refused(f"{name} is still running", hint=f"wait for it, or {way_out}")


def group_by_agent(
    sid: SessionId, saved: Iterable[tuple[str, Sequence[str]]]
) -> dict[str, list[str]]:
    """{"agent-2": [ref, …]} of the rescue refs of each branch."""
    rescues: dict[str, list[str]] = {}
    for ref, refs in saved:
        branch = parse_agent_branch(ref)
        name = agent_name(branch.agent) if branch else name_in_session(sid, ref)
        if refs:
            rescues.setdefault(name, []).extend(refs)
    return rescues
