"""The errors of the message board."""

from __future__ import annotations

from git_hub_session.errors import HubError


class NoHub(HubError):
    """The hub, which contains the board, is missing."""

    code = "no-hub"

    def __init__(self, hub: str) -> None:
        super().__init__(f"no hub at '{hub}'", hint="git hub-session init --task <text>")


class NoSuchChannel(HubError):
    """The board has no channel with this name."""

    code = "no-such-channel"

    def __init__(self, channel: str, names: list[str]) -> None:
        super().__init__(
            f"no such channel: '{channel}'", hint=f"the channels are {', '.join(names)}"
        )


class NoSuchPost(HubError):
    """No post has an id that starts with this text."""

    code = "no-such-post"


class AmbiguousPost(HubError):
    """Several posts have an id that starts with this text."""

    code = "ambiguous-post"
