"""Guards in a directory of hooks: move the hook of the user aside, and restore it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session.errors import Refused
from git_hub_session.git.safe_open import read_text
from git_hub_session.hooks.guards import Guard, GuardStatus, is_own_script
from git_hub_session.system.io import write_all
from git_hub_session.util.shell import quote_word

_MAX_BYTES = 1 << 16


def install_file(directory: str, guard: Guard) -> bool:
    """Write the script, and move the hook of the user aside. Return False if nothing changed.

    Keep a hook that an interrupted call has already moved. Raise Refused if the new name of the
    user's hook exists.
    """
    path, former = _paths(directory, guard)
    script = guard.read_script()
    current = _read(path)
    if current == script and os.access(path, os.X_OK):
        return False
    if os.path.lexists(path) and not is_own_script(current):
        if os.path.lexists(former):
            raise Refused(
                f"cannot rename the hook '{path}': '{former}' exists",
                hint=f"mv {quote_word(former)} {quote_word(former)}.old",
            )
        os.rename(path, former)
    write_script(path, script)
    return True


def uninstall_file(directory: str, guard: Guard) -> bool:
    """Remove the script, and move the hook of the user back. Return False if nothing changed."""
    path, former = _paths(directory, guard)
    is_own = is_own_script(_read(path))
    if os.path.lexists(path) and not is_own:
        return False
    if os.path.lexists(former):
        os.rename(former, path)
        return True
    if is_own:
        os.unlink(path)
    return is_own


def describe_file(directory: str, guard: Guard) -> GuardStatus:
    """Return the facts about the script in a directory of hooks."""
    path, former = _paths(directory, guard)
    script = _read(path)
    if not is_own_script(script):
        return GuardStatus(guard.hook, "")
    problem = "" if script == guard.read_script() else "of another version"
    if not os.access(path, os.X_OK):
        problem = "not executable"
    return GuardStatus(guard.hook, path, former if os.path.lexists(former) else "", problem=problem)


def write_script(path: str, script: str) -> None:
    """Write an executable file, or replace it in one step."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.hub-session-{os.urandom(4).hex()}.tmp"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777)
    try:
        with open(fd, "wb", buffering=0) as file:
            write_all(file.fileno(), script.encode())
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _paths(directory: str, guard: Guard) -> Iterator[str]:
    """Return the path of the hook and the path of the user's hook."""
    return (os.path.join(directory, name) for name in (guard.hook, guard.former))


def _read(path: str) -> str:
    """Return the text of a hook, or '' if it is missing or a link."""
    return "" if os.path.islink(path) else read_text(path, limit=_MAX_BYTES)
