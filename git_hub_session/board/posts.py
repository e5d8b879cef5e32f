"""A post of AgentHub's message board. This docstring is the file format.

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

All of it is AgentHub's but for `session`, which its reader takes as it takes any key. That
reader splits a file at its first two "---", wherever they stand: so no value that is written
here holds one, but for a session's id, and that comes last. `parent` is the id of the post
that is replied to: its file's name without `.md`.
"""

from __future__ import annotations

import re

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import natural_key

LIMIT = 1 << 20  # bytes
MAX_POSTS = 999_999_999
"""The highest number that a post of a channel can have."""

COORDINATOR = "coordinator"
"""Who posts for all agents, as AgentHub calls him."""

_SUFFIX = ".md"
_MARK = "---"
_MOST_LINES = 100  # of a frontmatter
_AUTHOR = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,250}"
# The second spelling of the time is in the examples of AgentHub's documents.
_FILE = r"([0-9]{3,9})-.*-([0-9]{8}T[0-9]{6}Z|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z)\.md"


class InvalidAuthor(HubError):
    """Text that cannot be the author of a post."""

    code = "invalid-author"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not an author: '{text}'",
            hint="an author is up to 64 letters, digits, '.', '_' and '-', without '---',"
            " and starts and ends with a letter or digit",
        )


class Post(NamedTuple):
    """One file of a channel; what it does not say is ''."""

    channel: str
    id: str
    """Its file's name without `.md`."""
    sequence: int
    """Its number in the channel; 0 for a file that somebody named as he liked."""
    author: str = ""
    timestamp: str = ""
    parent: str = ""
    session: str = ""
    text: str = ""
    reason: str = ""
    """Why it is no post, or ''."""

    @property
    def file(self) -> str:
        return self.id + _SUFFIX


def is_valid_channel(text: str) -> bool:
    """Whether `text` can be the name of a channel: one path component, and one line of a frontmatter."""
    return (
        text.isprintable() and "/" not in text and _MARK not in text and text[:1] not in ("", ".")
    )


def parse_author(text: str) -> str:
    """The checked author; raises InvalidAuthor."""
    if not re.fullmatch(_AUTHOR, text, re.ASCII) or _MARK in text:
        raise InvalidAuthor(text)
    return text


def is_valid_parent(text: str) -> bool:
    """Whether a reply can name the post of that id: there may be anything in a name of a file."""
    return re.fullmatch(_ID, text, re.ASCII) is not None and _MARK not in text


def is_post_file(name: str) -> bool:
    """Whether a channel's file of that name is shown as a post."""
    return name.endswith(_SUFFIX)


def post_number(name: str) -> int:
    """The number that a file has by its name; 0 where somebody named it as he liked."""
    match = re.fullmatch(_FILE, name, re.ASCII)
    return int(match[1]) if match else 0


def sort_key(name: str) -> tuple[bool, int, tuple[tuple[int, str], ...]]:
    """A sort key: by number, and behind them the files without one."""
    number = post_number(name)
    return not number, number, natural_key(name)


def time_sort_key(name: str) -> tuple[str, str]:
    """A sort key over all channels: the oldest first, and before them the files whose name ends in no time."""
    stamp = name[
        -19:-3
    ]  # not by _FILE: a board may have thousands of posts, and `status` looks at all names
    return (
        stamp if stamp[8:9] == "T" and parse_int(stamp[:8], MAX_COUNT) is not None else "",
        name,
    )


def with_number(draft: Post, number: int) -> Post:
    """The post under its number, with the id that comes of it."""
    stamp = re.sub("[:-]", "", draft.timestamp)
    return draft._replace(sequence=number, id=f"{number:03d}-{draft.author}-{stamp}")


def render_post(post: Post) -> bytes:
    """The post's file."""
    head = {
        "author": post.author,
        "timestamp": post.timestamp,
        "channel": post.channel,
        "sequence": post.sequence,
        "parent": post.parent or "null",
        **({"session": post.session} if post.session else {}),
    }
    lines = [_MARK, *(f"{key}: {value}" for key, value in head.items()), _MARK]
    return "\n".join([*lines, "", post.text, ""]).encode()


def parse_post(channel: str, name: str, data: bytes) -> Post:
    """The post in a file; one that is none says why."""
    post = post_from_name(channel, name)
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        return post._replace(reason="not UTF-8")
    head = [line.rstrip() for line in lines[: _MOST_LINES + 2]]
    if head[0] != _MARK or _MARK not in head[1:]:
        text = "\n".join(lines).strip("\n")
        return post._replace(text=text, reason="no frontmatter" if post.sequence else "")
    end = head.index(_MARK, 1)
    pairs = (line.partition(":") for line in head[1:end])
    said = {key.strip(): value.strip() for key, colon, value in pairs if colon}
    parent = said.get("parent", "")
    return post._replace(
        author=said.get("author", ""),
        timestamp=said.get("timestamp", ""),
        parent="" if parent == "null" else parent,
        session=said.get("session", ""),
        text="\n".join(lines[end + 1 :]).strip("\n"),
    )


def post_from_name(channel: str, name: str, reason: str = "") -> Post:
    """What is known of a post by the name of its file alone."""
    return Post(channel, name.removesuffix(_SUFFIX), post_number(name), reason=reason)
