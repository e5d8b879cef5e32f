"""What the user asked for of a cleanup, and the settings that bear on it."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import parse_size

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


class CleanupOptions(NamedTuple):
    """What may go, and what is saved before."""

    force: bool = False
    discard: bool = False
    rescue_limit: int = 100 << 20
    """hubsession.rescueLimit, bytes of untracked files."""
    keep_ignored: tuple[str, ...] = (".env*", "*.db", "*.sqlite*")
    """hubsession.keepIgnored: patterns of ignored files that are saved too."""


def read_cleanup_options(
    project: Project, *, force: bool = False, discard: bool = False
) -> CleanupOptions:
    """The options, and the settings hubsession.rescueLimit and hubsession.keepIgnored; raises HubError."""
    policy = CleanupOptions(force=force, discard=discard)
    limits = project.config_values("hubsession.rescueLimit")
    if limits:
        limit = parse_size(limits[-1])
        if limit is None:
            raise HubError(
                f"bad value for hubsession.rescueLimit: '{limits[-1]}'",
                hint="a number of bytes: 100m, 2g",
            )
        policy = policy._replace(rescue_limit=limit)
    patterns = project.config_values("hubsession.keepIgnored")
    if patterns:
        words = tuple(word for value in patterns for word in value.split())
        policy = policy._replace(keep_ignored=words)
    return policy
