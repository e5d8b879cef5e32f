"""Messages and hints of reasons that need only a part of the facts about a worktree."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from git_hub_session.git.config import parse_git_settings
from git_hub_session.git.safe_open import open_regular
from git_hub_session.git.worktrees import Worktree, linked_git_dir
from git_hub_session.util.paths import first_free
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

_MAX_GITMODULES = 1 << 20


def list_some(paths: Sequence[bytes]) -> str:
    """Return the first of the paths, quoted."""
    return quote_list([os.fsdecode(path) for path in paths])


def lock_message(reason: str | None) -> str:
    """Return the reason that git has locked a worktree."""
    return f"locked: {reason}" if reason else "locked"


def index_lock_hint(git_dir: str) -> str:
    """Return what to do about a locked index."""
    return f"wait for the git command, or delete {quote_word(f'{git_dir}/index.lock')}"


def forget_claim_hint(session: str, force_command: str) -> str:
    """Return the commands that forget a released claim, or that override it."""
    return f"git hub-session fetch {session}\n{force_command}"


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
    return f"git -c hubsession.rescueLimit={size} hub-session cleanup {session}"


def submodule_hint(worktree: str, submodules: Sequence[bytes]) -> str:
    """Return the command that empties the submodules of a worktree.

    `git submodule` ignores a repository that .gitmodules does not name, such as one that an agent
    made with `git init`.
    """
    registered = _registered_submodules(worktree)
    for path in submodules:
        if os.fsdecode(path) not in registered:
            return move_out_command(worktree, os.fsdecode(path))
    return f"git -C {quote_word(worktree)} submodule deinit --all"


def submodule_repositories_hint(worktree: Worktree) -> str:
    """Return the command that moves the repositories of submodules out of the git dir.

    They can have commits and stashes that no other repository has.
    """
    target = first_free(f"{worktree.path}-modules", os.path.lexists)
    move = f"mv {quote_word(worktree.submodule_dir)} {quote_word(target)}"
    if worktree.is_missing:
        return move
    # Without its repository, git cannot empty the directory of a submodule.
    return f"git -C {quote_word(worktree.path)} submodule deinit --all && {move}"


def _registered_submodules(worktree: str) -> set[str]:
    """Return the paths of the submodules that .gitmodules names."""
    try:
        with open(os.path.join(worktree, ".gitmodules"), "rb", opener=open_regular) as file:
            text = os.fsdecode(file.read(_MAX_GITMODULES))
    except OSError:
        return set()
    settings = parse_git_settings(text)
    return {
        value for key, value in settings if re.fullmatch(r"submodule\..*\.path", key, re.DOTALL)
    }


def move_out_command(worktree: str, path: str) -> str:
    """Return the command that moves a repository out of the worktree, to a free name beside it.

    Args:
        worktree: the path of the worktree.
        path: the absolute path of the repository, or the path from the top of the worktree.
    """
    if path == ".":
        return f"move HEAD, objects and refs out of {quote_word(worktree)}"
    source = os.path.join(worktree, path)
    target = first_free(f"{worktree}-{os.path.basename(source)}", os.path.lexists)
    words = f"{quote_word(source)} {quote_word(target)}"
    # `mv` would break the link between a linked worktree and its repository.
    is_linked = os.path.isfile(os.path.join(linked_git_dir(source), "commondir"))
    return f"git -C {quote_word(source)} worktree move {words}" if is_linked else f"mv {words}"


def remove_command(worktree: str, paths: Sequence[bytes]) -> str:
    """Return the command that deletes the files."""
    words = [quote_word(os.path.join(worktree, os.fsdecode(path))) for path in paths]
    return f"rm {' '.join(words)}"
