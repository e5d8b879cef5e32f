"""Read git's configuration with libgit2, and detect settings that only git itself reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import config_from_environment, is_false, is_true
from git_hub_session.git.libgit2 import constants, pygit2


class IgnoreSettings(NamedTuple):
    """The settings that decide which files git ignores."""

    excludes_file: str
    """The path in core.excludesFile, or its default. It can begin with '~'."""
    ignore_case: bool


class Libgit2Config:
    """The configuration of a repository: from the files, `git -c` and GIT_CONFIG_COUNT."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Disable the files that git does not read. Call this before opening a repository."""
        self._environ = environ
        self._from_environment = config_from_environment(environ)
        self._has_other_files = _match_git_config_scope(environ)

    def reads_all(self, config: pygit2.Config) -> bool:
        """Return True if libgit2 reads all settings that git reads."""
        return not self._from_environment and self._reads_all_files(config)

    def _reads_all_files(self, config: pygit2.Config) -> bool:
        if self._has_other_files or _has_unread_worktree_file(config):
            return False
        return not _has_unknown_include(config, self._from_environment)

    def values(self, config: pygit2.Config, name: str) -> list[str]:
        """Return all values of the setting `name`. The last one has the highest priority."""
        try:
            values = ["true" if value is None else value for value in config.get_multivar(name)]
        except UnicodeDecodeError:
            raise HubError(
                f"the value of {name} is not UTF-8",
                hint=f"git config --show-origin --get-all {name}",
            ) from None
        value = self._from_environment.get(name.lower())
        return values if value is None else [*values, value]

    def ignore_settings(self, config: pygit2.Config) -> IgnoreSettings | None:
        """Return the settings for ignored files, or None if git reads a file that libgit2 does not."""
        if not self._reads_all_files(config):
            return None
        home = self._environ.get("XDG_CONFIG_HOME") or "~/.config"
        default = os.path.join(home, "git", "ignore")
        excludes_file = [default, *self.values(config, "core.excludesFile")][-1]
        ignore_case = ["", *self.values(config, "core.ignoreCase")][-1]
        return IgnoreSettings(excludes_file, is_true(ignore_case))


class FileSettings:
    """The settings and the attributes with which git compares the files of one worktree."""

    def __init__(self, repo: pygit2.Repository, config: Libgit2Config) -> None:
        """Use the settings of a repository that was opened at the worktree."""
        self._repo = repo
        self._config = config

    @cached_property
    def has_file_modes(self) -> bool:
        """False if git ignores the executable bit of files."""
        return not self._is_off("core.fileMode")

    @cached_property
    def has_symlinks(self) -> bool:
        """False if git writes a file in the place of a link."""
        return not self._is_off("core.symlinks")

    def _is_off(self, name: str) -> bool:
        values = self._config.values(self._repo.config, name)
        return bool(values) and is_false(values[-1])

    def may_filter(self, path: bytes, data: bytes) -> bool:
        """Return True if a filter of git may store other bytes than `data` for the file."""
        return b"\r\n" in data or b"$Id" in data or self._has_filter_attribute(path)

    def _has_filter_attribute(self, path: bytes) -> bool:
        if not self._config.reads_all(self._repo.config):
            return True  # core.attributesFile may be unknown
        try:
            return any(isinstance(self._repo.get_attr(path, name), str) for name in _FILTERS)
        except pygit2.GitError:  # such as an index that libgit2 cannot read
            return True


_FILTERS = ("filter", "working-tree-encoding")


def has_worktree_settings(config: pygit2.Config) -> bool:
    """Return True if the settings of a worktree may differ from those of the repository."""
    prefixes = (b"extensions.worktreeconfig", b"includeif.")
    return any(name.startswith(prefixes) for name in _names(config))


def _match_git_config_scope(environ: Mapping[str, str]) -> bool:
    """Disable the files that git does not read. Return True if git reads other files instead."""
    no_system = is_true(environ.get("GIT_CONFIG_NOSYSTEM"))
    has_other_system = "GIT_CONFIG_SYSTEM" in environ
    has_other_global = "GIT_CONFIG_GLOBAL" in environ
    paths = pygit2.settings.search_path
    if no_system or has_other_system:
        paths[constants.GIT_CONFIG_LEVEL_SYSTEM] = ""
    if has_other_global:
        paths[constants.GIT_CONFIG_LEVEL_GLOBAL] = paths[constants.GIT_CONFIG_LEVEL_XDG] = ""
    return has_other_global or (has_other_system and not no_system)


def _has_unread_worktree_file(config: pygit2.Config) -> bool:
    """Return True if git may read a config.worktree, which libgit2 1.5 does not read."""
    if hasattr(constants, "GIT_CONFIG_LEVEL_WORKTREE"):
        return False
    return any(name.startswith(b"extensions.worktreeconfig") for name in _names(config))


def _has_unknown_include(config: pygit2.Config, from_environment: Mapping[str, str]) -> bool:
    """Return True if git includes a file that libgit2 does not include.

    libgit2 does not support all conditions of includeIf, and ignores `git -c include.path`.
    """
    if any(name.startswith(("include.", "includeif.")) for name in from_environment):
        return True
    known = (b"includeif.gitdir:", b"includeif.gitdir/i:", b"includeif.onbranch:")
    conditions = (name for name in _names(config) if name.startswith(b"includeif."))
    return any(not condition.startswith(known) for condition in conditions)


def _names(config: pygit2.Config) -> Iterator[bytes]:
    entries = iter(config)
    while True:
        try:
            yield next(entries).raw_name
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            yield error.object  # the bytes of the name: pygit2 decodes nothing else here
