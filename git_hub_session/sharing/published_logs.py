"""Publish the output logs of a session in this clone, as a commit on a ref of this clone.

git show refs/hub/logs/<id>/<clone>:exec-1/agent-1.log
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import ALL_LOGS
from git_hub_session.session.approvals import ensure_id
from git_hub_session.session.runs import read_logs
from git_hub_session.sharing.local_record import CLONE_FILE
from git_hub_session.sharing.record_commit import NewCommit, write_commits

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_MAX_BYTES = 64 << 20
_DEPTH = 1  # <run>/<log>
_MAX_FILES = 100_000


def write_logs(sid: SessionId, project: Project, *, dry_run: bool) -> dict[str, str]:
    """Write a commit with all output logs. Return {ref: commit}, or {} if there are no logs.

    The commit is '' in a dry run. It is the last one if no log has changed.
    """
    with project.store.open_directory(sid) as directory:
        logs = read_logs(directory, limit=_MAX_BYTES)
    if not logs:
        return {}
    ref = f"{ALL_LOGS}{sid}/{ensure_id(project.paths.common_dir, CLONE_FILE)}"
    last = project.repo.tip(ref)
    limits = {"depth": _DEPTH, "max_files": _MAX_FILES, "max_bytes": _MAX_BYTES}
    if last and project.repo.read_small_files(last, **limits) == logs:
        return {ref: last}
    if dry_run:
        return {ref: ""}
    message = f"hub-session: logs of {sid}\n"
    [commit] = write_commits([NewCommit(ref, logs, [last] if last else [], message)], project)
    return {ref: commit}
