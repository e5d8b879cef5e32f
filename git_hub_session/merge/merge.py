"""Merge the winner of a session into its base branch.

1. Commit the merge, or the rebase, that plan.py has computed without a checkout.
2. Record the commit in state.json.
3. Move the branch. If it is checked out, update its files and index too, or refuse.
4. Clean up: remove the worktrees, and turn the other branches into tags.
5. Post a summary on the board, and set the state to `merged`.

After a kill at any point, the next call continues: the recorded commit shows how far the merge got.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.board import Board
from git_hub_session.board.posts import COORDINATOR
from git_hub_session.cleanup.cleanup import clean_up_locked
from git_hub_session.cleanup.report import CleanupReport, empty_report
from git_hub_session.errors import ChangedMeanwhile, Damaged, HubError, Refused, to_hub_error
from git_hub_session.git.ref_names import (
    HEADS,
    agent_name,
    short_name,
)
from git_hub_session.lineage.parent import describe_rounds
from git_hub_session.merge.commit import commit_merge, read_signer
from git_hub_session.merge.message import merge_message
from git_hub_session.merge.move_branch import IncompleteUpdate, InterruptedUpdate, move_branch
from git_hub_session.merge.options import MergeKind, merge_command
from git_hub_session.merge.plan import MergePlan, resolve_plan
from git_hub_session.merge.stale_checkout import stale_checkout_warnings
from git_hub_session.merge.surroundings import git_at_target, merge_variables
from git_hub_session.session.create import bring_back_command
from git_hub_session.session.model import MergeRecord, Session
from git_hub_session.session.record import with_merge, with_transition, without_change
from git_hub_session.session.state import State
from git_hub_session.util.clock import format_iso
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.checkouts import find_checkout

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.merge.options import MergeOptions
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession
    from git_hub_session.temporary.objects import NewObjects


_CHANNEL = "results"


class MergeResult(NamedTuple):
    """The merge commit and the report of the cleanup."""

    plan: MergePlan
    commit: str
    report: CleanupReport
    state: State
    """The state of the session afterwards. Another program may have changed it."""


def merge_winner(
    project: Project,
    options: MergeOptions,
    cleanup_options: CleanupOptions,
    plan: MergePlan,
    objects: NewObjects,
) -> MergeResult:
    """Make a planned merge that has no conflicts.

    Args:
        objects: the directory with the new objects of the plan. git cannot delete the objects of
            the merge before `objects` is closed.

    Raises:
        Refused: the session or its branches changed after the plan, or git cannot move the branch.
        HookRefused: a hook rejected the merge. Nothing was changed.
    """
    with project.store.lock_session(plan.session.id) as locked:
        plan = _renew_plan(locked, plan, project, options)
        commit = plan.existing_commit
        if not commit:
            commit = _commit_and_move_branch(locked, plan, project, options, objects)
        try:
            return _finish_merge(
                locked, plan, commit, project, cleanup_options if options.cleanup else None
            )
        except Damaged as error:
            # A hook or another program has changed the session since the branch was moved.
            into = short_name(plan.into)
            raise Damaged(f"{error.message}, after the merge into '{into}'", error.hint) from None


def _finish_merge(
    locked: LockedSession,
    plan: MergePlan,
    commit: str,
    project: Project,
    cleanup_options: CleanupOptions | None,
) -> MergeResult:
    """Clean up unless `cleanup_options` is None, post the summary and set the state."""
    sid = plan.session.id
    locked.read()  # do not clean up a session that cannot be read any more
    report = empty_report(sid)
    if cleanup_options is not None:
        report = clean_up_locked(
            locked, sid, project, cleanup_options, archiving=True, keep_branch=plan.winner.ref
        )
    notes = _post_summary(plan, commit, report, project)
    locked.update(partial(_with_merged_state, plan=plan, project=project))
    if plan.checkout is None and not plan.existing_commit:
        # Check last: a checkout that had read the old commit has moved HEAD by now.
        notes += stale_checkout_warnings(project, plan.into, old=plan.base, new=commit)
    report = report._replace(notes=(*report.notes, *notes))
    return MergeResult(plan, commit, report, locked.read().state)


def _renew_plan(
    locked: LockedSession, plan: MergePlan, project: Project, options: MergeOptions
) -> MergePlan:
    """Return the plan with the session as it is now. Raise Refused if anything else changed."""
    session = locked.read()
    new_plan = resolve_plan(session, locked.directory, project, options, plan.settings)
    # Do not compute the merge again: equal commits merge to the same tree.
    expected = plan._replace(session=session, stat=None, summary=())
    expected = expected._replace(uncommitted=new_plan.uncommitted)  # a warning is enough
    if new_plan != expected._replace(merge_tree=None, replay=None, tree_warning=""):
        sid = session.id
        raise ChangedMeanwhile(
            f"session '{sid}' or its branches changed while the merge was planned",
            hint=merge_command(sid, options),
        )
    return plan._replace(session=session)


def _commit_and_move_branch(
    locked: LockedSession,
    plan: MergePlan,
    project: Project,
    options: MergeOptions,
    objects: NewObjects,
) -> str:
    """Commit the merge, record the commit, and move the branch to it. Return the commit."""
    _undo_interrupted_merge(plan.session, project)
    commit = _create_commit(plan, project, options, objects)
    return _record_and_move_branch(locked, plan, project, commit)


def _record_and_move_branch(
    locked: LockedSession, plan: MergePlan, project: Project, commit: str
) -> str:
    """Record the commit, and move the branch to it. Return the commit that the hooks left."""
    winner = plan.winner
    with_record = _make_recorder(plan, commit, project)
    if locked.read().state is not plan.session.state:
        raise ChangedMeanwhile(
            f"the state of session '{plan.session.id}' changed during the merge",
            hint=f"git hub-session status {plan.session.id}",
        )
    locked.update(with_record)
    variables = merge_variables(plan, project.environ)
    try:
        merged = move_branch(
            project,
            plan.into,
            plan.checkout,
            variables,
            old=plan.base,
            new=commit,
            sid=winner.session,
            reason=f"hub-session merge: {plan.winner_name} of {winner.session}",
            is_squash=plan.kind is MergeKind.SQUASH,
            settings=plan.settings,
        )
    except BaseException as error:
        # If some files are updated, keep the record. The next call needs it to undo the update.
        if isinstance(error, IncompleteUpdate):
            _undo_incomplete_update(plan, commit, project, error)
        is_merged = project.repo.is_ancestor(project.repo.tip(plan.into), commit)
        if not isinstance(error, InterruptedUpdate) and not is_merged:
            changed = with_record(plan.session)
            locked.update(partial(without_change, changed=changed, original=plan.session))
        raise
    _require_session(plan, project)
    if merged != commit:
        locked.update(_make_recorder(plan, merged, project))
    return merged


def _require_session(plan: MergePlan, project: Project) -> None:
    """Raise Refused if a hook has removed the session after the merge."""
    if not project.store.has_session(plan.session.id):
        raise Refused(
            f"a hook removed session '{plan.session.id}', after the merge into "
            f"'{short_name(plan.into)}'",
            hint=bring_back_command(plan.session.id, project),
        )


def _make_recorder(plan: MergePlan, commit: str, project: Project) -> Callable[[Session], Session]:
    """Return a function that records the commit of the merge in a session."""
    winner = plan.winner
    into = short_name(plan.into)
    record = MergeRecord(
        winner.agent, winner.attempt, plan.tip, into, commit, plan.base, str(plan.kind)
    )
    return partial(with_merge, merge=record, at=format_iso(project.now()))


def _undo_incomplete_update(
    plan: MergePlan, commit: str, project: Project, error: IncompleteUpdate
) -> None:
    """Write the old files again. Raise InterruptedUpdate if that fails."""
    from git_hub_session.merge.undo import undo_interrupted_update

    assert plan.checkout is not None
    try:
        undo_interrupted_update(plan.checkout, plan.base, commit, project)
    except (Refused, OSError) as undo_error:
        problem = to_hub_error(undo_error)
        again = f"fix the cause, then: git hub-session merge {plan.session.id}"
        raise InterruptedUpdate(
            f"git cannot update '{plan.checkout.path}', and some old files are missing:"
            f" {problem.message}",
            hint="\n".join(filter(None, [error.hint, problem.hint, again])),
        ) from None


def _create_commit(
    plan: MergePlan, project: Project, options: MergeOptions, objects: NewObjects
) -> str:
    """Create the commits of the merge. Return the commit to move the branch to."""
    if plan.kind is MergeKind.FAST_FORWARD:
        return plan.tip
    variables = merge_variables(plan, project.environ)
    reached = [plan.base, plan.tip]
    if plan.replay is not None:
        from git_hub_session.merge.replay import commit_replay

        git = git_at_target(project, plan.checkout, {**variables, **objects.environ})
        commit = commit_replay(git, project.repo, plan.replay, sign=plan.settings.signs)
        objects.keep([commit], reached)
        return commit
    if plan.settings.has_hooks:
        objects.keep([plan.final_tree], reached)  # the hooks get an index of the merged tree
    signs_off = options.signs_off or plan.settings.signs_off
    signer = read_signer(plan.checkout, project) if signs_off else ""
    message = merge_message(plan, options.message, describe_rounds(plan.rounds), signer)
    commit = commit_merge(plan, message, project, variables, objects.environ)
    objects.keep([commit], reached)
    return commit


def _undo_interrupted_merge(session: Session, project: Project) -> None:
    """Undo the update of a checkout that a killed merge left, if the branch has not moved."""
    record = session.merge
    if record is None or not project.repo.has_commit(record.commit):
        return
    into = HEADS + record.into
    checkout = find_checkout(into, project)
    if checkout is not None:
        old = record.base or project.git.resolve_commit(f"{record.commit}^1", checkout.git_dir)
        if project.repo.tip(into) == old:
            from git_hub_session.merge.undo import undo_interrupted_update

            undo_interrupted_update(checkout, old, record.commit, project)


def _post_summary(
    plan: MergePlan, commit: str, report: CleanupReport, project: Project
) -> list[str]:
    """Post AgentHub's merge summary on the board, unless it is there already. Return warnings."""
    board = Board(project.store.hub)
    sid = plan.session.id
    try:
        last_post = board.find_last_post(_CHANNEL, session=sid, author=COORDINATOR)
        if last_post is not None and commit in last_post.text:
            return []
        archived = ", ".join(branch.name for branch in report.branches.archived)
        text = (
            f"## Merge Summary\n\n- **Session**: {sid}\n- **Winner**: {agent_name(plan.winner.agent)}\n"
            f"- **Merged into**: {escape_control(short_name(plan.into))}\n- **Commit**: {commit}\n"
            f"- **Archived**: {archived or 'none'}\n"
            f"- **Worktrees cleaned**: {len(report.removed)}\n"
        )
        board.add_post(_CHANNEL, author=COORDINATOR, text=text, session=sid, now=project.now())
    except (HubError, OSError) as error:
        return [f"cannot post the summary on the board: {to_hub_error(error).message}"]
    return []


def _with_merged_state(session: Session, plan: MergePlan, project: Project) -> Session:
    if session.state is not State.EVALUATING:
        return session
    return with_transition(
        session,
        State.MERGED,
        at=format_iso(project.now()),
        by=project.identity,
        verb="merge",
        reason=agent_name(plan.winner.agent),
    )
