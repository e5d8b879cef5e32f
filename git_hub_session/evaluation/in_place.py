"""Find the agents' worktrees to measure in place, and the files that are left there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.text import count_noun, quote_list
from git_hub_session.worktree.off_branch import off_branch_reason
from git_hub_session.worktree.uncommitted import uncommitted_files, uncommitted_work

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project


def with_worktree(
    candidate: Candidate,
    worktree: Worktree | None,
    project: Project,
    *,
    in_place: bool,
) -> Candidate:
    """Return the candidate with the uncommitted files of its worktree.

    If `in_place`, add the worktree to measure in, or the reason for none.
    """
    if worktree is None:
        return candidate._replace(not_in_place_reason="it has no worktree" if in_place else "")
    files = uncommitted_files(worktree, project)
    candidate = candidate._replace(uncommitted=files or ())
    if not in_place:
        return candidate
    reason = _unmeasurable_reason(worktree, candidate.branch, files)
    if reason:
        return candidate._replace(not_in_place_reason=reason)
    return candidate._replace(directory=worktree.path)


def with_others_uncommitted(
    candidates: Sequence[Candidate], worktrees: Mapping[AgentBranch, Worktree], project: Project
) -> list[Candidate]:
    """Return the candidates, the last one of each agent with the files of its other attempts.

    Args:
        worktrees: the worktree of each attempt that has one.
    """
    listed = {candidate.branch for candidate in candidates}
    by_agent: dict[int, dict[int, tuple[str, ...]]] = {}
    for branch, worktree in worktrees.items():
        files = None if branch in listed else uncommitted_files(worktree, project)
        if files:
            by_agent.setdefault(branch.agent, {})[branch.attempt] = files
    last = {candidate.branch.agent: candidate.branch for candidate in candidates}
    return [
        candidate._replace(others_uncommitted=by_agent.get(candidate.branch.agent, {}))
        if candidate.branch == last[candidate.branch.agent]
        else candidate
        for candidate in candidates
    ]


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


def leftover_file_notes(candidates: Sequence[Candidate], project: Project) -> list[str]:
    """Return the notes about files that the eval command left in the agents' own worktrees.

    These worktrees had no uncommitted files before.
    """
    own = {candidate.branch: candidate.name for candidate in candidates if candidate.directory}
    if not own:
        return []
    files = uncommitted_work(next(iter(own)).session, project, own)
    notes = []
    for branch, name in own.items():
        if left := files.get(branch):
            number, paths = count_noun(len(left), "file"), quote_list(left)
            notes.append(f"the eval command left {number} in the worktree of {name}: {paths}")
    return notes
