"""Store the record of a session as a commit on its ref, which `git show` can read.

    git show refs/hub/sessions/<id>:state.json

The parents of a commit are the records that it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
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


class NewCommit(NamedTuple):
    """A commit that is not written yet, and the ref that it moves."""

    ref: str
    files: Mapping[str, bytes]
    parents: Sequence[str]
    message: str


def plan_record(record: Record, sid: SessionId, parents: Sequence[str]) -> NewCommit:
    """Return the commit with a record. Raise InvalidRecord if the session is too large to share.

    Args:
        parents: the commits that the record was made from.
    """
    files = record_files(record)
    if len(files) > MAX_RECORD_FILES or sum(map(len, files.values())) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"session '{sid}' is too large to share")
    message = f"hub-session: share {sid} ({record.state})\n"
    return NewCommit(record_ref(sid), files, parents, message)


def write_commits(commits: Sequence[NewCommit], project: Project) -> list[str]:
    """Write commits, and move their refs. Return the object ids of the commits.

    One git process writes all objects. It moves a ref only if the new commit contains the old one.

    Raises:
        GitFailed: git failed, or a ref has another commit. Other refs may have moved.
    """
    head = f"{project.identity} {int(project.now())} +0000"
    stream = [_line("feature done")]
    for number, commit in enumerate(commits, 1):
        lines = [f"commit {commit.ref}", f"mark :{number}", f"committer {head}"]
        stream += [_line(*lines), _data(commit.message.encode())]
        words = ["from", *["merge"] * (len(commit.parents) - 1)] if commit.parents else []
        pairs = zip(words, commit.parents, strict=True)
        stream += [_line(*(f"{word} {parent}" for word, parent in pairs)), _line("deleteall")]
        stream += _file_commands(commit.files)
        stream.append(_line(f"get-mark :{number}"))
    stream.append(_line("done"))
    git = project.git.at(project.paths.common_dir)
    output = git.run(["fast-import", "--quiet"], stdin=b"".join(stream)) if commits else b""
    return output.decode().split()


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


def adopt_records(changes: Sequence[tuple[SessionId, str, str]], project: Project) -> None:
    """Move the refs of records to commits of a remote: all of them, or none and raise GitFailed.

    Args:
        changes: the session, the new commit and the commit before, or ''.
    """
    if changes:
        commands = [
            update_command(record_ref(sid), new, old or "0" * len(new)) for sid, new, old in changes
        ]
        project.git.update_refs(_REASON, commands)
