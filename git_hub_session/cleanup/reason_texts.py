"""Messages and hints of reasons that need only a part of the facts about a worktree."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.system.deletable import FOREIGN, IMMUTABLE, READ_ONLY
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.system.deletable import Undeletable


def list_some(paths: Sequence[bytes]) -> str:
    """Return the first of the paths, quoted."""
    return quote_list([os.fsdecode(path) for path in paths])


def operation_message(operation: str) -> str:
    """Return the reason that an operation is unfinished."""
    return f"in the middle of {'an' if operation == 'am' else 'a'} {operation}"


def abort_command(path: str, operation: str) -> str:
    """Return the command that aborts an operation in the worktree at `path`."""
    words = "bisect reset" if operation == "bisect" else f"{operation} --abort"
    return f"git -C {quote_word(path)} {words}"


def rescue_limit_message(size: int, limit: int) -> str:
    """Return the reason that files of this size are not saved."""
    return f"{size:,} bytes of untracked files exceed hubsession.rescueLimit ({limit:,})"


def rescue_limit_hint(size: int, session: str) -> str:
    """Return the command that saves files of this size."""
    command = f"git -c hubsession.rescueLimit={size} hub-session cleanup {session}"
    return f"{command}, or use --discard"


def undeletable_message(undeletable: Undeletable) -> str:
    """Return the reason that the path cannot be deleted."""
    path = undeletable.path
    if undeletable.cause == FOREIGN:
        return f"cannot delete the files of another user in '{path}'"
    if undeletable.cause == IMMUTABLE:
        return f"cannot delete '{path}': it is immutable"
    if undeletable.cause == READ_ONLY:
        return f"the file system of '{path}' is read-only"
    return f"cannot rename or delete anything in '{path}': no write permission"


def undeletable_hint(undeletable: Undeletable) -> str:
    """Return the command that removes the cause, or ''."""
    path, uid = quote_word(undeletable.path), os.geteuid()
    sudo = "sudo " if uid else ""
    if undeletable.cause == FOREIGN:
        return f"{sudo}rm -r {path}"
    if undeletable.cause == IMMUTABLE:
        return f"{sudo}chattr -i {path}"
    if undeletable.cause == READ_ONLY:
        return "mount the file system for writing"
    is_own = os.stat(undeletable.path).st_uid == uid
    return f"chmod u+wx {path}" if is_own else f"get write permission for {path}"
