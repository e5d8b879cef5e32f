"""Temporary worktrees in which commits are measured under equal conditions.

Each commit gets a new worktree beside the worktrees of the agents, prepared as `spawn` prepares
those. Before it is measured again, the worktree is reset to the commit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Self
from git_hub_session.errors import HubError
from git_hub_session.evaluation.guard import FixedPaths
from git_hub_session.evaluation.targets import (
    EvalWorktree,
    FixedFiles,
    WorktreeRequest,
    reset_eval_worktree,
)
from git_hub_session.evaluation.units import BASELINE
from git_hub_session.git.ref_names import agent_name
from git_hub_session.git.worktrees import linked_git_dir, linked_worktrees
from git_hub_session.removal.partial_add import remove_empty_git_dir
from git_hub_session.system import procfs
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.stored_files import StoredFiles
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.system.tree import directory_id
from git_hub_session.temporary.holdout import store_holdout
from git_hub_session.temporary.worktrees import (
    agent_of_eval_worktree,
    eval_worktree_path,
    remove_command,
    remove_eval_worktrees,
    session_of_eval_worktree,
)
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.git_settings import checkout_variables
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.setup import WorktreeSetup, read_setup_command

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


class EvalWorktrees:
    """The temporary worktrees of a run. The context manager removes them at its end."""

    def __init__(
        self, session: Session, project: Project, fixed_paths: FixedPaths, *, agent: int = 0
    ) -> None:
        """Read the settings of git.

        Args:
            agent: the agent that is measured alone beside the base branch, while other processes
                measure other agents. 0 if no other evaluation of the session runs.
        """
        self._sid = session.id
        self._agent = agent
        self._project = project
        self._variables = checkout_variables(session, project)
        """The variables with which git checks out files, before a command can change settings."""
        self._fixed_paths = fixed_paths
        self._guarded: StoredFiles | None = None
        """The guarded files of the base branch."""
        self._holdout: StoredFiles | None = None
        """The holdout files."""
        self._commits: dict[str, str] = {}
        self._created: dict[str, tuple[int, int]] = {}
        """The ids of the created directories, by path."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_all()
        for stored in (self._guarded, self._holdout):
            if stored is not None:
                stored.close()

    @property
    def holdout_digest(self) -> str:
        """The SHA-256 of the holdout files, or '' without them."""
        return self._holdout.digest() if self._holdout is not None else ""

    def add(self, requests: Sequence[WorktreeRequest]) -> list[EvalWorktree]:
        """Add a worktree for each request, several at a time, with the setup of an agent's worktree.

        Raises:
            HubError: git could not add a worktree, or its setup failed.
        """
        self._commits = {self._path(request): request.commit for request in requests}
        for path in self._commits:
            _refuse_existing(path, self._project)
            os.makedirs(os.path.dirname(path), exist_ok=True)
        setup = WorktreeSetup(self._project, read_setup_command(self._project) if requests else "")
        if self._fixed_paths.paths and requests:
            # Store them before the first command of an attempt runs.
            self._guarded = self._store_guarded_files()
        if self._fixed_paths.holdout.paths and requests:
            with temporary_directory() as scratch:
                self._holdout = store_holdout(self._fixed_paths.holdout, scratch)

        def create(request: WorktreeRequest) -> EvalWorktree | tuple[str, str]:
            # Return the error. If a worker raises, the parent process repeats all items of the worker.
            try:
                return self._create(request, setup)
            except HubError as error:
                return error.message, error.hint

        worktrees = []
        for result in parallel_map(create, requests, processes=cpu_count()):
            if not isinstance(result, EvalWorktree):
                message, hint = result
                raise HubError(message, hint=hint)
            worktrees.append(result)
        self._created = {worktree.path: worktree.file_id for worktree in worktrees}
        return worktrees

    def _path(self, request: WorktreeRequest) -> str:
        is_shared = self._agent and request.name == BASELINE
        name = f"{agent_name(self._agent)}-{BASELINE}" if is_shared else request.name
        return eval_worktree_path(self._sid, name, self._project)

    def _create(self, request: WorktreeRequest, setup: WorktreeSetup) -> EvalWorktree:
        path = self._path(request)
        options = ["--detach", "--lock", "--reason", EVAL_LOCK]
        git = self._project.git
        hook_error = git.add_worktree(path, request.commit, options, **self._variables)
        git_dir = linked_git_dir(path)
        with open(os.path.join(git_dir, "index"), "rb") as file:
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
            index = file.read()
        file_id = directory_id(path) or (0, 0)
        worktree = EvalWorktree(
            request.name,
            path,
            git_dir,
            request.commit,
            index,
            mtime_ns,
            file_id,
            variables=self._variables,
        )
        if self._guarded is not None:
            worktree = self._put_guarded_files(worktree, self._guarded)
        # A hook may prepare the worktree, like the setup command.
        error = hook_error or setup.apply(path, request.commit, request.environ)
        if error:
            raise HubError(f"cannot set up the temporary worktree of {request.name}: {error}")
        if self._holdout is not None:
            holdout = FixedFiles(self._holdout)
            worktree = worktree._replace(fixed=(*worktree.fixed, holdout))
            holdout.put_into(path)
        if setup.command:  # The first measurement starts with the same files as the others.
            reset_eval_worktree(worktree, self._project)
        return worktree

    def _store_guarded_files(self) -> StoredFiles:
        """Return the guarded files as git writes them, with the attributes of the base branch."""
        project, base = self._project, self._fixed_paths.base
        with temporary_directory() as scratch:
            top, index = f"{scratch}/files", f"{scratch}/index"
            os.mkdir(top)
            settings = {"core.sparseCheckout": "false"}
            git = project.git.at(
                project.paths.common_dir,
                top,
                index=index,
                settings=settings,
                variables=self._variables,
            )
            git.read_tree(base)
            files = self._fixed_paths.files(base, project.repo)
            # The directory has no .gitattributes, so git reads the attributes from the index.
            git.run(["checkout-index", "-q", "-z", "--stdin"], stdin=b"\0".join([*files, b""]))
            stored = StoredFiles.create_in(scratch)
            stored.add(top, files)
        return stored

    def _put_guarded_files(self, worktree: EvalWorktree, guarded: StoredFiles) -> EvalWorktree:
        own = self._fixed_paths.files(worktree.commit, self._project.repo)
        removed = tuple(sorted({*own} - {*guarded.paths}))
        files = FixedFiles(guarded, removed)
        # A sparse checkout leaves out files. Such a file is restored, but the agent has not changed it.
        top = os.fsencode(worktree.path)
        existing = {path for path in guarded.paths if os.path.lexists(os.path.join(top, path))}
        restored = files.put_into(worktree.path)
        changed = [path for path in restored if path in existing or path in removed]
        return worktree._replace(fixed=(files,), restored=tuple(changed))

    def remove_all(self) -> None:
        """Remove the temporary worktrees of the session or the agent, and what a killed run left."""
        worktrees = linked_worktrees(self._project.paths.common_dir)
        own = [
            worktree
            for worktree in worktrees
            if session_of_eval_worktree(worktree) == self._sid
            and self._agent in (0, agent_of_eval_worktree(worktree))
        ]
        remove_eval_worktrees(own, self._project, self._created)
        # A git dir without the file `gitdir` has no path. ^C can leave one: git removes `gitdir`
        # first, and then a child process of git may still write the index.
        if not all(worktree.path for worktree in worktrees):
            for path, commit in self._commits.items():
                remove_empty_git_dir(path, self._project, EVAL_LOCK, [commit])


def _refuse_existing(path: str, project: Project) -> None:
    """Raise HubError if an earlier run could not remove its temporary worktree."""
    if not os.path.lexists(path):
        return
    mounts = procfs.mounts_in(os.path.realpath(path))
    if mounts:
        raise HubError(
            f"a file system is mounted at '{mounts[0]}'", hint=f"umount {quote_word(mounts[0])}"
        )
    hint = f"mv {quote_word(path)} {quote_word(path)}.old"
    for worktree in linked_worktrees(project.paths.common_dir):
        if worktree.path == path:
            hint = remove_command(worktree)
    raise HubError(f"'{path}' exists already", hint=hint)
