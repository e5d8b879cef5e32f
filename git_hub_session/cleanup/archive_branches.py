"""Turn branches into archive tags in one ref transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, HookRefused, HubError
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


_MAX_TRIES = 5


class ArchivedBranch(NamedTuple):
    """A branch that is replaced with a tag."""

    branch: str
    tag: str
    oid: str
    tagged_before: bool
    """True if the tag exists and points to the tip of the branch."""


class SkippedBranch(NamedTuple):
    """A branch that is kept, and the reason."""

    branch: str
    reason: str


class ArchivePlan(NamedTuple):
    """The archived and the skipped branches of a session."""

    archived: tuple[ArchivedBranch, ...]
    skipped: tuple[SkippedBranch, ...]


def plan_archive(
    branches: Sequence[Branch], in_use: Collection[str], target: Callable[[str], str]
) -> ArchivePlan:
    """Plan an archive tag for each agent's branch that is not checked out.

    The tag is refs/tags/hub/archive/<id>/agent-<N>[-attempt-<M>]. The first attempt of an agent
    gets the short tag, or its last attempt if the branch of the first one is missing.

    Args:
        branches: the branches of the session.
        in_use: the full refs that worktrees have checked out.
        target: returns the object id of a ref, or ''.
    """
    archived: list[ArchivedBranch] = []
    skipped: list[SkippedBranch] = []
    agents = {branch.ref: parse_agent_branch(branch.ref) for branch in branches}
    short_tagged = _short_tagged(filter(None, agents.values()))
    for branch in branches:
        agent = agents[branch.ref]
        reason = _skip_reason(branch, agent, in_use)
        if reason or agent is None:
            skipped.append(SkippedBranch(branch.ref, reason))
            continue
        tags = [agent.archive_tag] if agent in short_tagged else []
        tags.append(agent.attempt_tag)
        for tag in tags:
            oid = target(tag)
            if oid in ("", branch.oid):
                archived.append(ArchivedBranch(branch.ref, tag, branch.oid, bool(oid)))
                break
        else:
            skipped.append(SkippedBranch(branch.ref, f"'{tags[-1]}' exists and points elsewhere"))
    return ArchivePlan(tuple(archived), tuple(skipped))


def _short_tagged(agents: Iterable[AgentBranch]) -> set[AgentBranch]:
    """Return the attempt of each agent that gets the short tag."""
    chosen: dict[int, AgentBranch] = {}
    for agent in agents:
        best = chosen.setdefault(agent.agent, agent)
        if best.attempt != 1 and (agent.attempt == 1 or agent.attempt > best.attempt):
            chosen[agent.agent] = agent
    return set(chosen.values())


def _skip_reason(branch: Branch, agent: AgentBranch | None, in_use: Collection[str]) -> str:
    """Return the reason to keep a branch, or ''."""
    if agent is None:
        return "not an agent's branch"
    if branch.symbolic:
        return "a symbolic ref"
    if not branch.oid:
        return "broken"
    return "checked out in a worktree" if branch.ref in in_use else ""


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
    """Ask the reference-transaction hook about all branches. Raise HookRefused."""
    plan = plan_archive(repo.branches(branch_prefix(sid)), (), repo.find_ref_target)
    if not plan.archived:
        return
    try:
        git.update_refs(_ref_commands(plan), dry_run=True)
    except HookRefused as error:
        raise HookRefused(error.hook, "the archive; nothing was changed") from None
    except HubError:
        pass  # archive_branches() reports the error, and keeps the branches


def archive_branches(
    sid: SessionId,
    repo: GitRepo,
    git: Git,
    in_use: Callable[[], Collection[str]],
    *,
    keep_branch: str = "",
) -> ArchivePlan:
    """Replace the session's branches with tags in one transaction, except the ref `keep_branch`.

    If a branch moves in the meantime, git rejects the whole transaction. Skip that branch and try
    again with the others. If git rejects the transaction for another reason, skip all branches.
    """
    branches = repo.branches(branch_prefix(sid))
    candidates = {branch.ref: branch for branch in branches if branch.ref != keep_branch}
    skipped: list[SkippedBranch] = []
    for attempt in range(_MAX_TRIES):
        plan = plan_archive(list(candidates.values()), in_use(), repo.find_ref_target)
        if not plan.archived:
            break
        try:
            git.update_refs(_ref_commands(plan))
            break
        except HubError as error:
            current = {branch.ref: branch.oid for branch in repo.branches(branch_prefix(sid))}
            moved = [step.branch for step in plan.archived if current.get(step.branch) != step.oid]
            if not moved or attempt == _MAX_TRIES - 1:
                skipped += _rejected_branches(plan, error)
                plan = plan._replace(archived=())
                break
            for ref in moved:
                del candidates[ref]
                if ref in current:
                    skipped.append(SkippedBranch(ref, "moved meanwhile"))
    return ArchivePlan(plan.archived, (*plan.skipped, *skipped))


def _rejected_branches(plan: ArchivePlan, error: HubError) -> list[SkippedBranch]:
    text = error.stderr if isinstance(error, GitFailed) else error.message
    lines = "; ".join(text.split("\n")).strip("; ")
    reason = lines if isinstance(error, HookRefused) else f"git refused: {lines}"
    return [SkippedBranch(step.branch, reason) for step in plan.archived]
