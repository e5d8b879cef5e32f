"""Merge the winner of a session into its base branch, without touching what anybody has checked out.

The merge is computed beside all worktrees, and committed. The session says which commit it will
be, then the branch moves; where it is checked out git moves files and index along, or refuses.
The worktrees go as `cleanup` takes them, the other branches become tags, the state comes last:
killed at any point, the same call knows by the commit that the session names how far it was.
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


_RESULTS = "results"


class MergeOptions(NamedTuple):
    """What is to be merged, and how."""

    agent: int = 0
    """0: who is ranked first."""
    into: str = ""
    """A branch's full ref; '': the session's base branch."""
    squash: bool = False
    message: str = ""
    cleanup: bool = True
    force: bool = False
    """Even if somebody else says that an agent still runs."""


class MergePlan(NamedTuple):
    """A merge that can be made, or that was made by a call that was cut off."""

    session: Session
    winner: AgentBranch
    tip: str
    into: str
    base: str
    """The commit that `into` leads to."""
    checkout: Checkout | None
    """Where `into` is checked out."""
    existing_commit: str = ""
    """The merge, where it is there already."""
    result: AgentResult | None = None
    """What the evaluation said of the winner."""
    remarks: tuple[str, ...] = ()
    """What one should know before saying yes."""
    stat: DiffStat | None = None
    """What the winner changed since it left `into`."""
    summary: tuple[str, ...] = ()
    """The same, file by file."""
    merge_tree: MergeTreeResult | None = None
    """What the merge comes to; None where it is `merged`."""

    @property
    def conflicts(self) -> tuple[bytes, ...]:
        """The paths that git cannot merge by itself."""
        return self.merge_tree.conflicts if self.merge_tree else ()


class MergeResult(NamedTuple):
    """What a merge did."""

    plan: MergePlan
    commit: str
    report: CleanupReport


def plan_merge(
    sid: SessionId, project: Project, wish: MergeOptions, *, dry_run: bool, described: bool
) -> MergePlan:
    """What `merge` would do, and with what changes if it is to be `described`; nothing is changed.

    Raises Refused (state, no winner, an agent that runs, a branch that is in use), GitFailed.
    """
    with project.store.open_directory(sid) as directory:
        plan = _resolve_plan(project.store.read(sid), directory, project, wish)
    if plan.existing_commit:
        return plan
    merged = merge_trees(project, plan.base, plan.tip, plan.checkout, dry_run=dry_run)
    plan = plan._replace(merge_tree=merged)
    if described:
        stat, summary = project.repo.diff_summary(plan.tip, plan.base)
        plan = plan._replace(stat=stat, summary=summary)
    return plan


def merge_winner(
    sid: SessionId, project: Project, wish: MergeOptions, policy: CleanupOptions, plan: MergePlan
) -> MergeResult:
    """Carry out a plan without conflicts, if all is still as it was planned; else raises Refused.

    Where git refuses to move the branch (GitFailed, Refused) nothing is changed.
    """
    with project.store.lock_session(sid) as edit:
        now = _resolve_plan(edit.read(), edit.directory, project, wish)
        # What the two commits come to need not be looked at twice.
        if now != plan._replace(session=now.session, stat=None, summary=(), merge_tree=None):
            raise Refused(
                f"something of session '{sid}' moved while the merge was planned",
                hint=f"git hub-session merge {sid}",
            )
        commit = plan.existing_commit or _commit_and_move_branch(
            edit, plan._replace(session=now.session), project, wish
        )
        report = empty_report(sid)
        if wish.cleanup:
            report = clean_up_locked(
                edit, sid, project, policy, archiving=True, spare=plan.winner.ref
            )
        notes = _post_summary(plan, commit, report, project)
        session = edit.read()
        if session.state is State.EVALUATING:
            edit.save(_with_merged_state(session, plan, project))
        return MergeResult(plan, commit, report._replace(notes=(*report.notes, *notes)))


def _resolve_plan(
    session: Session, directory: SafeDirectory, project: Project, wish: MergeOptions
) -> MergePlan:
    """Who is to be merged into what, as it is now; `directory` is the session's."""
    repo = project.repo
    before = _recorded_merge(session, repo)
    if before is not None:
        if wish.agent not in (0, before.agent):
            raise Refused(f"agent-{before.agent} of session '{session.id}' was merged already")
        winner, into = AgentBranch(session.id, before.agent, before.attempt), HEADS + before.into
        return MergePlan(session, winner, before.tip, into, repo.tip(into), None, before.commit)
    _refuse_state(session)
    refuse_if_running(session, directory, among=session.agents, force=wish.force)
    winner, result = _choose_winner(session, repo, wish)
    into = wish.into or HEADS + session.config.base_branch
    tip, base = repo.tip(winner.ref), _target_commit(into, session.id, repo)
    if repo.is_ancestor(base, tip):
        raise Refused(
            f"'{short_name(into)}' has all that agent-{winner.agent} did",
            hint="if it was merged by hand: "
            f"git hub-session update {session.id} --state {State.MERGED}",
        )
    remarks = tuple(_plan_warnings(session, project, winner, result, into))
    checkout = find_checkout(into, project)
    return MergePlan(session, winner, tip, into, base, checkout, "", result, remarks)


def _recorded_merge(session: Session, repo: GitRepo) -> MergeRecord | None:
    """What a call that was cut off merged, or one that left something to clean up."""
    merge = session.merge
    if merge is None or session.state not in (State.EVALUATING, State.MERGED):
        return None
    return merge if repo.is_ancestor(repo.tip(HEADS + merge.into), merge.commit) else None


def _refuse_state(session: Session) -> None:
    sid, state = session.id, session.state
    if state is State.EVALUATING:
        return
    ways = {
        State.INIT: f"git hub-session spawn {sid}",
        State.RUNNING: f"git hub-session eval {sid}",
        State.MERGED: f"git hub-session cleanup --archive {sid}",
        State.ARCHIVED: f"to merge with git what it made: git hub-session restore {sid}",
    }
    raise Refused(f"session '{sid}' is '{state}': there is nothing to merge", hint=ways[state])


def _choose_winner(
    session: Session, repo: GitRepo, wish: MergeOptions
) -> tuple[AgentBranch, AgentResult | None]:
    """The last attempt of the agent that was named, or is ranked first; and what was said of it."""
    ranking = {result.agent: result for result in session.ranking}
    agent = wish.agent or next(iter(ranking), 0)
    result = ranking.get(agent)
    if not agent or (not wish.agent and result is not None and result.reason):
        raise Refused(
            f"nobody of session '{session.id}' {'could be measured' if agent else 'is ranked'}",
            hint=f"git hub-session merge {session.id} --agent <agent>",
        )
    made = attempts_by_agent(session.id, repo).get(agent)
    if not made or not repo.tip(AgentBranch(session.id, agent, max(made)).ref):
        other = "status" if wish.agent else "eval"
        verb = "restore" if agent in archived_agents(session.id, repo) else other
        raise Refused(f"agent-{agent} has no branch", hint=f"git hub-session {verb} {session.id}")
    return AgentBranch(session.id, agent, max(made)), result


def _target_commit(into: str, sid: SessionId, repo: GitRepo) -> str:
    """The commit that the branch leads to; raises Refused where it cannot be moved."""
    base = repo.tip(into)
    if not base:
        raise Refused(f"no such branch: '{short_name(into)}'", hint="name another one with --into")
    if into.startswith(branch_prefix(sid)):  # it would become a tag, like those of who lost
        raise Refused(
            f"'{short_name(into)}' is a branch of the session itself",
            hint="name another one with --into",
        )
    # Not whether it holds `base`: somebody may have committed since that was read.
    if repo.find_ref_target(into).startswith(REFS):
        raise Refused(f"'{short_name(into)}' is a symbolic ref", hint="name its branch with --into")
    return base


def _plan_warnings(
    session: Session, project: Project, winner: AgentBranch, result: AgentResult | None, into: str
) -> Iterator[str]:
    """What one should know before saying yes."""
    name, repo, evaluated = agent_name(winner.agent), project.repo, session.evaluated_base
    tip, base = repo.tip(winner.ref), repo.tip(into)
    if into == HEADS + session.config.base_branch and evaluated not in ("", base):
        yield f"'{short_name(into)}' moved since the evaluation"
    if result is None:
        yield f"{name} was not evaluated"
    elif result.attempt != winner.attempt:
        yield f"{name} made another attempt since the evaluation"
    elif result.commit != tip:
        yield f"{name} committed since the evaluation"
    if result is not None and result.reason:
        yield f"{name} could not be measured: {result.reason}"
    found = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    if winner.agent in found:
        branch, worktree = found[winner.agent]
        if detached_reason(worktree):
            yield f"the worktree of {name}: {detached_reason(worktree)}; what was committed since is not merged"
        facts = read_worktree_status(worktree, branch.ref, repo, ())
        if facts.changed or facts.untracked:
            yield f"the worktree of {name} holds uncommitted changes, which are not merged"


def _commit_and_move_branch(
    edit: LockedSession, plan: MergePlan, project: Project, wish: MergeOptions
) -> str:
    """Commit the merge and move the branch there; the commit."""
    assert plan.merge_tree is not None
    _undo_interrupted_merge(plan.session, project)
    parents = [plan.base] if wish.squash else [plan.base, plan.tip]
    message = f"{wish.message}\n" if wish.message else _default_message(plan)
    commit = commit_merge(project, plan.merge_tree.tree, parents, message, plan.checkout)
    winner = plan.winner
    record = MergeRecord(winner.agent, winner.attempt, plan.tip, short_name(plan.into), commit)
    edit.save(with_merge(plan.session, record, at=format_iso(project.now())))
    try:
        move_branch(
            project, plan.into, plan.checkout, old=plan.base, new=commit, sid=winner.session
        )
    except BaseException as fault:
        # Where git was killed among the files the record is what the next call knows it by.
        if not isinstance(fault, InterruptedUpdate) and not project.repo.is_ancestor(
            project.repo.tip(plan.into), commit
        ):
            edit.save(plan.session)
        raise
    return commit


def _undo_interrupted_merge(session: Session, project: Project) -> None:
    """Take back what a merge that was killed left in a checkout, if its branch is where it was; raises Refused, GitFailed."""
    before = session.merge
    if before is None or not project.repo.has_commit(before.commit):
        return
    into = HEADS + before.into
    checkout = find_checkout(into, project)
    if checkout is not None:
        old = project.git.resolve_commit(f"{before.commit}^1", checkout.git_dir)
        if project.repo.tip(into) == old:
            undo_interrupted_update(checkout, old, before.commit, project)


def _default_message(plan: MergePlan) -> str:
    """AgentHub's; what cannot be seen in a task is written as it is shown, for whoever reads the log."""
    winner, sid = agent_name(plan.winner.agent), plan.session.id
    task = "\n".join(map(escape_control, plan.session.config.task.split("\n")))
    return f"hub: merge {winner} from session {sid}\n\nTask: {task}\nWinner: {winner}\nSession: {sid}\n"


def _post_summary(
    plan: MergePlan, commit: str, report: CleanupReport, project: Project
) -> list[str]:
    """Tell the board, once, as AgentHub's coordinator does; what kept it from that."""
    board, sid = Board(project.store.hub), plan.session.id
    try:
        before = board.find_last_post(_RESULTS, session=sid, author=COORDINATOR)
        if before is not None and commit in before.text:
            return []
        tags = ", ".join(short_name(one.tag) for one in report.branches.archived)
        text = (
            f"## Merge Summary\n\n- **Session**: {sid}\n- **Winner**: agent-{plan.winner.agent}\n"
            f"- **Merged into**: {escape_control(short_name(plan.into))}\n- **Commit**: {commit}\n"
            f"- **Archived**: {tags or 'none'}\n"
            f"- **Worktrees cleaned**: {len(report.removed)}\n"
        )
        board.add_post(_RESULTS, author=COORDINATOR, text=text, session=sid, now=project.now())
    except (HubError, OSError) as fault:
        return [f"the summary is not on the board: {describe(fault).message}"]
    return []


def _with_merged_state(session: Session, plan: MergePlan, project: Project) -> Session:
    at, by = format_iso(project.now()), project.identity
    reason = agent_name(plan.winner.agent)
    return with_transition(session, State.MERGED, at=at, by=by, verb="merge", reason=reason)
