"""Decide for each worktree of a session: keep or remove it, and what to save first."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.claims.known import busy_claims
from git_hub_session.cleanup.rules import CHANGES_RULES, OFF_BRANCH, USAGE_RULES, first_reason
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import agent_name, parse_agent_branch
from git_hub_session.removal.inspect import (
    Fingerprint,
    IgnoredSelection,
    WorktreeState,
    inspect_changes,
    inspect_usage,
    state_fingerprint,
)
from git_hub_session.session import runs
from git_hub_session.session.agents import running_agents
from git_hub_session.system.parallel import parallel_map
from git_hub_session.worktree.owner import WorktreeIndex, reported_worktrees, session_of_worktree

if TYPE_CHECKING:
    from git_hub_session.claims.claim import SeenClaim
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.neighbors import Neighbors
    from git_hub_session.worktree.reason import Reason


class WorktreePlan(NamedTuple):
    """The decision about one worktree."""

    state: WorktreeState
    """The facts without the contents: a fork sends them to its parent process."""
    reason: Reason | None
    """The reason to keep the worktree, or None to remove it."""
    fingerprint: Fingerprint | None = None
    """The fingerprint of the inspected worktree, or None to finish an interrupted removal."""
    head: str = ""
    """The commit that HEAD points to, or ''."""
    has_changes: bool = False
    """True if there are changes to save."""
    has_filtered_files: bool = False
    """True if git's filters must restore the bytes of unchanged files."""

    @property
    def worktree(self) -> Worktree:
        """The worktree."""
        return self.state.worktree

    @property
    def branch(self) -> str:
        """The full ref of the branch that the worktree belongs to."""
        return self.state.branch

    @property
    def saved_before(self) -> tuple[str, ...]:
        """The work that an interrupted removal saved, as text."""
        return self.state.journal.saved if self.state.is_marked_for_deletion else ()

    @property
    def commits(self) -> tuple[str, ...]:
        """The unreachable commits that need a rescue ref."""
        return () if self.reason else self.state.unreachable_commits


def plan_cleanup(
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    neighbors: Neighbors,
    git_dirs: Container[str] | None = None,
) -> list[WorktreePlan]:
    """Plan all worktrees of the session, or only those with one of `git_dirs`. Change nothing."""

    def plan(pair: tuple[Worktree, str]) -> WorktreePlan:
        worktree, branch = pair
        state = inspect_usage(worktree, branch, sid, project, neighbors)
        usage = state.usage._replace(
            runs=active_runs.of_worktree(branch), worker=active_runs.worker_of(branch)
        )
        state = state._replace(usage=usage)
        if session_of_worktree(worktree) not in (None, sid):
            return WorktreePlan(state, OFF_BRANCH.reason(state))  # another session owns it
        return plan_worktree(state, project, options)

    pairs = reported_worktrees(sid, project, WorktreeIndex(neighbors.worktrees))
    pairs = [pair for pair in pairs if git_dirs is None or pair[0].git_dir in git_dirs]
    active_runs = _read_active_runs(sid, project) if pairs else _NO_RUNS
    if pairs:
        neighbors.read()
    plans = parallel_map(plan, pairs)
    # `git worktree prune` or `remove` may have removed a worktree after it was listed.
    return [plan for plan in plans if os.path.lexists(plan.worktree.git_dir)]


class _ActiveRuns(NamedTuple):
    """The active runs of a session, as text."""

    everywhere: tuple[str, ...]
    """The runs that may use every worktree."""
    agents: Mapping[str, str]
    """The run that uses the worktrees of an agent, by the agent's name."""
    claims: Mapping[int, SeenClaim] = {}
    """The claims of workers of this clone, by agent."""

    def of_worktree(self, branch: str) -> tuple[str, ...]:
        """Return the runs that use the worktree of a branch (a full ref)."""
        attempt = parse_agent_branch(branch)
        agent = self.agents.get(agent_name(attempt.agent)) if attempt else None
        return (*([agent] if agent else []), *self.everywhere)

    def worker_of(self, branch: str) -> str:
        """Return the worker that has claimed the agent of a branch, or ''."""
        attempt = parse_agent_branch(branch)
        claim = self.claims.get(attempt.agent) if attempt else None
        return claim.worker if claim else ""


_NO_RUNS = _ActiveRuns((), {})


def _read_active_runs(sid: SessionId, project: Project) -> _ActiveRuns:
    """Return the runs that use worktrees, also while no process is in them.

    `eval --in-place` starts one command after the other, and an agent may change its directory. A
    worker can be on another host that shares the file system.
    """
    claims = busy_claims(sid, project)
    with project.store.open_directory(sid) as directory:
        everywhere = [
            f"the evaluation {run} is running" for run in runs.active_runs(directory, runs.EVAL)
        ]
        try:
            running = running_agents(project.store.read(sid), directory)
        except (HubError, OSError):
            # state.json cannot be read, so each agent may be running.
            active = runs.active_runs(directory, runs.EXEC)
            return _ActiveRuns((*everywhere, *(f"{run} is running" for run in active)), {}, claims)
    agents = {
        name: f"in use by {agent.remaining}" if agent.remaining else f"{agent.run} is running"
        for name, agent in running.items()
        if agent.run or agent.remaining
    }
    return _ActiveRuns(tuple(everywhere), agents, claims)


def plan_worktree(state: WorktreeState, project: Project, options: CleanupOptions) -> WorktreePlan:
    """Decide whether to keep the worktree. Scan its directory only if no usage rule applies."""
    if state.is_marked_for_deletion:
        return WorktreePlan(state, None)
    reason = first_reason(USAGE_RULES, state, options)
    if reason is not None:
        return WorktreePlan(state, reason)
    selection = IgnoredSelection(options.keep_ignored, options.included)
    state = inspect_changes(state, project, selection, options.rescue_limit)
    reason = first_reason(CHANGES_RULES, state, options)
    compact = state._replace(changes=None, paths_to_save=(), error=None)
    if reason is not None:
        return WorktreePlan(compact, reason)
    changes = state.scan
    is_changed = bool(changes.staged or changes.changed or state.paths_to_save)
    return WorktreePlan(
        compact,
        None,
        fingerprint=state_fingerprint(state, check_processes=not options.force),
        head=changes.head,
        has_changes=is_changed and not options.discard,
        has_filtered_files=bool(changes.equivalent) and not options.discard,
    )
