"""Read the committer's name and address without starting git. The history records them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.git.config_files import read_settings

_CRUD = " .,:;<>\"\\'"


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
