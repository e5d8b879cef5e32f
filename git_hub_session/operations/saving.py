"""What a worktree holds that no commit has, put under rescue refs before the worktree goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session.errors import HubError
from git_hub_session.heads import reflog_commits
from git_hub_session.operations import removal
from git_hub_session.operations.judge import CHANGED, Reason, to_save
from git_hub_session.operations.policy import Policy
from git_hub_session.operations.report import Kept, Saved
from git_hub_session.operations.rescue import Snapshot, Unfaithful, Work, snapshot, stash_message
from git_hub_session.operations.scene import Scene
from git_hub_session.operations.verdict import Verdict, look_into, said
from git_hub_session.refnames import (
    SessionId,
    created,
    parse_agent_branch,
    rescue_number,
    rescue_prefix,
    short,
    within_session,
)
from git_hub_session.session import with_rescues, with_work
from git_hub_session.store import CannotWrite
from git_hub_session.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session.gitrepo import Branch
    from git_hub_session.store import Edit


def save_all(
    sid: SessionId, scene: Scene, policy: Policy, verdicts: Sequence[Verdict], kept: list[Kept]
) -> list[tuple[Verdict, list[Saved]]]:
    """Save the work of all that are to go; those whose work is safe, the others are added to `kept`."""
    going = []
    shown = scene.progress("Saving work", len(verdicts))
    for at, verdict in enumerate(verdicts, 1):
        if verdict.reason is None:
            saved = [Saved.parse(text) for text in verdict.saved_before]
            try:
                _save(sid, scene, policy, verdict, saved)
            except removal.Obstructed as fault:
                kept.append(keep(verdict, fault.reason, saved))
            else:
                going.append((verdict, saved))
        shown(at)
    return going


def record(
    edit: Edit,
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
        return [f"the rescue refs are not recorded in the session: {said(fault)}"]
    return []


def save_reflogs(sid: SessionId, scene: Scene, branches: Iterable[Branch]) -> dict[str, list[str]]:
    """Give commits that only the reflogs of the branches lead to a ref: the reflogs go with the branches.

    {branch: the refs}
    """
    logs = {one.ref: reflog_commits(scene.place.common_dir, one.ref) for one in branches}
    # Asked once for all: each question looks at every ref that there is.
    lost = set(scene.repo.unreached({oid for commits in logs.values() for oid in commits}))
    saved: dict[str, list[str]] = {}
    for branch, commits in logs.items():
        for oid in commits:
            if oid in lost:
                lost.remove(oid)
                ref = _new_rescue(rescue_prefix(sid, branch), oid, scene)
                saved.setdefault(branch, []).append(ref)
    return saved


def _save(
    sid: SessionId, scene: Scene, policy: Policy, verdict: Verdict, saved: list[Saved]
) -> None:
    """Put what has to be saved under rescue refs, and add these to `saved`; raises Obstructed."""
    prefix = rescue_prefix(sid, verdict.branch)
    try:
        if verdict.dirty:
            on_branch = verdict.worktree.head == verdict.branch
            work = _save_work(prefix, scene, policy, verdict)
            saved += [Saved(ref, "work", on_branch) for ref in work]
        for oid in verdict.commits:
            saved.append(Saved(_new_rescue(prefix, oid, scene), "commits"))
    except Unfaithful as fault:
        raise removal.Obstructed(
            Reason(
                "unfaithful",
                f"cannot be saved as it is: {fault}",
                "commit it, or use --discard",
            )
        ) from None
    except (HubError, OSError) as fault:
        hint = fault.hint if isinstance(fault, HubError) else ""
        reason = f"its work cannot be saved: {said(fault)}"
        raise removal.Obstructed(Reason("cannot-save", reason, hint)) from None


def _save_work(prefix: str, scene: Scene, policy: Policy, verdict: Verdict) -> list[str]:
    """Save the uncommitted work; the ref that keeps it, or none where git finds nothing changed."""
    worktree = verdict.worktree
    with Snapshot(scene.git, worktree) as shot:
        seen = look_into(worktree, scene)
        if verdict.judged is None or seen.tree.digest() != verdict.judged.digest:
            raise removal.Obstructed(CHANGED)
        paths = to_save(seen, policy)
        work, filtered = snapshot(shot, seen, paths, scene.repo, missing=worktree.missing)
        head = scene.repo.tree_id(verdict.head).hex()
        if work == Work(head, head, ""):
            return []
        subject = f"On {short(verdict.branch)}: saved by git hub-session cleanup"
        message = stash_message(subject, filtered)
        for ref in scene.repo.refs(prefix):
            stash = scene.repo.stash_of(ref)
            if stash == (verdict.head, *work) and scene.repo.message(ref) == message:
                return [ref]  # of a run that was killed before the worktree went
        return [_new_rescue(prefix, shot.commit(work, verdict.head, message), scene)]


def _new_rescue(prefix: str, oid: str, scene: Scene) -> str:
    numbers = [rescue_number(ref, prefix) or 0 for ref in scene.repo.refs(prefix)]
    ref = f"{prefix}{max(numbers, default=0) + 1}"
    scene.git.change_refs([created(ref, oid)])
    return ref


def keep(verdict: Verdict, reason: Reason, saved: Iterable[Saved] = ()) -> Kept:
    """The worktree of a verdict, which stays for this reason."""
    return Kept(verdict.worktree.path, verdict.branch, reason, tuple(saved))


def rescues_of(
    sid: SessionId, going: Sequence[tuple[Verdict, list[Saved]]], kept: Sequence[Kept]
) -> dict[str, list[str]]:
    """{"agent-2": [ref, …]}: what is recorded in the session."""
    outcomes = [(verdict.branch, saved) for verdict, saved in going]
    outcomes += [(one.branch, list(one.saved)) for one in kept]
    return by_agent(sid, ((branch, [one.ref for one in saved]) for branch, saved in outcomes))


def by_agent(sid: SessionId, saved: Iterable[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """{"agent-2": [ref, …]} of the rescue refs of each branch."""
    rescues: dict[str, list[str]] = {}
    for ref, refs in saved:
        branch = parse_agent_branch(ref)
        name = f"agent-{branch.agent}" if branch else within_session(sid, ref)
        if refs:
            rescues.setdefault(name, []).extend(refs)
    return rescues


def left_of(
    sid: SessionId, scene: Scene, going: Sequence[tuple[Verdict, list[Saved]]]
) -> dict[str, dict[str, str | None]]:
    """{"agent-2": {"attempt-1": ref}}: what each worktree leaves that a restore has to bring back.

    None where it leaves nothing, and there is older work that could be taken for it.
    """
    left: dict[str, dict[str, str | None]] = {}
    older = scene.repo.refs(rescue_prefix(sid))  # all at once: each list is one of all refs
    for verdict, saved in going:
        branch, prefix = parse_agent_branch(verdict.branch), rescue_prefix(sid, verdict.branch)
        work = [one.ref for one in saved if one.kind == "work"]
        if branch and (work or any(ref.startswith(prefix) for ref in older)):
            attempts = left.setdefault(f"agent-{branch.agent}", {})
            attempts[f"attempt-{branch.attempt}"] = work[-1] if work else None
    return left
