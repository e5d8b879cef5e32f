"""Kill or interrupt a command before its n-th change, or let the change fail.

`trace()` runs a function of this process. The program `tracer.py REPORT TOP ACTION CALL COMMAND...`
runs a command. The tracer runs the command and all processes that it starts under ptrace. It counts
the system calls that change something below the directory TOP or start a process. ACTION happens
before CALL. CALL is the number of the call (0 for no call), or a part of its line in REPORT. The
actions are:

    alone     kill only the process that makes the call
    all       kill all processes, as a power failure does
    INT       send SIGINT to the process group of the command, as Ctrl-C does in a terminal
    INT+INT   send it again before the next call
    TERM      send SIGTERM to the command only
    ENOSPC    fail with this or another errno, also at each later call that can have it
    once:EIO  fail only once

The file REPORT gets one line for each call: the process, the call and the path. The line starts with
LATE if the command itself had ended. A seccomp filter stops the processes at these calls only, so
that all other calls stay fast. The tracer needs Linux on x86-64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """A system call, and the indexes of the arguments that name the changed file."""

    name: str
    path: int = -1
    directory: int = -1
    fd: int = -1


# A call with two paths is listed with the path that it creates or removes.
_CALLS = {
    1: Call("write", fd=0),
    2: Call("open", path=0),
    18: Call("pwrite64", fd=0),
    20: Call("writev", fd=0),
    56: Call("clone"),
    57: Call("fork"),
    58: Call("vfork"),
    74: Call("fsync", fd=0),
    75: Call("fdatasync", fd=0),
    76: Call("truncate", path=0),
    77: Call("ftruncate", fd=0),
    82: Call("rename", path=1),
    83: Call("mkdir", path=0),
    84: Call("rmdir", path=0),
    85: Call("creat", path=0),
    86: Call("link", path=1),
    87: Call("unlink", path=0),
    88: Call("symlink", path=1),
    90: Call("chmod", path=0),
    91: Call("fchmod", fd=0),
    257: Call("openat", path=1, directory=0),
    258: Call("mkdirat", path=1, directory=0),
    263: Call("unlinkat", path=1, directory=0),
    264: Call("renameat", path=3, directory=2),
    265: Call("linkat", path=3, directory=2),
    266: Call("symlinkat", path=2, directory=1),
    268: Call("fchmodat", path=1, directory=0),
    316: Call("renameat2", path=3, directory=2),
    435: Call("clone3"),
}
_PROCESS_CALLS = {"clone", "fork", "vfork", "clone3"}
_REMOVE_CALLS = {"unlink", "unlinkat", "rmdir"}
_DESCRIPTOR_CALLS = {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate"}
_SYNC_CALLS = {"fsync", "fdatasync"}
# The calls that an action ignores. A kill before a call that changes nothing equals a kill before the
# next call. A full disk does not prevent a removal. A permission is not checked for an open file.
_IGNORED_CALLS: dict[str, set[str]] = {
    "none": set(),
    "all": _PROCESS_CALLS | _SYNC_CALLS,
    "alone": _SYNC_CALLS,
    "INT": _SYNC_CALLS,
    "INT+INT": _SYNC_CALLS,
    "TERM": _SYNC_CALLS,
    "ENOSPC": _PROCESS_CALLS | _REMOVE_CALLS | {"chmod", "fchmod", "fchmodat"},
    "EACCES": _PROCESS_CALLS | _DESCRIPTOR_CALLS,
    "EROFS": _PROCESS_CALLS | _DESCRIPTOR_CALLS,
}


def ignored_calls(action: str) -> set[str]:
    """Return the names of the calls that an action ignores."""
    return _IGNORED_CALLS.get(action.rpartition(":")[2], _PROCESS_CALLS)


_FLAGS_ARGUMENT = {2: 1, 257: 2}  # the index of the argument with the flags of an open call
_CREATE_FLAGS = os.O_CREAT | os.O_TRUNC

_TRACEME, _POKEUSER, _CONT, _SETOPTIONS, _INFO = 0, 6, 7, 0x4200, 0x420E
_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP, _EXITKILL = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 20
_OPTIONS = _FORK | _VFORK | _CLONE | _EXEC | _SECCOMP | _EXITKILL
_EVENT_SECCOMP = 7
_RAX, _ORIG_RAX = 10 * 8, 15 * 8
_WALL = 0x40000000
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, pid, address, data & (1 << 64) - 1) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _filter() -> bytes:
    """Return the seccomp program that stops at the calls in the table.

    It stops at an open call only if the call creates or truncates a file.
    """
    load, equal, any_bit, return_value = 0x20, 0x15, 0x45, 0x06
    lines: list[tuple[int, str, str, int]] = [(load, "", "", 0)]
    for number, argument in _FLAGS_ARGUMENT.items():
        lines.append((equal, "", "+2", number))
        lines.append((load, "", "", 16 + 8 * argument))
        lines.append((any_bit, "trace", "allow", _CREATE_FLAGS))
    lines += [(equal, "trace", "", number) for number in _CALLS.keys() - _FLAGS_ARGUMENT.keys()]
    targets = {"allow": len(lines), "trace": len(lines) + 1, "": None}
    program = b""
    for index, (code, if_true, if_false, value) in enumerate(lines):
        jumps = [
            2 if label == "+2" else (targets[label] or index + 1) - index - 1
            for label in (if_true, if_false)
        ]
        program += struct.pack("=HBBI", code, *jumps, value)
    for verdict in (0x7FFF0000, 0x7FF00000):
        program += struct.pack("=HBBI", return_value, 0, 0, verdict)
    return program


def _run_traced(run_command: Callable[[], object]) -> None:
    """Install the filter, and run the traced command in this child process.

    The process leads a process group, and does not ignore SIGINT.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _ptrace(_TRACEME, 0)
    program = _filter()
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    )
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, header, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp")
    os.kill(os.getpid(), signal.SIGSTOP)
    run_command()


class _Tracer:
    """The traced processes of one command."""

    def __init__(
        self, top: str, report: Path, ignored_calls: set[str], on_call: Callable[[int, str], None]
    ) -> None:
        self._top = top
        self._ignored_calls = ignored_calls
        self._report = report
        self._on_call = on_call
        self.pids: set[int] = set()
        self.command_pid = 0
        self.kills_all = False

    def run(self, run_command: Callable[[], object]) -> int:
        """Run the command in a child process until all its processes have ended, and return its exit code.

        The code is negative if a signal ended the command.
        """
        self.command_pid = command_pid = os.fork()
        if not command_pid:
            try:
                _run_traced(run_command)
            finally:
                os._exit(126)
        self.pids.add(command_pid)
        os.waitpid(command_pid, 0)
        _ptrace(_SETOPTIONS, command_pid, 0, _OPTIONS)
        _ptrace(_CONT, command_pid)
        code = 0
        while True:
            try:
                pid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return code
            if not os.WIFSTOPPED(status):
                self.pids.discard(pid)
                code = os.waitstatus_to_exitcode(status) if pid == command_pid else code
                continue
            try:
                self._continue(pid, status)
            except ProcessLookupError:
                pass  # the process was killed

    def _continue(self, pid: int, status: int) -> None:
        is_new = pid not in self.pids
        self.pids.add(pid)
        number, event = os.WSTOPSIG(status), status >> 16
        if self.kills_all:
            os.kill(pid, signal.SIGKILL)
            return
        if event == _EVENT_SECCOMP:
            self._count_call(pid)
        is_tracer_event = event or number == signal.SIGTRAP or (is_new and number == signal.SIGSTOP)
        _ptrace(_CONT, pid, 0, 0 if is_tracer_event else number)

    def _count_call(self, pid: int) -> None:
        info = ctypes.create_string_buffer(88)
        _ptrace(_INFO, pid, len(info), ctypes.addressof(info))
        number, *arguments = struct.unpack_from("=7Q", info.raw, 24)
        call = _CALLS[number]
        if call.name in self._ignored_calls:
            return
        subject = "" if call.name in _PROCESS_CALLS else self._subject(pid, call, arguments)
        if subject is None:
            return
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
        with open(self._report, "a") as file:
            prefix = "" if self.command_pid in self.pids else "LATE "
            line = f"{prefix}{name} {call.name} {subject}"
            file.write(f"{line}\n")
        self._on_call(pid, line)

    def _subject(self, pid: int, call: Call, arguments: Sequence[int]) -> str | None:
        """Return the changed path relative to the top, or None if it is outside or not a file."""
        try:
            if call.fd >= 0:
                path = os.readlink(f"/proc/{pid}/fd/{arguments[call.fd]}")
                mode = os.stat(f"/proc/{pid}/fd/{arguments[call.fd]}").st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    return None
            else:
                fd = _AT_FDCWD
                if call.directory >= 0:
                    fd = ctypes.c_int(arguments[call.directory]).value
                link = "cwd" if fd == _AT_FDCWD else f"fd/{fd}"
                directory = os.readlink(f"/proc/{pid}/{link}")
                with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                    memory.seek(arguments[call.path])
                    text = memory.read(4096).partition(b"\0")[0]
                path = os.path.normpath(os.path.join(directory, os.fsdecode(text)))
        except OSError:
            return None
        if call.name in _REMOVE_CALLS and not os.path.lexists(path):
            return None  # the call changes nothing
        return os.path.relpath(path, self._top) if path.startswith(self._top + "/") else None


def _apply(action: str, tracer: _Tracer, pid: int, later: int) -> None:
    """Apply the action to a call of the process `pid`, `later` calls after the chosen one."""
    if action == "alone":
        if not later:
            os.kill(pid, signal.SIGKILL)
    elif action == "all":
        tracer.kills_all = True
        for traced in tracer.pids:
            with suppress(ProcessLookupError):  # kill the others also if one has ended
                os.kill(traced, signal.SIGKILL)
    elif action == "TERM":
        if not later:
            os.kill(tracer.command_pid, signal.SIGTERM)
    elif action.startswith("INT"):
        if later < len(action.split("+")):
            os.killpg(tracer.command_pid, signal.SIGINT)
    elif action != "none" and not (later and action.startswith("once:")):
        number = getattr(errno, action.rpartition(":")[2])
        _ptrace(_POKEUSER, pid, _ORIG_RAX, -1)
        _ptrace(_POKEUSER, pid, _RAX, -number)


def trace(
    report: str, top: str, action: str, chosen: str, run_command: Callable[[], object]
) -> int:
    """Run a command in a traced child process, and return its exit code as a shell does.

    The arguments REPORT, TOP, ACTION and CALL are those of the program.
    """
    count = reached = 0

    def on_call(pid: int, line: str) -> None:
        nonlocal count, reached
        count += 1
        is_chosen = count == int(chosen) if chosen.isdecimal() else chosen in line
        reached = reached or (count if is_chosen else 0)
        if reached:
            _apply(action, tracer, pid, count - reached)

    Path(report).write_text("")
    tracer = _Tracer(os.path.realpath(top), Path(report), ignored_calls(action), on_call)
    code = tracer.run(run_command)
    return code if code >= 0 else 128 - code


def _main(report: str, top: str, action: str, chosen: str, *command: str) -> int:
    return trace(report, top, action, chosen, lambda: os.execvp(command[0], command))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
