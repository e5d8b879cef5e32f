"""Read git's configuration files and the committer without loading libgit2.

Use it for settings that change only what is shown, and for the committer in the history. Files that
`include.path` names are read. Files of `includeIf` are not read: their conditions need the repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from git_hub_session.git.config import config_from_environment, is_true, parse_git_settings
from git_hub_session.git.ref_names import HEADS
from git_hub_session.git.safe_open import MAX_BYTES, read_bytes, read_text

_MAX_DEPTH = 10
"""The largest number of nested includes, as in git."""
_CRUD = " .,:;<>\"\\'"


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
    return dict(_settings_of(path, home, _MAX_DEPTH))


def _settings_of(path: str, home: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the settings of a file in their order, with those of included files in their place."""
    text = read_bytes(path, limit=MAX_BYTES).decode("utf-8", "replace")
    for name, value in parse_git_settings(text):
        if name != "include.path":
            yield name, value
        elif depth and value:
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
