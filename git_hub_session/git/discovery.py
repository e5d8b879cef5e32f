"""From where a command runs, and GIT_*, to the repository and its hub; git's rules, without libgit2.

Source: git's setup.c (setup_git_directory_gently, ensure_valid_ownership) and gitrepository-layout(5).
A test holds each answer against `git rev-parse` and pygit2. libgit2 is not asked because
loading it costs more than all that `list` does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true, parse_git_config
from git_hub_session.git.ref_names import REFS
from git_hub_session.git.safe_open import open_regular
from git_hub_session.util.numbers import parse_int

_MAX_UID = 2**32 - 1


class NotARepository(HubError):
    """No repository where the command runs."""

    code = "not-a-repository"


class NoMainWorktree(HubError):
    """The repository does not say where its main worktree is."""

    code = "no-main-worktree"


class RepositoryPaths(NamedTuple):
    """Where a command runs; every path absolute."""

    git_dir: str
    """This worktree's own directory of git: HEAD, index."""
    common_dir: str
    """The repository: refs, objects, config, and `worktrees`."""
    worktree: str
    """The top of the worktree that git works in here, or '' (bare, or inside the git directory)."""
    main_worktree: str
    """The main worktree, or '' in a bare repository."""
    hub: str
    owners: tuple[str, ...]
    """The paths whose owner decides whether the repository can be trusted, the first is the one
    that safe.directory has to name (none where GIT_DIR named the repository)."""

    @property
    def is_inside_git_dir(self) -> bool:
        """Whether one stands in the git directory itself, which may be a part of what was cloned."""
        return len(self.owners) == 1


def find_repository(cwd: str, environ: Mapping[str, str]) -> RepositoryPaths:
    """The repository that `cwd` and the environment mean; raises NotARepository, NoMainWorktree."""
    shared = environ.get("GIT_COMMON_DIR")
    shared = os.path.join(cwd, shared) if shared else ""
    named = environ.get("GIT_DIR")
    if named is None:
        found = _discover(cwd, environ, shared)
    else:
        found = _DiscoveredGitDir(
            _git_dir_from_environment(os.path.join(cwd, named), named, shared), "", ()
        )
    git_dir = os.path.realpath(found.git_dir)
    common_dir = os.path.realpath(_read_common_dir(found.git_dir, shared))
    settings = _read_config(common_dir, common_dir)
    worktree = _find_worktree(cwd, environ, git_dir, common_dir, found.top)
    main = _find_main_worktree(cwd, environ, git_dir, common_dir, settings, found)
    hub = environ.get("GIT_HUB_SESSION_DIR")
    if hub:
        hub = os.path.normpath(os.path.join(cwd, hub))
    elif main:
        hub = os.path.join(main, ".agenthub")
    elif is_true(settings.get("core.bare", "true")):
        hub = os.path.join(common_dir, "agenthub")
    else:
        raise NoMainWorktree(
            f"cannot tell where the main worktree of '{common_dir}' is",
            hint="run it in the main worktree, or set GIT_HUB_SESSION_DIR to its .agenthub",
        )
    return RepositoryPaths(git_dir, common_dir, worktree, main, hub, found.owners)


class _DiscoveredGitDir(NamedTuple):
    """A git directory, the top of the worktree whose .git led to it, and whose they are."""

    git_dir: str
    top: str
    owners: tuple[str, ...]


def _find_worktree(
    cwd: str, environ: Mapping[str, str], git_dir: str, common_dir: str, top: str
) -> str:
    """The worktree that git itself would use: setup_explicit_git_dir, setup_discovered_git_dir."""
    named = "GIT_DIR" in environ
    settings: Mapping[str, str] = {}
    own = _read_config(common_dir, git_dir)
    if git_dir == common_dir or is_true(own.get("extensions.worktreeconfig")):
        settings = own  # of a linked worktree, git else reads neither setting
    wanted = environ.get("GIT_WORK_TREE")
    if wanted:
        return os.path.realpath(os.path.join(cwd, wanted))
    if is_true(settings.get("core.bare")):
        return ""
    if "core.worktree" in settings:
        return os.path.realpath(os.path.join(git_dir, settings["core.worktree"]))
    if not named:
        return top
    # GIT_DIR alone, as in hooks: the worktree is where we stand.
    implicit = environ.get("GIT_IMPLICIT_WORK_TREE")
    return os.path.realpath(cwd) if implicit is None or is_true(implicit) else ""


def _find_main_worktree(
    cwd: str,
    environ: Mapping[str, str],
    git_dir: str,
    common_dir: str,
    settings: Mapping[str, str],
    found: _DiscoveredGitDir,
) -> str:
    """The main worktree, or '' where there is none, or where nothing says which it is."""
    if is_true(settings.get("core.bare")):
        return ""
    if "core.worktree" in settings:
        return os.path.realpath(os.path.join(common_dir, settings["core.worktree"]))
    if os.path.basename(common_dir) == ".git":
        return os.path.dirname(
            common_dir
        )  # also where another .git is a link to it, as git lists it
    if git_dir == common_dir and found.top:
        return found.top
    if git_dir != common_dir:
        return ""
    # A separate git directory does not know its worktree; the .git file that leads to it does,
    # and in a hook, where GIT_DIR names the one, we stand below the other.
    wanted = environ.get("GIT_WORK_TREE")
    if wanted:
        return os.path.realpath(os.path.join(cwd, wanted))
    try:
        around = _discover(cwd, environ, "")
    except NotARepository:
        return ""
    return around.top if os.path.realpath(around.git_dir) == git_dir else ""


def _git_dir_from_environment(path: str, named: str, shared: str) -> str:
    if os.path.isfile(path):
        path = _read_gitfile(path)
    if not _is_git_dir(path, shared):
        raise NotARepository(f"not a git repository: '{named}'")
    return path


def _discover(cwd: str, environ: Mapping[str, str], shared: str) -> _DiscoveredGitDir:
    """Walk up from `cwd` to the first git directory, or to a .git that leads to one."""
    ceilings = _parse_ceilings(environ.get("GIT_CEILING_DIRECTORIES", ""))
    across = is_true(environ.get("GIT_DISCOVERY_ACROSS_FILESYSTEM"))
    directory = os.path.realpath(cwd)
    device = os.stat(directory).st_dev
    while True:
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
                    hint=f"'{dot_git}' points there; 'git worktree repair' in the main worktree may mend it",
                )
            return _DiscoveredGitDir(git_dir, directory, (directory, dot_git, git_dir))
        if stat.S_ISDIR(mode) and _is_git_dir(dot_git, shared):
            return _DiscoveredGitDir(dot_git, directory, (directory, dot_git))
        if _is_git_dir(directory, shared):
            return _DiscoveredGitDir(directory, "", (directory,))
        parent = os.path.dirname(directory)
        if parent == directory or parent in ceilings:
            raise NotARepository("not a git repository (or any of the parent directories): .git")
        if not across and os.stat(parent).st_dev != device:
            raise NotARepository(
                f"not a git repository (or any parent up to mount point '{directory}')",
                hint="set GIT_DISCOVERY_ACROSS_FILESYSTEM=1 to look further up",
            )
        directory = parent


def _parse_ceilings(text: str) -> set[str]:
    """GIT_CEILING_DIRECTORIES; after an empty entry, links are left as they are."""
    resolved, _, literal = f"{os.pathsep}{text}".partition(os.pathsep * 2)
    return {
        *(os.path.realpath(path) for path in resolved.split(os.pathsep) if os.path.isabs(path)),
        *(os.path.normpath(path) for path in literal.split(os.pathsep) if os.path.isabs(path)),
    }


def _read_gitfile(path: str) -> str:
    content = _text(path)
    if not content.startswith("gitdir: "):
        raise NotARepository(f"invalid gitfile format: '{path}'")
    target = content[8:].rstrip("\r\n")
    if not target:
        raise NotARepository(f"no path in gitfile: '{path}'")
    return os.path.join(os.path.dirname(path), target)


def _is_git_dir(path: str, shared: str) -> bool:
    common = _read_common_dir(path, shared)
    if not os.path.isdir(os.path.join(common, "objects")) or not os.path.isdir(
        os.path.join(common, "refs")
    ):
        return False
    head = os.path.join(path, "HEAD")
    if os.path.islink(head):
        return os.readlink(head).startswith(REFS)
    text = _text(head)
    named = text.removeprefix("ref:").lstrip()
    if named != text:
        return named.startswith(REFS)
    return len(text) >= 40 and all(char in "0123456789abcdef" for char in text[:40])


def _read_common_dir(git_dir: str, shared: str) -> str:
    """The repository of a worktree's git directory; `shared` is GIT_COMMON_DIR, or ''."""
    if shared:
        return shared
    content = _text(os.path.join(git_dir, "commondir")).rstrip("\r\n")
    return os.path.join(git_dir, content) if content else git_dir


def _read_config(common_dir: str, git_dir: str) -> dict[str, str]:
    """The repository's configuration, and that of the one worktree where there is such a thing."""
    settings = parse_git_config(_text(os.path.join(common_dir, "config")))
    if is_true(settings.get("extensions.worktreeconfig")):
        settings |= parse_git_config(_text(os.path.join(git_dir, "config.worktree")))
    return settings


def _text(path: str) -> str:
    """A small file of git's, or '' where there is none, or what is no text."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            data = file.read(1 << 20)
    except (OSError, ValueError):
        return ""
    return "" if b"\0" in data else os.fsdecode(data)


def find_foreign_path(place: RepositoryPaths, environ: Mapping[str, str]) -> str:
    """The first path of the repository that belongs to somebody else, or ''.

    As root, what SUDO_UID owns is root's own too. Source: git's compat/…, is_path_owned_by_current_uid.
    """
    if is_true(environ.get("GIT_TEST_ASSUME_DIFFERENT_OWNER")):
        return next(iter(place.owners), "")
    own = {os.geteuid()}
    sudo = parse_int(environ.get("SUDO_UID", ""), _MAX_UID)
    if own == {0} and sudo is not None:
        own.add(sudo)
    for path in place.owners:
        try:
            if os.lstat(path).st_uid not in own:
                return path
        except OSError:
            return path
    return ""
