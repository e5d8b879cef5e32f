"""Read the last lines of the log of a run."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.system.append import read_end

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_LOG_BYTES = 1 << 14


def read_log_end(
    log: str, sid: SessionId, project: Project, *, limit: int = _LOG_BYTES
) -> tuple[bytes, ...]:
    """Return the whole lines in the last `limit` bytes of a log, or () if it cannot be read.

    Args:
        log: the path of the log as `session.runs` returns it, or ''. No part of the path below the
            directory of the session may be a symbolic link.
    """
    if not log:
        return ()
    *_, output, run, name = log.split("/")
    try:
        with (
            project.store.open_directory(sid) as directory,
            directory.open_child(output) as outputs,
            outputs.open_child(run) as files,
        ):
            data, has_more = read_end(files, name, limit=limit)
    except (HubError, OSError):
        return ()
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return tuple(lines[has_more:])
