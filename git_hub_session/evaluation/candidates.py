"""Find the attempts to measure, and the worktrees to measure them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import NoBranch, NotRanked, OffBranch, Refused, WrongState
from git_hub_session.evaluation.in_place import with_others_uncommitted, with_worktree
from git_hub_session.git.ref_names import AgentBranch, agent_name, attempt_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agents import comparison_base, missing_agents_hint
from git_hub_session.session.attempts import find_counting_attempt, grouped_attempts, lost_reason
from git_hub_session.session.state import State
from git_hub_session.worktree.agent_progress import read_last_run_of
from git_hub_session.worktree.off_branch import wrong_branch_reason
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.uncommitted import (
    describe_files,
    has_own_commit,
    no_commit_error,
    uncommitted_text,
)

if TYPE_CHECKING:
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


INCLUDE_FAILED_HINT = "git hub-session eval --include-failed {}"
"""The command that measures agents whose last run failed, with a place for the session's id."""


class Candidate(NamedTuple):
    """An attempt of an agent, and its diff."""

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
    unsupported_setting: str = ""
    """The name of the setting that prevents the merge of the tip, or ''."""
    last_attempt: int = 0
    """The last attempt of the agent, or 0 if it is this one."""
    is_one_of_several: bool = False
    """True if other attempts of the agent are measured too."""
    others_uncommitted: Mapping[int, tuple[str, ...]] = {}
    """The uncommitted files of attempts of the agent that are no candidates, for the last one."""

    @property
    def is_earlier(self) -> bool:
        """True if the agent has made a later attempt."""
        return self.last_attempt != 0

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
        if self.uncommitted:
            return uncommitted_text(len(self.uncommitted))
        return "no commit of its own, not measured"

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
        remark = uncommitted_text(len(self.uncommitted))
        if self.off_branch or not self.uncommitted:
            remark = self.unmeasured_reason
        others = (
            f"attempt-{attempt}: {uncommitted_text(len(files))}"
            for attempt, files in self.others_uncommitted.items()
        )
        return tuple(dict.fromkeys(filter(None, (self.failure, remark, *others))))

    @property
    def agent(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.branch.agent)

    @property
    def name(self) -> str:
        """The agent's name, or "agent-2/attempt-1" if the agent has other attempts to measure."""
        if self.is_one_of_several or self.is_earlier:
            return attempt_name(self.branch)
        return self.agent

    @property
    def target(self) -> str:
        """The name of the logs and the temporary worktree. An earlier attempt has its own name."""
        return self.name.replace("/", "-") if self.is_earlier else self.agent


def find_candidates(
    session: Session,
    project: Project,
    *,
    in_place: bool,
    include_failed: bool = False,
    with_earlier: bool = False,
) -> list[Candidate]:
    """Return the attempts to measure: of each agent, the attempt that counts.

    Args:
        in_place: return the last attempt of each agent, with the worktree to measure in, or the
            reason for none.
        include_failed: measure and rank agents whose last run failed.
        with_earlier: return all attempts that have a commit and a tree of their own, and always the
            last one.

    Raises:
        Refused: the state forbids an evaluation, or no agent has a branch.
    """
    _refuse_state(session, project.repo)
    worktrees = attempt_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    candidates = _list_candidates(
        session,
        project,
        worktrees,
        include_failed=include_failed,
        with_earlier=with_earlier,
        only_last=in_place,
    )
    candidates = [
        with_worktree(
            candidate,
            worktrees.get(candidate.branch),
            project,
            in_place=in_place and not candidate.unmeasured_reason,
        )
        for candidate in candidates
    ]
    return with_others_uncommitted(candidates, worktrees, project)


def _refuse_state(session: Session, repo: GitRepo) -> None:
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise WrongState(
            f"session '{session.id}' is '{session.state}': there is nothing to evaluate",
            hint=missing_agents_hint(session, repo),
        )


def _list_candidates(
    session: Session,
    project: Project,
    worktrees: Mapping[AgentBranch, Worktree],
    *,
    include_failed: bool,
    with_earlier: bool,
    only_last: bool,
) -> list[Candidate]:
    """Return the attempts, without the files in their worktrees. See `find_candidates`."""
    with project.store.open_directory(session.id) as directory:
        active_runs = runs.active_runs(directory, runs.EXEC)
    base = comparison_base(session, project.repo)
    candidates = []
    for branches in grouped_attempts(session, project.repo, worktrees):
        last = branches[-1]
        if only_last:
            branches = [last]
        elif not with_earlier:
            attempts = [branch.attempt for branch in branches]
            counted = find_counting_attempt(session, last.agent, attempts)
            branches = [last._replace(attempt=counted)]
        made = [
            _make_candidate(each, session, project, worktrees, base=base)._replace(
                failure=read_last_run_of(each, session, project, active_runs).failure,
                is_failure_allowed=include_failed,
            )
            for each in branches
        ]
        candidates += _select_attempts(made, last, project.repo)
    if not candidates:
        raise NoBranch(
            f"session '{session.id}' has no agent branches",
            hint=missing_agents_hint(session, project.repo),
        )
    return candidates


def _select_attempts(
    attempts: Sequence[Candidate], last_attempt: AgentBranch, repo: GitRepo
) -> list[Candidate]:
    """Return the attempts of one agent that have a tree of their own, and always the last one.

    Also return those whose worktree is on another branch: their branch does not have all of the work.
    An attempt that cannot be measured does not replace an earlier one with the same tree.
    """
    selected: list[Candidate] = []
    trees: set[bytes] = set()
    for candidate in reversed(attempts):
        tree = repo.tree_id(candidate.commit) if candidate.commit else b""
        is_another = bool(tree) and tree not in trees and candidate.is_eligible
        if is_another or candidate.off_branch or not selected:
            selected.insert(0, candidate)
        if not candidate.unmeasured_reason:
            trees.add(tree)
    return [
        each._replace(
            is_one_of_several=len(selected) > 1,
            last_attempt=0 if each.branch == last_attempt else last_attempt.attempt,
        )
        for each in selected
    ]


def _make_candidate(
    branch: AgentBranch,
    session: Session,
    project: Project,
    worktrees: Mapping[AgentBranch, Worktree],
    *,
    base: str,
) -> Candidate:
    """Return the attempt without the files in its worktree. `base` is the comparison base."""
    repo = project.repo
    tip = repo.tip(branch.ref)
    worktree = worktrees.get(branch)
    if worktree is None:
        off_branch = lost_reason(branch, session, repo)
    else:
        # With another branch, the attempt's branch does not have all of the agent's work.
        off_branch = wrong_branch_reason(worktree, branch, project)
    return Candidate(
        branch,
        tip,
        repo.diff_stat(tip, base) if tip and base else None,
        has_own_commit=has_own_commit(tip, session, repo, branch),
        off_branch=off_branch,
    )


def describe_failures(candidates: Sequence[Candidate]) -> str:
    """Return the failures of the candidates, such as "agent-2: failed with exit code 1"."""
    return "; ".join(f"{each.name}: {each.failure}" for each in candidates)


def refuse_unmeasurable(session: Session, candidates: Sequence[Candidate]) -> None:
    """Raise Refused if no agent can be ranked.

    All of them failed, or have no commit of their own, or cannot be measured in place.
    """
    failed = [candidate for candidate in candidates if candidate.is_left_out]
    candidates = [candidate for candidate in candidates if not candidate.is_left_out]
    if not candidates:
        raise NotRanked(
            f"no agent can be ranked: {describe_failures(failed)}",
            hint=INCLUDE_FAILED_HINT.format(session.id),
        )
    _refuse_without_commits(session, candidates, failed)
    reasons = {candidate.name: candidate.not_in_place_reason for candidate in candidates}
    if all(candidate.unmeasured_reason for candidate in candidates) and any(reasons.values()):
        name, reason = next(pair for pair in reasons.items() if pair[1])
        raise NotRanked(
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
    without_commit = [each for each in candidates if each.commit and not each.has_own_commit]
    if without_commit:
        agents = {each.branch.agent: each.uncommitted for each in without_commit}
        error = no_commit_error(session.id, agents, is_every_agent=True)
        parts = [
            f"{each.agent}/attempt-{attempt} has {describe_files(files)}"
            for each in without_commit
            for attempt, files in each.others_uncommitted.items()
        ]
        parts += [describe_failures(failed)] if failed else []
        if parts:
            raise Refused("; ".join([error.message, *parts]), hint=error.hint)
        raise error


def refuse_off_branch(candidate: Candidate) -> None:
    """Raise Refused if the commits of the agent are not on its branch."""
    if candidate.off_branch:
        reason, hint = candidate.off_branch
        raise OffBranch(f"{candidate.name}: {reason}", hint=hint)
