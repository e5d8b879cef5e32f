"""Find the repository, its worktrees and the hub by git's rules, without libgit2.

Loading libgit2 takes longer than the whole command `list`. The tests compare each answer with
`git rev-parse` and pygit2. Sources: git's setup.c (setup_git_directory_gently,
ensure_valid_ownership) and gitrepository-layout(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true, parse_git_config
from git_hub_session.git.ref_names import REFS, is_object_id
from git_hub_session.git.safe_open import MAX_BYTES, read_text
from git_hub_session.util.numbers import parse_int

HUB_DIRECTORY = ".agenthub"
"""The name of the hub in the main worktree."""
BARE_HUB_DIRECTORY = "agenthub"
"""The name of the hub in the git dir of a bare repository."""
_MAX_UID = 2**32 - 1


class NotARepository(HubError):
    """The command does not run in a repository."""

    code = "not-a-repository"


class NoMainWorktree(HubError):
    """The path of the main worktree is unknown."""

    code = "no-main-worktree"


class RepositoryPaths(NamedTuple):
    """The absolute paths of a repository and its hub, as seen from the current directory."""

    git_dir: str
    """The git dir of the current worktree, which contains HEAD and index."""
    common_dir: str
    """The directory that contains refs, objects, config and `worktrees`."""
    worktree: str
    """The top of the current worktree, or '' (bare repository, or inside the git dir)."""
    main_worktree: str
    """The main worktree, or '' in a bare repository."""
    hub: str
    owners: tuple[str, ...]
    """The paths whose owner must be trusted. The first one is the path for safe.directory.

    The tuple is empty if GIT_DIR names the repository: git then checks no owner.
    """
    main_checkout: str
    """The worktree with the files of HEAD and of the index in the common dir, or ''.

    This is the main worktree, unless GIT_WORK_TREE names another directory for it.
    """

    @property
    def jobs(self) -> str:
        """The directory for the records of jobs of Slurm. It may be missing."""
        return f"{self.common_dir}/hub-session-jobs"

    @property
    def is_inside_git_dir(self) -> bool:
        """True if the current directory is in the git dir. A clone can contain an imitated git dir."""
        return len(self.owners) == 1


class _Caller(NamedTuple):
    """The current directory and the environment of the command."""

    cwd: str
    environ: Mapping[str, str]

    def path(self, variable: str) -> str:
        """Return the path in an environment variable, or '' if it is not set."""
        value = self.environ.get(variable)
        return os.path.join(self.cwd, value) if value else ""


class _DiscoveredGitDir(NamedTuple):
    """A git dir, the worktree whose .git names it (or ''), and the paths whose owner to check."""

    git_dir: str
    top: str
    owners: tuple[str, ...]


def find_repository(cwd: str, environ: Mapping[str, str]) -> RepositoryPaths:
    """Return the paths of the repository that `cwd` and the environment select.

    Raises:
        NotARepository: there is no repository, or a .git file or GIT_DIR is invalid.
        NoMainWorktree: neither the repository nor the environment locates the hub.
        HubHidden: core.bare or core.worktree hides the main worktree that contains the hub.
    """
    caller = _Caller(cwd, environ)
    shared = caller.path("GIT_COMMON_DIR")
    if "GIT_DIR" in environ:
        discovered = _DiscoveredGitDir(_git_dir_from_environment(caller, shared), "", ())
    else:
        discovered = _discover(caller, shared)
    git_dir = os.path.realpath(discovered.git_dir)
    common_dir = os.path.realpath(_read_common_dir(discovered.git_dir, shared))
    settings = _read_config(common_dir, common_dir)
    worktree = _find_worktree(caller, git_dir, common_dir, discovered.top)
    main_worktree = _find_main_worktree(caller, git_dir, common_dir, settings, discovered.top)
    _check_main_worktree(main_worktree, git_dir, common_dir, discovered.top)
    if git_dir != common_dir and not (main_worktree or caller.path("GIT_HUB_SESSION_DIR")):
        from git_hub_session.git.hidden_hub import (
            refuse_hidden_worktree,
        )  # no main worktree is rare

        refuse_hidden_worktree(os.path.join(common_dir, BARE_HUB_DIRECTORY), common_dir)
    hub = _find_hub(caller, common_dir, settings, main_worktree)
    # A linked worktree has its own HEAD and index.
    is_other = git_dir == common_dir and bool(environ.get("GIT_WORK_TREE"))
    main_checkout = worktree if is_other else main_worktree
    return RepositoryPaths(
        git_dir, common_dir, worktree, main_worktree, hub, discovered.owners, main_checkout
    )


def _find_hub(
    caller: _Caller, common_dir: str, settings: Mapping[str, str], main_worktree: str
) -> str:
    hub = caller.path("GIT_HUB_SESSION_DIR")
    if hub:
        return os.path.normpath(hub)
    if main_worktree:
        return os.path.join(main_worktree, HUB_DIRECTORY)
    if is_true(settings.get("core.bare", "true")):
        return os.path.join(common_dir, BARE_HUB_DIRECTORY)
    raise NoMainWorktree(
        f"cannot find the main worktree of '{common_dir}'",
        hint="run the command in the main worktree, or set GIT_HUB_SESSION_DIR to its .agenthub",
    )


def _find_worktree(caller: _Caller, git_dir: str, common_dir: str, top: str) -> str:
    """Return the worktree that git would use: setup_explicit_git_dir, setup_discovered_git_dir."""
    worktree_settings = _read_config(common_dir, git_dir)
    has_own_settings = is_true(worktree_settings.get("extensions.worktreeconfig"))
    # Without that extension, git ignores core.bare and core.worktree in a linked worktree.
    settings = worktree_settings if git_dir == common_dir or has_own_settings else {}
    explicit = caller.path("GIT_WORK_TREE")
    if explicit:
        return os.path.realpath(explicit)
    if is_true(settings.get("core.bare")):
        return ""
    if "core.worktree" in settings:
        return os.path.realpath(os.path.join(git_dir, settings["core.worktree"]))
    if "GIT_DIR" not in caller.environ:
        return top
    # GIT_DIR alone, as in hooks: the current directory is the worktree.
    implicit = caller.environ.get("GIT_IMPLICIT_WORK_TREE")
    return os.path.realpath(caller.cwd) if implicit is None or is_true(implicit) else ""


def _find_main_worktree(
    caller: _Caller, git_dir: str, common_dir: str, settings: Mapping[str, str], top: str
) -> str:
    """Return the main worktree, or '' in a bare repository or if the path is unknown."""
    if is_true(settings.get("core.bare")):
        return ""
    if "core.worktree" in settings:
        return os.path.realpath(os.path.join(common_dir, settings["core.worktree"]))
    if os.path.basename(common_dir) == ".git":
        # `git worktree list` prints this path too, even if another .git is a link to this git dir.
        return os.path.dirname(common_dir)
    if git_dir != common_dir:
        return ""
    return top or _find_worktree_of_separate_git_dir(caller, git_dir)


def _check_main_worktree(main_worktree: str, git_dir: str, common_dir: str, top: str) -> None:
    """Raise HubHidden if the main worktree would be another one without a setting that hides it."""
    is_usual = os.path.basename(common_dir) == ".git"
    default = os.path.dirname(common_dir) if is_usual else top if git_dir == common_dir else ""
    if default and default != main_worktree:
        from git_hub_session.git.hidden_hub import refuse_hidden_hub  # a setting is rare

        refuse_hidden_hub(os.path.join(default, HUB_DIRECTORY), common_dir)


def _find_worktree_of_separate_git_dir(caller: _Caller, git_dir: str) -> str:
    """Return the worktree above the current directory whose .git file names the git dir, or ''.

    A separate git dir does not record its worktree. Also search in a hook, which gets GIT_DIR: git
    runs it inside the worktree.
    """
    explicit = caller.path("GIT_WORK_TREE")
    if explicit:
        return os.path.realpath(explicit)
    try:
        discovered = _discover(caller, "")
    except NotARepository:
        return ""
    return discovered.top if os.path.realpath(discovered.git_dir) == git_dir else ""


def _git_dir_from_environment(caller: _Caller, shared: str) -> str:
    value = caller.environ["GIT_DIR"]
    path = os.path.join(caller.cwd, value)
    if os.path.isfile(path):
        path = _read_gitfile(path)
    if not _is_git_dir(path, shared):
        raise NotARepository(f"not a git repository: '{value}'")
    return path


def _discover(caller: _Caller, shared: str) -> _DiscoveredGitDir:
    """Walk up from the current directory to the first git dir, or to a .git that leads to one."""
    ceilings = _parse_ceilings(caller.environ.get("GIT_CEILING_DIRECTORIES", ""))
    across_filesystems = is_true(caller.environ.get("GIT_DISCOVERY_ACROSS_FILESYSTEM"))
    directory = os.path.realpath(caller.cwd)
    device = os.stat(directory).st_dev
    while True:
        discovered = _git_dir_at(directory, shared)
        if discovered is not None:
            return discovered
        parent = os.path.dirname(directory)
        if parent == directory or parent in ceilings:
            raise NotARepository("not a git repository (or any of the parent directories): .git")
        if not across_filesystems and os.stat(parent).st_dev != device:
            raise NotARepository(
                f"not a git repository (or any parent up to mount point '{directory}')",
                hint="set GIT_DISCOVERY_ACROSS_FILESYSTEM=1 to search above the mount point",
            )
        directory = parent


def _git_dir_at(directory: str, shared: str) -> _DiscoveredGitDir | None:
    """Return the git dir of the worktree `directory`, or `directory` if it is a git dir itself."""
    dot_git = os.path.join(directory, ".git")
    try:
        mode = os.stat(dot_git).st_mode
    except OSError:
        mode = 0
    if stat.S_ISREG(mode):
        git_dir = _read_gitfile(dot_git)
        if not _is_git_dir(git_dir, shared):
            raise NotARepository(
                f"not a git repository: '{git_dir}'",
                hint=f"'{dot_git}' names it; run 'git worktree repair' in the main worktree",
            )
        return _DiscoveredGitDir(git_dir, directory, (directory, dot_git, git_dir))
    if stat.S_ISDIR(mode) and _is_git_dir(dot_git, shared):
        return _DiscoveredGitDir(dot_git, directory, (directory, dot_git))
    if _is_git_dir(directory, shared):
        return _DiscoveredGitDir(directory, "", (directory,))
    return None


def _parse_ceilings(text: str) -> set[str]:
    """Parse GIT_CEILING_DIRECTORIES. Symbolic links are not resolved after an empty component."""
    resolved, _, literal = f"{os.pathsep}{text}".partition(os.pathsep * 2)
    return {
        *(os.path.realpath(path) for path in resolved.split(os.pathsep) if os.path.isabs(path)),
        *(os.path.normpath(path) for path in literal.split(os.pathsep) if os.path.isabs(path)),
    }


def _read_gitfile(path: str) -> str:
    content = _read_file(path)
    if not content.startswith("gitdir: "):
        raise NotARepository(f"invalid gitfile format: '{path}'")
    target = content[8:].rstrip("\r\n")
    if not target:
        raise NotARepository(f"no path in gitfile: '{path}'")
    return os.path.join(os.path.dirname(path), target)


def _is_git_dir(path: str, shared: str) -> bool:
    common_dir = _read_common_dir(path, shared)
    if not all(os.path.isdir(os.path.join(common_dir, name)) for name in ("objects", "refs")):
        return False
    head = os.path.join(path, "HEAD")
    if os.path.islink(head):
        return os.readlink(head).startswith(REFS)
    text = _read_file(head)
    if text.startswith("ref:"):
        return text[4:].lstrip().startswith(REFS)
    return is_object_id(text[:40])


def _read_common_dir(git_dir: str, shared: str) -> str:
    """Return the common dir of a git dir. `shared` is the path in GIT_COMMON_DIR, or ''."""
    if shared:
        return shared
    content = _read_file(os.path.join(git_dir, "commondir")).rstrip("\r\n")
    return os.path.join(git_dir, content) if content else git_dir


def _read_config(common_dir: str, git_dir: str) -> dict[str, str]:
    """Return the settings of the repository, and of the worktree if it can have its own."""
    settings = parse_git_config(_read_file(os.path.join(common_dir, "config")))
    if is_true(settings.get("extensions.worktreeconfig")):
        settings |= parse_git_config(_read_file(os.path.join(git_dir, "config.worktree")))
    return settings


def _read_file(path: str) -> str:
    """Return the text of a file, or '' if the file is unreadable or contains a NUL."""
    text = read_text(path, limit=MAX_BYTES)
    return "" if "\0" in text else text


def find_foreign_path(paths: RepositoryPaths, environ: Mapping[str, str]) -> str:
    """Return the first path of the repository that another user owns or that is missing, or ''.

    For root, the user in SUDO_UID is not another user. Source: git's git-compat-util.h,
    is_path_owned_by_current_uid.
    """
    if is_true(environ.get("GIT_TEST_ASSUME_DIFFERENT_OWNER")):
        return next(iter(paths.owners), "")
    own_uids = {os.geteuid()}
    sudo_uid = parse_int(environ.get("SUDO_UID", ""), _MAX_UID)
    if own_uids == {0} and sudo_uid is not None:
        own_uids.add(sudo_uid)
    for path in paths.owners:
        try:
            if os.lstat(path).st_uid not in own_uids:
                return path
        except OSError:
            return path
    return ""
