"""Write each change and each started program to the target in GIT_HUB_SESSION_TRACE.

The trace is an audit hook (PEP 578), and its lines look like those of GIT_TRACE. Python raises an
event before it creates, renames or removes a file and before it starts a program, so no change is
missed. The package raises `git_hub_session.*` events for the end of a command, changed refs, locks,
and a file that is created relative to an open directory.

Only `main` imports this module, and only if the trace is on. Without a hook, events cost nothing.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any

_OFF = ("", "0", "false")
_STANDARD_ERROR = ("1", "2", "true")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_UNQUOTED = re.compile(r"[A-Za-z0-9+,./:=@_^-]+")  # as in git's sq_quote_argv_pretty
_COLUMN = 39  # the first column of the message, as in git's trace

_Path = str | bytes


def start_trace(value: str, arguments: Sequence[str]) -> list[str]:
    """Trace this process from now on, and return warnings if the target cannot be opened.

    Args:
        value: the value of GIT_HUB_SESSION_TRACE.
        arguments: the command line, for the first and the last line of the trace.
    """
    if value.lower() in _OFF:
        return []
    try:
        fd = _open_target(value)
    except OSError as error:
        return [f"warning: could not open '{value}' for tracing: {error.strerror}"]
    if fd is None:
        return [
            f"warning: unknown trace value for 'GIT_HUB_SESSION_TRACE': {value}",
            "hint: to trace into a file give an absolute pathname (starting with /)",
        ]
    sys.addaudithook(_Trace(fd, ["git", "hub-session", *arguments]))
    return []


def _open_target(value: str) -> int | None:
    """Return a new descriptor of the target, or None if the value is not valid."""
    if value.lower() in _STANDARD_ERROR:
        return os.dup(2)
    if len(value) == 1 and value in "3456789":
        return os.dup(int(value))
    return os.open(value, _APPEND, 0o666) if os.path.isabs(value) else None


class _Trace:
    """The audit hook that formats and writes the events."""

    # Without this attribute, Python turns sys.settrace off in a hook, and the tests could not
    # measure which lines of it run.
    __cantrace__ = True

    def __init__(self, fd: int, command: Sequence[str]) -> None:
        self._fd = fd
        self._command = command
        self._start = time.monotonic()
        self._write(_format_start(None, command, None, None))

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        formatter = _FORMATTERS.get(event)
        if formatter is not None:
            self._write(formatter(*args))
        elif event == "git_hub_session.exit":
            [status] = args
            self._write(_format_end(self._command, status, time.monotonic() - self._start))

    def _write(self, texts: Sequence[str]) -> None:
        """Write each text as one line. Use one call: other processes append to the same file."""
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        head = f"{clock}.{int(now % 1 * 1e6):06} git-hub-session[{os.getpid()}]".ljust(_COLUMN)
        for text in texts:
            line = f"{head} {escape_control(text)}\n".encode("utf-8", "backslashreplace")
            try:
                os.write(self._fd, line)
            except OSError:
                pass  # A full disk or a closed pipe must not stop the command.


def _format_create(path: _Path, fd: int = -1) -> list[str]:
    return [f"{'write' if _path_exists(path, fd) else 'create'}: {_full_path(path, fd)}"]


def _format_open(path: _Path | int, _mode: object, flags: int) -> list[str]:
    """Format the creation of a file with an absolute path.

    This event does not know the directory of a relative path: git_hub_session.create reports it.
    """
    if isinstance(path, int) or not flags & (os.O_CREAT | os.O_TRUNC):
        return []
    return _format_create(path) if os.path.isabs(path) else []


def _format_mkdir(path: _Path, _mode: int, fd: int) -> list[str]:
    return [] if _path_exists(path, fd) else [f"mkdir: {_full_path(path, fd)}"]


def _format_link(source: _Path, target: _Path, source_fd: int, target_fd: int) -> list[str]:
    return [f"link: {_full_path(source, source_fd)} -> {_full_path(target, target_fd)}"]


def _format_symlink(source: _Path, target: _Path, fd: int) -> list[str]:
    return [f"symlink: {_full_path(target, fd)} -> {_quote_words([source])}"]


def _format_rename(source: _Path, target: _Path, source_fd: int, target_fd: int) -> list[str]:
    verb = "replace" if _path_exists(target, target_fd) else "rename"
    return [f"{verb}: {_full_path(source, source_fd)} -> {_full_path(target, target_fd)}"]


def _format_remove(path: _Path, fd: int) -> list[str]:
    return [f"remove: {_full_path(path, fd)}"] if _path_exists(path, fd) else []


def _format_rmdir(path: _Path, fd: int) -> list[str]:
    """Format an attempt to remove a directory, which fails if the directory is not empty."""
    return [f"rmdir: {_full_path(path, fd)}"] if _path_exists(path, fd) else []


def _format_start(
    _program: object, words: Sequence[_Path], cwd: _Path | None, _environ: object
) -> list[str]:
    """Format the start of a program, without its environment, which may hold secrets."""
    return [f"start: {f'cd {_quote_words([cwd])}; ' if cwd else ''}{_quote_words(words)}"]


def _format_end(words: Sequence[_Path], status: int, seconds: float) -> list[str]:
    result = f"signal {-status}" if status < 0 else f"exit {status}"
    return [f"end: {_quote_words(words)}: {result} after {seconds:.3f} s"]


def _format_refs(commands: Sequence[str]) -> list[str]:
    """Format the commands of a successful `git update-ref --stdin -z`."""
    changes = [command for command in commands if not command.startswith("verify ")]
    return [f"ref: {command.replace(chr(0), ' ')}" for command in changes]


def _format_lock(path: str, waited: float) -> list[str]:
    return [f"lock: {_quote_words([path])}: waited {waited:.3f} s"]


def _format_unlock(path: str) -> list[str]:
    return [f"unlock: {_quote_words([path])}"]


_FORMATTERS: Mapping[str, Callable[..., list[str]]] = MappingProxyType(
    {
        "open": _format_open,
        "os.link": _format_link,
        "os.mkdir": _format_mkdir,
        "os.remove": _format_remove,
        "os.rename": _format_rename,
        "os.rmdir": _format_rmdir,
        "os.symlink": _format_symlink,
        "subprocess.Popen": _format_start,
        "git_hub_session.create": _format_create,
        "git_hub_session.end": _format_end,
        "git_hub_session.lock": _format_lock,
        "git_hub_session.refs": _format_refs,
        "git_hub_session.unlock": _format_unlock,
    }
)
"""The formatter of each traced event. `_Trace` handles `git_hub_session.exit` itself."""


def _quote_words(words: Sequence[_Path]) -> str:
    """Return the words of a shell command, quoted as in git's trace."""
    return " ".join(map(_quote_word, map(os.fsdecode, words)))


def _quote_word(word: str) -> str:
    if _UNQUOTED.fullmatch(word):
        return word
    return "'" + word.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _full_path(path: _Path, fd: int) -> str:
    """Return the quoted path. If /proc shows the path of the open directory `fd`, prepend it."""
    try:
        directory = "" if fd < 0 else os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        directory = ""
    return _quote_words([os.path.join(directory, os.fsdecode(path))])


def _path_exists(path: _Path, fd: int) -> bool:
    try:
        os.stat(path, dir_fd=None if fd < 0 else fd, follow_symlinks=False)
    except OSError:
        return False
    return True
