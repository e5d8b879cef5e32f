"""Checks of hub files that are tracked, or that are in linked worktrees."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.session.layout import OtherHub, find_other_hubs
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.command import GitAt

hub_copied = check("hub-copied", "git tracks files of the hub, or a worktree has a copy of the hub")


@hub_copied
def check_tracked_hub(path: str, hub: HubSnapshot) -> Iterator[Problem]:
    """Find files of the hub in the index: a checkout of such a commit replaces the sessions."""
    if not is_tracked(main_git(hub), path):
        return
    directory = quote_word(hub.project.paths.hub)
    untrack = _untrack_command(hub.project.paths.main_worktree, path)
    yield Problem(
        hub.project.paths.hub,
        "git tracks files of the hub: a checkout of such a commit replaces the sessions",
        advice=f"cp -r {directory} {directory}.copy; {untrack}",
    )


@hub_copied
def check_copies(hub: HubSnapshot) -> Iterator[Problem]:
    """Find linked worktrees that have a tracked hub or a copy of sessions."""
    for worktree in hub.worktrees:
        copy = os.path.join(worktree.path, HUB_DIRECTORY)
        if not worktree.path or worktree.link_error or not os.path.isdir(copy):
            continue
        if is_tracked(hub.project.git.at(worktree.git_dir, worktree.path), HUB_DIRECTORY):
            evidence = (
                "git tracks a copy of the hub in this linked worktree, which no command reads"
            )
            yield Problem(copy, evidence, advice=_untrack_command(worktree.path, HUB_DIRECTORY))
        elif os.path.isdir(f"{copy}/sessions") and hub.project.store.hub_exists():
            evidence = (
                "a copy of the hub's sessions in this linked worktree, which no command reads"
            )
            advice = f"inspect it, then: mv {quote_word(copy)} {quote_word(copy)}.away"
            yield Problem(copy, evidence, advice=advice)


@check("hub-elsewhere", "a directory that is not the hub has sessions")
def check_other_hubs(hub: HubSnapshot) -> Iterator[Problem]:
    """Find hubs of AgentHub's scripts, which use their current directory."""
    paths = hub.project.paths
    copies = {os.path.join(worktree.path, HUB_DIRECTORY) for worktree in hub.worktrees}
    if not hub.project.store.hub_exists():
        copies = set()  # check_copies reports them only beside a hub
    for other in find_other_hubs(paths, hub.project.cwd):
        if other not in copies:
            advice = OtherHub(other, paths.hub).hint.splitlines()[0]
            yield Problem(other, "no command of this repository reads it", advice=advice)


def main_git(hub: HubSnapshot) -> GitAt:
    """Return git bound to the main worktree."""
    return hub.project.git.at(hub.project.paths.common_dir, hub.project.paths.main_worktree)


def is_tracked(git: GitAt, path: str) -> bool:
    """Return True if git tracks a file below `path` in its worktree."""
    arguments = ["ls-files", "-z", "--", f":(top,literal){path}"]
    try:
        return bool(git.run(arguments))
    except (HubError, OSError):
        return False  # other checks report what is wrong with git or the worktree


def _untrack_command(worktree: str, path: str) -> str:
    return f"git -C {quote_word(worktree)} rm -r -q --cached {quote_word(path)}"
