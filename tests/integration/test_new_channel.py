"""The files that the preview of a new channel opens."""

from __future__ import annotations

import sys

from git_hub_session.board.board import Board
from tests.support.hub import Hub

_opened: list[str] = []


def note_opened(event: str, arguments: tuple[object, ...]) -> None:
    """Note a file that is opened. An audit hook cannot be removed."""
    if event == "open" and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(note_opened)


def test_the_preview_of_a_channel_opens_no_post(hub: Hub) -> None:
    hub.session()
    assert hub.run("board", "post", "results", "--session=s1", "-m", "text").code == 0
    _opened.clear()
    Board(str(hub.top / ".agenthub")).create_channel("ideas", dry_run=True)
    assert "_index.json" in _opened
    assert [name for name in _opened if name.endswith(".md")] == []
