"""Session ids, agents' branches, archive tags and rescue refs: every spelling, both ways.

A value of SessionId is an id that was checked: it is safe as one path component and as
one ref component. Nothing else in the package spells a ref.
"""

from __future__ import annotations

import re

from git_hub_session._typing import NamedTuple, NewType
from git_hub_session.errors import HubError
from git_hub_session.util.numbers import MAX_INT64, parse_int

SessionId = NewType("SessionId", str)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
# Strings: they are compiled when they are first used, and `list` has no use for them.
_AGENT = r"agent-([1-9][0-9]{0,8})"
_AGENT_BRANCH = r"hub/([^/]+)/agent-([1-9][0-9]{0,8})/attempt-([1-9][0-9]{0,8})"
_ARCHIVE_TAG = (
    r"refs/tags/hub/archive/([^/]+)/agent-([1-9][0-9]{0,8})(?:-attempt-([1-9][0-9]{0,8}))?"
)

_RESCUE = r"refs/hub/rescue/([^/]+)/.+"

REFS = "refs/"
HEADS = "refs/heads/"
TAGS = "refs/tags/"
MIGRATE_REFTABLE_HINT = """\
git refs migrate --ref-format=files
where git says that worktrees hinder it: git worktree remove each of them (its branch stays)"""
"""What to type where refs are not files."""

ALL_BRANCHES = f"{HEADS}hub/"
ALL_ARCHIVES = f"{TAGS}hub/archive/"
ALL_RESCUES = f"{REFS}hub/rescue/"


class InvalidId(HubError):
    """Text that cannot be a session id."""

    code = "invalid-id"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not a session id: '{text}'",
            hint="an id is up to 64 letters, digits, '.', '_' and '-', and starts with a letter or digit",
        )


def is_session_id(text: str) -> bool:
    """Whether `text` can be a session id (one path component, one ref component)."""
    return (
        _ID.fullmatch(text) is not None and ".." not in text and not text.endswith((".lock", "."))
    )


def parse_session_id(text: str) -> SessionId:
    """The checked id; raises InvalidId."""
    if not is_session_id(text):
        raise InvalidId(text)
    return SessionId(text)


class AgentBranch(NamedTuple):
    """One attempt of one agent: hub/<id>/agent-<N>/attempt-<M>."""

    session: SessionId
    agent: int
    attempt: int

    @property
    def ref(self) -> str:
        return f"{branch_prefix(self.session)}{agent_name(self.agent)}/attempt-{self.attempt}"

    @property
    def archive_tag(self) -> str:
        """The tag of the agent's first (or only) archived attempt."""
        return f"{archive_prefix(self.session)}{agent_name(self.agent)}"

    @property
    def attempt_tag(self) -> str:
        """The tag of every other attempt: a ref below archive_tag cannot exist in git."""
        return f"{self.archive_tag}-attempt-{self.attempt}"


def branch_prefix(session: SessionId) -> str:
    """The prefix that every ref of the session's branches has, and no other ref."""
    return f"{ALL_BRANCHES}{session}/"


def archive_prefix(session: SessionId) -> str:
    """The prefix that the tags of the session's archived attempts have."""
    return f"{ALL_ARCHIVES}{session}/"


class ArchiveTag(NamedTuple):
    """What the name of an archive tag says: which attempt a short one is of it does not (0)."""

    session: SessionId
    agent: int
    attempt: int


def parse_archive_tag(ref: str) -> ArchiveTag | None:
    """What the full ref `ref` says as an archive tag, or None."""
    match = re.fullmatch(_ARCHIVE_TAG, ref)
    if match is None or not is_session_id(match[1]):
        return None
    return ArchiveTag(SessionId(match[1]), int(match[2]), int(match[3] or 0))


def agent_name(number: int) -> str:
    """Return the name of an agent: 'agent-2'."""
    return f"agent-{number}"


def agent_number(name: str) -> int:
    """Return the number of the agent that is called `name` ('agent-2'), or 0 for another name."""
    match = re.fullmatch(_AGENT, name)
    return int(match[1]) if match else 0


def parse_agent_branch(ref: str) -> AgentBranch | None:
    """The agent's branch that the full ref `ref` names, or None."""
    name = ref.removeprefix(HEADS)
    match = re.fullmatch(_AGENT_BRANCH, name) if name != ref else None
    if match is None or not is_session_id(match[1]):
        return None
    return AgentBranch(SessionId(match[1]), int(match[2]), int(match[3]))


def session_of_branch(ref: str) -> SessionId | None:
    """The session under whose prefix the full ref `ref` lies, or None."""
    parts = ref.split("/")
    if len(parts) < 5 or parts[:3] != ["refs", "heads", "hub"] or not is_session_id(parts[3]):
        return None
    return SessionId(parts[3])


def short_name(ref: str) -> str:
    """A branch's or tag's name without its namespace, as git shows it."""
    return ref.removeprefix(HEADS).removeprefix(TAGS)


def name_in_session(session: SessionId, ref: str) -> str:
    """What follows the session's prefix: `agent-1/attempt-1`."""
    return ref.removeprefix(branch_prefix(session))


def rescue_prefix(session: SessionId, branch_ref: str = "") -> str:
    """Where work saved from a worktree on `branch_ref` is kept, a number follows; or all of the session's."""
    within = f"{name_in_session(session, branch_ref)}/" if branch_ref else ""
    return f"{ALL_RESCUES}{session}/{within}"


def rescue_number(ref: str, prefix: str) -> int | None:
    """Return the number that follows `prefix` in the full ref `ref`, or None if it has none."""
    return parse_int(ref.removeprefix(prefix), MAX_INT64)


def session_of_rescue(ref: str) -> SessionId | None:
    """The session whose work the full ref `ref` keeps, as its name says, or None."""
    match = re.fullmatch(_RESCUE, ref)
    return SessionId(match[1]) if match and is_session_id(match[1]) else None


def branch_of_rescue(ref: str) -> str:
    """The full ref of the branch whose work the rescue ref `ref` keeps."""
    return ALL_BRANCHES + ref.removeprefix(ALL_RESCUES).rpartition("/")[0]


def create_command(ref: str, oid: str) -> str:
    """The command of `git update-ref --stdin -z` that makes `ref`, which may not be there yet."""
    return f"create {ref}\0{oid}"


def update_command(ref: str, new: str, old: str) -> str:
    """The command of `git update-ref --stdin -z` that moves `ref` to `new`, if it still holds `old`."""
    return f"update {ref}\0{new}\0{old}"


def delete_command(ref: str, oid: str) -> str:
    """The command of `git update-ref --stdin -z` that deletes `ref`, if it still holds `oid`."""
    return f"delete {ref}\0{oid}"


def verify_command(ref: str, oid: str) -> str:
    """The command of `git update-ref --stdin -z` that fails unless `ref` holds `oid`."""
    return f"verify {ref}\0{oid}"


def is_object_id(text: str) -> bool:
    """Whether it is an object id, written out."""
    return len(text) in (40, 64) and all(char in "0123456789abcdef" for char in text)
