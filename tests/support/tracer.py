"""A command whose every change to the world is counted, and the n-th of them made the last one, or a failure.

As a program, `tracer.py REPORT WORLD ACTION NTH COMMAND…`: it runs the command with all that it starts (git, the
shell) under ptrace and counts the system calls that change something below the directory WORLD, or start
a process. Before the NTH of them is carried out (0: never)

    alone     who makes it is killed, and only that process
    all       every process is killed: a power cut, as far as processes see it
    INT       the command's process group gets it, as by ^C in a terminal; INT+INT: again before the next call
    TERM      the command alone gets it
    ENOSPC    it fails with that errno, and all after it that the errno can befall (any name of `errno`)
    once:EIO  only this one fails

REPORT is a file that gets one line a call: who makes it, which, on what; and LATE before it where the command has ended.
The kernel stops a process at such calls only (seccomp), so that nothing else gets slower. Linux on x86-64.
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
from pathlib import Path
from typing import NamedTuple


class Call(NamedTuple):
    """How a system call names what it changes, as indexes of its arguments."""

    name: str
    path: int = -1
    directory: int = -1
    fd: int = -1


# Of those that name two paths the one that is made, or taken away.
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
_STARTS = {"clone", "fork", "vfork", "clone3"}
_FREES = {"unlink", "unlinkat", "rmdir"}
_BY_FD = {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate"}
_SYNCS = {"fsync", "fdatasync"}
# The calls that an action passes over. To be killed before one that changes nothing is to be killed
# before the next one; a full disk has room for fewer names, and who has a file open may write it.
_SPARED: dict[str, set[str]] = {
    "none": set(),
    "all": _STARTS | _SYNCS,
    "alone": _SYNCS,
    "INT": _SYNCS,
    "INT+INT": _SYNCS,
    "TERM": _SYNCS,
    "ENOSPC": _STARTS | _FREES | {"chmod", "fchmod", "fchmodat"},
    "EACCES": _STARTS | _BY_FD,
    "EROFS": _STARTS | _BY_FD,
}


def spared(action: str) -> set[str]:
    """The names of the calls that an action passes over."""
    return _SPARED.get(action.rpartition(":")[2], _STARTS)


_FLAGS = {2: 1, 257: 2}  # which argument has the flags of an open
_MAKES = os.O_CREAT | os.O_TRUNC

_TRACEME, _POKEUSER, _CONT, _SETOPTIONS, _INFO = 0, 6, 7, 0x4200, 0x420E
_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP, _EXITKILL = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 20
_OPTIONS = _FORK | _VFORK | _CLONE | _EXEC | _SECCOMP | _EXITKILL
_EVENT_SECCOMP = 7
_RAX, _ORIG_RAX = 10 * 8, 15 * 8
_WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, pid, address, data & (1 << 64) - 1) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _filter() -> bytes:
    """The program that lets the kernel stop at the calls of the table, of the opens only those that make or empty a file."""
    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    lines: list[tuple[int, str, str, int]] = [(load, "", "", 0)]
    for number, argument in _FLAGS.items():
        lines.append((equal, "", "+2", number))
        lines.append((load, "", "", 16 + 8 * argument))
        lines.append((any_bit, "trace", "allow", _MAKES))
    lines += [(equal, "trace", "", number) for number in _CALLS.keys() - _FLAGS.keys()]
    ends = {"allow": len(lines), "trace": len(lines) + 1, "": None}
    program = b""
    for at, (code, yes, no, value) in enumerate(lines):
        jumps = [2 if way == "+2" else (ends[way] or at + 1) - at - 1 for way in (yes, no)]
        program += struct.pack("=HBBI", code, *jumps, value)
    for verdict in (0x7FFF0000, 0x7FF00000):
        program += struct.pack("=HBBI", give, 0, 0, verdict)
    return program


def _become(words: Sequence[str]) -> None:
    """In the child: be traced, with the filter, and then the command, which leads a process group and hears ^C."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _ptrace(_TRACEME, 0)
    program = _filter()
    kept = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    )
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, header, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp")
    os.kill(os.getpid(), signal.SIGSTOP)
    os.execvp(words[0], [*words])


class _Tracer:
    """The processes of one command."""

    def __init__(
        self, world: str, report: Path, spared: set[str], act: Callable[[int], None]
    ) -> None:
        self._world = world
        self._spared = spared
        self._report = report
        self._act = act
        self.pids: set[int] = set()
        self.top = 0
        self.is_over = False

    def run(self, words: Sequence[str]) -> int:
        """The command's exit code, once it and all that it started has ended; negative for a signal."""
        self.top = top = os.fork()
        if not top:
            try:
                _become(words)
            finally:
                os._exit(126)
        self.pids.add(top)
        os.waitpid(top, 0)
        _ptrace(_SETOPTIONS, top, 0, _OPTIONS)
        _ptrace(_CONT, top)
        code = 0
        while True:
            try:
                pid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return code
            if not os.WIFSTOPPED(status):
                self.pids.discard(pid)
                code = os.waitstatus_to_exitcode(status) if pid == top else code
                continue
            try:
                self._stopped(pid, status)
            except ProcessLookupError:
                pass  # killed meanwhile

    def _stopped(self, pid: int, status: int) -> None:
        is_new = pid not in self.pids
        self.pids.add(pid)
        number, event = os.WSTOPSIG(status), status >> 16
        if self.is_over:
            os.kill(pid, signal.SIGKILL)
            return
        if event == _EVENT_SECCOMP:
            self._called(pid)
        is_ours = event or number == signal.SIGTRAP or (is_new and number == signal.SIGSTOP)
        _ptrace(_CONT, pid, 0, 0 if is_ours else number)

    def _called(self, pid: int) -> None:
        info = ctypes.create_string_buffer(88)
        _ptrace(_INFO, pid, len(info), ctypes.addressof(info))
        number, *arguments = struct.unpack_from("=7Q", info.raw, 24)
        call = _CALLS[number]
        if call.name in self._spared:
            return
        subject = "" if call.name in _STARTS else self._subject(pid, call, arguments)
        if subject is None:
            return
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
        with open(self._report, "a") as file:
            late = "" if self.top in self.pids else "LATE "
            file.write(f"{late}{name} {call.name} {subject}\n")
        self._act(pid)

    def _subject(self, pid: int, call: Call, arguments: Sequence[int]) -> str | None:
        """What the call changes, relative to the world; None where that is outside, or no file."""
        try:
            if call.fd >= 0:
                path = os.readlink(f"/proc/{pid}/fd/{arguments[call.fd]}")
                found = os.stat(f"/proc/{pid}/fd/{arguments[call.fd]}")
                if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                    return None
            else:
                at = ctypes.c_int(arguments[call.directory]).value if call.directory >= 0 else -100
                above = os.readlink(f"/proc/{pid}/cwd" if at == -100 else f"/proc/{pid}/fd/{at}")
                with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                    memory.seek(arguments[call.path])
                    text = memory.read(4096).partition(b"\0")[0]
                path = os.path.normpath(os.path.join(above, os.fsdecode(text)))
        except OSError:
            return None
        if call.name in _FREES and not os.path.lexists(path):
            return None  # it would change nothing
        return os.path.relpath(path, self._world) if path.startswith(self._world + "/") else None


def _main(report: str, world: str, action: str, nth: str, *words: str) -> int:
    count, failing = 0, False
    errno_name = action.rpartition(":")[2]

    def act(pid: int) -> None:
        nonlocal count, failing
        count += 1
        if action == "alone" and count == int(nth):
            os.kill(pid, signal.SIGKILL)
        elif action == "all" and count == int(nth):
            tracer.is_over = True
            for one in tracer.pids:
                os.kill(one, signal.SIGKILL)
        elif action == "TERM":
            if count == int(nth):
                os.kill(tracer.top, signal.SIGTERM)
        elif action.startswith("INT"):
            if 0 <= count - int(nth) < len(action.split("+")) and nth != "0":
                os.killpg(tracer.top, signal.SIGINT)
        elif action not in ("none", "alone", "all"):
            is_due = count == int(nth)
            failing = failing or is_due
            if is_due or (failing and not action.startswith("once:")):
                _ptrace(_POKEUSER, pid, _ORIG_RAX, -1)
                _ptrace(_POKEUSER, pid, _RAX, -getattr(errno, errno_name))

    Path(report).write_text("")
    tracer = _Tracer(os.path.realpath(world), Path(report), spared(action), act)
    code = tracer.run(words)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
