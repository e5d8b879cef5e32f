"""The directories in which the agents and the baseline are measured: prepare and reset them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.evaluation.units import BASELINE
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.head import read_head
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.agents import find_base_commit
from git_hub_session.system import procfs
from git_hub_session.system.tree import directory_id, remove_path
from git_hub_session.worktree.off_branch import off_branch_reason

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.evaluation.eval_worktrees import EvalWorktrees
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.system.stored_files import StoredFiles

_LOCK_FILES = ("index.lock", "HEAD.lock")


class WorktreeRequest(NamedTuple):
    """A commit that needs a temporary worktree."""

    name: str
    """The name of the target, such as "agent-2"."""
    commit: str
    environ: Mapping[str, str]
    """The environment of the setup command."""


class FixedFiles(NamedTuple):
    """Files that are the same in each temporary worktree while a command measures in it."""

    stored: StoredFiles
    removed: tuple[bytes, ...] = ()
    """Files of the measured commit that the worktree must not have."""

    def put_into(self, target: str) -> list[bytes]:
        """Replace the files in `target`. Return the paths of those that differed.

        Raise HubError if a file cannot be read or written.
        """
        try:
            for path in self.removed:
                remove_path(target, path)
            return [*self.removed, *self.stored.replace(target)]
        except OSError as error:
            raise HubError(f"cannot write '{error.filename}': {error.strerror}") from None


class EvalWorktree(NamedTuple):
    """A temporary worktree that can be reset."""

    name: str
    """The name of the target."""
    path: str
    git_dir: str
    commit: str
    saved_index: bytes
    """The index as git wrote it for the new worktree."""
    index_mtime_ns: int
    file_id: tuple[int, int]
    """The device and the inode of the directory at `path`."""
    fixed: tuple[FixedFiles, ...] = ()
    """The files to put into the worktree before each measurement."""
    restored: tuple[bytes, ...] = ()
    """The guarded files that differed from the base branch."""
    variables: Mapping[str, str] = ORIGINAL_OBJECTS
    """The variables with which git checks out the files."""


class MeasureTarget(NamedTuple):
    """A commit to measure, and the directory to measure it in."""

    name: str
    """The name of its log, such as "agent-2", "agent-2-attempt-1" or "baseline"."""
    commit: str
    directory: str
    environ: Mapping[str, str]
    worktree: EvalWorktree | None = None
    """The temporary worktree at `directory`, or None if it is the agent's worktree."""
    branch: str = ""
    """The branch (a full ref) that the agent's worktree at `directory` must be on, or ''."""


def prepare_targets(
    session: Session,
    candidates: Sequence[Candidate],
    project: Project,
    worktrees: EvalWorktrees,
    *,
    task_file: str,
    baseline: str,
) -> list[MeasureTarget]:
    """Return the targets, the baseline first. Add a temporary worktree for each.

    A candidate with a directory is measured there.

    Args:
        baseline: the commit of the baseline, or '' to measure none.
    """

    def make_request(name: str, branch: AgentBranch | None, commit: str) -> WorktreeRequest:
        start = find_base_commit(session, project.repo, branch)
        variables = agent_environment(project.environ, session, branch, start, task_file)
        return WorktreeRequest(name, commit, variables)

    measured = [candidate for candidate in candidates if not candidate.unmeasured_reason]
    requests = [make_request(each.target, each.branch, each.measured_commit) for each in measured]
    if baseline:
        requests.insert(0, make_request(BASELINE, None, baseline))
    in_place = {each.target: each for each in measured if each.directory}
    new = [request for request in requests if request.name not in in_place]
    added = {worktree.name: worktree for worktree in worktrees.add(new)}
    return [_make_target(request, in_place, added.get(request.name)) for request in requests]


def _make_target(
    request: WorktreeRequest, in_place: Mapping[str, Candidate], worktree: EvalWorktree | None
) -> MeasureTarget:
    name, commit, environ = request
    if worktree:
        return MeasureTarget(name, commit, worktree.path, environ, worktree)
    candidate = in_place[name]
    return MeasureTarget(name, commit, candidate.directory, environ, branch=candidate.branch.ref)


def find_moved_heads(targets: Sequence[MeasureTarget], project: Project) -> dict[str, str]:
    """Return why the worktree of a target is not at the commit to measure, by target.

    A setup command, a prepare command or an earlier run may have checked out another commit.
    A target without a branch is measured at any commit.
    """
    is_in_place = any(target.branch for target in targets)
    linked = linked_worktrees(project.paths.common_dir) if is_in_place else []
    by_path = {worktree.path: worktree for worktree in linked}
    reasons = {}
    for target in targets:
        if target.worktree is not None:
            head = read_head(target.worktree.git_dir)
            reason = "" if head == ("", target.commit) else "another commit is checked out"
        elif not target.branch:
            reason = ""
        else:
            reason = _moved_reason(target, by_path.get(target.directory), project)
        if reason:
            reasons[target.name] = f"cannot be measured: {reason}"
    return reasons


def _moved_reason(target: MeasureTarget, worktree: Worktree | None, project: Project) -> str:
    if worktree is None:
        return "it has no worktree"
    reason = worktree.link_error or off_branch_reason(worktree, target.branch)
    if reason:
        return reason
    return "" if project.repo.tip(target.branch) == target.commit else "its branch moved"


def reset_eval_worktree(worktree: EvalWorktree, project: Project) -> None:
    """Reset the files, the index and HEAD to the commit, and remove the untracked files.

    Files that git ignores stay. Raise HubError if git fails, or if a file cannot be written.
    """
    _refuse_other_directory(worktree)
    settings = {"submodule.recurse": "false"}
    git = project.git.at(
        worktree.git_dir, worktree.path, settings=settings, variables=worktree.variables
    )
    try:
        _restore_index(worktree)
    except OSError as error:
        raise HubError(f"cannot write '{error.filename}': {error.strerror}") from None
    # Do not use `git reset --hard`: it moves a branch that the command has checked out.
    git.read_tree("--reset", "-u", worktree.commit)
    if read_head(worktree.git_dir) != ("", worktree.commit):
        git.run(["update-ref", "--no-deref", "HEAD", worktree.commit])
    git.run(["clean", "-q", "-d", "-ff"])
    _put_fixed_files(worktree)


def restore_fixed_files(target: MeasureTarget) -> None:
    """Put the guarded files and the holdout files into a temporary worktree again.

    Raise HubError if a file cannot be written, or if the directory was replaced.
    """
    if target.worktree is not None and target.worktree.fixed:
        _refuse_other_directory(target.worktree)
        _put_fixed_files(target.worktree)


def _put_fixed_files(worktree: EvalWorktree) -> None:
    for files in worktree.fixed:
        files.put_into(worktree.path)


def _refuse_other_directory(worktree: EvalWorktree) -> None:
    """Raise HubError if the directory was replaced, or if a file system is mounted in it."""
    if not os.path.lexists(worktree.path):
        raise HubError(f"directory '{worktree.path}' is missing")
    if directory_id(worktree.path) != worktree.file_id:
        raise HubError(f"'{worktree.path}' is another directory now")
    mounts = procfs.mounts_in(os.path.realpath(worktree.path))
    if mounts:
        raise HubError(f"a file system is mounted at '{mounts[0]}'")


def _restore_index(worktree: EvalWorktree) -> None:
    """Write the index again as git wrote it for the new worktree. Remove git's stale locks.

    The command may have marked files in the index as unchanged. Restore the modification time of the
    index too: git compares it with the times of the files.
    """
    for name in _LOCK_FILES:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(worktree.git_dir, name))
    path = os.path.join(worktree.git_dir, "index")
    with suppress(FileNotFoundError):
        os.unlink(path)  # The command may have made it a link.
    with open(path, "xb") as file:
        file.write(worktree.saved_index)
    os.utime(path, ns=(worktree.index_mtime_ns, worktree.index_mtime_ns))
