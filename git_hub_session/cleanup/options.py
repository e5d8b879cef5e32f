"""The options and the settings of a cleanup."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.config import parse_size
from git_hub_session.settings.settings import bad_value_error
from git_hub_session.settings.table import RESCUE_LIMIT
from git_hub_session.worktree.setup import IncludedFiles, find_included_files, read_keep_ignored

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


class CleanupOptions(NamedTuple):
    """The worktrees that a cleanup may remove, and the files that it saves first."""

    force: bool = False
    """Override the rules that --force overrides."""
    discard: bool = False
    """Do not save uncommitted changes."""
    rescue_limit: int = parse_size(RESCUE_LIMIT.default[0]) or 0
    """The setting hubsession.rescueLimit: the largest size of untracked files to save, in bytes."""
    keep_ignored: tuple[str, ...] = ()
    """The setting hubsession.keepIgnored: the patterns of ignored files to save."""
    included: IncludedFiles = IncludedFiles()
    """The files of .worktreeinclude. Their unchanged copies are not saved."""


def read_cleanup_options(
    project: Project, *, force: bool = False, discard: bool = False
) -> CleanupOptions:
    """Return the options with the settings of the repository.

    Raise HubError if hubsession.rescueLimit is not a size.
    """
    options = CleanupOptions(force=force, discard=discard)
    text = project.settings.value(RESCUE_LIMIT)
    if text:
        limit = parse_size(text)
        if limit is None:
            raise bad_value_error(
                RESCUE_LIMIT, project.settings.find(RESCUE_LIMIT), "a number of bytes: 100m, 2g"
            )
        options = options._replace(rescue_limit=limit)
    options = options._replace(keep_ignored=read_keep_ignored(project))
    try:
        paths = frozenset(find_included_files(project))
    except HubError:
        return options  # the copies are saved
    return options._replace(included=IncludedFiles(project.paths.main_worktree, paths))
