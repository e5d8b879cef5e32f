"""Turn branches into archive refs and archive tags in one ref transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed, HookRefused, HubError
from git_hub_session.git.config_files import may_have_hooks
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    archive_prefixes,
    branch_prefix,
    create_command,
    delete_command,
    parse_agent_branch,
    rename_command,
    rescue_number,
    short_name,
    verify_command,
)
from git_hub_session.session.agents import base_now, find_base_commit, recorded_start
from git_hub_session.stash.lfs import LfsContents

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import Branch, GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


_MAX_TRIES = 5
_REASON = "hub-session archive"


class ArchivedBranch(NamedTuple):
    """A branch to replace with an archive ref, and with a tag for a commit outside the base."""

    branch: str
    oid: str
    ref: str
    """The archive ref."""
    tag: str
    """The archive tag, or '' if the base contains the commit or other commits have the tags."""
    existing: tuple[str, ...]
    """The refs among these two that exist and point to the tip of the branch."""

    @property
    def name(self) -> str:
        """The name of the tag, or of the archive ref if there is no tag."""
        return short_name(self.tag or self.ref)


class SkippedBranch(NamedTuple):
    """A branch that is kept, and the reason."""

    branch: str
    reason: str
    hint: str = ""
    """The command that lets the branch be archived, or ''."""


class ArchivePlan(NamedTuple):
    """The archived and the skipped branches of a session."""

    archived: tuple[ArchivedBranch, ...]
    skipped: tuple[SkippedBranch, ...]


class ArchiveContext:
    """The session whose branches are archived, and the repository."""

    def __init__(
        self,
        sid: SessionId,
        session: Session | None,
        repo: GitRepo,
        find_parents: Callable[[], Collection[AgentBranch]],
    ) -> None:
        """Create the context.

        Args:
            session: the session, or None if it cannot be read: each branch then gets a tag.
            find_parents: return the attempts from which other sessions start. Called at most once.
        """
        self.sid = sid
        self.session = session
        self.repo = repo
        self.find_parents = cache(find_parents)
        self._bases: dict[str, tuple[str, str]] = {}

    def is_in_base(self, agent: AgentBranch, oid: str) -> bool:
        """Return True if the base branch or the start of the attempt contains the commit.

        The winner of an earlier round does not count: a merge of the last winner has put its commits
        into the base branch.
        """
        session, repo = self.session, self.repo
        if session is None:
            return False
        start, base = self._find_bases(session, agent)
        if repo.is_ancestor(start, oid):
            return True
        if not repo.is_ancestor(base, oid):
            return False
        return session.merge is not None or agent not in self.find_parents()

    def _find_bases(self, session: Session, agent: AgentBranch) -> tuple[str, str]:
        """Return the start of the attempt, and the base branch. Most attempts have the same start."""
        key = recorded_start(session, agent)
        if key not in self._bases:
            start = find_base_commit(session, self.repo, agent)
            self._bases[key] = start, base_now(session, self.repo)
        return self._bases[key]


def plan_archive(
    context: ArchiveContext, branches: Sequence[Branch], in_use: Collection[str]
) -> ArchivePlan:
    """Plan an archive ref and a tag for each agent's branch that is not checked out.

    The ref is refs/hub/archive/<id>/agent-<N>/attempt-<M>/<n>. The tag is
    refs/tags/hub/archive/<id>/agent-<N>[-attempt-<M>]. The first attempt of an agent gets the short
    tag, or its last attempt if the branch of the first one is missing. There is no tag in the
    history of the base, because `git describe --tags` would use it. Only the winner of an earlier
    round has one.

    Args:
        branches: the branches of the session.
        in_use: the full refs that worktrees have checked out.
    """
    archived: list[ArchivedBranch] = []
    skipped: list[SkippedBranch] = []
    agents = {branch.ref: parse_agent_branch(branch.ref) for branch in branches}
    short_tagged = _attempts_with_short_tag(filter(None, agents.values()))
    repo = context.repo
    refs = {ref: repo.find_ref_target(ref) for ref in repo.refs(*archive_prefixes(context.sid))}
    last_numbers = _last_numbers(refs)
    for branch in branches:
        agent = agents[branch.ref]
        reason = _skip_reason(branch, agent, in_use)
        if reason or agent is None:
            skipped.append(SkippedBranch(branch.ref, reason))
            continue
        ref = _choose_ref(agent, branch.oid, refs, last_numbers)
        tag = choose_tag(context, agent, branch.oid, refs, is_short=agent in short_tagged)
        existing = tuple(name for name in (ref, tag) if name in refs)
        archived.append(ArchivedBranch(branch.ref, branch.oid, ref, tag, existing))
    return ArchivePlan(tuple(archived), tuple(skipped))


def _last_numbers(refs: Iterable[str]) -> dict[str, int]:
    """Return the largest number at the end of the refs with each prefix."""
    numbers: dict[str, int] = {}
    for ref in refs:
        prefix = ref[: ref.rindex("/") + 1]
        numbers[prefix] = max(numbers.get(prefix, 0), rescue_number(ref, prefix) or 0)
    return numbers


def _choose_ref(
    agent: AgentBranch, oid: str, refs: Mapping[str, str], last_numbers: Mapping[str, int]
) -> str:
    """Return the newest archive ref of the attempt if it points to `oid`, or the next free one.

    Args:
        refs: the archive refs of the session with their targets.
        last_numbers: the result of _last_numbers() for `refs`.
    """
    prefix = agent.archive_prefix
    last = last_numbers.get(prefix, 0)
    return f"{prefix}{last if refs.get(f'{prefix}{last}') == oid else last + 1}"


def choose_tag(
    context: ArchiveContext,
    agent: AgentBranch,
    oid: str,
    refs: Mapping[str, str],
    *,
    is_short: bool,
) -> str:
    """Return the tag for a commit of an attempt, or '' if there must be none.

    Args:
        refs: the archive tags and the archive refs of the session with their targets.
        is_short: True if the attempt gets the short tag, unless another commit has it.
    """
    names = [agent.archive_tag, agent.attempt_tag] if is_short else [agent.attempt_tag]
    tag = next((name for name in names if refs.get(name, oid) == oid), "")
    return "" if tag not in refs and context.is_in_base(agent, oid) else tag


def _attempts_with_short_tag(agents: Iterable[AgentBranch]) -> set[AgentBranch]:
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
    commands = []
    for step in plan.archived:
        for ref in filter(None, (step.ref, step.tag)):
            command = verify_command if ref in step.existing else create_command
            commands.append(command(ref, step.oid))
        commands.append(delete_command(step.branch, step.oid))
    return commands


def check_reference_hook(context: ArchiveContext, project: Project) -> None:
    """Raise HookRefused if the reference-transaction hook rejects the archive of all branches."""
    paths = project.paths
    settings = project.settings_at(paths.git_dir, project.cwd)
    if not may_have_hooks(paths.common_dir, settings, ["reference-transaction"]):
        return
    plan = plan_archive(context, context.repo.branches(branch_prefix(context.sid)), ())
    if not plan.archived:
        return
    try:
        project.git.update_refs(_REASON, _ref_commands(plan), dry_run=True)
    except HookRefused as error:
        raise HookRefused(error.hook, "the archive; nothing was changed") from None
    except HubError:
        pass  # archive_branches() reports the error, and keeps the branches


def keep_lfs_contents(context: ArchiveContext, branches: Iterable[Branch], common_dir: str) -> None:
    """Keep the contents of the Git LFS files of the branches. Raise OSError.

    `git lfs prune` does not know archive refs.
    """
    contents = LfsContents(common_dir, context.repo)
    for branch in branches:
        agent = parse_agent_branch(branch.ref)
        if context.session is not None and agent is not None and branch.oid:
            base = find_base_commit(context.session, context.repo, agent)
            contents.keep_commits(branch.oid, [branch.oid], base)


def archive_branches(
    context: ArchiveContext,
    branches: Iterable[Branch],
    git: Git,
    in_use: Callable[[], Collection[str]],
    *,
    keep_branch: str = "",
) -> ArchivePlan:
    """Replace the branches of the session in one transaction, except the ref `keep_branch`.

    If a branch moves in the meantime, git rejects the whole transaction. Skip that branch and try
    again with the others. If git rejects the transaction for another reason, skip all branches.
    """
    repo, prefix = context.repo, branch_prefix(context.sid)
    candidates = {branch.ref: branch for branch in branches}
    candidates.pop(keep_branch, None)
    skipped: list[SkippedBranch] = []
    for attempt in range(_MAX_TRIES):
        plan = plan_archive(context, list(candidates.values()), in_use())
        if not plan.archived:
            break
        try:
            git.update_refs(_REASON, _ref_commands(plan))
            break
        except HubError as error:
            current = {branch.ref: branch.oid for branch in repo.branches(prefix)}
            moved = [step.branch for step in plan.archived if current.get(step.branch) != step.oid]
            if not moved or attempt == _MAX_TRIES - 1:
                skipped += _rejected_branches(plan, error)
                plan = plan._replace(archived=())
                break
            for ref in moved:
                del candidates[ref]
                if ref in current:
                    skipped.append(SkippedBranch(ref, "moved in the meantime"))
    return ArchivePlan(plan.archived, (*plan.skipped, *skipped))


def _rejected_branches(plan: ArchivePlan, error: HubError) -> list[SkippedBranch]:
    reason, hint = error.message, error.hint
    if isinstance(error, GitFailed):
        hint = rename_command(error.stderr)
        reason = error.reason.removesuffix(f"; {hint}")
    if not isinstance(error, HookRefused):
        reason = f"git refused: {reason}"
    return [SkippedBranch(step.branch, reason, hint) for step in plan.archived]
