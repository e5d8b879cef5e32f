"""The remote and the sessions that a command line names: `[<remote>] [<id>...]`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import SessionId, is_ref_prefix, parse_session_id
from git_hub_session.session.store import NoSuchSession
from git_hub_session.settings.table import SHARED_REFS
from git_hub_session.sharing.choose_remote import choose_remote, remote_names
from git_hub_session.sharing.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.session.project import Project

_PATH_MARKS = "/:"


class NamedRemote(NamedTuple):
    """The remote and the sessions of a command line."""

    remote: Remote
    shared: str
    """The prefix of the shared refs on the remote."""
    sids: tuple[SessionId, ...]
    """The sessions, or () for all."""


def parse_remote(
    context: Context, args: Arguments, *, requires_sessions: bool = False
) -> NamedRemote:
    """Return the remote and the sessions that the arguments name.

    The first word is the remote if it is the name of a remote, a URL or a path.

    Args:
        requires_sessions: the sessions must be in this clone.

    Raises:
        InvalidId: a word is neither the remote nor the id of a session.
        NoSuchSession: a session is missing, and is required.
        NoRemote: no remote is given, and there is no default.
        UsageError: hubsession.sharedRefs is not a prefix of refs.
    """
    words = list(args.arguments)
    project = context.project
    is_remote = bool(words) and (
        any(mark in words[0] for mark in _PATH_MARKS) or words[0] in remote_names(project)
    )
    name = words.pop(0) if is_remote else ""
    sids = tuple(dict.fromkeys(map(parse_session_id, words)))
    if requires_sessions:
        _require_sessions(sids, project, may_be_remote=not is_remote)
    name = choose_remote(project, name)
    return NamedRemote(
        Remote(project.git, name, note=context.reporter.note), read_shared_refs(context), sids
    )


def _require_sessions(sids: Sequence[SessionId], project: Project, *, may_be_remote: bool) -> None:
    """Raise NoSuchSession for the first session that is missing in this clone.

    Args:
        may_be_remote: the first id can be a mistyped remote. Then the hint is a similar remote.
    """
    missing = [sid for sid in sids if not project.store.has_session(sid)]
    if not missing:
        return
    error = NoSuchSession(missing[0])
    if may_be_remote and missing[0] == sids[0]:
        from git_hub_session.util.similar import find_similar

        similar = find_similar(missing[0], remote_names(project))
        error.hint = f"try '{similar}'" if similar else error.hint
    raise error


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
