"""The commits of an attempt."""

from __future__ import annotations

import re

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.util.numbers import MAX_INT64, parse_int
from git_hub_session.util.text import decode_message

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo

MAX_COMMITS = 20
_TIME = re.compile(rb"^committer .* (\d+) [-+]\d+$", re.MULTILINE)
_ENCODING = re.compile(rb"^encoding (\S+)$", re.MULTILINE)


class Commit(NamedTuple):
    """A commit with its time in seconds since the epoch and the first line of its message."""

    oid: str
    time: int
    subject: str


def list_commits(tip: str, start: str, repo: GitRepo) -> tuple[list[Commit], int]:
    """Return the newest commits that `tip` contains and `start` does not, and their number.

    Args:
        start: a commit, or the empty tree.
    """
    hidden = [start] if repo.has_commit(start) else []
    oids = list(repo.commit_parents([tip], hidden))
    commits = [parse_commit(oid, repo.commit_data(oid)) for oid in oids[:MAX_COMMITS]]
    return commits, len(oids)


def parse_commit(oid: str, data: bytes) -> Commit:
    """Return the commit with these bytes. A missing time is 0."""
    head, _, message = data.partition(b"\n\n")
    time = _TIME.search(head)
    encoding = _ENCODING.search(head)
    lines = decode_message(message, encoding[1].decode("ascii", "replace") if encoding else "")
    seconds = parse_int(time[1].decode(), MAX_INT64) if time else 0
    return Commit(oid, seconds or 0, next(iter(lines.strip().splitlines()), ""))
