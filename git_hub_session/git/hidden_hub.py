"""Name the setting that hides the main worktree and its hub.

All worktrees share the configuration, so an agent or an accident can set core.bare or core.worktree
for the main worktree. The hub would then seem to be missing.
"""

from __future__ import annotations

import os

from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true, parse_git_config
from git_hub_session.git.ref_names import ALL_BRANCHES
from git_hub_session.git.refs import refs_below
from git_hub_session.git.safe_open import read_text
from git_hub_session.util.shell import quote_word


class HubHidden(HubError):
    """A setting makes git look for the main worktree in another place than the hub."""

    code = "hub-hidden"


def refuse_hidden_hub(hub: str, common_dir: str) -> None:
    """Raise HubHidden if the hub of a main worktree exists. core.bare or core.worktree is set.

    Args:
        hub: the path at which the hub would be without the setting.
        common_dir: the common dir of the repository.
    """
    # A bare repository has no index.
    if not os.path.isdir(f"{hub}/sessions") or not os.path.lexists(f"{common_dir}/index"):
        return
    for name in ("config.worktree", "config"):
        file = f"{common_dir}/{name}"
        settings = parse_git_config(read_text(file))
        # Run git elsewhere: in the repository it fails if core.worktree names a missing directory.
        command = f"git -C / config --file {quote_word(file)}"
        if is_true(settings.get("core.bare")):
            raise HubHidden(
                f"core.bare is true, but the hub is in the main worktree: '{hub}'",
                hint=f"{command} --replace-all core.bare false",
            )
        if "core.worktree" in settings:
            raise HubHidden(
                f"core.worktree is '{settings['core.worktree']}', but the hub is '{hub}'",
                hint=f"{command} --unset-all core.worktree",
            )


def refuse_hidden_worktree(hub: str, common_dir: str) -> None:
    """Raise HubHidden if core.bare hides a main worktree whose path git does not record.

    A linked worktree does not know the main worktree of a separate git dir.

    Args:
        hub: the path at which the hub would be in a bare repository.
        common_dir: the common dir of the repository.
    """
    if os.path.isdir(f"{hub}/sessions") or not os.path.lexists(f"{common_dir}/index"):
        return
    file = f"{common_dir}/config"
    is_bare = is_true(parse_git_config(read_text(file)).get("core.bare"))
    if is_bare and refs_below(common_dir, ALL_BRANCHES):
        raise HubHidden(
            f"core.bare is true, but '{common_dir}' has the index of a main worktree",
            hint=f"git -C / config --file {quote_word(file)} --replace-all core.bare false",
        )
