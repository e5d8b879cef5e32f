"""The only place that starts commands which are not git itself: a line of shell, or many side by side."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, Self
from git_hub_session.system.signals import defer_signals

if TYPE_CHECKING:
    from typing import IO


_BROKEN_PIPE = (-signal.SIGPIPE, 128 + signal.SIGPIPE)
_NOT_FOUND = 127  # as a shell says it
_GRACE = 3.0  # seconds from the request to end to the end
_CHUNK = 1 << 16  # bytes
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.EAGAIN)


class ShellResult(NamedTuple):
    """How a command ended: its exit code, and what it wrote where that was asked for."""

    status: int
    output: str


class Shell:
    """POSIX sh in one directory, with one environment."""

    def __init__(self, directory: str, environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = dict(environ)

    def run(self, command: str, *, capture: bool = False) -> ShellResult:
        """Run a command line; what it writes, errors too, goes to our standard output unless captured.

        Raises BrokenPipeError where the command had nobody to write to.
        """
        words, began = ["/bin/sh", "-c", command], monotonic()
        done = subprocess.run(
            words,
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT,
            check=False,
        )
        sys.audit("git_hub_session.end", words, done.returncode, monotonic() - began)
        if done.returncode in _BROKEN_PIPE:
            raise BrokenPipeError
        return ShellResult(done.returncode, os.fsdecode(done.stdout or b""))


def run_tasks(
    tasks: Sequence[Task],
    listener: TaskCallbacks,
    *,
    jobs: int,
    timeout: float | None = None,
    apart: bool = False,
) -> None:
    """Run the tasks, `jobs` at once, each in a session (setsid) of its own and with nothing to read.

    With its command a task's whole process group ends. After `timeout` seconds, and when a
    signal or another exception ends us, it is asked to (SIGTERM), and killed a little later:
    nothing is left behind. `apart` keeps standard error apart from standard output.
    """
    waiting = list(enumerate(tasks))[::-1]
    with _ProcessPool(listener, apart=apart, timeout=timeout) as pen:
        while waiting or pen.running:
            while waiting and len(pen.running) < jobs:
                release = defer_signals()  # who has started and is in no list yet nobody would end
                try:
                    has_room = pen.start(*waiting[-1])
                finally:
                    release()
                if not has_room:
                    break
                waiting.pop()
            pen.wait_once()


class _RunningTask:
    """A task that runs, or whose process group is on its way out."""

    def __init__(self, at: int, process: subprocess.Popen[bytes], limit: float | None) -> None:
        self.at = at
        self.process = process
        self.since = monotonic()
        self.limit = None if limit is None else self.since + limit
        self.kill_at: float | None = None
        self.cut_off = ""
        self.pipes = {pipe for pipe in (process.stdout, process.stderr) if pipe is not None}

    def has_ended(self) -> bool:
        """Whether the command itself is over; it is not reaped, so that its group's number stays its own."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def terminate(self, now: float) -> None:
        """Ask the whole group to end."""
        if self.kill_at is None:
            self.kill_at = now + _GRACE
            self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # nobody of it is left, or what is left has become somebody else (sudo)

    def deadline(self) -> float | None:
        """When something has to be done about it whatever it does."""
        return self.limit if self.kill_at is None else self.kill_at


class _ProcessPool:
    """The tasks that run; `with` ends them all when it is left."""

    def __init__(self, listener: TaskCallbacks, *, apart: bool, timeout: float | None) -> None:
        self.running: list[_RunningTask] = []
        self._listener = listener
        self._apart = apart
        self._timeout = timeout

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        # A child that ends wakes us through a pipe: no select of its own hears of signals.
        self._alarm, self._bell = os.pipe()
        for end in (self._alarm, self._bell):
            os.set_blocking(end, False)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._before = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._wakeup = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            now = monotonic()
            for job in self.running:
                if job.kill_at is None and not job.has_ended():
                    job.cut_off = "interrupted"
                job.terminate(now)
            while self.running:
                self.wait_once()
        finally:
            for job in self.running:  # whoever listens has failed: nothing stays all the same
                job.signal(signal.SIGKILL)
            signal.set_wakeup_fd(self._wakeup)
            signal.signal(signal.SIGCHLD, self._before)
            self._selector.close()
            os.close(self._alarm)
            os.close(self._bell)

    def start(self, at: int, task: Task) -> bool:
        """Start a task; one that cannot be has ended like one that a shell does not find.

        False where the system has no file or process left for it until one that runs has ended.
        """
        try:
            process = self._process(task)
        except OSError as fault:
            if fault.errno in _NO_ROOM and self.running:
                return False
            self._listener.on_start(at)
            said = f"cannot run '{fault.filename or task.command[0]}': {fault.strerror}\n"
            self._listener.on_output(at, os.fsencode(said), self._apart)
            self._listener.on_end(at, TaskResult(_NOT_FOUND, 0.0))
            return True
        job = _RunningTask(at, process, self._timeout)
        self.running.append(job)
        for pipe in job.pipes:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, (job, pipe))
        self._listener.on_start(at)
        return True

    def _process(self, task: Task) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            task.command,
            cwd=task.directory,
            env=dict(task.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._apart else subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )

    def wait_once(self) -> None:
        """Wait until something happens, and see to it."""
        looks = [look for job in self.running for look in [job.deadline()] if look is not None]
        wait = max(0.0, min(looks) - monotonic()) if looks else None
        for key, _ in self._selector.select(wait):
            if key.data is None:
                self._drain_wakeup()
            else:
                self._read_pipe(*key.data)
        now = monotonic()
        for job in list(self.running):
            self._update_task(job, now)

    def _drain_wakeup(self) -> None:
        try:
            while os.read(self._alarm, _CHUNK):
                pass
        except BlockingIOError:
            pass

    def _read_pipe(self, job: _RunningTask, pipe: IO[bytes]) -> None:
        """Take what is in the pipe now: a little at a time, so that nobody waits for a loud one."""
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._listener.on_output(job.at, data, pipe is job.process.stderr)
        else:
            self._selector.unregister(pipe)
            job.pipes.discard(pipe)

    def _update_task(self, job: _RunningTask, now: float) -> None:
        is_late = job.limit is not None and now >= job.limit
        has_ended = job.has_ended()
        if job.kill_at is None and (has_ended or is_late):
            job.cut_off = "" if has_ended else "timed out"
            job.terminate(now)
        if job.kill_at is None or not ((has_ended and not job.pipes) or now >= job.kill_at):
            return
        job.signal(signal.SIGKILL)
        if job.cut_off:
            _kill_all(self._listener.find_escaped(job.at))
        status = job.process.wait()
        for pipe in job.pipes:  # held by who has left the group
            self._selector.unregister(pipe)
        for end in (job.process.stdout, job.process.stderr):
            if end is not None:
                end.close()
        self.running.remove(job)
        seconds = now - job.since
        sys.audit("git_hub_session.end", job.process.args, status, seconds)
        self._listener.on_end(
            job.at, TaskResult(status if status >= 0 else 128 - status, seconds, job.cut_off)
        )


def _kill_all(processes: Iterable[int]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # gone by itself, or not ours


class Task(NamedTuple):
    """A command to run."""

    command: Sequence[str]
    directory: str
    environ: Mapping[str, str]


class TaskResult(NamedTuple):
    """How a task ended."""

    status: int
    """Its exit code; where a signal ended it, 128 and the signal's number, as a shell says it."""
    seconds: float
    stop_reason: str = ""
    """'timed out' or 'interrupted' where we ended it."""


class TaskCallbacks(NamedTuple):
    """Who hears of the tasks while they run; a task is known by its index."""

    on_start: Callable[[int], None]
    on_output: Callable[[int, bytes, bool], None]
    """It wrote this; True: on standard error, where that is kept apart."""
    on_end: Callable[[int, TaskResult], None]
    find_escaped: Callable[[int], Iterable[int]]
    """The processes of a task that we ended, which have left its process group."""
