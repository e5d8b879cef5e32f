"""Branches to tags, in one transaction: what was a branch is kept by a tag, or stays a branch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    branch_prefix,
    create_command,
    delete_command,
    parse_agent_branch,
    verify_command,
)

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import Branch, GitRepo


_TRIES = 5


class ArchivedBranch(NamedTuple):
    """A branch that became a tag."""

    branch: str
    tag: str
    oid: str
    tagged_before: bool


class SkippedBranch(NamedTuple):
    """A branch that stays, and why."""

    branch: str
    reason: str


class ArchivePlan(NamedTuple):
    """What becomes of the branches of a session."""

    archived: tuple[ArchivedBranch, ...]
    skipped: tuple[SkippedBranch, ...]


def plan_archive(
    branches: Sequence[Branch], in_use: Collection[str], target: Callable[[str], str]
) -> ArchivePlan:
    """A tag for every agent's branch that nobody has checked out.

    `in_use` are the full refs that worktrees have in use, `target` gives what a ref itself
    holds, or ''. The first attempt of an agent gets the short tag, where it had one; else
    the last (format: refs/tags/hub/archive/<id>/agent-<N>[-attempt-<M>]).
    """
    archived: list[ArchivedBranch] = []
    left: list[SkippedBranch] = []
    chosen: dict[int, AgentBranch] = {}
    agents = {branch.ref: parse_agent_branch(branch.ref) for branch in branches}
    for agent in agents.values():
        if agent is not None:
            best = chosen.setdefault(agent.agent, agent)
            if best.attempt != 1 and (agent.attempt == 1 or agent.attempt > best.attempt):
                chosen[agent.agent] = agent
    for branch in branches:
        agent = agents[branch.ref]
        if agent is None:
            left.append(SkippedBranch(branch.ref, "not an agent's branch"))
        elif branch.symbolic or not branch.oid:
            left.append(
                SkippedBranch(branch.ref, "a symbolic ref" if branch.symbolic else "broken")
            )
        elif branch.ref in in_use:
            left.append(SkippedBranch(branch.ref, "checked out in a worktree"))
        else:
            tags = [agent.attempt_tag]
            if chosen[agent.agent] == agent:
                tags.insert(0, agent.archive_tag)
            for tag in tags:
                before = target(tag)
                if before in ("", branch.oid):
                    archived.append(ArchivedBranch(branch.ref, tag, branch.oid, bool(before)))
                    break
            else:
                left.append(SkippedBranch(branch.ref, f"'{tags[-1]}' exists and points elsewhere"))
    return ArchivePlan(tuple(archived), tuple(left))


def _ref_commands(plan: ArchivePlan) -> list[str]:
    return [
        command
        for step in plan.archived
        for command in (
            (verify_command if step.tagged_before else create_command)(step.tag, step.oid),
            delete_command(step.branch, step.oid),
        )
    ]


def check_reference_hook(sid: SessionId, repo: GitRepo, git: Git) -> None:
    """Ask the user's hook, before anything goes, whether all the branches may; raises GitFailed."""
    plan = plan_archive(repo.branches(branch_prefix(sid)), (), repo.find_ref_target)
    if plan.archived:
        git.update_refs(_ref_commands(plan), dry_run=True)


def archive_branches(
    sid: SessionId,
    repo: GitRepo,
    git: Git,
    in_use: Callable[[], Collection[str]],
    *,
    spare: str = "",
) -> ArchivePlan:
    """Tag and delete the session's branches, but for the full ref `spare`, in one transaction.

    A branch that moved since it was read makes the whole transaction fail; it is then left
    out and named, and the rest is tried again. Where git refuses, all are left.
    """
    branches = repo.branches(branch_prefix(sid))
    judged = {branch.ref: branch for branch in branches if branch.ref != spare}
    kept: list[SkippedBranch] = []
    for attempt in range(_TRIES):
        plan = plan_archive(list(judged.values()), in_use(), repo.find_ref_target)
        if not plan.archived:
            break
        try:
            git.update_refs(_ref_commands(plan))
            break
        except HubError as fault:
            now = {branch.ref: branch.oid for branch in repo.branches(branch_prefix(sid))}
            stale = [step.branch for step in plan.archived if now.get(step.branch) != step.oid]
            if not stale or attempt == _TRIES - 1:
                words = fault.stderr if isinstance(fault, GitFailed) else fault.message
                refusal = "; ".join(words.split("\n")).strip("; ")
                kept += [
                    SkippedBranch(step.branch, f"git refused: {refusal}") for step in plan.archived
                ]
                plan = plan._replace(archived=())
                break
            for ref in stale:
                del judged[ref]
                if ref in now:
                    kept.append(SkippedBranch(ref, "moved meanwhile"))
    return ArchivePlan(plan.archived, (*plan.skipped, *kept))
