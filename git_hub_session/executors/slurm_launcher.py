"""Submit a job of Slurm for each agent, show the output of the jobs, or cancel them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic, sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Busy, HubError
from git_hub_session.executors.executor import SLURM
from git_hub_session.executors.far_script import make_job_script
from git_hub_session.executors.launcher import FarResult, load_wheel, other_command_lines
from git_hub_session.executors.slurm import (
    JobArray,
    SlurmFailed,
    cancel_jobs,
    queue_command,
    read_queue,
    submit_jobs,
)
from git_hub_session.executors.slurm_follower import JobFollower
from git_hub_session.executors.slurm_record import JobRecord, RecordedJobs
from git_hub_session.settings.table import executor_key
from git_hub_session.util.shell import split_words
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.executors.executor import Executor
    from git_hub_session.executors.far_script import FarWork
    from git_hub_session.executors.launcher import FarObserver
    from git_hub_session.executors.slurm import Job, QueuedJob

_CANCEL_PAUSES = (0.2, 0.5, 1.0)  # seconds between two reads of the queue; the last one repeats
CANCEL_LIMIT = 600.0
"""The seconds in which cancelled jobs must end.

A job on a node that does not answer never ends.
"""


class JobsPlace(NamedTuple):
    """This clone, as the jobs need it."""

    here: str
    """The main worktree, or the git dir of a bare repository."""
    records: str
    """The directory with the records of the jobs of all sessions."""
    environ: Mapping[str, str]


class AgentJobs(NamedTuple):
    """The agents that get a job."""

    agents: Sequence[int]
    find_ended: Callable[[], Collection[int]]
    """Fetches the session, and returns the agents whose work has ended."""
    evaluation: str = ""
    """The id of the evaluation for which the jobs measure, or ''."""


class SlurmLauncher:
    """Runs or measures the agents of a session as jobs, or cancels the jobs."""

    def __init__(self, executor: Executor, work: FarWork, place: JobsPlace) -> None:
        self._executor = executor
        self._work = work
        self._place = place

    def run(self, observer: FarObserver, wanted: AgentJobs) -> list[FarResult]:
        """Submit a job for each agent that has none, and wait for the ends of all jobs.

        Raises:
            SlurmFailed: Slurm cannot be used, or refuses the jobs.
            LockHeld: another process submits jobs for the session.
            Busy: jobs of another evaluation wait or run.
        """
        environ = self._place.environ
        follower = JobFollower(self._work.sid, environ, observer, wanted.find_ended)
        record = self._open_record()
        try:
            ended = wanted.find_ended()
            left = [agent for agent in wanted.agents if agent not in ended]
            recorded = record.read()
            jobs = self._continued_jobs(recorded, ended, wanted.evaluation)
            new = [agent for agent in left if agent not in jobs]
            for agent in left:
                if agent in jobs:
                    follower.add(agent, jobs[agent], record.path, is_attached=True)
                    observer.on_message(SLURM, f"job {jobs[agent].id} was submitted before")
                    self._warn_about_command(observer, jobs[agent], recorded.commands[agent])
            if new:
                submitted = self._submit(record, new)
                commands = {**recorded.commands, **dict.fromkeys(submitted, self._work.command)}
                record.write(RecordedJobs({**jobs, **submitted}, wanted.evaluation, commands))
                number = submitted[new[0]].id.partition("_")[0]
                observer.on_message(
                    SLURM, f"submitted job {number} ({count_noun(len(new), 'agent')})"
                )
                for agent, job in submitted.items():
                    follower.add(agent, job, record.path, is_attached=False)
        finally:
            record.close()
        return follower.run()

    def _warn_about_command(self, observer: FarObserver, job: Job, running: str) -> None:
        """Print that a job has another command line than this call."""
        if running and running != self._work.command:
            for text in other_command_lines(
                f"job {job.id}", running, self._work.command, f"scancel {job.id}"
            ):
                observer.on_message(SLURM, text)

    def _open_record(self) -> JobRecord:
        return JobRecord(self._place.records, self._work.directory)

    def _active_jobs(self, recorded: RecordedJobs) -> dict[int, QueuedJob]:
        """Return the recorded jobs that wait or run, by agent."""
        jobs = recorded.by_agent
        queue = read_queue(self._work.sid, [*jobs.values()], self._place.environ)
        found = {agent: queue[job] for agent, job in jobs.items() if job in queue}
        return {agent: queued for agent, queued in found.items() if queued.is_active}

    def _continued_jobs(
        self, recorded: RecordedJobs, ended: Collection[int], evaluation: str
    ) -> dict[int, Job]:
        """Return the recorded jobs that wait or run. Cancel those that wait for no work.

        Raise Busy if they measure for another evaluation.
        """
        jobs, active = recorded.by_agent, self._active_jobs(recorded)
        if recorded.evaluation != evaluation:
            active = {agent: queued for agent, queued in active.items() if not queued.is_ending}
            _refuse_other_jobs(self._work.sid, [jobs[agent] for agent in active])
        useless = [agent for agent in active if agent in ended and active[agent].is_pending]
        if useless:
            cancelled = [jobs[agent] for agent in useless]
            cancel_jobs(self._work.sid, cancelled, self._place.environ)
        return {agent: jobs[agent] for agent in active if agent not in useless}

    def _submit(self, record: JobRecord, agents: Sequence[int]) -> dict[int, Job]:
        executor, place = self._executor, self._place
        options = split_words(executor.options)
        if options is None:
            key = executor_key(SLURM, "options")
            raise HubError(f"bad value for {key}: a quote is not closed")
        for agent in agents:
            record.clear_log(agent)
        script = make_job_script(
            self._work,
            here=place.here,
            record=record,
            path=executor.path,
            setup=executor.setup,
            remote=executor.remote,
            wheel=load_wheel() if self._work.bootstraps else ("", b""),
        )
        array = JobArray(self._work.sid, agents, executor.workers, options)
        return submit_jobs(array, script, place.environ)

    def cancel(self, observer: FarObserver, limit: float = CANCEL_LIMIT) -> list[FarResult]:
        """Cancel the jobs of the session, and wait for their ends.

        Raise SlurmFailed, also if a job has not ended after `limit` seconds.
        """
        sid, environ = self._work.sid, self._place.environ
        record = self._open_record()
        try:
            recorded = record.read()
            jobs = [recorded.by_agent[agent] for agent in self._active_jobs(recorded)]
        finally:
            record.close()
        observer.on_start(SLURM)
        cancel_jobs(sid, jobs, environ)
        left, pauses = jobs, [*_CANCEL_PAUSES]
        deadline = monotonic() + limit
        while left:
            if monotonic() > deadline:
                ids = ", ".join(job.id for job in left)
                raise SlurmFailed(f"cancelled jobs do not end: {ids}", hint=queue_command(sid))
            sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])
            observer.on_wait()
            queue = read_queue(sid, left, environ)
            left = [job for job in left if job in queue and queue[job].is_active]
        observer.on_end(SLURM)
        return [FarResult(SLURM, 0, is_slurm=True, cancels=True, cancelled=len(jobs))]


def _refuse_other_jobs(sid: str, jobs: Sequence[Job]) -> None:
    """Raise Busy if there are jobs of another evaluation."""
    if jobs:
        raise Busy(
            f"jobs of another evaluation of session '{sid}' wait or run: {', '.join(job.id for job in jobs)}",
            hint=f"git hub-session eval --on {SLURM} --cancel {sid}",
        )
