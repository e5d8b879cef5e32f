"""Plan a merge: the winner, the branch to merge into, and the computed merge."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, NoSuchBranch, NothingToMerge, Refused, WrongState
from git_hub_session.git.ref_names import (
    HEADS,
    REFS,
    AgentBranch,
    SessionId,
    agent_name,
    branch_prefix,
    short_name,
)
from git_hub_session.lineage.parent import find_ancestors, first_baseline, merged_ancestors
from git_hub_session.merge.hub_files import refuse_hub_files
from git_hub_session.merge.options import MergeKind, merge_command, parse_kind
from git_hub_session.merge.remarks import UncommittedWork, plan_warnings, read_uncommitted_work
from git_hub_session.merge.settings import (
    MergeSettings,
    apply_settings,
    read_merge_settings,
    unsupported_error,
)
from git_hub_session.merge.signature import refuse_unverified_tip
from git_hub_session.merge.surroundings import merge_variables
from git_hub_session.merge.winner import (
    check_measured_tree,
    choose_winner,
    nothing_to_merge,
    refuse_contained_winner,
    refuse_unfit_result,
)
from git_hub_session.session.agents import (
    refuse_if_evaluated,
    refuse_if_running,
)
from git_hub_session.session.attempts import describe_attempt
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.state import State
from git_hub_session.worktree.agent_progress import read_last_run_of
from git_hub_session.worktree.checkouts import Checkout, find_checkout
from git_hub_session.worktree.merge_tree import (
    MergeTreeResult,
    open_merge_git,
    run_merge_tree,
)
from git_hub_session.worktree.reattach import refuse_other_branches
from git_hub_session.worktree.uncommitted import (
    has_own_commit,
    no_commit_error,
    uncommitted_files_of,
)

if TYPE_CHECKING:
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.lineage.parent import Parent
    from git_hub_session.merge.options import MergeOptions
    from git_hub_session.merge.replay import Replay
    from git_hub_session.session.model import AgentResult, MergeRecord, Session
    from git_hub_session.session.project import Project
    from git_hub_session.system.directory import SafeDirectory
    from git_hub_session.temporary.objects import NewObjects

_USAGE_ERROR = 129


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
    kind: MergeKind = MergeKind.MERGE
    settings: MergeSettings = MergeSettings()
    """The settings of `git merge` for `into`."""
    existing_commit: str = ""
    """The commit of an earlier call, or ''."""
    result: AgentResult | None = None
    """The winner's result of the evaluation, or None."""
    warnings: tuple[str, ...] = ()
    """The warnings that need no computed merge."""
    uncommitted: UncommittedWork = UncommittedWork()
    """The uncommitted files of the agents."""
    stat: DiffStat | None = None
    """The size of the changes that the merge makes."""
    summary: tuple[str, ...] = ()
    """The changes that the merge makes, one line for each file."""
    merge_tree: MergeTreeResult | None = None
    """The computed merge, or None if there is an `existing_commit`."""
    replay: Replay | None = None
    """The computed rebase, or None without --rebase."""
    tree_warning: str = ""
    """The warning that the evaluation measured another tree, or ''."""
    failure: str = ""
    """The reason that the winner's last run failed, or ''. It is not escaped."""
    rounds: tuple[Parent, ...] = ()
    """The winners of earlier rounds that the merge contains, the oldest first."""
    baseline: float | None = None
    """The metric before the first of these rounds."""

    @property
    def winner_name(self) -> str:
        """The winner's name, or "agent-2/attempt-1" for an earlier attempt."""
        return describe_attempt(self.session, self.winner)

    @property
    def remarks(self) -> tuple[str, ...]:
        """All warnings to show before the user confirms the merge."""
        uncommitted = self.uncommitted.warnings
        return (*self.warnings, *uncommitted, *filter(None, [self.tree_warning]))

    @property
    def conflicts(self) -> tuple[bytes, ...]:
        """The paths that git cannot merge."""
        if self.replay is not None:
            return self.replay.result.conflicts
        return self.merge_tree.conflicts if self.merge_tree else ()

    @property
    def final_tree(self) -> str:
        """The tree of the branch after the merge."""
        if self.replay is not None:
            return self.replay.result.tree
        return self.merge_tree.tree if self.merge_tree else ""


def plan_merge(
    sid: SessionId, project: Project, options: MergeOptions, objects: NewObjects, *, described: bool
) -> MergePlan:
    """Compute the merge. Write nothing into the repository.

    Args:
        objects: the directory for the new objects. merge_winner() needs them.
        described: read the list of changes too.

    Raises:
        Refused: the state, the evaluation, a running agent or a branch in use forbids the merge.
        GitFailed: git could not compute the merge.
    """
    with project.store.open_directory(sid) as directory:
        plan = resolve_plan(project.store.read(sid), directory, project, options)
    if plan.existing_commit:
        return plan
    plan = plan._replace(uncommitted=read_uncommitted_work(plan, project))
    refuse_hub_files(plan.winner, plan.base, plan.tip, project)
    refuse_unverified_tip(plan, options, project)
    try:
        plan = _with_computed_merge(plan, project, objects)
    except GitFailed as error:
        if error.status != _USAGE_ERROR or not plan.settings.strategy_options:
            raise
        raise unsupported_error(plan.settings.merge_options, options, sid) from None
    plan = plan._replace(tree_warning=check_measured_tree(plan, options, project.repo))
    if plan.conflicts:
        return plan
    if plan.final_tree == project.repo.tree_id(plan.base).hex():
        raise nothing_to_merge(plan.session, plan.winner, plan.into, "changes")
    if described:
        stat, summary = project.repo.diff_summary(plan.base, plan.final_tree, objects.directory)
        plan = plan._replace(stat=stat, summary=summary if plan.settings.has_diffstat else ())
    return plan


def _with_computed_merge(plan: MergePlan, project: Project, objects: NewObjects) -> MergePlan:
    """Return the plan with the merged tree, and with the rebase if that is its kind."""
    is_rebase = plan.kind is MergeKind.REBASE
    if not is_rebase and project.repo.is_ancestor(plan.tip, plan.base):
        # Only one side has changes, so the merge has the tree of the tip. Start no git.
        return plan._replace(merge_tree=MergeTreeResult(project.repo.tree_id(plan.tip).hex()))
    # As in git, the options of a merge do not count for a rebase.
    strategy_options = () if is_rebase else plan.settings.strategy_options
    with open_merge_git(
        project,
        plan.base,
        "" if is_rebase else plan.tip,  # a rebase merges each commit of the winner
        objects=objects.directory,
        variables=merge_variables(plan, project.environ),
        settings=plan.settings.tree_settings,
    ) as git:
        plan = plan._replace(merge_tree=run_merge_tree(git, plan.base, plan.tip, strategy_options))
        if is_rebase:
            from git_hub_session.merge.replay import plan_replay

            plan = plan._replace(replay=plan_replay(git, project.repo, plan.base, plan.tip))
    return plan


def resolve_plan(
    session: Session,
    directory: SafeDirectory,
    project: Project,
    options: MergeOptions,
    settings: MergeSettings | None = None,
) -> MergePlan:
    """Return the plan without the computed merge.

    Args:
        directory: the directory of the session.
        settings: the settings that an earlier call has read, or None to read them.
    """
    repo = project.repo
    record = _recorded_merge(session, repo)
    if record is not None:
        return _resume_merge(session, record, repo, options)
    _refuse_state(session)
    refuse_if_running(session, directory, among=session.agents, force=options.force)
    refuse_if_evaluated(session.id, directory)
    refuse_other_branches(session, project)
    winner, result = choose_winner(session, repo, options)
    into = options.into or HEADS + session.config.base_branch
    tip = repo.tip(winner.ref)
    base = _target_commit(into, session, project)
    _refuse_without_commit(session, project, winner, tip)
    refuse_contained_winner(session, repo, winner, result, options, into=into)
    checkout = find_checkout(into, project)
    settings = settings or read_merge_settings(into, checkout, project)
    options = apply_settings(options, settings, session.id)
    if options.kind is MergeKind.FAST_FORWARD and not repo.is_ancestor(tip, base):
        raise _cannot_fast_forward(session, winner, options, into)
    refuse_unfit_result(session, repo, winner, result, options, into=into)
    plan = MergePlan(session, winner, tip, into, base, checkout, options.kind, settings)
    failure = read_last_run_of(winner, session, project).failure
    plan = plan._replace(result=result, failure=failure)
    return _with_rounds(plan._replace(warnings=tuple(plan_warnings(plan, project))), project)


def _with_rounds(plan: MergePlan, project: Project) -> MergePlan:
    """Return the plan with the earlier rounds that the merge contains."""
    ancestors = merged_ancestors(plan.session, plan.tip, project)
    rounds = tuple(parent for parent, _ in ancestors)
    evaluation = last_evaluation(plan.session)
    baseline = first_baseline(plan.session, ancestors)
    if plan.result is not None and evaluation.by_ratio:
        baseline = evaluation.baseline_of(plan.result)
    return plan._replace(rounds=rounds, baseline=baseline)


def _resume_merge(
    session: Session, record: MergeRecord, repo: GitRepo, options: MergeOptions
) -> MergePlan:
    """Return the plan of a merge that an earlier call made. Its cleanup may be incomplete."""
    requested = (options.agent or record.agent, options.attempt or record.attempt)
    if requested != (record.agent, record.attempt):
        raise NothingToMerge(
            f"{agent_name(record.agent)} of session '{session.id}' is already merged"
        )
    winner = AgentBranch(session.id, record.agent, record.attempt)
    into = HEADS + record.into
    kind = parse_kind(record.kind)
    tip, base = record.tip, repo.tip(into)
    return MergePlan(session, winner, tip, into, base, None, kind, existing_commit=record.commit)


def _cannot_fast_forward(
    session: Session, winner: AgentBranch, options: MergeOptions, into: str
) -> Refused:
    name = describe_attempt(session, winner)
    branch = short_name(into)
    return Refused(
        f"cannot fast-forward '{branch}': it has commits that {name} does not have",
        hint=merge_command(session.id, options._replace(kind=MergeKind.REBASE)),
    )


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
    raise WrongState(f"session '{sid}' is '{state}': there is nothing to merge", hint=hints[state])


def _refuse_without_commit(
    session: Session, project: Project, winner: AgentBranch, tip: str
) -> None:
    """Raise Refused if the winner has no commit of its own.

    Allow a branch that the user has merged, if its worktree has no uncommitted files.
    """
    if has_own_commit(tip, session, project.repo, winner):
        return
    files = uncommitted_files_of(winner, project) or ()
    if files or project.repo.is_ancestor(session.base_commit, tip):
        raise no_commit_error(session.id, {winner.agent: files}, is_every_agent=False)


def _target_commit(into: str, session: Session, project: Project) -> str:
    """Return the tip of the branch `into`. Raise Refused if the branch must not be moved."""
    repo = project.repo
    name = short_name(into)
    base = repo.tip(into)
    if not base:
        raise NoSuchBranch(f"no such branch: '{name}'", hint="name another branch with --into")
    ancestors = [parent.session_id for parent, _ in find_ancestors(session, project.store.read)]
    for sid in (session.id, *ancestors):
        if into.startswith(branch_prefix(sid)):  # the cleanup would turn it into a tag
            owner = "the session itself" if sid == session.id else f"the earlier session '{sid}'"
            raise Refused(
                f"'{name}' is a branch of {owner}", hint="name another branch with --into"
            )
    # Do not compare the target with `base` to find a symbolic ref: the branch may have moved since
    # its tip was read.
    if repo.find_ref_target(into).startswith(REFS):
        raise Refused(f"'{name}' is a symbolic ref", hint="name its target with --into")
    return base
