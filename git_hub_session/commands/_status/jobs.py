"""The jobs of Slurm that wait or run for the agents of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import EVAL, EXEC, has_command_ended
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.executors.slurm import Job, QueuedJob
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_TIMEOUT = 5.0
"""The seconds in which `squeue` must answer."""


class AgentJob(NamedTuple):
    """A job that was submitted for an agent."""

    agent: int
    command: str
    """The command that has submitted the job: "exec" or "eval"."""
    job: Job


class ActiveJob(NamedTuple):
    """A job that waits or runs."""

    job: AgentJob
    queued: QueuedJob


class SessionJobs(NamedTuple):
    """The jobs of a session."""

    rows: Sequence[ActiveJob] = ()
    error: str = ""
    """The reason why the queue cannot be read, or ''."""

    def fields(self) -> list[dict[str, Any]]:
        """Return the jobs for JSON and porcelain."""
        return [
            {
                "job_agent": row.job.agent,
                "job_command": row.job.command,
                "job": row.job.job.id,
                "cluster": row.job.job.cluster or None,
                "job_state": row.queued.state.lower(),
                "reason": row.queued.shown_reason or None,
                "nodes": row.queued.nodes or None,
            }
            for row in self.rows
        ]

    def document(self) -> dict[str, Any]:
        """Return the keys of the JSON document."""
        return {"jobs": self.fields(), "jobs_error": self.error or None}

    def lines(self) -> list[str]:
        """Return a line for each job, or for the error."""
        if self.error:
            return [f"  Jobs: cannot read the queue of Slurm: {escape_control(self.error)}"]
        return [f"  Job: {escape_control(_describe(row))}" for row in self.rows]


def read_session_jobs(session: Session, project: Project) -> SessionJobs:
    """Return the active jobs of the agents whose work has not ended."""
    if not os.path.exists(os.path.join(project.paths.jobs, session.id)):
        return SessionJobs()
    from git_hub_session.executors.slurm import SlurmFailed, read_queue

    jobs = [*_exec_jobs(session, project), *_eval_jobs(session, project)]
    if not jobs:
        return SessionJobs()
    try:
        queue = read_queue(session.id, [each.job for each in jobs], project.environ, _TIMEOUT)
    except SlurmFailed as error:
        return SessionJobs(error=error.message)
    rows = [ActiveJob(each, queue[each.job]) for each in jobs if each.job in queue]
    return SessionJobs([row for row in rows if row.queued.is_active])


def _exec_jobs(session: Session, project: Project) -> Iterator[AgentJob]:
    """Yield the jobs of the agents whose command has not ended."""
    from git_hub_session.executors.slurm_record import read_jobs

    for agent, job in read_jobs(project.paths.jobs, session.id).by_agent.items():
        if not has_command_ended(session, agent_name(agent)):
            yield AgentJob(agent, EXEC, job)


def _eval_jobs(session: Session, project: Project) -> Iterator[AgentJob]:
    """Yield the jobs of the agents that are not measured for the evaluation of the jobs."""
    from git_hub_session.executors.slurm_record import read_jobs
    from git_hub_session.session.evaluation_log import read_measurements

    recorded = read_jobs(project.paths.jobs, f"{session.id}/{EVAL}")
    if not recorded.by_agent:
        return
    measured: set[int] = set()
    with project.store.open_directory(session.id) as directory, suppress(Damaged):
        measured = {entry.agent for entry in read_measurements(directory, recorded.evaluation)}
    for agent, job in recorded.by_agent.items():
        if agent not in measured:
            yield AgentJob(agent, EVAL, job)


def _describe(row: ActiveJob) -> str:
    job, queued = row.job, row.queued
    subject = agent_name(job.agent)
    if job.command == EVAL:
        subject = f"the measurement of {subject}"
    facts = [f"job {job.job.id}", queued.shown_reason or queued.nodes]
    return f"{subject} is {queued.state.lower()} in Slurm ({', '.join(filter(None, facts))})"
