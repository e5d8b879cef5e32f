"""Parse and write one post of the message board. This docstring is the file format.

<hub>/board/<channel>/001-agent-1-20260317T143510Z.md:

    ---
    author: agent-1
    timestamp: 2026-03-17T14:35:10Z
    channel: results
    sequence: 1
    parent: null
    session: 20260317-143022
    ---

    The text, to the end of the file.

The id of a post is its file name without `.md`. `parent` is the id of the post that it replies to.
`session` is a key of this program. AgentHub's reader accepts any key, but it splits the file at the
first two "---". Therefore author, channel and parent never contain "---". `session` comes last,
because an id may contain "---".
"""

from __future__ import annotations

import re

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import agent_number
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import natural_key

MAX_POST_BYTES = 1 << 20
MAX_POSTS = 999_999_999
"""The largest number of a post."""

COORDINATOR = "coordinator"
"""AgentHub's name for the author of posts to all agents."""
DISPATCH = "dispatch"
"""The channel of the agents' assignments."""

_SUFFIX = ".md"
_FENCE = "---"
_MAX_LINES = 100  # lines of a frontmatter
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,250}"
# The examples in AgentHub's documentation have the second spelling of the time.
_FILE = r"([0-9]{3,9})-.*-([0-9]{8}T[0-9]{6}Z|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z)\.md"


class InvalidAuthor(HubError):
    """The text is not a valid author of a post."""

    code = "invalid-author"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not an author: '{text}'",
            hint="an author is up to 64 letters, digits, '.', '_' and '-', without '---',"
            " and starts and ends with a letter or digit",
        )


class InvalidChannel(HubError):
    """The text is not a valid name of a new channel."""

    code = "invalid-channel"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not a name of a channel: '{text}'",
            hint="a name is up to 64 letters, digits, '.', '_' and '-', without '---' or '..',"
            " starts and ends with a letter or digit, and does not end with '.lock'",
        )


class Post(NamedTuple):
    """One file of a channel. A missing field is ''."""

    channel: str
    id: str
    """The file name without `.md`."""
    sequence: int
    """The number in the channel, or 0 if the file name has another form."""
    author: str = ""
    timestamp: str = ""
    parent: str = ""
    session: str = ""
    text: str = ""
    reason: str = ""
    """The reason why the file is not a valid post, or ''."""

    @property
    def file_name(self) -> str:
        return self.id + _SUFFIX


def is_valid_channel(text: str) -> bool:
    """Return True if `text` is valid as a directory name and as a value in a frontmatter."""
    return (
        text.isprintable() and "/" not in text and _FENCE not in text and text[:1] not in ("", ".")
    )


def parse_author(text: str) -> str:
    """Return `text` if it is a valid author, or raise InvalidAuthor."""
    if not _is_name(text):
        raise InvalidAuthor(text)
    return text


def is_new_channel(text: str) -> bool:
    """Return True if a new channel can have this name. It is also valid as a part of a ref.

    The rule is stricter than is_valid_channel(), because other programs create channels too.
    """
    return _is_name(text) and ".." not in text and not text.endswith(".lock")


def parse_new_channel(text: str) -> str:
    """Return `text` if a new channel can have this name, or raise InvalidChannel."""
    if not is_new_channel(text):
        raise InvalidChannel(text)
    return text


def _is_name(text: str) -> bool:
    return re.fullmatch(_NAME, text, re.ASCII) is not None and _FENCE not in text


def assignment_heading(agent: str, session: str) -> str:
    """Return the first line of an assignment. It identifies the agent and the session."""
    return f"# {agent} of session {session}"


def is_assignment(post: Post) -> bool:
    """Return True if the post is an assignment that `spawn` has written."""
    # A user outside a worktree is the coordinator too, so the author does not say enough.
    if not post.session or (post.author, post.channel) != (COORDINATOR, DISPATCH):
        return False
    heading = post.text.partition("\n")[0]
    agent = heading.removeprefix("# ").partition(" ")[0]
    return agent_number(agent) > 0 and heading == assignment_heading(agent, post.session)


def is_valid_parent(text: str) -> bool:
    """Return True if a reply can name the post with this id. A file name may contain anything."""
    return re.fullmatch(_ID, text, re.ASCII) is not None and _FENCE not in text


def is_post_file(name: str) -> bool:
    """Return True if a file with this name is shown as a post."""
    return name.endswith(_SUFFIX)


def post_number(name: str) -> int:
    """Return the number in a file name, or 0 if the name has another form."""
    match = re.fullmatch(_FILE, name, re.ASCII)
    return int(match[1]) if match else 0


def sort_key(name: str) -> tuple[bool, int, tuple[tuple[int, str], ...]]:
    """Return a sort key: by number, then the files without a number."""
    number = post_number(name)
    return not number, number, natural_key(name)


def time_sort_key(name: str) -> tuple[str, str]:
    """Return a sort key by time for posts of all channels. Files without a time come first."""
    # Do not match _FILE, which is slow: `status` sorts all names of a board, perhaps thousands.
    stamp = name[-19:-3]
    has_time = stamp[8:9] == "T" and parse_int(stamp[:8], MAX_COUNT) is not None
    return stamp if has_time else "", name


def with_number(draft: Post, number: int) -> Post:
    """Return the post with a number and the id that results from it."""
    stamp = time_stamp(draft.timestamp)
    return draft._replace(sequence=number, id=f"{number:03d}-{draft.author}-{stamp}")


def time_stamp(timestamp: str) -> str:
    """Return the time of a post as in the name of its file, such as 20260317T143022Z."""
    return re.sub("[:-]", "", timestamp)


def render_post(post: Post) -> bytes:
    """Return the content of the file of a post."""
    fields = {
        "author": post.author,
        "timestamp": post.timestamp,
        "channel": post.channel,
        "sequence": post.sequence,
        "parent": post.parent or "null",
        **({"session": post.session} if post.session else {}),
    }
    lines = [_FENCE, *(f"{key}: {value}" for key, value in fields.items()), _FENCE]
    return "\n".join([*lines, "", post.text, ""]).encode()


def parse_post(channel: str, name: str, data: bytes) -> Post:
    """Parse the file of a post. If it is not a valid post, `reason` is not ''."""
    post = post_from_name(channel, name)
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        return post._replace(reason="not UTF-8")
    head = [line.rstrip() for line in lines[: _MAX_LINES + 2]]
    if head[0] != _FENCE or _FENCE not in head[1:]:
        text = "\n".join(lines).strip("\n")
        return post._replace(text=text, reason="no frontmatter" if post.sequence else "")
    end = head.index(_FENCE, 1)
    pairs = (line.partition(":") for line in head[1:end])
    fields = {key.strip(): value.strip() for key, colon, value in pairs if colon}
    parent = fields.get("parent", "")
    return post._replace(
        author=fields.get("author", ""),
        timestamp=fields.get("timestamp", ""),
        parent="" if parent == "null" else parent,
        session=fields.get("session", ""),
        text="\n".join(lines[end + 1 :]).strip("\n"),
    )


def post_from_name(channel: str, name: str, reason: str = "") -> Post:
    """Return a post with the fields that follow from its file name."""
    return Post(channel, name.removesuffix(_SUFFIX), post_number(name), reason=reason)
