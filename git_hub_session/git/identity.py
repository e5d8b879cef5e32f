"""Read the committer's name and address without starting git. The history records them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.git.config import config_from_environment, is_true, parse_git_config
from git_hub_session.git.safe_open import MAX_BYTES, read_bytes

_CRUD = " .,:;<>\"\\'"


def read_identity(common_dir: str, environ: Mapping[str, str]) -> str:
    """Return the committer as "Name <email>".

    The sources are GIT_COMMITTER_*, then `git -c`, then the configuration files of the repository,
    the user and the system. Included files are not read. The last resorts are the login name and
    the variable EMAIL.
    """
    settings: dict[str, str] = {}
    for path in _config_files(common_dir, environ):
        data = read_bytes(path, limit=MAX_BYTES)
        settings |= parse_git_config(data.decode("utf-8", "replace"))
    settings |= config_from_environment(environ)
    name, email = (
        environ.get(f"GIT_COMMITTER_{key.upper()}")
        or settings.get(f"committer.{key}")
        or settings.get(f"user.{key}")
        or default
        for key, default in (("name", _login_name(environ)), ("email", environ.get("EMAIL", "")))
    )
    return f"{_strip_crud(name)} <{_strip_crud(email)}>"


def _config_files(common_dir: str, environ: Mapping[str, str]) -> list[str]:
    """Return the configuration files that can name the committer, in ascending priority."""
    home = environ.get("HOME", "")
    xdg = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [os.path.join(xdg, "git", "config"), os.path.join(home, ".gitconfig")]
    if "GIT_CONFIG_GLOBAL" in environ:
        files = [environ["GIT_CONFIG_GLOBAL"]]
    if not is_true(environ.get("GIT_CONFIG_NOSYSTEM")):
        files.insert(0, environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"))
    return [*files, os.path.join(common_dir, "config")]


def _strip_crud(text: str) -> str:
    """Return one printable line without the characters that git strips off its ends (ident.c)."""
    return "".join(char for char in text if char.isprintable() and char not in "<>").strip(_CRUD)


def _login_name(environ: Mapping[str, str]) -> str:
    return environ.get("LOGNAME") or environ.get("USER") or f"uid {os.getuid()}"
