"""Store the record of a session as a commit on its ref, which `git show` can read.

    git show refs/hub/sessions/<id>:state.json

The parents of a commit are the records that it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import record_ref, update_command
from git_hub_session.git.repository import CannotReadRepository
from git_hub_session.sharing.record import (
    MAX_RECORD_BYTES,
    MAX_RECORD_FILES,
    InvalidRecord,
    Record,
    parse_record,
    record_files,
)

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

_DEPTH = 2  # board/<channel>/<post>
_REASON = "hub-session share"


def find_record_commit(sid: SessionId, project: Project) -> str:
    """Return the commit of the last record that this clone has written or merged, or ''."""
    return project.repo.tip(record_ref(sid))


def read_record(commit: str, sid: SessionId, project: Project) -> Record:
    """Return the record in a commit, or raise InvalidRecord."""
    if not project.repo.has_commit(commit):
        raise InvalidRecord(f"the shared record of '{sid}' is damaged: not a commit: {commit:.12}")
    limits = {"max_files": MAX_RECORD_FILES, "max_bytes": MAX_RECORD_BYTES}
    try:
        files = project.repo.read_small_files(commit, depth=_DEPTH, **limits)
    except CannotReadRepository as error:
        raise InvalidRecord(f"the shared record of '{sid}' is damaged: {error.message}") from None
    if files is None:
        raise InvalidRecord(f"the shared record of '{sid}' is too large")
    return parse_record(files, sid)


def write_record(record: Record, sid: SessionId, parents: Sequence[str], project: Project) -> str:
    """Write a commit with the record, and move the ref of the record to it.

    One git process writes all objects. It moves the ref only if the new commit contains the old one.
    Return the object id of the commit.

    Args:
        parents: the commits that the record was made from.

    Raises:
        InvalidRecord: the session is too large to share.
        GitFailed: git failed. The ref is unchanged.
    """
    files = record_files(record)
    if len(files) > MAX_RECORD_FILES or sum(map(len, files.values())) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"session '{sid}' is too large to share")
    message = f"hub-session: share {sid} ({record.state})\n"
    return write_commit(record_ref(sid), files, parents, message, project)


def write_commit(
    ref: str, files: Mapping[str, bytes], parents: Sequence[str], message: str, project: Project
) -> str:
    """Write a commit with files, and move a ref to it if it contains the old commit of the ref."""
    seconds = int(project.now())
    lines = [
        "feature done",
        f"commit {ref}",
        "mark :1",
        f"committer {project.identity} {seconds} +0000",
    ]
    stream = [_line(*lines), _data(message.encode())]
    words = ["from", *["merge"] * (len(parents) - 1)] if parents else []
    stream.append(_line(*(f"{word} {parent}" for word, parent in zip(words, parents, strict=True))))
    stream.append(_line("deleteall"))
    stream += _file_commands(files)
    stream.append(_line("get-mark :1", "done"))
    git = project.git.at(project.paths.common_dir)
    output = git.run(["fast-import", "--quiet"], stdin=b"".join(stream))
    return output.decode().strip()


def _file_commands(files: Mapping[str, bytes]) -> list[bytes]:
    return [
        part
        for path, data in files.items()
        for part in (_line(f"M 100644 inline {path}"), _data(data))
    ]


def _line(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)


def adopt_record(sid: SessionId, new: str, old: str, project: Project) -> None:
    """Move the ref of the record to a commit of a remote. `old` is its commit before, or ''."""
    zero = "0" * len(new)
    project.git.update_refs(_REASON, [update_command(record_ref(sid), new, old or zero)])
