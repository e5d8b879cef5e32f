"""Submit jobs to Slurm, read its queue and cancel jobs, with the programs of Slurm."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.programs.capture import CapturedRun, run_captured
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.text import decode_terminal_line

QUEUE_TIMEOUT = 10.0
"""The seconds in which `squeue` and `scancel` must answer."""
SUBMIT_TIMEOUT = 120.0
"""The seconds in which `sbatch` must answer: it tries again if the controller is busy."""
_JOB_ID = r"([0-9]+_[0-9]+)(?:;([A-Za-z0-9._-]+))?"
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
_STARTED = ("CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING")
_ENDING = ("COMPLETING", "STAGE_OUT")
"""The states of active jobs, in squeue(1). A job in another state has ended."""
_FIELDS = ("JobArrayID", "State", "exit_code", "NodeList", "Reason")
_FORMAT = ",".join(f"{field}:|" for field in _FIELDS)
_NAME = "hub-session-"


class SlurmFailed(HubError):
    """A program of Slurm is missing, does not answer, or refuses the jobs."""

    code = "slurm-failed"


class Job(NamedTuple):
    """A job that was submitted for an agent."""

    id: str
    """The id of the array job and the number of the agent, such as "1234_3"."""
    cluster: str = ""
    """The name of the cluster, or '' for the default cluster."""

    def __str__(self) -> str:
        return f"{self.id};{self.cluster}" if self.cluster else self.id


class QueuedJob(NamedTuple):
    """A job as Slurm shows it."""

    state: str
    """The state in capital letters, such as PENDING."""
    exit_code: int
    nodes: str
    reason: str

    @property
    def shown_reason(self) -> str:
        """The reason why the job waits, or ''."""
        return "" if self.reason == "None" else self.reason

    @property
    def is_active(self) -> bool:
        """True if the job waits, runs or ends."""
        return self.state in (*_WAITING, *_STARTED, *_ENDING)

    @property
    def is_ending(self) -> bool:
        """True if the processes of the job have ended, or get a signal to end."""
        return self.state in _ENDING

    @property
    def is_pending(self) -> bool:
        """True if the job waits."""
        return self.state in _WAITING

    @property
    def is_held(self) -> bool:
        """True if the job waits until a user releases the job."""
        return self.is_pending and "hold" in f"{self.state} {self.reason}".lower().replace(
            "held", "hold"
        )


def parse_job(text: object) -> Job | None:
    """Parse the text of a job, or return None."""
    match = re.fullmatch(_JOB_ID, text) if isinstance(text, str) else None
    return Job(match[1], match[2] or "") if match else None


class JobArray(NamedTuple):
    """Jobs to submit, one for each agent. The number of a task is the number of its agent."""

    sid: str
    agents: Sequence[int]
    limit: int = 0
    """The largest number of jobs that run at the same time, or 0."""
    options: Sequence[str] = ()
    """The options of the user for `sbatch`."""


def submit_jobs(
    array: JobArray, script: bytes, environ: Mapping[str, str], timeout: float = SUBMIT_TIMEOUT
) -> dict[int, Job]:
    """Submit jobs, and return them by agent.

    Raise SlurmFailed. If `sbatch` does not answer, Slurm may have accepted the jobs. Then the next call
    submits other jobs, and a job whose agent is claimed ends without work.
    """
    tasks = ",".join(map(str, array.agents)) + (f"%{array.limit}" if array.limit else "")
    words = ["sbatch", "--parsable", f"--job-name={_NAME}{array.sid}", f"--array={tasks}"]
    words += ["--requeue", "--chdir=/", "--output=/dev/null", *array.options]
    run = _run(words, environ, script, timeout=timeout, hint=queue_command(array.sid))
    number, _, cluster = run.stdout.decode("utf-8", "replace").strip().partition(";")
    jobs = {agent: parse_job(str(Job(f"{number}_{agent}", cluster))) for agent in array.agents}
    if run.status or None in jobs.values():
        raise SlurmFailed(f"sbatch failed: {_last_line(run)}")
    return {agent: job for agent, job in jobs.items() if job}


def read_queue(
    sid: str, jobs: Sequence[Job], environ: Mapping[str, str], timeout: float = QUEUE_TIMEOUT
) -> dict[Job, QueuedJob]:
    """Return those of the jobs that Slurm still knows. Raise SlurmFailed."""
    queue = {}
    for cluster in sorted({job.cluster for job in jobs}):
        words = ["squeue", "-h", "-r", "-t", "all", f"--name={_NAME}{sid}", "-O", _FORMAT]
        run = _run([*words, *_cluster_option(cluster)], environ, timeout=timeout)
        if run.status:
            raise SlurmFailed(f"squeue failed: {_last_line(run)}")
        for line in run.stdout.splitlines():
            fields = decode_terminal_line(line).split("|")
            if len(fields) > len(_FIELDS):
                name, state, status, nodes, reason = fields[: len(_FIELDS)]
                code = (parse_int(status, MAX_COUNT) or 0) >> 8
                queue[Job(name, cluster)] = QueuedJob(state, code, nodes, reason)
    return {job: queue[job] for job in jobs if job in queue}


def cancel_jobs(
    sid: str, jobs: Sequence[Job], environ: Mapping[str, str], timeout: float = QUEUE_TIMEOUT
) -> None:
    """Cancel the jobs. Raise SlurmFailed if `scancel` is missing or does not answer.

    Slurm sends SIGTERM to all processes of a job, and later SIGKILL. A job that has ended is no
    error: read the queue afterwards.
    """
    for cluster in sorted({job.cluster for job in jobs}):
        ids = [job.id for job in jobs if job.cluster == cluster]
        words = ["scancel", f"--name={_NAME}{sid}", *_cluster_option(cluster), *ids]
        _run(words, environ, timeout=timeout)


def queue_command(sid: str) -> str:
    """Return the command that shows the jobs of a session."""
    return f"squeue --name={_NAME}{sid}"


def _cluster_option(cluster: str) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _run(
    words: list[str],
    environ: Mapping[str, str],
    stdin: bytes = b"",
    *,
    timeout: float,
    hint: str = "",
) -> CapturedRun:
    """Run a program of Slurm. Raise SlurmFailed, with a hint if the program does not answer."""
    try:
        return run_captured(words, "/", environ, stdin, timeout)
    except TimeoutError:
        raise SlurmFailed(f"{words[0]} does not answer", hint=hint) from None
    except OSError as error:
        raise SlurmFailed(f"cannot run '{words[0]}': {error.strerror}") from None


def _last_line(run: CapturedRun) -> str:
    """Return the last message of a program, without the name of the program."""
    lines = run.stderr.splitlines() or [b"no message"]
    return re.sub(r"^\w+: (error|fatal): ", "", decode_terminal_line(lines[-1]))
