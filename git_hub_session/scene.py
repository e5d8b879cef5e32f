"""What the commands that remove worktrees work on: the doors that they need, and the user's settings."""

from __future__ import annotations

from git_hub_session import procfs
from git_hub_session.context import Context
from git_hub_session.errors import HubError
from git_hub_session.gitconfig import parse_size
from git_hub_session.operations.judge import Policy
from git_hub_session.operations.verdict import Scene


def scene_of(context: Context) -> Scene:
    """Where the command was called, as a cleanup sees it; loads libgit2."""
    return Scene(
        context.place,
        context.cwd,
        context.store,
        context.repo,
        lambda: context.git,
        procfs.processes,
        procfs.command_of,
        procfs.mount_points,
    )


def policy_of(context: Context, *, force: bool = False, discard: bool = False) -> Policy:
    """The options, and the settings hubsession.rescueLimit and hubsession.keepIgnored; raises HubError."""
    policy = Policy(force=force, discard=discard)
    limits = context.settings("hubsession.rescueLimit")
    if limits:
        limit = parse_size(limits[-1])
        if limit is None:
            raise HubError(
                f"bad value for hubsession.rescueLimit: '{limits[-1]}'",
                hint="a number of bytes: 100m, 2g",
            )
        policy = policy._replace(rescue_limit=limit)
    patterns = context.settings("hubsession.keepIgnored")
    if patterns:
        words = tuple(word for value in patterns for word in value.split())
        policy = policy._replace(keep_ignored=words)
    return policy
