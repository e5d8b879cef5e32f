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
