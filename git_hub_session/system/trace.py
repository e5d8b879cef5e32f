"""What this process changes and starts, line by line where GIT_HUB_SESSION_TRACE says, as GIT_TRACE does for git.

It is an audit hook (PEP 578). Python raises an event before each file that is made, renamed or
removed and each program that is started, so no change can be forgotten here; what Python cannot
know (how a command ended, which refs it changed, a lock, the directory of a new file) the doors
raise as `git_hub_session.…`. Only cli loads this module, and only where it is asked for:
an event that nobody hears costs nothing.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from git_hub_session._typing import Any
from git_hub_session.util.text import escape_control

_OFF = ("", "0", "false")
_STANDARD_ERROR = ("1", "2", "true")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_PLAIN = re.compile(r"[A-Za-z0-9+,./:=@_^-]+")  # what git's sq_quote_argv_pretty leaves as it is
_COLUMN = 39  # where the text of a line begins, as in git's

_Path = str | bytes


def start_trace(wanted: str, words: Sequence[str]) -> list[str]:
    """Tell from here on what the command line `words` does; what to warn of where it cannot be told."""
    if wanted.lower() in _OFF:
        return []
    try:
        fd = _open_target(wanted)
    except OSError as fault:
        return [f"warning: could not open '{wanted}' for tracing: {fault.strerror}"]
    if fd is None:
        return [
            f"warning: unknown trace value for 'GIT_HUB_SESSION_TRACE': {wanted}",
            "hint: to trace into a file give an absolute pathname (starting with /)",
        ]
    sys.addaudithook(_Trace(fd, ["git", "hub-session", *words]))
    return []


def _open_target(wanted: str) -> int | None:
    """Open for writing, and nobody else's to close; None where the value means nothing. Raises OSError."""
    if wanted.lower() in _STANDARD_ERROR:
        return os.dup(2)
    if len(wanted) == 1 and wanted in "3456789":
        return os.dup(int(wanted))
    return os.open(wanted, _APPEND, 0o666) if os.path.isabs(wanted) else None


class _Trace:
    """The hook: hears what happens, and tells it."""

    # Otherwise sys.settrace, by which the tests know what they have run, is off in a hook.
    __cantrace__ = True

    def __init__(self, fd: int, words: Sequence[str]) -> None:
        self._fd = fd
        self._words = words
        self._since = time.monotonic()
        self._write(_started(None, words, None, None))

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        teller = _FORMATTERS.get(event)
        if teller is not None:
            self._write(teller(*given))
        elif event == "git_hub_session.exit":
            [status] = given
            self._write(_ended(self._words, status, time.monotonic() - self._since))

    def _write(self, texts: Sequence[str]) -> None:
        """Each text as a line, in one piece: others append to the same file."""
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        head = f"{clock}.{int(now % 1 * 1e6):06} git-hub-session[{os.getpid()}]".ljust(_COLUMN)
        for text in texts:
            line = f"{head} {escape_control(text)}\n".encode("utf-8", "backslashreplace")
            try:
                os.write(self._fd, line)
            except OSError:
                pass  # full, or nobody reads on: no reason for a command to fail


def _format_create(path: _Path, fd: int = -1) -> list[str]:
    return [f"{'write' if _path_exists(path, fd) else 'create'}: {_full_path(path, fd)}"]


def _open(path: _Path | int, _mode: object, flags: int) -> list[str]:
    """Of a name in an open directory git_hub_session.create tells: this event does not know in which."""
    if isinstance(path, int) or not flags & (os.O_CREAT | os.O_TRUNC):
        return []
    return _format_create(path) if os.path.isabs(path) else []


def _format_mkdir(path: _Path, _mode: int, fd: int) -> list[str]:
    return [] if _path_exists(path, fd) else [f"mkdir: {_full_path(path, fd)}"]


def _linked(source: _Path, target: _Path, source_fd: int, target_fd: int) -> list[str]:
    return [f"link: {_full_path(source, source_fd)} -> {_full_path(target, target_fd)}"]


def _symlinked(source: _Path, target: _Path, fd: int) -> list[str]:
    return [f"symlink: {_full_path(target, fd)} -> {_quote_words([source])}"]


def _renamed(source: _Path, target: _Path, source_fd: int, target_fd: int) -> list[str]:
    what = "replace" if _path_exists(target, target_fd) else "rename"
    return [f"{what}: {_full_path(source, source_fd)} -> {_full_path(target, target_fd)}"]


def _removed(path: _Path, fd: int) -> list[str]:
    return [f"remove: {_full_path(path, fd)}"] if _path_exists(path, fd) else []


def _format_rmdir(path: _Path, fd: int) -> list[str]:
    """A directory that is not empty stays, as with the command of that name."""
    return [f"rmdir: {_full_path(path, fd)}"] if _path_exists(path, fd) else []


def _started(_program: object, words: Sequence[_Path], cwd: _Path | None, _: object) -> list[str]:
    """The environment stays untold: there are secrets in it."""
    return [f"start: {f'cd {_quote_words([cwd])}; ' if cwd else ''}{_quote_words(words)}"]


def _ended(words: Sequence[_Path], status: int, seconds: float) -> list[str]:
    how = f"signal {-status}" if status < 0 else f"exit {status}"
    return [f"end: {_quote_words(words)}: {how} after {seconds:.3f} s"]


def _refs_changed(commands: Sequence[str]) -> list[str]:
    """Of commands of `git update-ref --stdin -z`, which git has carried out."""
    changes = [command for command in commands if not command.startswith("verify ")]
    return [f"ref: {command.replace(chr(0), ' ')}" for command in changes]


def _locked(path: str, waited: float) -> list[str]:
    return [f"lock: {_quote_words([path])}: waited {waited:.3f} s"]


def _unlocked(path: str) -> list[str]:
    return [f"unlock: {_quote_words([path])}"]


_FORMATTERS: Mapping[str, Callable[..., list[str]]] = MappingProxyType(
    {
        "open": _open,
        "os.link": _linked,
        "os.mkdir": _format_mkdir,
        "os.remove": _removed,
        "os.rename": _renamed,
        "os.rmdir": _format_rmdir,
        "os.symlink": _symlinked,
        "subprocess.Popen": _started,
        "git_hub_session.create": _format_create,
        "git_hub_session.end": _ended,
        "git_hub_session.lock": _locked,
        "git_hub_session.refs": _refs_changed,
        "git_hub_session.unlock": _unlocked,
    }
)
"""What is heard: the event's name, and who tells of it. `git_hub_session.exit` comes besides."""


def _quote_words(words: Sequence[_Path]) -> str:
    """Words as a shell takes them, quoted as git does in its own trace."""
    return " ".join(map(_quoted_word, map(os.fsdecode, words)))


def _quoted_word(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _full_path(path: _Path, fd: int) -> str:
    """The path with that of the open directory it is in, where the system tells it (Linux)."""
    try:
        above = "" if fd < 0 else os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        above = ""
    return _quote_words([os.path.join(above, os.fsdecode(path))])


def _path_exists(path: _Path, fd: int) -> bool:
    try:
        os.stat(path, dir_fd=None if fd < 0 else fd, follow_symlinks=False)
    except OSError:
        return False
    return True
