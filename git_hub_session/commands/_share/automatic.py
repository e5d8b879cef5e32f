"""Push a session after a change, and fetch it before it is shown (hubsession.autoShare).

A remote that cannot be reached is only a warning: each command works offline.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.config import is_true
from git_hub_session.settings.table import AUTO_SHARE

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId

_SILENCE_LIMIT = 10.0  # seconds


def push_automatically(context: Context, sid: SessionId) -> None:
    """Publish a session if the user wants it. Warn if that is impossible."""
    if not _is_wanted(context):
        return
    from git_hub_session.commands._share.arguments import quick_remote, read_shared_refs
    from git_hub_session.sharing.push import PushOptions, push_sessions

    try:
        remote = quick_remote(context, _SILENCE_LIMIT)
        options = PushOptions(read_shared_refs(context))
        errors = [each.error for each in push_sessions([sid], context.project, remote, options)]
    except HubError as error:
        errors = [error]
    _warn(context, errors)


def fetch_automatically(context: Context, sid: SessionId) -> None:
    """Fetch a session if the user wants it. Warn if that is impossible."""
    if not _is_wanted(context):
        return
    from git_hub_session.commands._share.arguments import quick_remote, read_shared_refs
    from git_hub_session.sharing.fetch import NotShared, fetch_sessions

    try:
        remote = quick_remote(context, _SILENCE_LIMIT)
        shared = read_shared_refs(context)
        fetched = fetch_sessions([sid], context.project, remote, shared=shared, dry_run=False)
        errors = [each.error for each in fetched if not isinstance(each.error, NotShared)]
    except HubError as error:
        errors = [error]
    _warn(context, errors)


def _is_wanted(context: Context) -> bool:
    value = context.project.file_setting(AUTO_SHARE.key.lower())
    return value is not None and is_true(value)


def _warn(context: Context, errors: list[HubError | None]) -> None:
    for error in filter(None, errors):
        context.reporter.warn(error.message)
