"""Temporary worktrees in which commits are measured under equal conditions.

Each commit gets a new worktree beside the worktrees of the agents, prepared as `spawn` prepares
those. Before it is measured again, the worktree is reset to the commit. A lock reason marks each
temporary worktree, so that the next run can remove it if this run is killed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Self
from git_hub_session.errors import HubError
from git_hub_session.evaluation.guard import Guard
from git_hub_session.evaluation.targets import (
    CheckoutRequest,
    EvalCheckout,
    GuardedFiles,
    directory_id,
    reset_checkout,
    restore_guarded,
)
from git_hub_session.evaluation.units import BASELINE
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_number
from git_hub_session.git.worktrees import Worktree, linked_git_dir, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.partial_add import remove_empty_git_dir
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session import runs
from git_hub_session.system import procfs
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.tree import remove_path
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.paths import worktree_path, worktree_template
from git_hub_session.worktree.setup import WorktreeSetup

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_GUARD = "guard"
"""The name of the temporary worktree with the guarded files."""


class EvalCheckouts:
    """The temporary worktrees of a run. The context manager removes them at its end."""

    def __init__(self, sid: SessionId, project: Project, guard: Guard | None = None) -> None:
        path = worktree_path(worktree_template(project), project.paths, AgentBranch(sid, 1, 1))
        parent = os.path.realpath(os.path.dirname(path))
        self._prefix = os.path.join(parent, f".{sid}-{runs.EVAL}-")
        self._common_dir = project.paths.common_dir
        self._project = project
        self._guard = guard or Guard()
        self._commits: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_stale()

    def add(self, requests: Sequence[CheckoutRequest]) -> list[EvalCheckout]:
        """Add a worktree for each request, several at a time, with the setup of an agent's worktree.

        Raises:
            HubError: git could not add a worktree, or its setup failed.
        """
        self._commits = {self._path(request): request.commit for request in requests}
        for path in self._commits:
            _refuse_existing(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
        setup = WorktreeSetup(self._project)
        if self._guard.paths and requests:
            self._add_guarded_files()

        def create(request: CheckoutRequest) -> EvalCheckout | tuple[str, str]:
            # Return the error: the parent of a worker that raises would do its whole share again.
            try:
                return self._create(request, setup)
            except HubError as error:
                return error.message, error.hint

        checkouts = []
        for result in parallel_map(create, requests, processes=cpu_count()):
            if not isinstance(result, EvalCheckout):
                message, hint = result
                raise HubError(message, hint=hint)
            checkouts.append(result)
        return checkouts

    def _path(self, request: CheckoutRequest) -> str:
        return f"{self._prefix}{request.name}"

    def _create(self, request: CheckoutRequest, setup: WorktreeSetup) -> EvalCheckout:
        path = self._path(request)
        options = ["--detach", "--lock", "--reason", EVAL_LOCK]
        self._project.git.add_worktree(path, request.commit, options)
        git_dir = linked_git_dir(path)
        with open(os.path.join(git_dir, "index"), "rb") as file:
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
            index = file.read()
        file_id = directory_id(path) or (0, 0)
        checkout = EvalCheckout(
            request.name, path, git_dir, request.commit, index, mtime_ns, file_id
        )
        if self._guard.paths:
            checkout = self._guard_checkout(checkout)
        error = setup.apply(path, request.commit, request.environ)
        if error:
            raise HubError(f"cannot set up the checkout of {request.name}: {error}")
        if setup.command:  # The first measurement starts with the same files as the others.
            reset_checkout(checkout, self._project)
        return checkout

    def _add_guarded_files(self) -> None:
        """Add a worktree that has only the guarded files, with the attributes of the base branch."""
        path = f"{self._prefix}{_GUARD}"
        self._commits[path] = self._guard.base
        options = ["--detach", "--no-checkout", "--lock", "--reason", EVAL_LOCK]
        self._project.git.add_worktree(path, self._guard.base, options)
        settings = {"core.sparseCheckout": "false"}
        git = self._project.git.at(linked_git_dir(path), path, settings=settings)
        git.run(["read-tree", self._guard.base])
        files = self._guard.files(self._guard.base, self._project.repo)
        # The directory has no .gitattributes, so git reads the attributes from the index.
        git.run(["checkout-index", "-q", "-z", "--stdin"], stdin=b"\0".join([*files, b""]))

    def _guard_checkout(self, checkout: EvalCheckout) -> EvalCheckout:
        repo = self._project.repo
        files = self._guard.files(self._guard.base, repo)
        own = self._guard.files(checkout.commit, repo)
        removed = tuple(sorted({*own} - {*files}))
        guarded = GuardedFiles(f"{self._prefix}{_GUARD}", tuple(files), removed)
        # A sparse checkout leaves out files. Such a file is restored, but the agent has not changed it.
        top = os.fsencode(checkout.path)
        existing = {path for path in files if os.path.lexists(os.path.join(top, path))}
        restored = restore_guarded(guarded, checkout.path)
        changed = [path for path in restored if path in existing or path in removed]
        return checkout._replace(guarded=guarded, restored=tuple(changed))

    def remove_stale(self) -> None:
        """Remove the temporary worktrees of the session, also those that a killed run left.

        Call it only while no other evaluation of the session runs.
        """
        worktrees = linked_worktrees(self._common_dir)
        temporary = [worktree for worktree in worktrees if self._is_temporary(worktree)]
        for worktree in temporary:
            with suppress(RemovalFailed, OSError):  # the next run tries again
                _remove_temporary(worktree)
        if temporary:
            empty_trash(self._common_dir)
        # A git dir without the file `gitdir` has no path. ^C can leave one: git removes `gitdir`
        # first, and then a child process of git may still write the index.
        if not all(worktree.path for worktree in worktrees):
            for path, commit in self._commits.items():
                remove_empty_git_dir(path, self._project, EVAL_LOCK, [commit])

    def _is_temporary(self, worktree: Worktree) -> bool:
        # Another session can have an id that starts with this prefix.
        name = worktree.path.removeprefix(self._prefix)
        is_target = name in (BASELINE, _GUARD) or agent_number(name) > 0
        return worktree.lock_reason == EVAL_LOCK and name != worktree.path and is_target


def _remove_temporary(worktree: Worktree) -> None:
    """Remove a temporary worktree with everything in it, also repositories. Raise OSError.

    Keep it if a file system is mounted in it. Delete the directory first: if this process is
    killed, the git dir still names it.
    """
    if procfs.mounts_in(worktree.path):
        return
    parent, name = os.path.split(worktree.path)
    if os.path.lexists(worktree.path):
        remove_path(parent, os.fsencode(name))
    remove_path(worktree.git_dir, b"modules")  # the repositories of submodules
    removal.remove_unchecked(worktree._replace(is_missing=True))


def _refuse_existing(path: str) -> None:
    """Raise HubError if an earlier run could not remove its temporary worktree."""
    if not os.path.lexists(path):
        return
    mounts = procfs.mounts_in(path)
    if mounts:
        raise HubError(
            f"a file system is mounted at '{mounts[0]}'", hint=f"umount {quote(mounts[0])}"
        )
    raise HubError(f"'{path}' exists already", hint=f"mv {quote(path)} {quote(path)}.old")
