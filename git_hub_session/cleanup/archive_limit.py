"""Compare the number of archives with the setting hubsession.archiveLimit."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import ALL_ARCHIVES, ALL_RESCUES, ALL_TAGS
from git_hub_session.git.refs import refs_below
from git_hub_session.settings.table import ARCHIVE_LIMIT
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

PRUNE_COMMAND = "git hub-session prune --older-than 90d --dry-run"
"""The command that shows which archives can be deleted."""


def describe_excess(project: Project) -> str:
    """Return a text if the repository has more archives than the limit, or ''.

    The archives are the archive tags, the archive refs and the rescue refs. Raise HubError if the
    setting is not a number.
    """
    values = project.settings.checked_values(ARCHIVE_LIMIT) or ARCHIVE_LIMIT.default
    limit = parse_int(values[-1], MAX_COUNT) or 0
    count = len(refs_below(project.paths.common_dir, ALL_TAGS, ALL_ARCHIVES, ALL_RESCUES))
    if count <= limit:
        return ""
    return f"{count:,} archives exceed {ARCHIVE_LIMIT.key} ({limit:,})"
