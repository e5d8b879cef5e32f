"""Merge the winner of a session into its base branch.

1. Compute and commit the merge without a checkout.
2. Record the merge commit in state.json.
3. Move the branch. If it is checked out, update its files and index too, or refuse.
4. Clean up: remove the worktrees, and turn the other branches into tags.
5. Post a summary on the board, and set the state to `merged`.

After a kill at any point, the next call continues: the recorded commit shows how far the merge got.
"""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.board import Board
from git_hub_session.board.posts import COORDINATOR
from git_hub_session.cleanup.cleanup import clean_up_locked
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.cleanup.report import CleanupReport, empty_report
from git_hub_session.errors import HubError, Refused, describe
from git_hub_session.git.ref_names import (
    HEADS,
    REFS,
    AgentBranch,
    SessionId,
    agent_name,
    branch_prefix,
    short_name,
)
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.merge.merge_tree import MergeTreeResult, commit_merge, merge_trees
from git_hub_session.merge.move_branch import InterruptedUpdate, move_branch
from git_hub_session.merge.undo import undo_interrupted_update
from git_hub_session.session.agents import archived_agents, attempts_by_agent, refuse_if_running
from git_hub_session.session.model import AgentResult, MergeRecord, Session
from git_hub_session.session.record import with_merge, with_transition
from git_hub_session.session.state import State
from git_hub_session.util.clock import format_iso
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.checkouts import Checkout, find_checkout
from git_hub_session.worktree.detached import detached_reason
from git_hub_session.worktree.owner import agent_worktrees
from git_hub_session.worktree.status import read_worktree_status

if TYPE_CHECKING:
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession
    from git_hub_session.system.directory import SafeDirectory


_CHANNEL = "results"


class MergeOptions(NamedTuple):
    """The branch to merge, the branch to merge into, and the kind of merge."""

    agent: int = 0
    """The number of the agent to merge, or 0 for the one that is ranked first."""
    into: str = ""
    """The full ref of the branch to merge into, or '' for the session's base branch."""
    squash: bool = False
    message: str = ""
    cleanup: bool = True
    force: bool = False
    """Merge even if another program has marked an agent as running."""


class MergePlan(NamedTuple):
    """A merge to make, or a merge that an interrupted call has made."""

    session: Session
    winner: AgentBranch
    tip: str
    into: str
    base: str
    """The tip of `into`."""
    checkout: Checkout | None
    """The worktree that has `into` checked out, or None."""
    existing_commit: str = ""
    """The merge commit of an earlier call, or ''."""
    result: AgentResult | None = None
    """The winner's result of the evaluation, or None."""
    warnings: tuple[str, ...] = ()
    """Warnings to show before the user confirms the merge."""
    stat: DiffStat | None = None
    """The size of the winner's changes since the merge base."""
    summary: tuple[str, ...] = ()
    """The winner's changes, one line for each file."""
    merge_tree: MergeTreeResult | None = None
    """The computed merge, or None if there is an `existing_commit`."""

    @property
    def conflicts(self) -> tuple[bytes, ...]:
        """The paths that git cannot merge."""
        return self.merge_tree.conflicts if self.merge_tree else ()


class MergeResult(NamedTuple):
    """The merge commit and the report of the cleanup."""

    plan: MergePlan
    commit: str
    report: CleanupReport


def plan_merge(
    sid: SessionId, project: Project, options: MergeOptions, *, dry_run: bool, described: bool
) -> MergePlan:
    """Compute the merge. Change no ref and no file of a worktree.

    Args:
        described: read the list of the winner's changes too.

    Raises:
        Refused: the state, a running agent or a branch in use forbids the merge.
        GitFailed: git could not compute the merge.
    """
    with project.store.open_directory(sid) as directory:
        plan = _resolve_plan(project.store.read(sid), directory, project, options)
    if plan.existing_commit:
        return plan
    merge_tree = merge_trees(project, plan.base, plan.tip, plan.checkout, dry_run=dry_run)
    plan = plan._replace(merge_tree=merge_tree)
    if described:
        stat, summary = project.repo.diff_summary(plan.tip, plan.base)
        plan = plan._replace(stat=stat, summary=summary)
    return plan


def merge_winner(
    sid: SessionId,
    project: Project,
    options: MergeOptions,
    cleanup_options: CleanupOptions,
    plan: MergePlan,
) -> MergeResult:
    """Make a planned merge that has no conflicts.

    Raises:
        Refused: the session or its branches changed after the plan, or git cannot move the branch.
        GitFailed: a hook rejected the merge. Nothing was changed.
    """
    with project.store.lock_session(sid) as locked:
        new_plan = _resolve_plan(locked.read(), locked.directory, project, options)
        # The same commits merge to the same tree: do not compute it again.
        expected = plan._replace(session=new_plan.session, stat=None, summary=(), merge_tree=None)
        if new_plan != expected:
            raise Refused(
                f"session '{sid}' or its branches changed while the merge was planned",
                hint=f"git hub-session merge {sid}",
            )
        commit = plan.existing_commit
        if not commit:
            new_plan = plan._replace(session=new_plan.session)
            commit = _commit_and_move_branch(locked, new_plan, project, options)
        report = empty_report(sid)
        if options.cleanup:
            report = clean_up_locked(
                locked, sid, project, cleanup_options, archiving=True, spare=plan.winner.ref
            )
        notes = _post_summary(plan, commit, report, project)
        session = locked.read()
        if session.state is State.EVALUATING:
            locked.save(_with_merged_state(session, plan, project))
        return MergeResult(plan, commit, report._replace(notes=(*report.notes, *notes)))


def _resolve_plan(
    session: Session, directory: SafeDirectory, project: Project, options: MergeOptions
) -> MergePlan:
    """Return the plan without the computed merge. `directory` is the one of the session."""
    repo = project.repo
    record = _recorded_merge(session, repo)
    if record is not None:
        if options.agent not in (0, record.agent):
            raise Refused(f"{agent_name(record.agent)} of session '{session.id}' is already merged")
        winner = AgentBranch(session.id, record.agent, record.attempt)
        into = HEADS + record.into
        return MergePlan(session, winner, record.tip, into, repo.tip(into), None, record.commit)
    _refuse_state(session)
    refuse_if_running(session, directory, among=session.agents, force=options.force)
    winner, result = _choose_winner(session, repo, options)
    into = options.into or HEADS + session.config.base_branch
    tip = repo.tip(winner.ref)
    base = _target_commit(into, session.id, repo)
    if repo.is_ancestor(base, tip):
        name = agent_name(winner.agent)
        raise Refused(
            f"nothing to merge: '{short_name(into)}' already contains the commits of {name}",
            hint=f"git hub-session update {session.id} --state {State.MERGED}",
        )
    warnings = (
        *_evaluation_warnings(session, project, winner, result, into),
        *_worktree_warnings(session, project, winner),
    )
    checkout = find_checkout(into, project)
    return MergePlan(session, winner, tip, into, base, checkout, "", result, warnings)


def _recorded_merge(session: Session, repo: GitRepo) -> MergeRecord | None:
    """Return the merge that an earlier call made, if its cleanup may be incomplete."""
    record = session.merge
    if record is None or session.state not in (State.EVALUATING, State.MERGED):
        return None
    is_merged = repo.is_ancestor(repo.tip(HEADS + record.into), record.commit)
    return record if is_merged else None


def _refuse_state(session: Session) -> None:
    sid, state = session.id, session.state
    if state is State.EVALUATING:
        return
    hints = {
        State.INIT: f"git hub-session spawn {sid}",
        State.RUNNING: f"git hub-session eval {sid}",
        State.MERGED: f"git hub-session cleanup --archive {sid}",
        State.ARCHIVED: f"restore the branches and merge with git: git hub-session restore {sid}",
    }
    raise Refused(f"session '{sid}' is '{state}': there is nothing to merge", hint=hints[state])


def _choose_winner(
    session: Session, repo: GitRepo, options: MergeOptions
) -> tuple[AgentBranch, AgentResult | None]:
    """Return the last attempt and the result of the requested or the best agent."""
    ranking = {result.agent: result for result in session.ranking}
    agent = options.agent or next(iter(ranking), 0)
    result = ranking.get(agent)
    if not agent or (not options.agent and result is not None and result.reason):
        problem = "could be measured" if agent else "is ranked"
        raise Refused(
            f"no agent of session '{session.id}' {problem}",
            hint=f"git hub-session merge {session.id} --agent <agent>",
        )
    attempts = attempts_by_agent(session.id, repo).get(agent)
    if not attempts or not repo.tip(AgentBranch(session.id, agent, max(attempts)).ref):
        verb = "status" if options.agent else "eval"
        if agent in archived_agents(session.id, repo):
            verb = "restore"
        raise Refused(
            f"{agent_name(agent)} has no branch", hint=f"git hub-session {verb} {session.id}"
        )
    return AgentBranch(session.id, agent, max(attempts)), result


def _target_commit(into: str, sid: SessionId, repo: GitRepo) -> str:
    """Return the tip of the branch `into`. Raise Refused if the branch must not be moved."""
    name = short_name(into)
    base = repo.tip(into)
    if not base:
        raise Refused(f"no such branch: '{name}'", hint="name another branch with --into")
    if into.startswith(branch_prefix(sid)):  # the cleanup would turn it into a tag
        raise Refused(
            f"'{name}' is a branch of the session itself",
            hint="name another branch with --into",
        )
    # Do not compare the target with `base`: the branch may have moved since it was read.
    if repo.find_ref_target(into).startswith(REFS):
        raise Refused(f"'{name}' is a symbolic ref", hint="name its target with --into")
    return base


def _evaluation_warnings(
    session: Session, project: Project, winner: AgentBranch, result: AgentResult | None, into: str
) -> Iterator[str]:
    name = agent_name(winner.agent)
    is_base_branch = into == HEADS + session.config.base_branch
    if is_base_branch and session.evaluated_base not in ("", project.repo.tip(into)):
        yield f"'{short_name(into)}' moved since the evaluation"
    if result is None:
        yield f"{name} was not evaluated"
        return
    if result.attempt != winner.attempt:
        yield f"{name} made another attempt since the evaluation"
    elif result.commit != project.repo.tip(winner.ref):
        yield f"{name} committed since the evaluation"
    if result.reason:
        yield f"{name} could not be measured: {result.reason}"


def _worktree_warnings(session: Session, project: Project, winner: AgentBranch) -> Iterator[str]:
    worktrees = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    if winner.agent not in worktrees:
        return
    branch, worktree = worktrees[winner.agent]
    name = agent_name(winner.agent)
    reason = detached_reason(worktree)
    if reason:
        yield f"the worktree of {name}: {reason}; later commits are not merged"
    status = read_worktree_status(worktree, branch.ref, project.repo, ())
    if status.changed or status.untracked:
        yield f"the worktree of {name} has uncommitted changes, which are not merged"


def _commit_and_move_branch(
    locked: LockedSession, plan: MergePlan, project: Project, options: MergeOptions
) -> str:
    """Commit the merge, record the commit, and move the branch to it. Return the commit."""
    assert plan.merge_tree is not None
    _undo_interrupted_merge(plan.session, project)
    parents = [plan.base] if options.squash else [plan.base, plan.tip]
    message = f"{options.message}\n" if options.message else _default_message(plan)
    commit = commit_merge(project, plan.merge_tree.tree, parents, message, plan.checkout)
    winner = plan.winner
    record = MergeRecord(winner.agent, winner.attempt, plan.tip, short_name(plan.into), commit)
    locked.save(with_merge(plan.session, record, at=format_iso(project.now())))
    try:
        move_branch(
            project, plan.into, plan.checkout, old=plan.base, new=commit, sid=winner.session
        )
    except BaseException as error:
        # If git was killed while it updated files, keep the record. The next call needs it to
        # undo the update.
        is_merged = project.repo.is_ancestor(project.repo.tip(plan.into), commit)
        if not isinstance(error, InterruptedUpdate) and not is_merged:
            locked.save(plan.session)
        raise
    return commit


def _undo_interrupted_merge(session: Session, project: Project) -> None:
    """Undo the update of a checkout that a killed merge left, if the branch has not moved."""
    record = session.merge
    if record is None or not project.repo.has_commit(record.commit):
        return
    into = HEADS + record.into
    checkout = find_checkout(into, project)
    if checkout is not None:
        old = project.git.resolve_commit(f"{record.commit}^1", checkout.git_dir)
        if project.repo.tip(into) == old:
            undo_interrupted_update(checkout, old, record.commit, project)


def _default_message(plan: MergePlan) -> str:
    """Return AgentHub's merge message. Control characters of the task are escaped."""
    winner = agent_name(plan.winner.agent)
    sid = plan.session.id
    task = "\n".join(map(escape_control, plan.session.config.task.split("\n")))
    return f"hub: merge {winner} from session {sid}\n\nTask: {task}\nWinner: {winner}\nSession: {sid}\n"


def _post_summary(
    plan: MergePlan, commit: str, report: CleanupReport, project: Project
) -> list[str]:
    """Post AgentHub's summary of the merge on the board, unless it is there. Return warnings."""
    board = Board(project.store.hub)
    sid = plan.session.id
    try:
        last_post = board.find_last_post(_CHANNEL, session=sid, author=COORDINATOR)
        if last_post is not None and commit in last_post.text:
            return []
        tags = ", ".join(short_name(branch.tag) for branch in report.branches.archived)
        text = (
            f"## Merge Summary\n\n- **Session**: {sid}\n- **Winner**: {agent_name(plan.winner.agent)}\n"
            f"- **Merged into**: {escape_control(short_name(plan.into))}\n- **Commit**: {commit}\n"
            f"- **Archived**: {tags or 'none'}\n"
            f"- **Worktrees cleaned**: {len(report.removed)}\n"
        )
        board.add_post(_CHANNEL, author=COORDINATOR, text=text, session=sid, now=project.now())
    except (HubError, OSError) as error:
        return [f"cannot post the summary on the board: {describe(error).message}"]
    return []


def _with_merged_state(session: Session, plan: MergePlan, project: Project) -> Session:
    return with_transition(
        session,
        State.MERGED,
        at=format_iso(project.now()),
        by=project.identity,
        verb="merge",
        reason=agent_name(plan.winner.agent),
    )
