"""The guards: the hooks of git, and the script of each one."""

from __future__ import annotations

import os

from git_hub_session._typing import NamedTuple

_DIRECTORY = os.path.dirname(os.path.abspath(__file__))
_FORMER = ".before-hub-session"
_MARK = "\n# git hub-session hook\n"


class Guard(NamedTuple):
    """One hook that this program installs."""

    hook: str
    """The name of the hook in git."""
    file: str
    """The file with the script, in this package."""

    @property
    def former(self) -> str:
        """The name of the file to which the user's hook is moved. The script runs it."""
        return f"{self.hook}{_FORMER}"

    @property
    def section(self) -> str:
        """The section of git's configuration that names the script."""
        return f"hook.hub-session-{self.hook}"

    def read_script(self) -> str:
        """Return the script."""
        with open(os.path.join(_DIRECTORY, self.file), encoding="utf-8") as file:
            return file.read()


GUARDS = (
    Guard("reference-transaction", "reference_transaction.sh"),
    Guard("pre-commit", "pre_commit.sh"),
)


class GuardStatus(NamedTuple):
    """The facts about a guard in a repository."""

    hook: str
    path: str
    """The path of the script, or '' if it is not installed."""
    former: str = ""
    """The path of the user's hook, which the script runs, or ''."""
    is_configured: bool = False
    """True if git's configuration names the script, and not a directory of hooks."""
    problem: str = ""
    """The reason that git does not run the script as it should, or ''."""


def is_own_script(text: str) -> bool:
    """Return True if this version or another version of the program has written the script."""
    return text.startswith("#!") and _MARK in text[:100]
