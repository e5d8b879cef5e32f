"""Find the attempts to measure, and the worktrees to measure them in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agents import attempts_by_agent, comparison_base, missing_agents_hint
from git_hub_session.session.state import State
from git_hub_session.util.text import quote_list
from git_hub_session.worktree.off_branch import off_branch_reason
from git_hub_session.worktree.owner import agent_worktrees
from git_hub_session.worktree.reattach import wrong_branch_reason
from git_hub_session.worktree.uncommitted import (
    count_files,
    has_own_commit,
    no_commit_error,
    read_last_run_of,
    uncommitted_files,
    uncommitted_files_of,
    uncommitted_text,
)

if TYPE_CHECKING:
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


INCLUDE_FAILED_HINT = "git hub-session eval --include-failed {}"
"""The command that measures agents whose last run failed, with a place for the session's id."""

AgentWorktrees = Mapping[int, tuple[AgentBranch, Worktree]]
"""The last attempt that has a worktree, and the worktree, by agent."""


class Candidate(NamedTuple):
    """The last attempt of an agent, and its diff."""

    branch: AgentBranch
    commit: str
    """The tip of the branch, or '' if the branch points to no commit."""
    diff: DiffStat | None
    """The diff since the merge base with the comparison base, or None if that is unknown."""
    directory: str = ""
    """The agent's worktree, to measure in place, or '' to measure in a temporary worktree."""
    not_in_place_reason: str = ""
    """The reason that the agent's worktree cannot be measured in place, or ''."""
    has_own_commit: bool = True
    """False if the base branch or the start of the agents contains the tip."""
    uncommitted: tuple[str, ...] = ()
    """The uncommitted files in the agent's worktree."""
    guarded: tuple[str, ...] = ()
    """The guarded paths that the attempt changed."""
    failure: str = ""
    """The reason that the agent's last run failed, or ''."""
    is_failure_allowed: bool = False
    """True if the agent is measured and ranked although its last run failed."""
    off_branch: tuple[str, str] | None = None
    """The reason that the agent's commits are not on its branch, with a hint, or None."""
    merged_commit: str = ""
    """The merge of the tip with the base branch, or '' if the tip contains the base branch."""
    merge_problem: str = ""
    """The reason that git cannot merge the tip, or ''."""
    has_conflicts: bool = False

    @property
    def is_left_out(self) -> bool:
        """True if the agent is neither measured nor ranked, because its last run failed."""
        return bool(self.failure) and not self.is_failure_allowed

    @property
    def unmeasured_reason(self) -> str:
        """The reason that the attempt is not measured, or ''."""
        if self.off_branch:
            return f"{self.off_branch[0]}, not measured"
        if not self.commit:
            return "its branch points to no commit"
        if self.is_left_out:
            return self.failure
        if self.has_own_commit:
            return self.not_in_place_reason or self.merge_problem
        count = len(self.uncommitted)
        return uncommitted_text(count) if count else "no commit of its own, not measured"

    @property
    def is_eligible(self) -> bool:
        """True if the attempt has a commit of its own, and its agent is on its branch."""
        return self.has_own_commit and not self.off_branch

    @property
    def hint(self) -> str | None:
        """The command that adopts the other branch or recreates the deleted branch, or None."""
        return self.off_branch[1] if self.off_branch else None

    @property
    def size(self) -> tuple[int, int]:
        """The size of the diff: added and deleted lines, then files."""
        diff = self.diff
        return (diff.insertions + diff.deletions, diff.files) if diff else (0, 0)

    @property
    def measured_commit(self) -> str:
        """The commit to measure: the result of a merge into the base branch."""
        return self.merged_commit or self.commit

    @property
    def remarks(self) -> tuple[str, ...]:
        """The remarks about a failed run, another branch, uncommitted files or a missing commit."""
        count = len(self.uncommitted)
        remark = uncommitted_text(count)
        if self.off_branch or not count:
            remark = self.unmeasured_reason
        return tuple(dict.fromkeys(filter(None, (self.failure, remark))))

    @property
    def name(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.branch.agent)


def find_candidates(
    session: Session, project: Project, *, in_place: bool, include_failed: bool = False
) -> list[Candidate]:
    """Return the last attempt of each agent.

    Args:
        in_place: also find the worktree of each agent to measure in, or the reason for none.
        include_failed: measure and rank agents whose last run failed.

    Raises:
        Refused: the state forbids an evaluation, or no agent has a branch.
    """
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': there is nothing to evaluate",
            hint=missing_agents_hint(session, project.repo),
        )
    repo = project.repo
    worktrees = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    candidates = _list_candidates(session, project, worktrees, include_failed=include_failed)
    if not candidates:
        raise Refused(
            f"session '{session.id}' has no agent branches",
            hint=missing_agents_hint(session, repo),
        )
    return [
        _with_worktree(
            candidate,
            worktrees.get(candidate.branch.agent),
            repo,
            in_place=in_place and not candidate.unmeasured_reason,
        )
        for candidate in candidates
    ]


def _last_attempts(
    session: Session, repo: GitRepo, worktrees: AgentWorktrees
) -> Iterator[AgentBranch]:
    """Yield the last attempt that has a branch, for each agent that has a branch or a worktree."""
    attempts = attempts_by_agent(session.id, repo)
    for number in sorted({*attempts, *worktrees}):
        if number in attempts:
            yield AgentBranch(session.id, number, max(attempts[number]))
        else:  # The branch was renamed or deleted.
            yield worktrees[number][0]


def _list_candidates(
    session: Session, project: Project, worktrees: AgentWorktrees, *, include_failed: bool
) -> list[Candidate]:
    """Return the last attempt of each agent, without the files in its worktree."""
    with project.store.open_directory(session.id) as directory:
        active_runs = runs.active_runs(directory, runs.EXEC)
    base = comparison_base(session, project.repo)
    candidates = []
    for branch in _last_attempts(session, project.repo, worktrees):
        candidate = _make_candidate(branch, session, project, worktrees, base=base)
        failure = read_last_run_of(branch, session, project, active_runs).failure
        candidates.append(candidate._replace(failure=failure, is_failure_allowed=include_failed))
    return candidates


def _make_candidate(
    branch: AgentBranch,
    session: Session,
    project: Project,
    worktrees: AgentWorktrees,
    *,
    base: str,
) -> Candidate:
    """Return the attempt without the files in its worktree. `base` is the comparison base."""
    repo = project.repo
    tip = repo.tip(branch.ref)
    return Candidate(
        branch,
        tip,
        repo.diff_stat(tip, base) if tip and base else None,
        has_own_commit=has_own_commit(tip, session, repo, branch),
        off_branch=_find_wrong_branch(branch, project, worktrees),
    )


def _find_wrong_branch(
    branch: AgentBranch, project: Project, worktrees: AgentWorktrees
) -> tuple[str, str] | None:
    """Return the reason that the agent's commits are not on its branch, with a hint, or None.

    The commits of the attempt's own branch are then not all of the agent's work.
    """
    owner, worktree = worktrees.get(branch.agent, (branch, None))
    if worktree is None or owner.attempt < branch.attempt:
        return None
    return wrong_branch_reason(worktree, owner, project)


def describe_failures(candidates: Sequence[Candidate]) -> str:
    """Return why the candidates failed, such as "agent-2: failed with exit code 1"."""
    return "; ".join(f"{candidate.name}: {candidate.failure}" for candidate in candidates)


def refuse_unmeasurable(session: Session, candidates: Sequence[Candidate]) -> None:
    """Raise Refused if no agent can be ranked.

    All of them failed, or have no commit of their own, or cannot be measured in place.
    """
    failed = [candidate for candidate in candidates if candidate.is_left_out]
    candidates = [candidate for candidate in candidates if not candidate.is_left_out]
    if not candidates:
        raise Refused(
            f"no agent can be ranked: {describe_failures(failed)}",
            hint=INCLUDE_FAILED_HINT.format(session.id),
        )
    _refuse_without_commits(session, candidates, failed)
    reasons = {candidate.name: candidate.not_in_place_reason for candidate in candidates}
    if all(candidate.unmeasured_reason for candidate in candidates) and any(reasons.values()):
        name, reason = next(pair for pair in reasons.items() if pair[1])
        raise Refused(
            f"no agent can be measured in place: {name}: {reason}",
            hint="leave out --in-place to measure in temporary worktrees",
        )


def _refuse_without_commits(
    session: Session, candidates: Sequence[Candidate], failed: Sequence[Candidate]
) -> None:
    """Raise Refused if none of the candidates has a commit of its own. Name the failed ones too."""
    if any(candidate.is_eligible for candidate in candidates):
        return
    for candidate in candidates:
        refuse_off_branch(candidate)
    agents = {
        candidate.branch.agent: candidate.uncommitted
        for candidate in candidates
        if candidate.commit and not candidate.has_own_commit
    }
    if agents:
        error = no_commit_error(session.id, agents, is_every_agent=True)
        if failed:
            error.message += f"; {describe_failures(failed)}"
        raise error


def leftover_file_notes(candidates: Sequence[Candidate], project: Project) -> list[str]:
    """Return the notes about files that the eval command left in the agents' own worktrees.

    These worktrees had no uncommitted files before.
    """
    notes = []
    for candidate in candidates:
        if candidate.directory:
            files = uncommitted_files_of(candidate.branch, project)
            if files:
                left, paths = count_files(len(files)), quote_list(files)
                where = f"in the worktree of {candidate.name}"
                notes.append(f"the eval command left {left} {where}: {paths}")
    return notes


def refuse_off_branch(candidate: Candidate) -> None:
    """Raise Refused if the commits of the agent are not on its branch."""
    if candidate.off_branch:
        reason, hint = candidate.off_branch
        raise Refused(f"{candidate.name}: {reason}", hint=hint)


def _with_worktree(
    candidate: Candidate,
    branch_and_worktree: tuple[AgentBranch, Worktree] | None,
    repo: GitRepo,
    *,
    in_place: bool,
) -> Candidate:
    """Return the candidate with its uncommitted files.

    If `in_place`, add the worktree to measure in, or the reason for none.
    """
    if branch_and_worktree is None or branch_and_worktree[0] != candidate.branch:
        return candidate._replace(not_in_place_reason="it has no worktree" if in_place else "")
    worktree = branch_and_worktree[1]
    files = uncommitted_files(worktree, repo)
    candidate = candidate._replace(uncommitted=files or ())
    if not in_place:
        return candidate
    reason = _unmeasurable_reason(worktree, candidate.branch, files)
    if reason:
        return candidate._replace(not_in_place_reason=reason)
    return candidate._replace(directory=worktree.path)


def _unmeasurable_reason(
    worktree: Worktree, branch: AgentBranch, files: Collection[str] | None
) -> str:
    """Return the reason that the worktree differs from the tip of the branch, or ''."""
    reason = worktree.link_error or off_branch_reason(worktree, branch.ref)
    if reason:
        return reason
    if worktree.operation:
        return f"its worktree is in the middle of a {worktree.operation}"
    if files is None:
        return "the files of its worktree cannot be read"
    return "its worktree has uncommitted changes" if files else ""
