"""The remote and the sessions that a command line names: `[<remote>] [<id>...]`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import SessionId, is_ref_prefix, parse_session_id
from git_hub_session.settings.table import SHARED_REFS
from git_hub_session.sharing.choose_remote import choose_remote, remote_names
from git_hub_session.sharing.remote import Remote

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments

_PATH_MARKS = "/:"


class NamedRemote(NamedTuple):
    """The remote and the sessions of a command line."""

    remote: Remote
    shared: str
    """The prefix of the shared refs on the remote."""
    sids: tuple[SessionId, ...]
    """The sessions, or () for all."""


def parse_remote(context: Context, args: Arguments) -> NamedRemote:
    """Return the remote and the sessions that the arguments name.

    The first word is the remote if it is the name of a remote, a URL or a path.

    Raises:
        InvalidId: a word is neither the remote nor the id of a session.
        NoRemote: no remote is given, and there is no default.
        UsageError: hubsession.sharedRefs is not a prefix of refs.
    """
    words = list(args.arguments)
    project = context.project
    is_remote = bool(words) and (
        any(mark in words[0] for mark in _PATH_MARKS) or words[0] in remote_names(project)
    )
    name = choose_remote(project, words.pop(0) if is_remote else "")
    sids = tuple(dict.fromkeys(map(parse_session_id, words)))
    return NamedRemote(
        Remote(project.git, name, note=context.reporter.note), read_shared_refs(context), sids
    )


def quick_remote(context: Context, silence_limit: float) -> Remote:
    """Return the default remote, which is tried once.

    Args:
        silence_limit: the seconds without output after which git is ended.
    """
    project = context.project
    return Remote(project.git, choose_remote(project), pauses=(), silence_limit=silence_limit)


def read_shared_refs(context: Context) -> str:
    """Return the prefix of the shared refs on a remote, from the settings."""
    shared = context.settings.value(SHARED_REFS).rstrip("/")
    if not is_ref_prefix(shared):
        raise UsageError(
            f"{SHARED_REFS.key} is not a prefix of refs: '{shared}'",
            hint=f"git config {SHARED_REFS.key} {SHARED_REFS.default[0]}",
        )
    return shared
