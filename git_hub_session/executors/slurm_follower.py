"""Show the output of jobs of Slurm until all of them have ended.

A job writes to a file in this clone if its machine sees the clone. Otherwise only the queue shows
its end. The scheduler can be away, and can hold a job whose work is done: the record of the session
decides then.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from time import monotonic, sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.executors.executor import SLURM
from git_hub_session.executors.launcher import MISSING_HINT, REPORT, FarResult
from git_hub_session.executors.output_lines import OutputLines
from git_hub_session.executors.slurm import SlurmFailed, cancel_jobs, read_queue
from git_hub_session.executors.slurm_record import log_name
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.executors.launcher import FarObserver
    from git_hub_session.executors.slurm import Job, QueuedJob

_PAUSE = 0.2  # seconds between two reads of the output
# The seconds between two reads of the queue. Many clusters ask their users for long pauses.
_FIRST_QUEUE_PAUSE, _MAX_QUEUE_PAUSE = 1.0, 15.0
_CHUNK = 1 << 20  # bytes
_MISSES = 2  # reads of the queue after which a job without a report has ended
_SIGNALED = 128  # a larger exit status is that of a signal: Slurm may start the job again


class _FollowedJob:
    """A job and what it has reported."""

    def __init__(self, agent: int, job: Job, path: str, *, is_attached: bool) -> None:
        self.agent = agent
        self.job = job
        self.path = path
        self.is_attached = is_attached
        self.offset = 0
        if is_attached:
            with suppress(OSError):
                self.offset = os.stat(path).st_size
        self.lines = OutputLines()
        self.misses = 0
        self.exit_code: int | None = None
        """The exit status of the last worker, or None if it has not ended."""
        self.problem = ""
        """The report of a step that failed, or ''."""

    def read_lines(self) -> list[str]:
        """Return the new lines of output."""
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0  # the job has cut its log
                file.seek(self.offset)
                data = file.read(_CHUNK)
        except OSError:
            return []
        self.offset += len(data)
        return self.lines.add(data)

    def result(self, **fields: object) -> FarResult:
        """Return the result of the job."""
        result = FarResult(SLURM, self.agent, is_attached=self.is_attached)
        result = result._replace(is_slurm=True, job=self.job.id)
        if self.problem == "missing":
            error = f"git hub-session is not installed on the node of job {self.job.id}"
            return result._replace(error=error, hint=MISSING_HINT)
        if self.problem:
            return result._replace(error=f"the {self.problem} failed in job {self.job.id}")
        return result._replace(**fields)  # type: ignore[arg-type]


class JobFollower:
    """Follows jobs that are submitted."""

    def __init__(
        self,
        sid: str,
        environ: Mapping[str, str],
        observer: FarObserver,
        find_ended: Callable[[], Collection[int]],
    ) -> None:
        """Prepare the work.

        Args:
            find_ended: fetches the session, and returns the agents whose work has ended.
        """
        self._sid = sid
        self._environ = environ
        self._observer = observer
        self._find_ended = find_ended
        self._open: list[_FollowedJob] = []
        self._pause = _FIRST_QUEUE_PAUSE
        self._summary = ""
        self.results: list[FarResult] = []
        """The results of the jobs that have ended."""

    def add(self, agent: int, job: Job, directory: str, *, is_attached: bool) -> None:
        """Add a job. With `is_attached`, skip its output until now."""
        path = f"{directory}/{log_name(agent)}"
        self._open.append(_FollowedJob(agent, job, path, is_attached=is_attached))

    def run(self) -> list[FarResult]:
        """Wait for the ends of all jobs."""
        self._observer.on_start(SLURM)
        due = monotonic()
        while self._open:
            for each in [*self._open]:
                self._read_output(each)
            if self._open and monotonic() >= due:
                self._read_queue()
                due = monotonic() + self._pause
                self._pause = min(1.5 * self._pause, _MAX_QUEUE_PAUSE)
            self._observer.on_wait()
            if self._open:
                sleep(_PAUSE)
        self._observer.on_end(SLURM)
        return self.results

    def _read_output(self, followed: _FollowedJob) -> None:
        """Pass on the new output of a job. A report in it can end the job."""
        for line in followed.read_lines():
            report = re.fullmatch(REPORT, line)
            if report is None:
                followed.exit_code = None
                self._observer.on_line(SLURM, line)
            elif report[1] == "ended":
                followed.exit_code = parse_int(report[2] or "", MAX_COUNT)
            elif report[1] in ("missing", "failed"):
                followed.problem = report[2] or report[1]
        code = followed.exit_code
        if followed.problem or (code is not None and code <= _SIGNALED):
            self._finish(followed, exit_code=code)

    def _finish(self, followed: _FollowedJob, **fields: object) -> None:
        for line in followed.lines.rest():
            self._observer.on_line(SLURM, line)
        self._open.remove(followed)
        self.results.append(followed.result(**fields))
        self._pause = _FIRST_QUEUE_PAUSE

    def _read_queue(self) -> None:
        """Finish the jobs that Slurm has ended, or holds."""
        try:
            queue = read_queue(self._sid, [each.job for each in self._open], self._environ)
        except SlurmFailed as error:
            self._show_summary(f"{error.message}; waiting")
            return
        held = []
        for each in [*self._open]:
            entry = queue.get(each.job)
            if entry is not None and entry.is_held:
                held.append((each, entry))
            elif entry is None or not entry.is_active:
                self._end(each, entry)
        if held:
            self._end_held(held)
        states = Counter(entry.state.lower() for entry in queue.values() if entry.is_active)
        counts = (f"{count_noun(n, 'job')} {state}" for state, n in sorted(states.items()))
        self._show_summary(", ".join(counts))

    def _show_summary(self, text: str) -> None:
        if text and text != self._summary:
            self._observer.on_message(SLURM, text)
        self._summary = text

    def _end(self, followed: _FollowedJob, entry: QueuedJob | None) -> None:
        """Finish a job that is no longer active. Its last output may become visible later."""
        followed.misses += 1
        self._pause = _FIRST_QUEUE_PAUSE
        if followed.misses < _MISSES:
            return
        code = followed.exit_code
        if code is None and entry is not None and entry.state in ("COMPLETED", "FAILED"):
            code = entry.exit_code
        error = ""
        if code is None or code > _SIGNALED:
            reason = f": {entry.state.lower()}" if entry else ""
            error = f"job {followed.job.id} ended before its worker{reason}"
        elif code and not os.path.exists(followed.path):
            log = f"~/.cache/git-hub-session/jobs/{followed.job.id}.log"
            node = entry.nodes if entry else "its node"
            error = f"job {followed.job.id} failed: see {log} on {node}"
        self._finish(followed, exit_code=code, error=error)

    def _end_held(self, held: list[tuple[_FollowedJob, QueuedJob]]) -> None:
        """Finish the jobs that Slurm holds. Cancel those whose work is done."""
        ended = self._find_ended()
        done = [each.job for each, _ in held if each.agent in ended]
        if done:
            cancel_jobs(self._sid, done, self._environ)
        for each, entry in held:
            if each.job in done:
                self._finish(each, exit_code=0)
            else:
                error = f"Slurm holds job {each.job.id}: {entry.reason}"
                self._finish(each, error=error, hint=f"scontrol release {each.job.id}")
