"""Read the files of posts to share them, and add the files of posts from other clones.

A post keeps the name and the bytes of its file on all machines. Two posts of a channel may therefore
have one number, as those of AgentHub's script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from git_hub_session.board.channels import channel_names, readable_files
from git_hub_session.board.posts import MAX_POST_BYTES
from git_hub_session.errors import Damaged
from git_hub_session.session.layout import CHANNELS, create_board
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory, write_error


def read_post_files(hub: str, mark: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield the channel, the name and the bytes of each file of the board that contains `mark`.

    Skip files that cannot be read.
    """
    try:
        with SafeDirectory(hub) as top, top.open_child("board") as board:
            for channel in channel_names(board, {"channels": CHANNELS}):
                for name in readable_files(board, channel):
                    try:
                        data = board.read(f"{channel}/{name}", limit=MAX_POST_BYTES)
                    except (Damaged, OSError):
                        continue
                    if mark in data:
                        yield channel, name, data
    except (FileNotFoundError, Damaged):
        return


def add_post_files(hub: str, files: Iterable[tuple[str, str, bytes]]) -> None:
    """Add files to the board: (channel, name, bytes). Never replace a file.

    Raises:
        CannotWrite: a file cannot be written.
        Damaged: a symbolic link is in the place of a directory.
        LockHeld: another process has locked the board.
    """
    try:
        with SafeDirectory(hub) as top:
            create_board(top)
            with top.open_child("board") as board:
                board.lock(wait=LOCK_TIMEOUT)
                for channel, name, data in files:
                    with board.ensure_child(channel) as directory:
                        if not directory.exists(name):
                            directory.create_atomically(name, data)
    except OSError as error:
        raise write_error(f"{hub}/board", error) from None
