"""What a worktree holds that no commit has, put under rescue refs before the worktree goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.cleanup.plan import WorktreePlan
from git_hub_session.cleanup.report import KeptWorktree, SavedWork
from git_hub_session.cleanup.rules import paths_to_save
from git_hub_session.errors import HubError, describe
from git_hub_session.git.head import reflog_commits
from git_hub_session.git.ref_names import (
    SessionId,
    agent_name,
    create_command,
    parse_agent_branch,
    rescue_number,
    rescue_prefix,
    short_name,
)
from git_hub_session.removal.errors import RemovalBlocked
from git_hub_session.removal.inspect import inspect_changes
from git_hub_session.session.agents import group_by_agent
from git_hub_session.session.record import with_rescues, with_work
from git_hub_session.stash.create import (
    CannotRoundTrip,
    IndexCopy,
    StashTrees,
    stash_message,
    write_trees,
)
from git_hub_session.system.directory import CannotWrite
from git_hub_session.worktree.reason import CONTENTS_CHANGED, Reason

if TYPE_CHECKING:
    from git_hub_session.git.repository import Branch
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def save_worktrees(
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    verdicts: Sequence[WorktreePlan],
    kept: list[KeptWorktree],
) -> list[tuple[WorktreePlan, list[SavedWork]]]:
    """Save the work of all that are to go; those whose work is safe, the others are added to `kept`."""
    going = []
    shown = project.progress("Saving work", len(verdicts))
    for at, verdict in enumerate(verdicts, 1):
        if verdict.reason is None:
            saved = [SavedWork.parse(text) for text in verdict.saved_before]
            try:
                _save_worktree(sid, project, policy, verdict, saved)
            except RemovalBlocked as fault:
                kept.append(kept_worktree(verdict, fault.reason, saved))
            else:
                going.append((verdict, saved))
        shown(at)
    return going


def record_rescues(
    edit: LockedSession,
    rescues: Mapping[str, list[str]],
    left: Mapping[str, Mapping[str, str | None]],
    at: str,
) -> list[str]:
    """Write the rescue refs and what is left of each attempt into the session.

    What there is to say where the session cannot be read; raises CannotWrite where it cannot be written.
    """
    try:
        if rescues or left:
            session = edit.read()
            recorded = with_work(with_rescues(session, rescues, at=at), left, at=at)
            if recorded is not session:
                edit.save(recorded)
    except CannotWrite:
        raise
    except (HubError, OSError) as fault:
        return [f"the rescue refs are not recorded in the session: {describe(fault).message}"]
    return []


def save_reflog_commits(
    sid: SessionId, project: Project, branches: Iterable[Branch]
) -> dict[str, list[str]]:
    """Give commits that only the reflogs of the branches lead to a ref: the reflogs go with the branches.

    {branch: the refs}
    """
    logs = {one.ref: reflog_commits(project.paths.common_dir, one.ref) for one in branches}
    # Asked once for all: each question looks at every ref that there is.
    lost = set(project.repo.unreachable({oid for commits in logs.values() for oid in commits}))
    saved: dict[str, list[str]] = {}
    for branch, commits in logs.items():
        for oid in commits:
            if oid in lost:
                lost.remove(oid)
                ref = _create_rescue_ref(rescue_prefix(sid, branch), oid, project)
                saved.setdefault(branch, []).append(ref)
    return saved


def _save_worktree(
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    verdict: WorktreePlan,
    saved: list[SavedWork],
) -> None:
    """Put what has to be saved under rescue refs, and add these to `saved`; raises Obstructed."""
    prefix = rescue_prefix(sid, verdict.branch)
    try:
        if verdict.has_changes:
            on_branch = verdict.worktree.head == verdict.branch
            work = _save_changes(prefix, project, policy, verdict)
            saved += [SavedWork(ref, "work", on_branch) for ref in work]
        for oid in verdict.commits:
            saved.append(SavedWork(_create_rescue_ref(prefix, oid, project), "commits"))
    except CannotRoundTrip as fault:
        raise RemovalBlocked(
            Reason(
                "unfaithful",
                f"cannot be saved as it is: {fault}",
                "commit it, or use --discard",
            )
        ) from None
    except (HubError, OSError) as fault:
        message, hint = describe(fault)
        reason = Reason("cannot-save", f"its work cannot be saved: {message}", hint)
        raise RemovalBlocked(reason) from None


def _save_changes(
    prefix: str, project: Project, policy: CleanupOptions, verdict: WorktreePlan
) -> list[str]:
    """Save the uncommitted work; the ref that keeps it, or none where git finds nothing changed."""
    worktree = verdict.worktree
    with IndexCopy(project.git, worktree) as shot:
        seen = inspect_changes(worktree, project)
        if verdict.fingerprint is None or seen.tree.digest() != verdict.fingerprint.digest:
            raise RemovalBlocked(CONTENTS_CHANGED)
        paths = paths_to_save(seen, policy)
        work, filtered = write_trees(shot, seen, paths, project.repo, missing=worktree.is_missing)
        head = project.repo.tree_id(verdict.head).hex()
        if work == StashTrees(head, head, ""):
            return []
        subject = f"On {short_name(verdict.branch)}: saved by git hub-session cleanup"
        message = stash_message(subject, filtered)
        for ref in project.repo.refs(prefix):
            stash = project.repo.find_stash(ref)
            if stash == (verdict.head, *work) and project.repo.commit_message(ref) == message:
                return [ref]  # of a run that was killed before the worktree went
        return [
            _create_rescue_ref(
                prefix, shot.write_stash_commit(work, verdict.head, message), project
            )
        ]


def _create_rescue_ref(prefix: str, oid: str, project: Project) -> str:
    numbers = [rescue_number(ref, prefix) or 0 for ref in project.repo.refs(prefix)]
    ref = f"{prefix}{max(numbers, default=0) + 1}"
    project.git.update_refs([create_command(ref, oid)])
    return ref


def kept_worktree(
    verdict: WorktreePlan, reason: Reason, saved: Iterable[SavedWork] = ()
) -> KeptWorktree:
    """The worktree of a verdict, which stays for this reason."""
    return KeptWorktree(verdict.worktree.path, verdict.branch, reason, tuple(saved))


def rescues_by_agent(
    sid: SessionId,
    going: Sequence[tuple[WorktreePlan, list[SavedWork]]],
    kept: Sequence[KeptWorktree],
) -> dict[str, list[str]]:
    """{"agent-2": [ref, …]}: what is recorded in the session."""
    outcomes = [(verdict.branch, saved) for verdict, saved in going]
    outcomes += [(one.branch, list(one.saved)) for one in kept]
    return group_by_agent(sid, ((branch, [one.ref for one in saved]) for branch, saved in outcomes))


def work_by_attempt(
    sid: SessionId, project: Project, going: Sequence[tuple[WorktreePlan, list[SavedWork]]]
) -> dict[str, dict[str, str | None]]:
    """{"agent-2": {"attempt-1": ref}}: what each worktree leaves that a restore has to bring back.

    None where it leaves nothing, and there is older work that could be taken for it.
    """
    left: dict[str, dict[str, str | None]] = {}
    older = project.repo.refs(rescue_prefix(sid))  # all at once: each list is one of all refs
    for verdict, saved in going:
        branch, prefix = parse_agent_branch(verdict.branch), rescue_prefix(sid, verdict.branch)
        work = [one.ref for one in saved if one.kind == "work"]
        if branch and (work or any(ref.startswith(prefix) for ref in older)):
            attempts = left.setdefault(agent_name(branch.agent), {})
            attempts[f"attempt-{branch.attempt}"] = work[-1] if work else None
    return left
