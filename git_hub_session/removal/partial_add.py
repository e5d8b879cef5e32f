"""A worktree that a killed `git worktree add` left: taken away, and nothing of anybody's with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shlex import quote
from time import sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, Refused
from git_hub_session.git.ref_names import AgentBranch
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.system import procfs, tree
from git_hub_session.system.tree import read_file_or_link
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.paths import first_free

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project

_WAIT = 100  # hundredths of a second

# The files that git and its child processes write into an entry. The index comes near the end.
_GIT_DIR_FILES = ("gitdir", "locked", "HEAD", "ORIG_HEAD", "commondir", "index")


def find_partial(
    branch: AgentBranch, path: str, worktrees: Sequence[Worktree], lock: str
) -> Worktree | None:
    """What a call that was cut off left of the worktree of `branch`, which it was to make at `path`.

    It is known by its branch, never by what the session says of a path: that may be anybody's.
    git names the branch late; until then its entry is locked for the reason `lock`, and
    nothing but the path tells.
    """
    real = os.path.realpath(path)
    for worktree in worktrees:
        if not worktree.path:
            continue  # git was just taking it away again
        begun = worktree.lock_reason == lock and not worktree.head
        if branch.ref in worktree.branches or (begun and os.path.realpath(worktree.path) == real):
            return worktree
    return None


def remove_empty_git_dir(path: str, project: Project, lock: str, sources: Sequence[str]) -> None:
    """Remove the entries that an interrupted `git worktree add` of `path` left without `gitdir`.

    Such an entry is called after the directory (agent-1, agent-11, …). git keeps a locked one for
    ever, and dies of one with an empty `commondir`. ^C reaches git and its child: git removes
    `gitdir` first, and the child may still write the index of a commit in `sources`. An entry
    with another index or with other commits stays. If a running git is just making the entry, that
    git fails before it has made anything.
    """
    name = os.path.basename(path)
    if name.startswith("."):
        name = f"-{name[1:]}"  # as git does: a part of a ref name cannot start with a dot
    for worktree in linked_worktrees(project.paths.common_dir):
        number = worktree.name.removeprefix(name)
        is_its = number != worktree.name and (
            not number or parse_int(number, MAX_COUNT) is not None
        )
        if not is_its or worktree.path or not lock.startswith(worktree.lock_reason or ""):
            continue
        try:
            if _holds_no_work(worktree, project, sources):
                _remove_git_dir_files(worktree.git_dir)
        except OSError:
            pass  # somebody writes into it


def _holds_no_work(worktree: Worktree, project: Project, sources: Sequence[str]) -> bool:
    """Return True if the entry has only files of `git worktree add` and only content of `sources`."""
    files = [file for _, _, files in os.walk(worktree.git_dir) for file in files]
    if not all(file in _GIT_DIR_FILES or file.endswith(".lock") for file in files):
        return False
    if "index" not in files:
        return True  # nobody can have worked in it
    if any(one not in sources for one in project.repo.unreachable(worktree.own_commits())):
        return False
    return any(_is_index_of(source, worktree, project) for source in sources)


def _is_index_of(source: str, worktree: Worktree, project: Project) -> bool:
    """Return True if the index in the entry has exactly the files of the commit or tree `source`."""
    git = project.git.at(project.paths.common_dir, index=os.path.join(worktree.git_dir, "index"))
    try:
        git.run(["diff-index", "--cached", "--quiet", source])
    except GitFailed:
        return False
    return True


def _remove_git_dir_files(entry: str) -> None:
    for directory, _, files in os.walk(entry, topdown=False):
        for file in files:
            os.unlink(os.path.join(directory, file))
        os.rmdir(directory)


def remove_orphan_directory(path: str, project: Project, sources: Sequence[str]) -> None:
    """Remove what is left at `path` of a `git worktree add` of this call that was interrupted.

    ^C reaches a child of that git as well, which writes the files: git takes directory and entry
    away, and the child may have written one more. Only if it is the start of one from `sources`.
    """
    git = project.git.at(project.paths.common_dir, path)
    for _ in range(_WAIT):
        if not procfs.processes_in(path):
            break
        sleep(0.01)
    else:
        return  # it does not end: the next call names what is left
    try:
        if os.path.isdir(path) and not os.path.lexists(f"{path}/.git"):
            seen = tree.scan_directory(path)
            if _has_only_git_files(seen, git, project.repo, sources):
                tree.remove_if_unchanged(path, seen)
    except OSError:
        pass  # it is named by the next call


def refuse_if_git_running(worktree: Worktree, who: str) -> None:
    """Raise Refused, which speaks of `who`, where a git that outlived the killed call still works there."""
    users = procfs.processes_in(worktree.path)
    if users:
        raise Refused(
            f"{who} is still being made by process {users[0]}",
            hint="try again when it has finished",
        )


def remove_or_keep(
    worktree: Worktree, project: Project, sources: Sequence[str], call: str
) -> list[str]:
    """Remove the half-made worktree, whose files git was writing from the commits or trees `sources`.

    If there is a file in it that is not the start of one of theirs (somebody worked in it), the
    directory is kept under another name, and that is said; `call` is what was cut off.
    Raises Refused where commits would be lost with the entry, removal.Stuck, OSError.
    """
    _refuse_if_commits_lost(worktree, project, sources)
    git = project.git.at(worktree.git_dir, worktree.path)
    if worktree.is_missing or _has_only_git_files(
        tree.scan_directory(worktree.path), git, project.repo, sources
    ):
        removal.remove_unchecked(worktree)
        return []
    aside = first_free(f"{worktree.path}.cut-off", os.path.lexists, always_numbered=True)
    removal.unregister_worktree(worktree, aside)
    return [f"a {call} that was cut off left files in '{worktree.path}': they are in '{aside}'"]


def _refuse_if_commits_lost(worktree: Worktree, project: Project, sources: Sequence[str]) -> None:
    """Raise Refused where no ref has what was committed in it: its HEAD and reflog go with the entry."""
    lost = [one for one in project.repo.unreachable(worktree.own_commits()) if one not in sources]
    if not lost:
        return
    unlock = f"git worktree unlock {quote(worktree.path)}"
    # Where the directory is gone there is nobody to take it over.
    hint = f"git tag kept-{lost[0][:12]} {lost[0]}" if worktree.is_missing else unlock
    raise Refused(f"commits were made in '{worktree.path}' that no branch has", hint)


def _has_only_git_files(
    seen: tree.DirectoryTree, git: GitAt, repo: GitRepo, sources: Sequence[str]
) -> bool:
    written: dict[bytes, set[bytes]] = {}
    for source in sources:
        for path, (mode, oid) in repo.tree_entries(source).items():
            if mode != 0o160000:
                written.setdefault(path, set()).add(oid)
    return not seen.repositories and all(
        any(
            is_prefix_of_blob(
                read_file_or_link(git.directory, path, file.st_mode), repo, git, path, blob
            )
            for blob in written.get(path, ())
        )
        for path, file in seen.files.items()
    )


def is_prefix_of_blob(data: bytes, repo: GitRepo, git: GitAt, path: bytes, blob: bytes) -> bool:
    """Whether `data` is the beginning of what git writes to `path` for that blob."""
    if repo.read_blob(blob).startswith(data):
        return True
    words = ["cat-file", "--filters", f"--path={os.fsdecode(path)}", blob.hex()]
    try:
        return git.run(words).startswith(data)
    except GitFailed:
        return False
