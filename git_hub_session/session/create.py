"""Create a session: choose its id and check its base branch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.head import read_head
from git_hub_session.git.ref_names import HEADS, MIGRATE_REFTABLE_HINT, SessionId, is_session_id
from git_hub_session.git.refs import ref_exists, uses_files_backend
from git_hub_session.session.model import Config
from git_hub_session.session.store import SessionExists, Store
from git_hub_session.util.clock import format_iso
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import free_names

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths


class NoBaseBranch(HubError):
    """There is no branch that the agents can start from."""

    code = "no-base"


class ParentData(NamedTuple):
    """The data about its parent that a new session starts with."""

    parent: SessionId
    state: Mapping[str, Any]
    """The keys of state.json with the parent and the base commit."""
    previous: bytes
    """The content of PREVIOUS_FILE."""


def create_session(
    store: Store,
    values: Mapping[str, str],
    chosen: SessionId | None,
    *,
    now: float,
    parent_data: ParentData | None = None,
) -> SessionId:
    """Create a session and return its id.

    Args:
        values: the values of config.yaml.
        chosen: the id, or None for the next free one.
        parent_data: the data about the parent, or None for a session without a parent.

    Raises:
        SessionExists: the hub already has a session with the chosen id.
    """
    window = 1
    sid = chosen or _next_free_id(store, now, parent_data)
    state, previous = (parent_data.state, parent_data.previous) if parent_data else ({}, b"")
    while True:
        config = Config({**values, "session_id": sid})
        try:
            store.create(sid, config, at=format_iso(now), state=state, previous=previous)
            return sid
        except SessionExists:
            if chosen:
                raise
            # Choose from more ids after a collision. 200 parallel processes that all tried the
            # next id created 11,000 directories for 200 sessions.
            window *= 8
            sid = _next_free_id(store, now, parent_data, window=window)


def choose_session_id(
    store: Store,
    values: Mapping[str, str],
    chosen: SessionId | None,
    *,
    now: float,
    parent_data: ParentData | None = None,
) -> SessionId:
    """Return the id that create_session() would use now, or raise SessionExists."""
    sid = chosen or _next_free_id(store, now, parent_data)
    if store.has_session(sid):
        raise SessionExists(sid)
    return sid


def _next_free_id(
    store: Store, now: float, parent_data: ParentData | None, *, window: int = 1
) -> SessionId:
    """Return the local time as AgentHub spells it, with a number if that id is in use.

    A session whose parent is `s1` or `s1-r2` gets the id `s1-r2` or `s1-r3` instead, if it is free.

    Args:
        window: choose one of this many free ids at random.
    """
    taken = set(store.ids())
    if parent_data is not None:
        next_id = _next_round_id(parent_data.parent)
        if is_session_id(next_id) and next_id not in taken:
            return SessionId(next_id)
    second = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    free = free_names(second, taken.__contains__)
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
