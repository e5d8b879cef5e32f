"""Build the command that moves a file or directory out of the way."""

from __future__ import annotations

import os

from git_hub_session.util.paths import first_free
from git_hub_session.util.shell import quote_word


def move_aside_command(path: str) -> str:
    """Return the command that renames the file or directory at `path` to a free name."""
    # `mv` would move it into an existing directory.
    return f"mv {quote_word(path)} {quote_word(first_free(f'{path}.other', os.path.lexists))}"
