"""From where a command runs, and GIT_*, to the repository and its hub; git's rules, without libgit2.

Source: git's setup.c (setup_git_directory_gently, ensure_valid_ownership) and gitrepository-layout(5).
A test holds each answer against `git rev-parse` and pygit2. libgit2 is not asked because
loading it costs more than all that `list` does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

from git_hub_session.errors import HubError
from git_hub_session.gitconfig import is_true, parse_settings
from git_hub_session.refnames import REFS

_HEAD = re.compile(rf"ref:\s*{REFS}|[0-9a-f]{{40}}")


class NotARepository(HubError):
    """No repository where the command runs."""

    code = "not-a-repository"


class NoMainWorktree(HubError):
    """The repository does not say where its main worktree is."""

    code = "no-main-worktree"


class Place(NamedTuple):
    """Where a command runs; every path absolute."""

    git_dir: str
    """This worktree's own directory of git: HEAD, index."""
    common_dir: str
    """The repository: refs, objects, config, and `worktrees`."""
    worktree: str
    """The top of the worktree we stand in, or '' (bare, or inside the git directory)."""
    main_worktree: str
    """The main worktree, or '' in a bare repository."""
    hub: str
    owners: tuple[str, ...]
    """The paths whose owner decides whether the repository can be trusted (none where GIT_DIR named it)."""


def find_place(cwd: str, environ: Mapping[str, str]) -> Place:
    """The repository that `cwd` and the environment mean; raises NotARepository, NoMainWorktree."""
    named = environ.get("GIT_DIR")
    owners: tuple[str, ...]
    if named is not None:
        git_dir, top, owners = _named(os.path.join(cwd, named), named), "", ()
    else:
        git_dir, top, owners = _discovered(cwd, environ)
    common_dir = environ.get("GIT_COMMON_DIR")
    common_dir = os.path.realpath(os.path.join(cwd, common_dir) if common_dir else _common(git_dir))
    git_dir = os.path.realpath(git_dir)
    settings = _repository_settings(common_dir)
    linked = git_dir != common_dir
    work_tree = environ.get("GIT_WORK_TREE")
    if named is not None and environ.get("GIT_IMPLICIT_WORK_TREE") != "0":
        # GIT_DIR without GIT_WORK_TREE, as in hooks: the worktree is where we stand.
        top = os.path.join(cwd, work_tree) if work_tree else cwd
    main = _main_worktree(common_dir, settings, "" if linked else top, discovered=named is None)
    hub = environ.get("GIT_HUB_SESSION_DIR")
    if hub:
        hub = os.path.realpath(os.path.join(cwd, hub))
    elif main:
        hub = os.path.join(main, ".agenthub")
    elif linked and not is_true(settings.get("core.bare")):
        raise NoMainWorktree(
            f"cannot tell where the main worktree of '{common_dir}' is",
            hint="run it in the main worktree, or set GIT_HUB_SESSION_DIR to its .agenthub",
        )
    else:
        hub = os.path.join(common_dir, "agenthub")
    return Place(git_dir, common_dir, os.path.realpath(top) if top else "", main, hub, owners)


def _named(path: str, named: str) -> str:
    if os.path.isfile(path):
        path = _gitfile(path)
    if not _is_git_dir(path):
        raise NotARepository(f"not a git repository: '{named}'")
    return path


def _discovered(cwd: str, environ: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    """Walk up from `cwd`: the git directory, the top of the worktree ('' if bare), and whose they are."""
    ceilings = {
        os.path.realpath(path)
        for path in environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)
        if os.path.isabs(path)
    }
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
            git_dir = _gitfile(dot_git)
            if not _is_git_dir(git_dir):
                raise NotARepository(
                    f"not a git repository: '{git_dir}'",
                    hint=f"'{dot_git}' points there; 'git worktree repair' in the main worktree may mend it",
                )
            return git_dir, directory, (dot_git, directory, git_dir)
        if stat.S_ISDIR(mode) and _is_git_dir(dot_git):
            return dot_git, directory, (directory, dot_git)
        if _is_git_dir(directory):
            return directory, "", (directory,)
        parent = os.path.dirname(directory)
        if parent == directory or parent in ceilings:
            raise NotARepository("not a git repository (or any of the parent directories): .git")
        if not across and os.stat(parent).st_dev != device:
            raise NotARepository(
                f"not a git repository (or any parent up to mount point '{directory}')",
                hint="set GIT_DISCOVERY_ACROSS_FILESYSTEM=1 to look further up",
            )
        directory = parent


def _gitfile(path: str) -> str:
    content = _text(path)
    if not content.startswith("gitdir: "):
        raise NotARepository(f"invalid gitfile format: '{path}'")
    return os.path.normpath(os.path.join(os.path.dirname(path), content[8:].rstrip("\r\n")))


def _is_git_dir(path: str) -> bool:
    common = _common(path)
    if not os.path.isdir(os.path.join(common, "objects")) or not os.path.isdir(
        os.path.join(common, "refs")
    ):
        return False
    head = os.path.join(path, "HEAD")
    if os.path.islink(head):
        return os.readlink(head).startswith(REFS)
    return _HEAD.match(_text(head)) is not None


def _common(git_dir: str) -> str:
    content = _text(os.path.join(git_dir, "commondir")).rstrip("\r\n")
    return os.path.normpath(os.path.join(git_dir, content)) if content else git_dir


def _repository_settings(common_dir: str) -> dict[str, str]:
    settings = parse_settings(_text(os.path.join(common_dir, "config")))
    if is_true(settings.get("extensions.worktreeconfig")):
        settings |= parse_settings(_text(os.path.join(common_dir, "config.worktree")))
    return settings


def _main_worktree(
    common_dir: str, settings: Mapping[str, str], top: str, *, discovered: bool
) -> str:
    """The main worktree; `top` is where we stand if that may be the main one, else ''."""
    bare = settings.get("core.bare")
    if is_true(bare):
        return ""
    if "core.worktree" in settings:
        return os.path.realpath(os.path.join(common_dir, settings["core.worktree"]))
    if discovered and top:
        return os.path.realpath(top)
    if os.path.basename(common_dir) == ".git":
        return os.path.dirname(common_dir)
    # A separate git directory named by GIT_DIR: it says no more than that it has a worktree.
    return os.path.realpath(top) if top and bare is not None else ""


def _text(path: str) -> str:
    """A small file of git's, or '' where there is none."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(1 << 20))
    except OSError:
        return ""


def foreign_owner(place: Place, environ: Mapping[str, str]) -> str:
    """The first path of the repository that belongs to somebody else, or ''.

    As root, what SUDO_UID owns is root's own too. Source: git's compat/…, is_path_owned_by_current_uid.
    """
    if is_true(environ.get("GIT_TEST_ASSUME_DIFFERENT_OWNER")):
        return next(iter(place.owners), "")
    uid = os.geteuid()
    sudo = environ.get("SUDO_UID", "")
    own = {uid, int(sudo)} if uid == 0 and sudo.isascii() and sudo.isdigit() else {uid}
    for path in place.owners:
        try:
            if os.lstat(path).st_uid not in own:
                return path
        except OSError:
            return path
    return ""
