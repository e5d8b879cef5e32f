"""Who acts, for the history: git's own name and address, read without starting git."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.git.config import config_from_environment, is_true, parse_git_config
from git_hub_session.git.safe_open import open_regular

_CRUD = " .,:;<>\"\\'"


def read_identity(common_dir: str, environ: Mapping[str, str]) -> str:
    """ "Name <email>": GIT_COMMITTER_*, `git -c`, the repository's, the user's, the system's configuration.

    Included files are not followed; where no name is found it is the login's name.
    """
    settings: dict[str, str] = {}
    for path in _config_files(common_dir, environ):
        settings |= parse_git_config(_text(path))
    settings |= config_from_environment(environ)
    name, email = (
        environ.get(f"GIT_COMMITTER_{key.upper()}")
        or settings.get(f"committer.{key}")
        or settings.get(f"user.{key}")
        or otherwise
        for key, otherwise in (("name", _login_name(environ)), ("email", environ.get("EMAIL", "")))
    )
    return f"{_strip_crud(name)} <{_strip_crud(email)}>"


def _config_files(common_dir: str, environ: Mapping[str, str]) -> list[str]:
    """The configuration files that can name the user, the strongest last."""
    home = environ.get("HOME", "")
    xdg = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [os.path.join(xdg, "git", "config"), os.path.join(home, ".gitconfig")]
    if "GIT_CONFIG_GLOBAL" in environ:
        files = [environ["GIT_CONFIG_GLOBAL"]]
    if not is_true(environ.get("GIT_CONFIG_NOSYSTEM")):
        files.insert(0, environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"))
    return [*files, os.path.join(common_dir, "config")]


def _strip_crud(text: str) -> str:
    """One line, without what git strips off the ends too (ident.c, crud)."""
    return "".join(char for char in text if char.isprintable() and char not in "<>").strip(_CRUD)


def _login_name(environ: Mapping[str, str]) -> str:
    return environ.get("LOGNAME") or environ.get("USER") or f"uid {os.getuid()}"


def _text(path: str) -> str:
    try:
        with open(path, "rb", opener=open_regular) as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
