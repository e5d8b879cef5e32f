"""The agents of a session: parse agent lists, list attempts, find the base commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Busy, HubError, Refused, UsageError
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    SessionId,
    agent_name,
    agent_number,
    name_in_session,
    parse_agent_branch,
    parse_agent_name,
)
from git_hub_session.session import runs
from git_hub_session.session.attempts import (
    archived_agents,
    attempt_commits,
    attempts_by_agent,
    earlier_attempts,
)
from git_hub_session.session.model import MAX_AGENTS, Session
from git_hub_session.session.runs import RunState
from git_hub_session.session.state import FINISHED, NEW_SESSION_HINT, AgentStatus, State
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.system.directory import SafeDirectory


class NoSuchAgent(HubError):
    """An agent that the session does not have."""

    code = "no-such-agent"

    def __init__(self, name: str, largest: int) -> None:
        last = f" to {agent_name(largest)}" if largest > 1 else ""
        hint = f"choose one of the session: {agent_name(1)}{last}"
        if largest == MAX_AGENTS:  # the number of agents is not known here
            hint = f"the names of agents are {agent_name(1)}{last}"
        super().__init__(f"no such agent: '{name}'", hint=hint)


def parse_ranking(text: str, count: int) -> list[int]:
    """Return the numbers in a list that has each agent once, as parse_agents() does."""
    numbers = _parse_list(text, count)
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"{agent_name(number)} has two ranks in '{text}'")
    return numbers


def parse_agents(text: str, count: int) -> list[int]:
    """Return the numbers in a list such as "1-3,5" or "agent-2", or raise UsageError.

    Args:
        count: the number of agents. A number above it or above MAX_AGENTS is an error.
    """
    return list(dict.fromkeys(_parse_list(text, count)))


def _parse_list(text: str, count: int) -> list[int]:
    largest = min(count, MAX_AGENTS)
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().removeprefix("agent-").partition("-")
        low = parse_int(first.strip(), MAX_COUNT)
        high = parse_int(last.strip().removeprefix("agent-"), MAX_COUNT) if dash else low
        if low is None or high is None or low > high:
            raise UsageError(f"not a list of agents: '{text}'", hint="use a list such as 1-3,5")
        if not low or low > largest:
            raise NoSuchAgent(agent_name(low), largest)
        if high > largest:
            raise NoSuchAgent(agent_name(largest + 1), largest)
        numbers += range(low, high + 1)
    return numbers


def parse_agent(text: str, count: int) -> int:
    """Return the number in "agent-2" or "2", at most `count`, or raise UsageError."""
    number = parse_int(text.strip().removeprefix("agent-"), MAX_COUNT)
    largest = min(count, MAX_AGENTS)
    if number is None:
        raise UsageError(f"not an agent: '{text}'", hint="use a name such as agent-2")
    if not 1 <= number <= largest:
        raise NoSuchAgent(agent_name(number), largest)
    return number


def require_agent(number: int, session: Session) -> None:
    """Raise NoSuchAgent if the session has fewer agents. A damaged number of agents allows all."""
    count = session.config.agent_count or MAX_AGENTS
    if number > count:
        raise NoSuchAgent(agent_name(number), count)


def all_agents(session: Session) -> range:
    """Return the numbers of all agents by the configuration, or raise Refused."""
    if not session.config.agent_count:
        raise Refused(
            f"config.yaml of session '{session.id}' has no valid number of agents",
            hint="use --only <list>",
        )
    if session.config.agent_count > MAX_AGENTS:
        raise Refused(f"session '{session.id}' has more than {MAX_AGENTS} agents")
    return range(1, session.config.agent_count + 1)


def parse_attempt(text: str, count: int) -> tuple[int, int]:
    """Return the numbers in "agent-2/attempt-1", or in "agent-2" with 0 for the attempt.

    Raise UsageError if the text is neither.
    """
    agent, slash, attempt = text.partition("/")
    number = parse_int(attempt.strip().removeprefix("attempt-"), MAX_COUNT) if slash else 0
    if number is None or (slash and not number):
        raise UsageError(f"not an attempt: '{text}'", hint="use a name such as agent-2/attempt-1")
    return parse_agent(agent, count), number


def accepts_agents(session: Session, repo: GitRepo) -> bool:
    """Return True if agents can be added to the session.

    An evaluating session accepts agents only if it never had one: `update` can set that state before
    the first `spawn`.
    """
    if session.state is not State.EVALUATING:
        return session.state not in FINISHED
    return not (attempts_by_agent(session.id, repo) or archived_agents(session.id, repo))


def interrupted_spawns(session: Session) -> list[int]:
    """Return the sorted numbers of the agents that an interrupted `spawn` was creating."""
    interrupted = [
        name for name in session.agents if session.agent_record(name).status == AgentStatus.SPAWNING
    ]
    largest = min(session.config.agent_count or MAX_AGENTS, MAX_AGENTS)
    return sorted(number for number in map(agent_number, interrupted) if 1 <= number <= largest)


def missing_agents_hint(session: Session, repo: GitRepo, present: Collection[int] = ()) -> str:
    """Return the command that restores or creates the agents that are not `present`."""
    if session.state in FINISHED:
        return NEW_SESSION_HINT
    known = {*attempts_by_agent(session.id, repo), *archived_agents(session.id, repo)}
    if known - {*present} and session.state is not State.INIT:
        return f"git hub-session restore {session.id}"
    if accepts_agents(session, repo) or interrupted_spawns(session):
        return f"git hub-session spawn {session.id}"
    return NEW_SESSION_HINT


def find_base_commit(session: Session, repo: GitRepo, branch: AgentBranch | None = None) -> str:
    """Return the commit that the agents start from, also after the base branch has moved.

    If the commit is missing or not recorded, return the tip of the base branch, or ''.

    Args:
        branch: an attempt, whose recorded start has precedence.
    """
    own_start = recorded_start(session, branch) if branch else ""
    for base in (own_start, session.base_commit):
        if repo.has_commit(base):
            return base
    return repo.tip(HEADS + session.config.base_branch)


def recorded_start(session: Session, branch: AgentBranch) -> str:
    """Return the commit of an attempt that does not start from the base commit, or ''."""
    starts = session.agent_record(agent_name(branch.agent)).starts
    return starts.get(f"attempt-{branch.attempt}", "")


def find_attempt_commit(text: str, session: Session, repo: GitRepo) -> str:
    """Return the commit of the attempt in "agent-2" (the last one) or "agent-2/attempt-1".

    Return '' if the text names no attempt, or if the session does not have the attempt.
    """
    name, _, attempt = text.partition("/")
    number = parse_agent_name(name)
    attempt = attempt.removeprefix("attempt-")
    commits = attempt_commits(session, repo)
    for branch in sorted(commits, reverse=True):
        if number == branch.agent and attempt in ("", str(branch.attempt)):
            return commits[branch]
    return ""


def comparison_base(session: Session, repo: GitRepo) -> str:
    """Return the commit to compare the agents' changes with.

    This is the winner that the agents start from, or the tip of the base branch. Return '' if it is
    missing.
    """
    if session.continues_session:
        return find_base_commit(session, repo)
    return base_now(session, repo)


def base_now(session: Session, repo: GitRepo) -> str:
    """Return the tip of the base branch, to compare the agents with.

    If the branch is missing, return the commit that the agents start from, or ''.
    """
    return (
        session.base_tip
        or repo.tip(HEADS + session.config.base_branch)
        or find_base_commit(session, repo)
    )


class RunningAgent(NamedTuple):
    """An agent for which a command is running."""

    run: str = ""
    """The active run of this program, or '' if another program has marked the agent."""
    remaining: runs.RemainingProcesses | None = None
    """The processes of a run that was killed."""
    earlier_attempt: int = 0
    """The earlier attempt for which the command runs, or 0 for the last attempt."""

    def refusal(self, name: str, *, otherwise: str) -> Refused:
        """Return the error that the agent called `name` is running."""
        if self.remaining:
            return Busy(
                f"{name} is still running: {self.remaining}", hint=self.remaining.end_command
            )
        attempt = f"/attempt-{self.earlier_attempt}" if self.earlier_attempt else ""
        return Busy(f"{name}{attempt} is still running", hint=f"wait for it, or {otherwise}")


def running_agents(session: Session, directory: SafeDirectory) -> dict[str, RunningAgent]:
    """Return the running agents by their names.

    Accept a status that another program has set. An agent whose run of this program was interrupted
    is running only while a process of the run is left.

    Args:
        session: the session.
        directory: the open directory of the session.
    """
    active = runs.active_runs(directory, runs.EXEC)
    running = {
        name: RunningAgent(remaining=remaining)
        for name, remaining in runs.remaining_processes(directory).items()
    }
    for name in session.agents:
        for attempt in (*earlier_attempts(session, name), 0):
            state = runs.read_last_run(session, name, active, attempt=attempt).state
            if state in (RunState.RUNNING, RunState.WAITING):
                run = runs.recorded_run(session, name, attempt)
                running[name] = RunningAgent(run, earlier_attempt=attempt)
    return running


def refuse_if_running(
    session: Session,
    directory: SafeDirectory,
    *,
    among: Collection[str],
    force: bool,
    only_last: bool = False,
) -> None:
    """Raise Refused if an agent in `among` is running.

    Args:
        force: ignore agents that only another program has marked as running.
        only_last: ignore agents whose command runs for an earlier attempt.
    """
    if not among:
        return
    for name, agent in running_agents(session, directory).items():
        has_process = bool(agent.run or agent.remaining)
        is_meant = name in among and not (only_last and agent.earlier_attempt)
        if is_meant and (has_process or not force):
            raise agent.refusal(name, otherwise="end it" if has_process else "use --force")


def refuse_if_evaluated(
    sid: SessionId, directory: SafeDirectory, *, with_workers: bool = True
) -> None:
    """Raise Busy if an evaluation of the session is active in this clone.

    Args:
        directory: the directory of the session.
        with_workers: True if the workers of `eval --on` count too.
    """
    if runs.active_evaluations(directory, with_workers=with_workers):
        raise Busy(
            f"session '{sid}' is being evaluated",
            hint="wait for the evaluation to end, or stop it",
        )


def group_by_agent(
    sid: SessionId, saved: Iterable[tuple[str, Sequence[str]]]
) -> dict[str, list[str]]:
    """Return the rescue refs of each agent, such as {"agent-2": [ref]}.

    Args:
        saved: pairs of a branch and its rescue refs.
    """
    rescues: dict[str, list[str]] = {}
    for ref, refs in saved:
        branch = parse_agent_branch(ref)
        name = agent_name(branch.agent) if branch else name_in_session(sid, ref)
        if refs:
            rescues.setdefault(name, []).extend(refs)
    return rescues
