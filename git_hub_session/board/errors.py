"""The errors of the message board."""

from __future__ import annotations

from git_hub_session.board.posts import is_new_channel
from git_hub_session.errors import HubError, Refused
from git_hub_session.util.shell import quote_word


class NoHub(HubError):
    """The hub, which contains the board, is missing."""

    code = "no-hub"

    def __init__(self, hub: str) -> None:
        super().__init__(f"no hub at '{hub}'", hint="git hub-session init --task <text>")


class NoSuchChannel(HubError):
    """The board has no channel with this name."""

    code = "no-such-channel"

    def __init__(self, channel: str, names: list[str], *, create: bool = False) -> None:
        """Build the message.

        Args:
            create: True if the user may want to create the channel.
        """
        hint = f"the channels are {', '.join(names)}"
        if create and is_new_channel(channel):
            hint += f"\nto create it: git hub-session board create {channel}"
        super().__init__(f"no such channel: '{channel}'", hint=hint)


class ChannelExists(Refused):
    """The board has a channel with this name, perhaps in another letter case."""

    code = "channel-exists"

    def __init__(self, channel: str) -> None:
        super().__init__(
            f"channel '{channel}' already exists",
            hint=f"git hub-session board read {quote_word(channel)}",
        )


class NoSuchPost(HubError):
    """No post has an id that starts with this text."""

    code = "no-such-post"


class AmbiguousPost(HubError):
    """Several posts have an id that starts with this text."""

    code = "ambiguous-post"
