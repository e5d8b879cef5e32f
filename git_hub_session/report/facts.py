"""The facts about one session that a report shows. Nothing is written, and no lock is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.recent import read_recent_posts
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import AgentBranch, agent_name, attempt_name
from git_hub_session.report.winner import find_winner
from git_hub_session.review.attempt import EMPTY_TREE, Attempt, merged_attempt
from git_hub_session.review.commits import parse_commit
from git_hub_session.review.summary import summarize_attempts
from git_hub_session.session.agents import find_base_commit
from git_hub_session.session.attempts import attempt_refs
from git_hub_session.session.baseline import Evaluation, last_evaluation
from git_hub_session.session.evaluation_log import EvaluationLog, read_evaluations
from git_hub_session.session.history import read_history
from git_hub_session.system import procfs
from git_hub_session.worktree.agent_progress import read_agent_progress
from git_hub_session.worktree.status import read_session_status

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.review.commits import Commit
    from git_hub_session.review.summary import AttemptSummary
    from git_hub_session.session.history import Transition
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.agent_progress import AgentProgress

MAX_POSTS = 200
MAX_DIFF = 200_000
"""The largest number of bytes of the winner's diff on the page."""
MAX_GRAPH = 150
"""The largest number of commits in the graph."""


class Graph(NamedTuple):
    """The newest commits of all attempts with their parents, and the starts of the attempts."""

    commits: Mapping[str, Commit] = {}
    parents: Mapping[str, Sequence[str]] = {}
    hidden: int = 0
    """The number of older commits that are left out."""


class Diff(NamedTuple):
    """The diff of one attempt."""

    text: str = ""
    is_truncated: bool = False


class SessionFacts(NamedTuple):
    """One session with its agents, its attempts, its evaluations, its history and its posts."""

    session: Session
    agents: tuple[AgentProgress, ...]
    """The last attempt of each agent."""
    attempts: tuple[AttemptSummary, ...]
    """All attempts that have commits."""
    log: EvaluationLog
    history: tuple[Transition, ...]
    posts: tuple[Post, ...]
    """The newest posts, oldest first."""
    graph: Graph
    diff: Diff
    """The diff of the winner."""
    now: float
    several: frozenset[int] = frozenset()
    """The agents that have several attempts."""
    warnings: tuple[str, ...] = ()
    """The reasons that the board or the log of the evaluations cannot be read."""

    @property
    def evaluation(self) -> Evaluation:
        """The shared data of the last evaluation."""
        return last_evaluation(self.session)

    @property
    def winner(self) -> AgentBranch | None:
        """The merged attempt, or the attempt with the first rank, or None."""
        return find_winner(self.session)

    def find_attempt(self, agent: int, attempt: int) -> AttemptSummary | None:
        """Return an attempt, or None if it has no commits."""
        branch = AgentBranch(self.session.id, agent, attempt)
        found = (summary for summary in self.attempts if summary.attempt.branch == branch)
        return next(found, None)

    def label(self, agent: int, attempt: int) -> str:
        """Return the name of an attempt. If its agent has only one attempt, omit the attempt."""
        if agent in self.several or attempt > 1:
            return attempt_name(AgentBranch(self.session.id, agent, attempt))
        return agent_name(agent)

    def branch_label(self, branch: AgentBranch) -> str:
        """Return the name of the attempt of a branch. See `label`."""
        return self.label(branch.agent, branch.attempt)


def read_facts(session: Session, project: Project) -> SessionFacts:
    """Read the facts about a session."""
    repo = project.repo
    refs = attempt_refs(session, repo)
    tips = {branch: repo.tip(ref) for branch, ref in refs.items()}
    attempts = [Attempt(branch, refs[branch], tip) for branch, tip in tips.items() if tip]
    merged = merged_attempt(session, repo)
    if merged and not tips.get(merged.branch):  # the branch of the winner was deleted
        attempts.append(merged)
    summaries = tuple(summarize_attempts(sorted(attempts), session, project))
    status = read_session_status(session, project, procfs.processes(open_files=False))
    log, log_warning = _read_log(session, project)
    posts, board_warning = read_recent_posts(session, project.store, MAX_POSTS)
    return SessionFacts(
        session,
        read_agent_progress(status, project),
        summaries,
        log,
        read_history(session),
        tuple(posts[::-1]),
        read_graph(summaries, session, repo),
        _read_diff(summaries, session, repo),
        project.now(),
        _with_several_attempts(summaries, log),
        tuple(filter(None, (log_warning, board_warning))),
    )


def _with_several_attempts(
    attempts: Sequence[AttemptSummary], log: EvaluationLog
) -> frozenset[int]:
    """Return the agents that have several attempts."""
    known = {(summary.attempt.branch.agent, summary.attempt.branch.attempt) for summary in attempts}
    known |= {(entry.agent, entry.attempt) for entry in log.entries}
    counts = Counter(agent for agent, _ in known)
    return frozenset(agent for agent, count in counts.items() if count > 1)


def _read_log(session: Session, project: Project) -> tuple[EvaluationLog, str]:
    """Return the log of all evaluations, and the reason that it cannot be read, or ''."""
    try:
        with project.store.open_directory(session.id) as directory:
            return read_evaluations(directory), ""
    except Damaged as error:
        return EvaluationLog(), error.message


def read_graph(attempts: Sequence[AttemptSummary], session: Session, repo: GitRepo) -> Graph:
    """Return the commits of the attempts and of the merge, and the commits that they start from."""
    tips = [summary.attempt.commit for summary in attempts]
    branches = [summary.attempt.branch for summary in attempts]
    hidden = {find_base_commit(session, repo, branch) for branch in branches} - {""}
    merge = session.merge
    if merge and merge.base and repo.has_commit(merge.commit) and repo.has_commit(merge.base):
        tips.append(merge.commit)
        hidden.add(merge.base)
    found = repo.commit_parents(tips, [oid for oid in hidden if repo.has_commit(oid)])
    newest = list(found)[:MAX_GRAPH]
    shown = dict.fromkeys([*newest, *_starts(newest, found)])
    return Graph(
        {oid: parse_commit(oid, repo.commit_data(oid)) for oid in shown if repo.has_commit(oid)},
        {oid: found.get(oid, ()) for oid in shown},
        len(found) - len(newest),
    )


def _starts(commits: Sequence[str], found: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield the parents that are hidden: the commits from which the attempts start."""
    for oid in commits:
        yield from (parent for parent in found[oid] if parent not in found)


def _read_diff(attempts: Sequence[AttemptSummary], session: Session, repo: GitRepo) -> Diff:
    winner = find_winner(session)
    for summary in attempts:
        if summary.attempt.branch == winner and summary.start != EMPTY_TREE:
            return Diff(*repo.diff_text(summary.attempt.commit, summary.start, MAX_DIFF))
    return Diff()
