"""Submit a job of Slurm for each agent, show the output of the jobs, or cancel them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.executors.executor import SLURM
from git_hub_session.executors.far_script import make_job_script
from git_hub_session.executors.launcher import FarResult, load_wheel
from git_hub_session.executors.slurm import JobArray, cancel_jobs, read_queue, submit_jobs
from git_hub_session.executors.slurm_follower import JobFollower
from git_hub_session.executors.slurm_record import JobRecord
from git_hub_session.settings.table import executor_key
from git_hub_session.util.shell import split_words
from git_hub_session.util.text import count_noun

if TYPE_CHECKING:
    from git_hub_session.executors.executor import Executor
    from git_hub_session.executors.far_script import FarWork
    from git_hub_session.executors.launcher import FarObserver
    from git_hub_session.executors.slurm import Job

_CANCEL_PAUSES = (0.2, 0.5, 1.0)  # seconds between two reads of the queue; the last one repeats


class JobsPlace(NamedTuple):
    """This clone, as the jobs need it."""

    here: str
    """The main worktree, or the git dir of a bare repository."""
    records: str
    """The directory with the records of the jobs of all sessions."""
    environ: Mapping[str, str]


class SlurmLauncher:
    """Runs the agents of a session as jobs, or cancels the jobs."""

    def __init__(
        self,
        executor: Executor,
        work: FarWork,
        place: JobsPlace,
        agents: Sequence[int],
        find_ended: Callable[[], Collection[int]],
    ) -> None:
        """Prepare the jobs.

        Args:
            agents: the agents to run.
            find_ended: fetches the session, and returns the agents whose work has ended.
        """
        self._executor = executor
        self._work = work
        self._place = place
        self._agents = agents
        self._find_ended = find_ended

    def run(self, observer: FarObserver) -> list[FarResult]:
        """Submit a job for each agent that has none, and wait for the ends of all jobs.

        Raises:
            SlurmFailed: Slurm cannot be used, or refuses the jobs.
            LockHeld: another process submits jobs for the session.
        """
        follower = JobFollower(self._work.sid, self._place.environ, observer, self._find_ended)
        record = JobRecord(self._place.records, self._work.sid)
        try:
            ended = self._find_ended()
            left = [agent for agent in self._agents if agent not in ended]
            jobs = self._active_jobs(record, ended)
            new = [agent for agent in left if agent not in jobs]
            for agent in left:
                if agent in jobs:
                    follower.add(agent, jobs[agent], record.path, is_attached=True)
                    observer.on_message(SLURM, f"job {jobs[agent].id} was submitted before")
            if new:
                submitted = self._submit(record, new)
                record.write({**jobs, **submitted})
                number = submitted[new[0]].id.partition("_")[0]
                observer.on_message(
                    SLURM, f"submitted job {number} ({count_noun(len(new), 'agent')})"
                )
                for agent, job in submitted.items():
                    follower.add(agent, job, record.path, is_attached=False)
        finally:
            record.close()
        return follower.run()

    def _active_jobs(self, record: JobRecord, ended: Collection[int]) -> dict[int, Job]:
        """Return the recorded jobs that wait or run. Cancel those that wait for no work."""
        jobs = record.read()
        sid, environ = self._work.sid, self._place.environ
        queue = read_queue(sid, [*jobs.values()], environ)
        useless = [
            job
            for agent, job in jobs.items()
            if agent in ended and job in queue and queue[job].is_pending
        ]
        if useless:
            cancel_jobs(sid, useless, environ)
        return {
            agent: job
            for agent, job in jobs.items()
            if job in queue and queue[job].is_active and job not in useless
        }

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

    def cancel(self, observer: FarObserver) -> list[FarResult]:
        """Cancel the jobs of the session, and wait for their ends. Raise SlurmFailed."""
        sid, environ = self._work.sid, self._place.environ
        record = JobRecord(self._place.records, sid)
        try:
            jobs = [*self._active_jobs(record, ()).values()]
        finally:
            record.close()
        observer.on_start(SLURM)
        cancel_jobs(sid, jobs, environ)
        left, pauses = jobs, [*_CANCEL_PAUSES]
        while left:
            sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])
            observer.on_wait()
            queue = read_queue(sid, left, environ)
            left = [job for job in left if job in queue and queue[job].is_active]
        observer.on_end(SLURM)
        return [FarResult(SLURM, 0, is_slurm=True, cancels=True, cancelled=len(jobs))]
