"""Run shell commands and parallel tasks. Only `git.process` starts programs too: git itself."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic

from git_hub_session._typing import Self
from git_hub_session.system.io import is_closed_pipe
from git_hub_session.system.signals import defer_signals
from git_hub_session.system.supervision.leftovers import Leftovers
from git_hub_session.system.supervision.supervisor import Command, Supervision
from git_hub_session.system.tasks import (
    INTERRUPTED,
    TERMINATED,
    TIMED_OUT,
    DelayedTask,
    Task,
    TaskCallbacks,
    TaskResult,
)

_STDOUT = 1
_NOT_FOUND = 127  # the exit status of a shell for a command that it cannot find
_GRACE_SECONDS = 3.0  # between SIGTERM and SIGKILL
_CHUNK = 1 << 16  # bytes
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.EAGAIN)


def run_shell(command: str, directory: str, environ: Mapping[str, str]) -> int:
    """Run a command line of the shell in a directory, and return its exit status.

    Its standard output and standard error go to our standard output.

    Raises:
        BrokenPipeError: the command failed, and the reader of the output has gone.
    """
    arguments = ["/bin/sh", "-c", command]
    start = monotonic()
    process = subprocess.run(
        arguments,
        cwd=directory,
        env={**environ, "PWD": directory},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        check=False,
    )
    sys.audit("git_hub_session.end", arguments, process.returncode, monotonic() - start)
    if process.returncode and is_closed_pipe(_STDOUT):
        raise BrokenPipeError
    return process.returncode


def run_tasks(
    tasks: Sequence[Task],
    callbacks: TaskCallbacks,
    *,
    jobs: int,
    timeout: float | None = None,
    separate_stderr: bool = False,
) -> None:
    """Run the tasks, `jobs` at a time, each with no input and in its own setsid(2) session.

    When a command ends, the rest of its process group is terminated too, and so are the processes
    that have left the group, if there is a callback `find_marked`. After `timeout` seconds, or if a
    signal or another exception ends this call, the group gets SIGTERM and three seconds later
    SIGKILL, and all other processes of the command are killed, so no process remains. A task runs
    again if the callback `retry_delay` says so.
    """
    waiting = list(range(len(tasks)))[::-1]
    with _ProcessPool(callbacks, separate_stderr=separate_stderr, timeout=timeout) as pool:
        while waiting or pool.running or pool.delayed:
            waiting += pool.take_due()
            while waiting and len(pool.running) < jobs:
                # Defer signals: a process that is not yet in `running` would not be terminated.
                release = defer_signals()
                try:
                    has_started = pool.start(waiting[-1], tasks[waiting[-1]])
                finally:
                    release()
                if not has_started:
                    break
                waiting.pop()
            if pool.running or pool.delayed:  # or else nothing would end the wait
                pool.wait_once()


class _RunningTask:
    """A task that runs, or whose process group is being terminated."""

    def __init__(
        self,
        index: int,
        command: Sequence[str],
        process: Command,
        leftovers: Leftovers,
    ) -> None:
        self.index = index
        self.command = command
        self.process = process
        self.start = monotonic()
        self.time_limit: float | None = None
        self.kill_time: float | None = None
        self.stop_reason = ""
        self.open_pipes = {*process.output_pipes}
        self.leftovers = leftovers
        self.left: tuple[str, ...] = ()

    @property
    def deadline(self) -> float | None:
        """The time at which SIGTERM or SIGKILL is due, or None."""
        return self.time_limit if self.kill_time is None else self.kill_time

    def terminate(self, now: float) -> None:
        """Send SIGTERM to the process group, and plan SIGKILL, unless that is done already."""
        if self.kill_time is None:
            self.kill_time = now + _GRACE_SECONDS
            self.send_signal(signal.SIGTERM)
            self.leftovers.terminate()

    def send_signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # the group has no process left, or only processes of another user (sudo)


class _ProcessPool:
    """The running tasks. `with` terminates all of them at its end."""

    def __init__(
        self,
        callbacks: TaskCallbacks,
        *,
        separate_stderr: bool,
        timeout: float | None,
    ) -> None:
        self.running: list[_RunningTask] = []
        self.delayed: list[DelayedTask] = []
        self._is_closing = False
        self._callbacks = callbacks
        self._separate_stderr = separate_stderr
        self._timeout = timeout
        self._supervision = Supervision()

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        # When a child ends, Python writes the signal to this pipe: a signal alone does not end
        # select().
        self._wakeup_reader, self._wakeup_writer = os.pipe()
        for fd in (self._wakeup_reader, self._wakeup_writer):
            os.set_blocking(fd, False)
        self._selector.register(self._wakeup_reader, selectors.EVENT_READ, self._drain_wakeup)
        self._old_handler = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._old_wakeup = signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        if self._callbacks.find_marked is not None:
            self._supervision.adopt_orphans()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        try:
            now = monotonic()
            for delayed in self.delayed:
                self._callbacks.on_end(delayed.task, delayed.result)
            for task in self.running:
                if task.kill_time is None and not task.process.has_ended():
                    task.stop_reason = INTERRUPTED
                task.terminate(now)
            while self.running:
                self.wait_once()
        finally:
            for task in self.running:  # a callback has raised an exception
                task.send_signal(signal.SIGKILL)
                task.leftovers.close()
            self._supervision.release_orphans()
            signal.set_wakeup_fd(self._old_wakeup)
            signal.signal(signal.SIGCHLD, self._old_handler)
            self._selector.close()
            os.close(self._wakeup_reader)
            os.close(self._wakeup_writer)

    def start(self, index: int, task: Task) -> bool:
        """Start a task. Return False if the system has no free process or file descriptor now.

        The caller tries again when another task has ended. If the command cannot run for another
        reason, report its end with exit status 127, as a shell does.
        """
        try:
            running = self._start_command(index, task)
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES and self.running:
                return False
            self._callbacks.on_start(index)
            message = f"cannot run '{error.filename or task.command[0]}': {error.strerror}\n"
            self._callbacks.on_output(index, os.fsencode(message), self._separate_stderr)
            self._end_task(index, TaskResult(_NOT_FOUND, 0.0))
            return True
        self.running.append(running)
        for pipe in running.open_pipes:
            self._selector.register(
                pipe, selectors.EVENT_READ, partial(self._read_pipe, running, pipe)
            )
        end_pipe = running.process.end_pipe
        if end_pipe >= 0:
            self._selector.register(
                end_pipe, selectors.EVENT_READ, partial(self._selector.unregister, end_pipe)
            )
        self._callbacks.on_start(index)
        return True

    def _start_command(self, index: int, task: Task) -> _RunningTask:
        find_marked = self._callbacks.find_marked
        process = self._supervision.start(task, separate_stderr=self._separate_stderr)

        def find_processes() -> list[int]:
            return [*find_marked(index), *process.find_descendants()] if find_marked else []

        running = _RunningTask(index, task.command, process, Leftovers(find_processes))
        if self._timeout is not None:
            running.time_limit = running.start + self._timeout
        return running

    def take_due(self) -> list[int]:
        """Return the delayed tasks that are due, and forget them."""
        now = monotonic()
        due = [delayed.task for delayed in self.delayed if delayed.due <= now]
        self.delayed = [delayed for delayed in self.delayed if delayed.due > now]
        return due

    def _end_task(self, index: int, result: TaskResult) -> None:
        """Report the end of a task, or plan its next try."""
        delay = None if self._is_closing else self._callbacks.retry_delay(index, result)
        if delay is None:
            self._callbacks.on_end(index, result)
        else:
            self.delayed.append(DelayedTask(monotonic() + delay, index, result))

    def wait_once(self) -> None:
        """Wait for output, the end of a child or a deadline, and update all tasks."""
        for key, _ in self._selector.select(self._seconds_to_wait()):
            key.data()
        now = monotonic()
        for task in list(self.running):
            self._update_task(task, now)

    def _seconds_to_wait(self) -> float | None:
        """Return the seconds to the next deadline, retry or call of `on_wait`, or None."""
        next_call = self._callbacks.on_wait()
        now = monotonic()
        times = [task.deadline for task in self.running if task.deadline is not None]
        times += [delayed.due for delayed in self.delayed]
        times += [] if next_call is None else [now + next_call]
        return max(0.0, min(times) - now) if times else None

    def _drain_wakeup(self) -> None:
        try:
            while os.read(self._wakeup_reader, _CHUNK):
                pass
        except BlockingIOError:
            pass

    def _read_pipe(self, task: _RunningTask, pipe: int) -> None:
        """Read one chunk, so that a task with much output does not delay the others."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return
        if data:
            is_error = self._separate_stderr and pipe == task.process.output_pipes[1]
            self._callbacks.on_output(task.index, data, is_error)
        else:
            self._close_pipe(task, pipe)

    def _close_pipe(self, task: _RunningTask, pipe: int) -> None:
        self._selector.unregister(pipe)
        task.open_pipes.discard(pipe)
        os.close(pipe)

    def _update_task(self, task: _RunningTask, now: float) -> None:
        """Terminate the process group of a task that has ended or exceeds its time limit.

        Finish the task after its last output, or at its kill time.
        """
        is_late = task.time_limit is not None and now >= task.time_limit
        has_ended = task.process.has_ended()
        if task.kill_time is None and (has_ended or is_late):
            task.stop_reason = "" if has_ended else TIMED_OUT
            if has_ended:
                self._open_leftovers(task)
            task.terminate(now)
        if task.kill_time is None:
            return
        is_quiet = has_ended and not task.open_pipes and not task.leftovers.names
        if is_quiet or now >= task.kill_time:
            self._finish_task(task, now)

    def _open_leftovers(self, task: _RunningTask) -> None:
        """Find the processes that a command left running, and wait for their end too."""
        for fd in task.leftovers.open():
            release = partial(self._release_leftover, task, fd)
            self._selector.register(fd, selectors.EVENT_READ, release)
        task.left = task.leftovers.names

    def _release_leftover(self, task: _RunningTask, fd: int) -> None:
        self._selector.unregister(fd)
        task.leftovers.release(fd)

    def _finish_task(self, task: _RunningTask, now: float) -> None:
        """Kill the rest of the process group, reap the command and report its result."""
        task.send_signal(signal.SIGKILL)
        for fd in task.leftovers.fds:
            self._selector.unregister(fd)
        if task.stop_reason or task.left:
            task.leftovers.kill()
        remaining = task.leftovers.names
        task.leftovers.close()
        end_pipe = task.process.end_pipe
        if end_pipe >= 0 and end_pipe in self._selector.get_map():  # the supervisor runs
            self._selector.unregister(end_pipe)
        status = task.process.wait()
        for pipe in [*task.open_pipes]:  # a process outside the group holds the other end open
            self._close_pipe(task, pipe)
        self.running.remove(task)
        seconds = now - task.start
        sys.audit("git_hub_session.end", task.command, status, seconds)
        exit_status = status if status >= 0 else 128 - status
        # A batch system sends the signal to this process and to the command at the same time.
        if self._is_closing and exit_status == TERMINATED and not task.stop_reason:
            task.stop_reason = INTERRUPTED
        result = TaskResult(exit_status, seconds, task.stop_reason, task.left, remaining)
        self._end_task(task.index, result)
