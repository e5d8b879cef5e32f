"""Checks of the git dirs of agents' worktrees: one is gone, is a link, or has a copy."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.doctor.registration import register_again
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    parse_agent_branch,
    session_of_branch,
    short_name,
)
from git_hub_session.git.worktrees import Worktree, unusable_git_dir
from git_hub_session.session.attempts import recorded_attempts, session_archived_attempts
from git_hub_session.util.paths import is_inside
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.branches_in_use import branches_in_use
from git_hub_session.worktree.owner import default_paths

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import LockedSession


worktree_damaged = check(
    "worktree-damaged", "the directory and the git dir do not point to each other"
)


class _Unregistered(NamedTuple):
    """A directory of an agent whose git dir is missing or a symbolic link."""

    branch: AgentBranch
    path: str
    git_dir: str

    @property
    def is_link(self) -> bool:
        """True if the git dir is a symbolic link."""
        return os.path.islink(self.git_dir)


def registration_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the git dirs of all sessions that no other process is changing."""
    for worktree in hub.copied_git_dirs:
        sid = next(filter(None, map(session_of_branch, worktree.branches)), None)
        if sid is not None and sid in hub.sessions and sid not in hub.locked_sessions:
            yield from check_copied_git_dir(worktree, sid)
    if hub.open_error is None:
        for session in hub.readable_sessions():
            for found in _unregistered(session, hub):
                check_git_dir = check_replaced_git_dir if found.is_link else check_lost_git_dir
                yield from check_git_dir(found, session, hub)


@check("worktree-doubled", "two git dirs record one directory")
def check_copied_git_dir(worktree: Worktree, sid: SessionId) -> Iterator[Problem]:
    # `git worktree prune` removes the git dir whose name comes later, which can be the sound one.
    evidence = f"the directory '{worktree.path}' belongs to another git dir with the same HEAD"
    advice = f"rm -r {quote_word(worktree.git_dir)}"
    yield Problem(worktree.git_dir, evidence, sid, advice=advice)


def _unregistered(session: Session, hub: HubSnapshot) -> Iterator[_Unregistered]:
    """Yield the directories at the recorded and the default paths of the session's attempts."""
    paths = hub.project.paths
    refs = [branch.ref for branch in hub.by_session.branches(session.id)]
    places = {
        path: attempt
        for attempt in filter(None, map(parse_agent_branch, refs))
        for path in default_paths(attempt, hub.project)
    }
    places |= {path: attempt for attempt, path in recorded_attempts(session).items()}
    # check_link reports a directory that another git dir records.
    recorded = hub.by_session.recorded_paths
    for path, attempt in places.items():
        git_dir = unusable_git_dir(path, paths.common_dir)
        if git_dir and os.path.realpath(path) not in recorded:
            yield _Unregistered(attempt, path, git_dir)


def create_git_dir(finding: Finding, hub: HubSnapshot, _locked: LockedSession) -> list[str]:
    """Create the git dir of the directory again."""
    for session in hub.readable_sessions():
        for lost in _unregistered(session, hub):
            if lost.path == finding.subject and not lost.is_link:
                register_again(lost.path, lost.git_dir, lost.branch, hub.project)
                return []
    raise HubError("the directory has a git dir again")


@check("worktree-unregistered", "git does not know the directory of an agent", fix=create_git_dir)
def check_lost_git_dir(
    lost: _Unregistered, session: Session, hub: HubSnapshot
) -> Iterator[Problem]:
    """Find a directory whose git dir was deleted. Its changes are in no ref."""
    name = short_name(lost.branch.ref)
    evidence = f"its git dir '{lost.git_dir}' is missing"
    if not hub.project.repo.tip(lost.branch.ref):
        commit = _last_commit(lost.branch, session, hub)
        find = "" if commit else "find its commit: git fsck --lost-found; then: "
        advice = f"{find}git branch {name} {commit or '<commit>'}"
        yield Problem(lost.path, f"{evidence}, and so is '{name}'", session.id, advice=advice)
    elif lost.branch.ref in branches_in_use(hub.project.paths):
        other = next((tree for tree in hub.worktrees if lost.branch.ref in tree.branches), None)
        path = other.path if other else hub.project.paths.main_checkout
        evidence = f"{evidence}, and '{name}' is checked out in '{path}'"
        advice = f"git -C {quote_word(path)} checkout --detach"
        yield Problem(lost.path, evidence, session.id, advice=advice)
    else:
        fix = f"create it again, with '{name}' checked out"
        yield Problem(lost.path, evidence, session.id, fix=fix)


@worktree_damaged
def check_replaced_git_dir(
    replaced: _Unregistered, session: Session, hub: HubSnapshot
) -> Iterator[Problem]:
    """Find a directory whose git dir is a symbolic link, which git follows."""
    link, target = replaced.git_dir, os.path.realpath(replaced.git_dir)
    common_dir = os.path.realpath(hub.project.paths.common_dir)
    # Another git dir of the repository belongs to another worktree.
    is_its_own = os.path.isdir(target) and not is_inside(target, common_dir)
    move = f" && mv {quote_word(target)} {quote_word(link)}" if is_its_own else ""
    evidence = f"its git dir '{link}' is a symbolic link to '{target}'"
    yield Problem(replaced.path, evidence, session.id, advice=f"rm {quote_word(link)}{move}")


def _last_commit(branch: AgentBranch, session: Session, hub: HubSnapshot) -> str:
    """Return the commit of an attempt whose branch is missing, or ''."""
    refs = hub.by_session.archived(session.id)
    archived = session_archived_attempts(session, refs).get(branch)
    if archived:
        return refs[archived]
    return next(
        (
            result.commit
            for result in session.results
            if (result.agent, result.attempt) == (branch.agent, branch.attempt)
            and hub.project.repo.has_commit(result.commit)
        ),
        "",
    )
