"""Remove the leftovers of an interrupted `git worktree add`, and no work of a user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Busy, GitFailed, Refused
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.system import procfs, tree
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import first_free
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project

_MAX_POLLS = 100
_POLL_SECONDS = 0.01

# The files that `git worktree add` writes into the git dir. The index comes near the end.
_GIT_DIR_FILES = ("gitdir", "locked", "HEAD", "ORIG_HEAD", "commondir", "index")


def find_partial(
    branch: AgentBranch, path: str, worktrees: Sequence[Worktree], lock: str
) -> Worktree | None:
    """Return the partial worktree that an interrupted call left, or None.

    Recognize it by its branch. Do not trust a path that is recorded in the session: a user may have
    created a worktree there. Git writes the branch late. Before that, the git dir is locked with
    the reason `lock`, and only the path identifies it.

    Args:
        branch: the branch that the call wanted to check out.
        path: the path that the call wanted to use.
        worktrees: all linked worktrees of the repository.
        lock: the lock reason of a worktree that is being created.
    """
    real = os.path.realpath(path)
    for worktree in worktrees:
        if not worktree.path:
            continue  # Git was killed while it removed the worktree.
        has_no_branch = worktree.lock_reason == lock and not worktree.head
        is_at_path = os.path.realpath(worktree.path) == real
        if branch.ref in worktree.branches or (has_no_branch and is_at_path):
            return worktree
    return None


def remove_empty_git_dir(path: str, project: Project, lock: str, sources: Sequence[str]) -> None:
    """Remove the git dirs without `gitdir` that an interrupted `git worktree add` left.

    Such a git dir is named after the directory `path` (agent-1, agent-11, ...). Git never prunes a
    locked git dir, and git dies if the `commondir` of a git dir is empty. ^C reaches git and its
    child process: git removes `gitdir` first, and the child may still write the index of a commit
    in `sources`. A git dir with another index or with other commits is kept. If another git is
    creating the git dir at this moment, that git fails before it creates a worktree.
    """
    name = os.path.basename(path)
    if name.startswith("."):
        name = f"-{name[1:]}"  # as git does: a part of a ref name cannot start with a dot
    for worktree in linked_worktrees(project.paths.common_dir):
        number = worktree.name.removeprefix(name)
        is_numbered = not number or parse_int(number, MAX_COUNT) is not None
        has_name = number != worktree.name and is_numbered
        # An interrupted git may have written only the start of the lock reason.
        if not has_name or worktree.path or not lock.startswith(worktree.lock_reason or ""):
            continue
        try:
            if _holds_no_work(worktree, project, sources):
                _remove_git_dir_files(worktree.git_dir)
        except OSError:
            pass  # Another process writes into it.


def _holds_no_work(worktree: Worktree, project: Project, sources: Sequence[str]) -> bool:
    """Return True if the git dir contains only what `git worktree add` writes for `sources`."""
    files = [file for _, _, files in os.walk(worktree.git_dir) for file in files]
    if not all(file in _GIT_DIR_FILES or file.endswith(".lock") for file in files):
        return False
    if "index" not in files:
        return True  # Without an index, nothing was staged or committed.
    if _lost_commits(worktree, project, sources):
        return False
    return any(_is_index_of(source, worktree, project) for source in sources)


def _is_index_of(source: str, worktree: Worktree, project: Project) -> bool:
    """Return True if the index has exactly the files of the commit or tree `source`."""
    git = project.git.at(project.paths.common_dir, index=os.path.join(worktree.git_dir, "index"))
    try:
        git.run(["diff-index", "--cached", "--quiet", source])
    except GitFailed:
        return False
    return True


def _remove_git_dir_files(git_dir: str) -> None:
    for directory, _, files in os.walk(git_dir, topdown=False):
        for file in files:
            os.unlink(os.path.join(directory, file))
        os.rmdir(directory)


def remove_orphan_directory(path: str, project: Project, sources: Sequence[str]) -> None:
    """Remove the directory that an interrupted `git worktree add` left at `path`.

    The git command was started by this process.

    ^C reaches git and its child process. Git removes the directory and the git dir, but the child
    may write one more file. Remove the directory only if each file is the start of the file at the
    same path in `sources`.
    """
    git = project.git.at(project.paths.common_dir, path)
    for _ in range(_MAX_POLLS):
        if not procfs.processes_in(path):
            break
        sleep(_POLL_SECONDS)
    else:
        return  # The process does not end. The next call reports the directory.
    try:
        if os.path.isdir(path) and not os.path.lexists(f"{path}/.git"):
            scanned = tree.scan_directory(path)
            if _has_only_git_files(scanned, git, project.repo, sources):
                tree.remove_if_unchanged(path, scanned)
    except OSError:
        pass  # The next call reports the directory.


def refuse_if_git_running(worktree: Worktree, name: str) -> None:
    """Raise Refused if the git of an interrupted call still runs in the worktree of `name`."""
    pids = procfs.processes_in(worktree.path)
    if pids:
        raise Busy(
            f"{name} is still being created by process {pids[0]}",
            hint="try again when it has finished",
        )


def remove_or_keep(
    worktree: Worktree, project: Project, sources: Sequence[str], call: str
) -> list[str]:
    """Remove a partial worktree. Rename its directory if it contains a file of a user.

    Args:
        worktree: the partial worktree.
        project: its project.
        sources: the commits or trees whose files git was writing. A file that is not the start of
            one of their files belongs to a user.
        call: the name of the interrupted command, for the warning.

    Returns:
        A warning with the new path if the directory was kept.

    Raises:
        Refused: a commit would be lost with the git dir.
        RemovalFailed: the directory or the git dir cannot be moved or deleted.
        OSError: the directory cannot be read.
    """
    _refuse_if_commits_lost(worktree, project, sources)
    git = project.git.at(worktree.git_dir, worktree.path)
    if worktree.is_missing or _has_only_git_files(
        tree.scan_directory(worktree.path), git, project.repo, sources
    ):
        removal.remove_unchecked(worktree)
        return []
    new_path = first_free(f"{worktree.path}.cut-off", os.path.lexists, always_numbered=True)
    removal.unregister_worktree(worktree, new_path)
    return [
        f"a {call} that was interrupted left files in '{worktree.path}': they are in '{new_path}'"
    ]


def _refuse_if_commits_lost(worktree: Worktree, project: Project, sources: Sequence[str]) -> None:
    """Raise Refused if only the HEAD or the reflog of the git dir contains a commit."""
    lost = _lost_commits(worktree, project, sources)
    if not lost:
        return
    # Only a worktree with a directory can be unlocked and used.
    unlock = f"git worktree unlock {quote_word(worktree.path)}"
    hint = f"git tag kept-{lost[0][:12]} {lost[0]}" if worktree.is_missing else unlock
    raise Refused(f"commits were made in '{worktree.path}' that no branch has", hint)


def _lost_commits(worktree: Worktree, project: Project, sources: Sequence[str]) -> list[str]:
    """Return the commits of the git dir that no ref contains, except `sources`."""
    unreachable = project.repo.unreachable(worktree.own_commits())
    return [oid for oid in unreachable if oid not in sources]


def _has_only_git_files(
    scanned: tree.DirectoryTree, git: GitAt, repo: GitRepo, sources: Sequence[str]
) -> bool:
    """Return True if each file is the start of the file at the same path in `sources`."""
    blobs: dict[bytes, set[bytes]] = {}
    for source in sources:
        for path, (mode, oid) in repo.tree_entries(source).items():
            if mode != 0o160000:
                blobs.setdefault(path, set()).add(oid)
    return not scanned.repositories and all(
        any(
            is_prefix_of_blob(
                read_file_or_link(git.directory, path, file.st_mode), repo, git, path, blob
            )
            for blob in blobs.get(path, ())
        )
        for path, file in scanned.files.items()
    )


def is_prefix_of_blob(data: bytes, repo: GitRepo, git: GitAt, path: bytes, blob: bytes) -> bool:
    """Return True if `data` is the start of the file that git writes to `path` for the blob."""
    if repo.read_blob(blob).startswith(data):
        return True
    arguments = ["cat-file", "--filters", f"--path={os.fsdecode(path)}", blob.hex()]
    try:
        return git.run(arguments).startswith(data)
    except GitFailed:
        return False
