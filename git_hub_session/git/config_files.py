"""Read git's configuration files and the committer without loading libgit2.

Use it for settings that change only what is shown, and for the committer in the history. Files that
`include.path` names are read. Files of `includeIf` are not read: their conditions need the repository.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from git_hub_session.git.config import (
    ConfigEntry,
    config_from_environment,
    is_true,
    parse_git_settings,
    settings_from_environment,
)
from git_hub_session.git.ref_names import HEADS
from git_hub_session.git.safe_open import MAX_BYTES, read_bytes, read_text

_MAX_DEPTH = 10
"""The largest number of nested includes, as in git."""
_CRUD = " .,:;<>\"\\'"
_LOCAL = "/usr/local"
_UNKNOWN_DIRECTORIES = ("~", "%(")
COMMAND_LINE = "command line:"
"""git's name for the origin of the settings of `git -c`."""
LIST_ENTRIES = ("config", "-z", "--show-origin", "--list")
"""The git command whose output parse_entries() parses."""


def read_settings(common_dir: str, git_dir: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the last value of each setting, by its name in lower case.

    The sources are `git -c`, then the files of the worktree, the repository, the user and the system.

    Args:
        common_dir: the common dir of the repository, or '' without a repository.
        git_dir: the git dir of the current worktree, or ''.
    """
    home = environ.get("HOME", "")
    settings: dict[str, str] = {}
    for path in _files(common_dir, environ):
        settings |= _read_file(path, home)
    if git_dir and is_true(settings.get("extensions.worktreeconfig")):
        settings |= _read_file(os.path.join(git_dir, "config.worktree"), home)
    return settings | config_from_environment(environ)


def read_all_settings(
    common_dir: str, git_dir: str, environ: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the same as read_settings(), or None if only git knows all values.

    git may read a file that is not read here, or a value is not UTF-8.
    """
    if not _has_known_system_file(environ):
        return None
    settings = read_settings(common_dir, git_dir, environ)
    is_incomplete = any(
        _is_include(name) or "\ufffd" in f"{name}{value}" for name, value in settings.items()
    )
    return None if is_incomplete else settings


def _has_known_system_file(environ: Mapping[str, str]) -> bool:
    """Return True if git's file of the system is /etc/gitconfig, or the environment names it.

    A git that was built with another prefix than /usr reads another file.
    """
    if is_true(environ.get("GIT_CONFIG_NOSYSTEM")) or "GIT_CONFIG_SYSTEM" in environ:
        return True
    directories = environ.get("PATH", "").split(os.pathsep)
    has_git = (name for name in directories if os.access(os.path.join(name, "git"), os.X_OK))
    directory = next(has_git, "")
    is_of_system = f"{directory}/".startswith(("/usr/", "/bin/"))
    is_of_system &= not directory.startswith(_LOCAL)
    return sys.platform == "linux" and is_of_system


def read_entries(common_dir: str, environ: Mapping[str, str]) -> list[ConfigEntry] | None:
    """Return every value of every setting, in ascending priority.

    Return None if git includes a file that is not read here.

    Args:
        common_dir: the common dir of the repository, or '' without a repository.
    """
    files = _files(common_dir, environ)
    entries = [entry for path in files for entry in _entries_of_file(path, environ)]
    extension = [each.value for each in entries if each.name == "extensions.worktreeconfig"]
    if common_dir and extension and is_true(extension[-1]):
        entries += _entries_of_file(os.path.join(common_dir, "config.worktree"), environ)
    entries += (
        ConfigEntry(name, value, COMMAND_LINE) for name, value in settings_from_environment(environ)
    )
    return None if any(_is_include(each.name) for each in entries) else entries


def may_have_hooks(common_dir: str, settings: Mapping[str, str], names: Iterable[str]) -> bool:
    """Return False if there is certainly none of these hooks.

    Then no setting names hooks, and the default directory has none of them. Otherwise only git knows
    if a hook runs.

    Args:
        settings: all settings in the worktree where git would run the hooks.
    """
    if any(name == "core.hookspath" or name.startswith("hook.") for name in settings):
        return True
    return any(os.path.lexists(os.path.join(common_dir, "hooks", name)) for name in names)


def _is_include(name: str) -> bool:
    """Return True if the setting includes a file. The file was not read here."""
    return name.startswith(("include.", "includeif."))


def parse_entries(output: bytes) -> list[ConfigEntry]:
    """Parse the output of `git` with the arguments LIST_ENTRIES."""
    fields = output.decode("utf-8", "replace").split("\0")[:-1]
    entries = []
    for origin, text in zip(fields[::2], fields[1::2], strict=True):
        name, line_feed, value = text.partition("\n")
        entries.append(ConfigEntry(name, value if line_feed else "true", origin))
    return entries


def _files(common_dir: str, environ: Mapping[str, str]) -> list[str]:
    """Return the files of the system, the user and the repository, in ascending priority."""
    home = environ.get("HOME", "")
    xdg = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [os.path.join(xdg, "git", "config"), os.path.join(home, ".gitconfig")]
    if "GIT_CONFIG_GLOBAL" in environ:
        files = [environ["GIT_CONFIG_GLOBAL"]]
    if not is_true(environ.get("GIT_CONFIG_NOSYSTEM")):
        files.insert(0, environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"))
    return [*files, os.path.join(common_dir, "config")] if common_dir else files


def _read_file(path: str, home: str) -> dict[str, str]:
    return {name: value for name, value, _ in _settings_of(path, home, _MAX_DEPTH)}


def _entries_of_file(path: str, environ: Mapping[str, str]) -> Iterator[ConfigEntry]:
    for name, value, origin in _settings_of(path, environ.get("HOME", ""), _MAX_DEPTH):
        yield ConfigEntry(name, value, f"file:{origin}")


def _settings_of(path: str, home: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the value and the file of each setting.

    Included files are in the place of their setting. Yield that setting itself only if the file is
    not read: only git knows the home directories of other users and its own directory.
    """
    text = read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")
    for name, value in parse_git_settings(text):
        is_include = name == "include.path" and value
        if not is_include or (value.startswith(_UNKNOWN_DIRECTORIES) and value[:2] != "~/"):
            yield name, value, path
        elif depth:
            included = os.path.join(home, value[2:]) if value.startswith("~/") else value
            included = os.path.join(os.path.dirname(path), included)
            yield from _settings_of(included, home, depth - 1)


def read_identity(common_dir: str, environ: Mapping[str, str]) -> str:
    """Return the committer as "Name <email>".

    The sources are GIT_COMMITTER_*, then the configuration. The last resorts are the login name and
    the variable EMAIL.
    """
    settings = read_settings(common_dir, "", environ)
    name, email = (
        environ.get(f"GIT_COMMITTER_{key.upper()}")
        or settings.get(f"committer.{key}")
        or settings.get(f"user.{key}")
        or default
        for key, default in (("name", _login_name(environ)), ("email", environ.get("EMAIL", "")))
    )
    return f"{_strip_crud(name)} <{_strip_crud(email)}>"


def _strip_crud(text: str) -> str:
    """Return one printable line without the characters that git strips off its ends (ident.c)."""
    return "".join(char for char in text if char.isprintable() and char not in "<>").strip(_CRUD)


def _login_name(environ: Mapping[str, str]) -> str:
    return environ.get("LOGNAME") or environ.get("USER") or f"uid {os.getuid()}"


_DELETE = f"delete {HEADS}"


def sections_to_remove(common_dir: str, commands: Sequence[str]) -> list[str]:
    """Return the sections `branch.<name>` of the branches that `git update-ref` commands delete.

    Only the configuration file of the repository counts, as for `git branch -D`.
    """
    deleted = [command for command in commands if command.startswith(_DELETE)]
    if not deleted:
        return []
    text = read_text(os.path.join(common_dir, "config"), limit=MAX_BYTES)
    existing = {name.rpartition(".")[0] for name, _ in parse_git_settings(text)}
    names = (command.removeprefix(_DELETE).partition("\0")[0] for command in deleted)
    return [section for section in map("branch.{}".format, names) if section in existing]
