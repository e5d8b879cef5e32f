"""Create a session: choose its id and check its base branch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError, Refused
from git_hub_session.git.head import read_head
from git_hub_session.git.ref_names import (
    HEADS,
    MIGRATE_REFTABLE_HINT,
    STASH,
    SessionId,
    is_session_id,
    session_of_branch,
    session_prefixes,
)
from git_hub_session.git.refs import ref_exists, refs_below, uses_files_backend
from git_hub_session.git.worktrees import worktree_git_dir, worktree_names
from git_hub_session.session.model import Config
from git_hub_session.session.store import SessionExists
from git_hub_session.util.clock import format_iso
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import free_names
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.session.project import Project


class NoBaseBranch(HubError):
    """There is no branch that the agents can start from."""

    code = "no-base"


class SessionRefsExist(Refused):
    """The repository has refs or worktrees of a session that the hub does not have."""

    code = "session-refs-exist"

    def __init__(self, sid: SessionId, names: Sequence[str]) -> None:
        super().__init__(
            f"session '{sid}' does not exist, but the repository has parts of it: "
            f"{quote_list(names)}",
            hint=f"record them in a new session: {adopt_command(sid)}\nor choose another --id",
        )


def adopt_command(sid: SessionId) -> str:
    """Return the command that creates a session again whose directory is missing."""
    return f"git hub-session init --adopt {sid}"


def bring_back_command(sid: SessionId, project: Project) -> str:
    """Return the command that brings back a session whose directory is missing.

    `git stash --all` takes ignored files away, and so the hub.
    """
    paths, repo = project.paths, project.repo
    stash = repo.find_stash(STASH)
    untracked = repo.tree_entries(stash[3]) if stash and stash[3] else {}
    directory = os.path.relpath(f"{paths.hub}/sessions/{sid}", paths.main_worktree or paths.hub)
    prefix = os.fsencode(directory) + b"/"
    is_stashed = any(path.startswith(prefix) for path in untracked)
    return "git stash pop" if is_stashed else adopt_command(sid)


class ParentData(NamedTuple):
    """The data about its parent that a new session starts with."""

    parent: SessionId
    state: Mapping[str, Any]
    """The keys of state.json with the parent and the base commit."""
    previous: bytes
    """The content of PREVIOUS_FILE."""


class NewSession(NamedTuple):
    """A session to create."""

    values: Mapping[str, str]
    """The values of config.yaml."""
    sid: SessionId | None = None
    """The id, or None for the next free one."""
    parent_data: ParentData | None = None
    """The data about the parent, or None for a session without a parent."""
    adopted: Mapping[str, Any] | None = None
    """The keys of state.json with existing refs and worktrees, or None to refuse them."""


def create_session(project: Project, new: NewSession) -> SessionId:
    """Create a session and return its id.

    Raises:
        SessionExists: the hub already has a session with this id.
        SessionRefsExist: the repository has refs or worktrees with this id, and they are not adopted.
    """
    window = 1
    sid = choose_session_id(project, new)
    parent = new.parent_data
    state = {**(parent.state if parent else {}), **(new.adopted or {})}
    previous = parent.previous if parent else b""
    while True:
        config = Config({**new.values, "session_id": sid})
        try:
            at = format_iso(project.now())
            shared = project.file_setting("core.sharedrepository") or ""
            project.store.create(sid, config, at=at, state=state, previous=previous, shared=shared)
            return sid
        except SessionExists:
            if new.sid:
                raise
            # Choose from more ids after a collision. 200 parallel processes that all tried the
            # next id created 11,000 directories for 200 sessions.
            window *= 8
            sid = _next_free_id(project, parent, window=window)


def choose_session_id(project: Project, new: NewSession) -> SessionId:
    """Return the id that create_session() would use now, or raise its errors."""
    if new.sid is None:
        return _next_free_id(project, new.parent_data)
    names = [] if new.adopted is not None else unrecorded_names(new.sid, project.paths.common_dir)
    # A session is created before its refs, so look for the session last.
    if project.store.has_session(new.sid):
        raise SessionExists(new.sid)
    if names:
        raise SessionRefsExist(new.sid, names)
    return new.sid


def unrecorded_names(sid: SessionId, common_dir: str) -> list[str]:
    """Return the sorted refs of a session, and the git dirs of worktrees on its branches.

    A worktree may be on a branch that was deleted.
    """
    git_dirs = (worktree_git_dir(common_dir, name) for name in worktree_names(common_dir))
    worktrees = [path for path in git_dirs if session_of_branch(read_head(path)[0]) == sid]
    return [*sorted(refs_below(common_dir, *session_prefixes(sid))), *worktrees]


def _next_free_id(
    project: Project, parent_data: ParentData | None, *, window: int = 1
) -> SessionId:
    """Return the local time as AgentHub spells it, with a number if that id is in use.

    A session whose parent is `s1` or `s1-r2` gets the id `s1-r2` or `s1-r3` instead, if it is free.

    Args:
        window: choose one of this many free ids at random.
    """
    sessions = set(project.store.ids())

    def is_taken(name: str) -> bool:
        return name in sessions or bool(unrecorded_names(SessionId(name), project.paths.common_dir))

    if parent_data is not None:
        next_id = _next_round_id(parent_data.parent)
        if is_session_id(next_id) and not is_taken(next_id):
            return SessionId(next_id)
    second = time.strftime("%Y%m%d-%H%M%S", time.localtime(project.now()))
    free = free_names(second, is_taken)
    skipped = int.from_bytes(os.urandom(4), "big") % window
    return SessionId(next(islice(free, skipped, None)))


def _next_round_id(parent: SessionId) -> str:
    """Return the id after that of the parent: `s1-r2` after `s1`, and `s1-r3` after `s1-r2`."""
    first, separator, number = parent.rpartition("-r")
    round_number = parse_int(number, MAX_COUNT) if separator else None
    if not first or not round_number:
        return f"{parent}-r2"
    return f"{first}-r{round_number + 1}"


def resolve_base_branch(paths: RepositoryPaths, name: str | None) -> str:
    """Return the branch `name`, or the current branch if it is None, or raise NoBaseBranch."""
    if not uses_files_backend(paths.common_dir):
        raise NoBaseBranch(
            "the repository uses the reftable format, which is not supported",
            hint=MIGRATE_REFTABLE_HINT,
        )
    if name is None:
        return _current_branch(paths)
    branch = name.removeprefix(HEADS)
    if not _is_branch(paths.common_dir, branch):
        raise NoBaseBranch(f"no such branch: '{name}'", hint="git branch")
    return branch


def _current_branch(paths: RepositoryPaths) -> str:
    head, detached = read_head(paths.git_dir)
    if detached:
        raise NoBaseBranch(
            "HEAD is detached: there is no current branch", hint="use --base-branch <branch>"
        )
    if not head.startswith(HEADS):
        raise NoBaseBranch("HEAD does not point to a branch", hint="use --base-branch <branch>")
    branch = head.removeprefix(HEADS)
    if not _is_branch(paths.common_dir, branch):
        raise NoBaseBranch(
            f"branch '{branch}' has no commit yet",
            hint="create a first commit: the agents start from it",
        )
    return branch


def _is_branch(common_dir: str, branch: str) -> bool:
    parts = branch.split("/")
    # The file `main.lock` exists while git writes `main`. It is not a branch.
    safe = all(part and part[0] != "." and not part.endswith(".lock") for part in parts)
    return safe and "\n" not in branch and ref_exists(common_dir, HEADS + branch)
