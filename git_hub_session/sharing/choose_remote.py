"""Choose the remote through which sessions are shared."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.head import read_head
from git_hub_session.git.ref_names import HEADS
from git_hub_session.settings.table import REMOTE
from git_hub_session.util.text import natural_key, quote_list

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_DEFAULT = "origin"
_THIS_REPOSITORY = "."


class NoRemote(HubError):
    """No remote is configured, or several are and none is the default."""

    code = "no-remote"


def choose_remote(project: Project, name: str = "") -> str:
    """Return the name or the URL of the remote to use.

    The order is: `name`, the setting hubsession.remote, the remote of the current branch, "origin",
    the only remote.

    Raises:
        NoRemote: none of these exists.
    """
    chosen = name or project.settings.value(REMOTE) or _remote_of_branch(project)
    if chosen:
        return chosen
    remotes = remote_names(project)
    if _DEFAULT in remotes:
        return _DEFAULT
    if len(remotes) == 1:
        return remotes[0]
    if not remotes:
        raise NoRemote("no remote is configured", hint="git remote add origin <url>")
    raise NoRemote(
        f"several remotes and no default: {quote_list(remotes)}",
        hint=f"git config {REMOTE.key} <name>",
    )


def remote_names(project: Project) -> list[str]:
    """Return the sorted names of the remotes that have a URL."""
    names = (
        entry.name.removeprefix("remote.").rpartition(".")[0]
        for entry in project.config_entries
        if entry.name.startswith("remote.") and entry.name.endswith((".url", ".pushurl"))
    )
    return sorted({*names}, key=natural_key)


def _remote_of_branch(project: Project) -> str:
    """Return the remote of the branch that is checked out here, or ''."""
    branch, _ = read_head(project.paths.git_dir)
    key = f"branch.{branch.removeprefix(HEADS)}.remote"
    values = [entry.value for entry in project.config_entries if entry.name == key]
    return values[-1] if branch and values and values[-1] != _THIS_REPOSITORY else ""
