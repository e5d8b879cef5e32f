"""Save uncommitted changes and unreachable commits under rescue refs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.report import KeptWorktree, SavedWork
from git_hub_session.cleanup.save_commits import (
    create_rescue_ref,
    save_objects,
    save_reflog_commits,
)
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import (
    SessionId,
    agent_name,
    parse_agent_branch,
    rescue_prefix,
    short_name,
)
from git_hub_session.removal.inspect import IgnoredSelection, paths_to_save, scan_changes
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.record import with_rescues, with_work
from git_hub_session.stash.create import IndexCopy, StashTrees, write_trees
from git_hub_session.stash.filtered import stash_message
from git_hub_session.stash.lfs import LfsContents
from git_hub_session.stash.permissions import describe_permissions, read_permissions
from git_hub_session.stash.round_trip import CannotRoundTrip, ChangedDuringSave
from git_hub_session.system.directory import CannotWrite
from git_hub_session.temporary.objects import NewObjects
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.reason import CONTENTS_CHANGED, Reason

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.cleanup.plan import WorktreePlan
    from git_hub_session.git.repository import Branch
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


class CannotSave(Exception):
    """The work in a worktree cannot be saved."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def save_worktrees(
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    plans: Sequence[WorktreePlan],
    kept: list[KeptWorktree],
) -> list[tuple[WorktreePlan, list[SavedWork]]]:
    """Save the work in the worktrees that will be removed.

    Return their plans with the saved work. Add a worktree whose work cannot be saved to `kept`.
    """
    saved_plans = []
    show_progress = project.progress("Saving work", len(plans))
    for number, plan in enumerate(plans, 1):
        if plan.reason is None:
            saved = [SavedWork.parse(text) for text in plan.saved_before]
            try:
                _save_worktree(sid, project, options, plan, saved)
            except CannotSave as error:
                path = plan.worktree.path
                kept.append(KeptWorktree(path, plan.branch, error.reason, tuple(saved)))
            else:
                saved_plans.append((plan, saved))
        show_progress(number)
    return saved_plans


def record_rescues(
    locked: LockedSession,
    rescues: Mapping[str, list[str]],
    work: Mapping[str, Mapping[str, str | None]],
    at: str,
) -> list[str]:
    """Record the rescue refs and the last work of each attempt in state.json.

    Return a warning if state.json cannot be read. Raise CannotWrite if it cannot be written.
    """

    def with_saved_work(session: Session) -> Session:
        return with_work(with_rescues(session, rescues, at=at), work, at=at)

    try:
        locked.update(with_saved_work)
    except CannotWrite:
        raise
    except (HubError, OSError) as error:
        return [f"the rescue refs are not recorded in the session: {to_hub_error(error).message}"]
    return []


def _save_worktree(
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    plan: WorktreePlan,
    saved: list[SavedWork],
) -> None:
    """Create the rescue refs of one worktree, and add them to `saved`. Raise CannotSave."""
    prefix = rescue_prefix(sid, plan.branch)
    try:
        if plan.has_changes or plan.has_filtered_files:
            on_branch = plan.worktree.head == plan.branch
            work = _save_changes(prefix, project, options, plan)
            saved += [SavedWork(ref, "work", on_branch) for ref in work]
            _keep_lfs_contents(work, project)
        if plan.commits:
            refs = save_objects(prefix, plan.commits, plan.head, project.git, project.repo)
            saved += [SavedWork(ref, "commits") for ref in refs]
    except ChangedDuringSave:
        raise CannotSave(CONTENTS_CHANGED) from None
    except CannotRoundTrip as error:
        message = f"cannot be saved byte for byte: {error}"
        raise CannotSave(Reason("unfaithful", message, error.hint)) from None
    except (HubError, OSError) as error:
        failure = to_hub_error(error)
        reason = Reason("cannot-save", f"cannot save the work: {failure.message}", failure.hint)
        raise CannotSave(reason) from None


def _save_changes(
    prefix: str, project: Project, options: CleanupOptions, plan: WorktreePlan
) -> list[str]:
    """Save the uncommitted changes. Return the rescue ref, or nothing without changes.

    Raise CannotRoundTrip if git would not restore a file byte for byte, changed or not.
    """
    worktree, head = plan.worktree, plan.head
    with (
        NewObjects(project.git) as objects,
        IndexCopy(project.git, worktree, objects=objects.directory) as index_copy,
    ):
        changes = scan_changes(worktree, project)
        if plan.fingerprint is None or changes.tree.digest() != plan.fingerprint.contents:
            raise CannotSave(CONTENTS_CHANGED)
        selection = IgnoredSelection(options.keep_ignored, options.included)
        paths = paths_to_save(worktree, changes, selection)
        if not (changes.staged or changes.changed or paths):
            unchanged = sorted(changes.equivalent)
            index_copy.verify_round_trip(changes, unchanged, project.repo, filtered=True)
            return []
        trees, filtered = write_trees(
            index_copy, changes, paths, project.repo, missing=worktree.is_missing
        )
        head_tree = project.repo.tree_id(head).hex()
        if trees == StashTrees(head_tree, head_tree, ""):
            return []
        subject = f"On {short_name(plan.branch)}: saved by git hub-session cleanup"
        written = {*paths, *changes.staged, *changes.changed}
        permissions = read_permissions(
            changes.tree, worktree.path, written, changes.empty_directories
        )
        message = stash_message(subject + describe_permissions(permissions), filtered)
        for ref in project.repo.refs(prefix):
            stash = project.repo.find_stash(ref)
            if stash == (head, *trees) and project.repo.commit_message(ref) == message:
                return [ref]  # An interrupted cleanup has saved the same work.
        oid = index_copy.write_stash_commit(trees, head, message)
        objects.keep([oid], [head])
        return [create_rescue_ref(prefix, oid, project.git, project.repo)]


def _keep_lfs_contents(stashes: Sequence[str], project: Project) -> None:
    """Keep the contents of the Git LFS files in saved work. Raise OSError."""
    contents = LfsContents(project.paths.common_dir, project.repo)
    for ref in stashes:
        head, *trees = project.repo.find_stash(ref)
        contents.keep(project.repo.tip(ref), filter(None, trees), head)


def rescues_by_agent(
    sid: SessionId,
    saved_plans: Sequence[tuple[WorktreePlan, list[SavedWork]]],
    kept: Sequence[KeptWorktree],
) -> dict[str, list[str]]:
    """Return the rescue refs of each agent, to record in state.json: {"agent-2": [ref, ...]}."""
    saved_by_branch = [(plan.branch, saved) for plan, saved in saved_plans]
    saved_by_branch += [(worktree.branch, list(worktree.saved)) for worktree in kept]
    refs = ((branch, [work.ref for work in saved]) for branch, saved in saved_by_branch)
    return group_by_agent(sid, refs)


def work_by_attempt(
    sid: SessionId, project: Project, saved_plans: Sequence[tuple[WorktreePlan, list[SavedWork]]]
) -> dict[str, dict[str, str | None]]:
    """Return the rescue ref that `restore` must apply: {"agent-2": {"attempt-1": ref}}.

    The value is None if the attempt has no work to restore, but older rescue refs exist.
    """
    refs: dict[str, dict[str, str | None]] = {}
    older = project.repo.refs(rescue_prefix(sid))  # Each call reads every ref: call it only once.
    for plan, saved in saved_plans:
        branch, prefix = parse_agent_branch(plan.branch), rescue_prefix(sid, plan.branch)
        work = [saved_work.ref for saved_work in saved if saved_work.kind == "work"]
        if branch and (work or any(ref.startswith(prefix) for ref in older)):
            attempts = refs.setdefault(agent_name(branch.agent), {})
            attempts[f"attempt-{branch.attempt}"] = work[-1] if work else None
    return refs


def save_and_record_reflogs(
    locked: LockedSession, sid: SessionId, project: Project, branches: Iterable[Branch]
) -> list[str]:
    """Save and record the commits that only the reflogs of branches contain. Return notes."""
    saved = save_reflog_commits(sid, project.git, project.repo, branches)
    notes = [
        f"{_describe_commits(len(oids), short_name(branch))} in {ref}"
        for branch, refs in saved.items()
        for ref, oids in refs.items()
    ]
    rescues = group_by_agent(sid, [(branch, [*refs]) for branch, refs in saved.items()])
    return [*notes, *record_rescues(locked, rescues, {}, format_iso(project.now()))]


def _describe_commits(count: int, branch: str) -> str:
    commits = "a commit" if count == 1 else f"{count} commits"
    return f"{commits} that only the reflog of '{branch}' had {'is' if count == 1 else 'are'}"
