"""Spell and parse the names of sessions, agents, branches, tags, rescue refs and objects.

Other modules build and parse refs only with these functions and prefixes. A SessionId is a
validated id: it is safe as one component of a path and as one component of a ref.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from git_hub_session._typing import NamedTuple, NewType
from git_hub_session.errors import HubError
from git_hub_session.util.numbers import MAX_COUNT, MAX_INT64, parse_int
from git_hub_session.util.shell import quote_word

SessionId = NewType("SessionId", str)

_MAX_ID = 64  # characters
# Strings, because `list` uses none of these patterns. Python compiles each one at its first use.
_AGENT = r"agent-([1-9][0-9]{0,8})"
_AGENT_BRANCH = r"hub/([^/]+)/agent-([1-9][0-9]{0,8})/attempt-([1-9][0-9]{0,8})"
_ARCHIVE_TAG = (
    r"refs/tags/hub/archive/([^/]+)/agent-([1-9][0-9]{0,8})(?:-attempt-([1-9][0-9]{0,8}))?"
)
_ARCHIVE_REF = (
    r"refs/hub/archive/([^/]+)/agent-([1-9][0-9]{0,8})/attempt-([1-9][0-9]{0,8})/([1-9][0-9]{0,8})"
)
_RESCUE = r"refs/hub/rescue/([^/]+)/.+"

REFS = "refs/"
HEADS = "refs/heads/"
REMOTES = "refs/remotes/"
LIST_BRANCHES_COMMAND = "git branch --list 'hub/*'"
"""The command that lists the branches of all sessions."""
STASH = "refs/stash"
REPLACED = "refs/replace"
"""The directory of the refs that replace objects (git-replace(1))."""
TAGS = "refs/tags/"
_LOCKED = r"(\.lock'|packed-refs\.new'?): File exists"
_REMOVE_LOCK = "remove the file manually to continue"
_REF_IN_THE_WAY = rf"'({HEADS}|{TAGS}|{REFS})([^']+)' exists; cannot create '"
MIGRATE_REFTABLE_HINT = """\
git refs migrate --ref-format=files
if git refuses because of worktrees, remove each one: git worktree remove (its branch stays)"""
"""The hint for a repository whose refs are stored in a reftable."""

ALL_HUB = f"{REFS}hub/"
"""The prefix of the archive refs and the rescue refs."""
ALL_BRANCHES = f"{HEADS}hub/"
"""The prefix of the branches of all sessions."""
ALL_TAGS = f"{TAGS}hub/archive/"
ALL_ARCHIVES = f"{REFS}hub/archive/"
ALL_RESCUES = f"{REFS}hub/rescue/"
ALL_RECORDS = f"{REFS}hub/sessions/"
"""The prefix of the shared records of sessions."""
ALL_TRACKED = f"{REFS}hub/remotes/"
"""The prefix of the last known records of remotes: <prefix><remote>/<id>."""
ALL_INCOMING = f"{REFS}hub/incoming/"
"""The prefix of the refs that a running fetch has received: <prefix><host>-<pid>/<ref>."""
ALL_CLAIMS, ALL_OWN_CLAIMS = f"{REFS}hub/claims/", f"{REFS}hub/own-claims/"
"""The prefixes of the claims on a remote at the last fetch, and of those of this clone."""
ALL_LOGS = f"{REFS}hub/logs/"  # the published output logs: <prefix><id>/<clone>


class InvalidId(HubError):
    """The text is not a valid session id."""

    code = "invalid-id"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not a session id: '{text}'",
            hint="use at most 64 letters, digits, '.', '_' and '-', and start with a letter or digit",
        )


def is_session_id(text: str) -> bool:
    """Return True if `text` is a valid session id: one component of a path and of a ref."""
    return (
        text[:1].isalnum()
        and text.isascii()
        and text.replace("-", "").replace("_", "").replace(".", "").isalnum()
        and len(text) <= _MAX_ID
        and ".." not in text
        and not text.endswith((".lock", "."))
    )


def parse_session_id(text: str) -> SessionId:
    """Validate a session id. Raise InvalidId if it is not valid."""
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
        """The full ref of the branch."""
        return f"{branch_prefix(self.session)}{agent_name(self.agent)}/attempt-{self.attempt}"

    @property
    def archive_tag(self) -> str:
        """The tag of the first attempt of the agent that is archived."""
        return f"{tag_prefix(self.session)}{agent_name(self.agent)}"

    @property
    def archive_prefix(self) -> str:
        """The prefix of the archive refs of this attempt. A number follows it."""
        return f"{ALL_ARCHIVES}{self.session}/{agent_name(self.agent)}/attempt-{self.attempt}/"

    @property
    def attempt_tag(self) -> str:
        """The tag of every other attempt. git forbids a ref below `archive_tag`, which is a ref too."""
        return f"{self.archive_tag}-attempt-{self.attempt}"


def branch_prefix(session: SessionId) -> str:
    """Return the prefix of the full refs of the session's branches. No other ref has it."""
    return f"{ALL_BRANCHES}{session}/"


def tag_prefix(session: SessionId) -> str:
    """Return the prefix of the full refs of the session's archive tags."""
    return f"{ALL_TAGS}{session}/"


def archive_prefixes(session: SessionId) -> tuple[str, str]:
    """Return the prefixes of the session's archive tags and of its archive refs."""
    return tag_prefix(session), shared_archive_prefix(session)


def shared_archive_prefix(session: SessionId) -> str:
    """Return the prefix of the session's archive refs, which clones share. They share no tags."""
    return f"{ALL_ARCHIVES}{session}/"


class ArchiveTag(NamedTuple):
    """The parts of the name of an archive tag."""

    session: SessionId
    agent: int
    attempt: int
    """The number in the name, or 0 for the tag of the first archived attempt."""


def parse_archive_tag(ref: str) -> ArchiveTag | None:
    """Parse the full ref of an archive tag. Return None for another ref."""
    match = re.fullmatch(_ARCHIVE_TAG, ref)
    if match is None or not is_session_id(match[1]):
        return None
    return ArchiveTag(SessionId(match[1]), int(match[2]), int(match[3] or 0))


class ArchiveRef(NamedTuple):
    """The parts of the name of an archive ref: refs/hub/archive/<id>/agent-<N>/attempt-<M>/<n>."""

    branch: AgentBranch
    number: int
    """1 for the first archive of the attempt."""


def parse_archive_ref(ref: str) -> ArchiveRef | None:
    """Parse the full name of an archive ref. Return None for another ref."""
    match = re.fullmatch(_ARCHIVE_REF, ref)
    if match is None or not is_session_id(match[1]):
        return None
    return ArchiveRef(AgentBranch(SessionId(match[1]), int(match[2]), int(match[3])), int(match[4]))


def agent_name(number: int) -> str:
    """Return the name of an agent: 'agent-2'."""
    return f"agent-{number}"


def attempt_name(branch: AgentBranch) -> str:
    """Return the name of an attempt, such as "agent-2/attempt-1"."""
    return f"{agent_name(branch.agent)}/attempt-{branch.attempt}"


def agent_number(name: str) -> int:
    """Return the number of the agent that is called `name` ('agent-2'), or 0 for another name."""
    match = re.fullmatch(_AGENT, name)
    return int(match[1]) if match else 0


def parse_agent_name(text: str) -> int:
    """Return the number in the text of a user: "agent-2" or "2". Return 0 for another text."""
    return parse_int(text.strip().removeprefix("agent-"), MAX_COUNT) or 0


def agent_list(numbers: Iterable[int]) -> str:
    """Return the list of agents that the option --only takes, such as "agent-2,agent-5"."""
    return ",".join(map(agent_name, numbers))


@lru_cache(maxsize=1024)  # a cleanup parses the branch of each worktree nine times
def parse_agent_branch(ref: str) -> AgentBranch | None:
    """Parse the full ref of an agent's branch. Return None for another ref."""
    name = ref.removeprefix(HEADS)
    match = re.fullmatch(_AGENT_BRANCH, name) if name != ref else None
    if match is None or not is_session_id(match[1]):
        return None
    return AgentBranch(SessionId(match[1]), int(match[2]), int(match[3]))


def session_of_branch(ref: str) -> SessionId | None:
    """Return the session whose branch prefix the full ref `ref` has, or None."""
    parts = ref.split("/")
    if len(parts) < 5 or parts[:3] != ["refs", "heads", "hub"] or not is_session_id(parts[3]):
        return None
    return SessionId(parts[3])


def short_name(ref: str) -> str:
    """Return the name of a branch or tag without refs/heads/ or refs/tags/, as git prints it."""
    return ref.removeprefix(HEADS).removeprefix(TAGS)


def name_in_session(session: SessionId, ref: str) -> str:
    """Return the part of a branch's ref after the session's prefix: `agent-1/attempt-1`."""
    return ref.removeprefix(branch_prefix(session))


def rescue_prefix(session: SessionId, branch_ref: str = "") -> str:
    """Return the prefix of the session's rescue refs, or only of those for one branch.

    After the prefix for a branch, a rescue ref has a number.
    """
    branch = f"{name_in_session(session, branch_ref)}/" if branch_ref else ""
    return f"{ALL_RESCUES}{session}/{branch}"


def claim_prefixes(session: SessionId) -> tuple[str, str]:
    """Return the prefixes of the claims of a remote, and of the claims of this clone.

    The name of an agent follows them.
    """
    return f"{ALL_CLAIMS}{session}/", f"{ALL_OWN_CLAIMS}{session}/"


def record_ref(session: SessionId) -> str:
    """Return the full ref of the shared record of a session."""
    return f"{ALL_RECORDS}{session}"


def tracked_record(session: SessionId, remote: str) -> str:
    """Return the full ref of the last known record of a remote."""
    return f"{ALL_TRACKED}{remote}/{session}"


def is_ref_prefix(text: str) -> bool:
    """Return True if the text is valid as the start of full refs, without a slash at its end."""
    components = text.split("/")
    return (
        len(components) > 1
        and components[0] == "refs"
        and all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", part) for part in components)
        and not any(".." in part or part.endswith((".", ".lock")) for part in components)
    )


def shared_name(ref: str, shared: str) -> str:
    """Return the name on a remote of one of our refs. A branch has the same name.

    Args:
        shared: the value of hubsession.sharedRefs.
    """
    return f"{shared}/{ref.removeprefix(ALL_HUB)}" if ref.startswith(ALL_HUB) else ref


def session_prefixes(session: SessionId) -> tuple[str, ...]:
    """Return the prefixes of all refs of the session."""
    return branch_prefix(session), *archive_prefixes(session), rescue_prefix(session)


def rescue_number(ref: str, prefix: str) -> int | None:
    """Return the number that follows `prefix` in the full ref `ref`, or None if it has none."""
    return parse_int(ref.removeprefix(prefix), MAX_INT64)


def session_of_rescue(ref: str) -> SessionId | None:
    """Return the session that the full ref of a rescue ref names, or None for another ref."""
    match = re.fullmatch(_RESCUE, ref)
    return SessionId(match[1]) if match and is_session_id(match[1]) else None


def branch_of_rescue(ref: str) -> str:
    """Return the full ref of the branch whose work the rescue ref `ref` saves."""
    return ALL_BRANCHES + ref.removeprefix(ALL_RESCUES).rpartition("/")[0]


def create_command(ref: str, oid: str) -> str:
    """Return the `git update-ref --stdin -z` command that creates `ref`. It must not exist yet."""
    return f"create {ref}\0{oid}"


def update_command(ref: str, new: str, old: str) -> str:
    """Return the `git update-ref --stdin -z` command that moves `ref` from `old` to `new`.

    If `old` is '', the ref can be anywhere, or missing.
    """
    return f"update {ref}\0{new}\0{old}"


def delete_command(ref: str, oid: str) -> str:
    """Return the `git update-ref --stdin -z` command that deletes `ref` if it still is `oid`."""
    return f"delete {ref}\0{oid}"


def verify_command(ref: str, oid: str) -> str:
    """Return the `git update-ref --stdin -z` command that fails unless `ref` is `oid`."""
    return f"verify {ref}\0{oid}"


def is_object_id(text: str) -> bool:
    """Return True if `text` is a full object id, of SHA-1 or SHA-256."""
    return len(text) in (40, 64) and not text.strip("0123456789abcdef")


def add_ref_advice(stderr: str) -> str:
    """Add advice that git leaves out: about a stale lock, and about a ref in the way.

    git gives no advice for packed-refs.new, and since 2.55 for no lock.
    """
    advice = rename_command(stderr)
    if re.search(_LOCKED, stderr) and _REMOVE_LOCK not in stderr:
        advice = f"a git process may have crashed earlier: {_REMOVE_LOCK}"
    return f"{stderr.rstrip()}\n{advice}\n" if advice else stderr


def rename_command(stderr: str) -> str:
    """Return the command that renames the ref in the way of another ref, or ''."""
    match = re.search(_REF_IN_THE_WAY, stderr)
    if match is None:
        return ""
    old, new = quote_word(match[2]), quote_word(f"{match[2].replace('/', '-')}-old")
    if match[1] == TAGS:
        return f"git tag {new} {old} && git tag -d {old}"
    if match[1] == HEADS:
        return f"git branch -m {old} {new}"
    return f"git update-ref {REFS}{new} {REFS}{old} && git update-ref -d {REFS}{old}"
