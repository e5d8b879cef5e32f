"""Run several programs at once, each with pipes for its standard streams."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic

_POLL_SECONDS = 0.25  # between two looks at the exit statuses
_END_SECONDS = 0.01  # the same, after a program has closed its standard output
_GRACE_SECONDS = 3.0  # between SIGTERM and SIGKILL
_CHUNK = 1 << 16  # bytes
_LARGEST_PIPE = 1 << 20  # bytes


class PipedObserver:
    """The methods that ProgramGroup.run() calls. Here they do nothing."""

    def on_output(self, key: object, data: bytes, *, is_error: bool) -> None:
        """Receive output of a program. `is_error` is True for standard error."""

    def on_end(self, key: object, status: int) -> None:
        """Receive the exit status of a program, or minus the number of the signal that ended it."""

    def on_wait(self) -> float | None:
        """Return the seconds after which the method is called again, or None if it need not be."""
        return None


class _Program:
    """A running program."""

    def __init__(self, key: object, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.key = key
        self.process = process
        self.input = process.stdin.fileno()
        self.output = process.stdout.fileno()
        self.error = process.stderr.fileno()
        self.unwritten = stdin
        self.has_closed = False
        """True if the program has closed its standard output."""
        os.set_blocking(self.input, False)
        os.set_blocking(self.output, False)
        os.set_blocking(self.error, False)


class ProgramGroup:
    """Programs that run in parallel, each in its own setsid(2) session.

    The standard input of a program stays open until the program ends: its end tells the program
    that this process has ended.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._programs: list[_Program] = []
        self._selector = DefaultSelector()

    def start(self, key: object, arguments: Sequence[str], stdin: bytes) -> None:
        """Start a program. Raise OSError if that is impossible.

        Args:
            key: names the program in the calls of the observer.
        """
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environ,
            start_new_session=True,
        )
        program = _Program(key, process, stdin)
        self._programs.append(program)
        self._selector.register(program.input, EVENT_WRITE, program)
        self._selector.register(program.output, EVENT_READ, program)
        self._selector.register(program.error, EVENT_READ, program)

    def run(self, observer: PipedObserver) -> None:
        """Pass on the output until all programs have ended. The observer may start more."""
        while self._programs:
            has_closed = any(program.has_closed for program in self._programs)
            pause = observer.on_wait()
            limit = _END_SECONDS if has_closed else _POLL_SECONDS
            for each, _ in self._selector.select(limit if pause is None else min(pause, limit)):
                if each.fd == each.data.input:
                    self._write(each.data)
                else:
                    self._read(each.data, each.fd, observer)
            for program in [*self._programs]:
                if program.process.poll() is not None:
                    self._finish(program, observer)

    def close(self) -> None:
        """End the programs that still run."""
        for program in self._programs:
            self._forget(program.input)
            program.process.stdin.close()  # type: ignore[union-attr]
            _send_signal(program, signal.SIGTERM)
        deadline = monotonic() + _GRACE_SECONDS
        for program in self._programs:
            with suppress(subprocess.TimeoutExpired):
                program.process.wait(max(0.0, deadline - monotonic()))
            _send_signal(program, signal.SIGKILL)
            program.process.wait()
        self._programs.clear()
        self._selector.close()

    def _write(self, program: _Program) -> None:
        """Write a part of the input. A program may end before it has read everything."""
        try:
            written = os.write(program.input, program.unwritten[:_CHUNK])
            program.unwritten = program.unwritten[written:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            program.unwritten = b""
        if not program.unwritten:
            self._forget(program.input)

    def _read(self, program: _Program, fd: int, observer: PipedObserver) -> int:
        """Pass on a part of the output. Return its size."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        if data:
            observer.on_output(program.key, data, is_error=fd == program.error)
        else:
            self._forget(fd)
            program.has_closed |= fd == program.output
        return len(data)

    def _finish(self, program: _Program, observer: PipedObserver) -> None:
        """Pass on the rest of the output of a program that has ended.

        A process that it left running may keep the pipes open.
        """
        for fd in (program.output, program.error):
            size = _LARGEST_PIPE
            while fd in self._selector.get_map() and size > 0:
                count = self._read(program, fd, observer)
                size -= count or _LARGEST_PIPE
            self._forget(fd)
        self._forget(program.input)
        self._programs.remove(program)
        with program.process:  # close the pipes
            observer.on_end(program.key, program.process.returncode)

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)


def _send_signal(program: _Program, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.process.pid, number)
