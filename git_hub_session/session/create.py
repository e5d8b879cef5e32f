"""Make a session: the branch that it starts from, and an id that nobody else has."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.head import read_head
from git_hub_session.git.ref_names import HEADS, MIGRATE_REFTABLE_HINT, SessionId
from git_hub_session.git.refs import ref_exists, uses_files_backend
from git_hub_session.session.model import Config
from git_hub_session.session.store import SessionExists, Store
from git_hub_session.util.clock import format_iso
from git_hub_session.util.paths import free_names

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths


class NoBaseBranch(HubError):
    """There is no branch to start from."""

    code = "no-base"


def create_session(
    store: Store, values: Mapping[str, str], chosen: SessionId | None, *, now: float
) -> SessionId:
    """Make a session of these settings under the chosen id, or the next free one; its id.

    Of two that want one id, one gets it. Raises SessionExists where the id was chosen.
    """
    window = 1
    sid = chosen or _next_free_id(store, now)
    while True:
        try:
            store.create(sid, Config({**values, "session_id": sid}), at=format_iso(now))
            return sid
        except SessionExists:
            if chosen:
                raise
            # 200 that all wanted the very next number made 11,000 sessions to keep 200.
            window *= 8
            sid = _next_free_id(store, now, window=window)


def choose_session_id(
    store: Store, values: Mapping[str, str], chosen: SessionId | None, *, now: float
) -> SessionId:
    """The id that `create` would give the session now; raises SessionExists."""
    sid = chosen or _next_free_id(store, now)
    if store.has_session(sid):
        raise SessionExists(sid)
    return sid


def _next_free_id(store: Store, now: float, *, window: int = 1) -> SessionId:
    """The time as AgentHub spells it, and a number where that second has a session already.

    With a `window`, any of the next so many free ones.
    """
    second = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    taken = set(store.ids())
    free = free_names(second, taken.__contains__)
    skipped = int.from_bytes(os.urandom(4), "big") % window
    return SessionId(next(islice(free, skipped, None)))


def resolve_base_branch(place: RepositoryPaths, named: str | None) -> str:
    """The branch that was named, or the current one; raises NoBase."""
    if not uses_files_backend(place.common_dir):
        raise NoBaseBranch(
            "this repository keeps its refs in a reftable, which cannot be read yet",
            hint=MIGRATE_REFTABLE_HINT,
        )
    if named is not None:
        branch = named.removeprefix(HEADS)
        if not _is_branch(place.common_dir, branch):
            raise NoBaseBranch(f"no such branch: '{named}'", hint="'git branch' lists them")
        return branch
    head, detached = read_head(place.git_dir)
    if detached:
        raise NoBaseBranch(
            "HEAD is detached: there is no current branch", hint="name one with --base-branch"
        )
    if not head.startswith(HEADS):
        raise NoBaseBranch("HEAD names no branch", hint="name one with --base-branch")
    branch = head.removeprefix(HEADS)
    if not _is_branch(place.common_dir, branch):
        raise NoBaseBranch(
            f"branch '{branch}' has no commit yet",
            hint="make a first commit: the agents start from it",
        )
    return branch


def _is_branch(common_dir: str, branch: str) -> bool:
    parts = branch.split("/")
    # `main.lock` is a file while git writes `main`, and no branch.
    safe = all(part and part[0] != "." and not part.endswith(".lock") for part in parts)
    return safe and "\n" not in branch and ref_exists(common_dir, HEADS + branch)
