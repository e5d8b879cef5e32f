"""The jobs of Slurm that wait or run for the agents of a session."""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import has_command_ended
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.executors.slurm import Job, QueuedJob
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_TIMEOUT = 5.0
"""The seconds in which `squeue` must answer."""


class AgentJob(NamedTuple):
    """A job that waits or runs."""

    agent: int
    job: Job
    queued: QueuedJob


class SessionJobs(NamedTuple):
    """The jobs of a session."""

    rows: Sequence[AgentJob] = ()
    error: str = ""
    """The reason why the queue cannot be read, or ''."""

    def fields(self) -> list[dict[str, Any]]:
        """Return the jobs for JSON and porcelain."""
        return [
            {
                "job_agent": row.agent,
                "job": row.job.id,
                "cluster": row.job.cluster or None,
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
    """Return the active jobs of the agents whose command has not ended."""
    if not os.path.exists(os.path.join(project.paths.jobs, session.id)):
        return SessionJobs()
    from git_hub_session.executors.slurm import SlurmFailed, read_queue
    from git_hub_session.executors.slurm_record import read_jobs

    recorded = read_jobs(project.paths.jobs, session.id)
    jobs = {
        agent: job
        for agent, job in recorded.items()
        if not has_command_ended(session, agent_name(agent))
    }
    if not jobs:
        return SessionJobs()
    try:
        queue = read_queue(session.id, [*jobs.values()], project.environ, _TIMEOUT)
    except SlurmFailed as error:
        return SessionJobs(error=error.message)
    rows = [AgentJob(agent, job, queue[job]) for agent, job in jobs.items() if job in queue]
    return SessionJobs([row for row in rows if row.queued.is_active])


def _describe(row: AgentJob) -> str:
    queued = row.queued
    facts = [f"job {row.job.id}", queued.shown_reason or queued.nodes]
    return f"{agent_name(row.agent)} is {queued.state.lower()} in Slurm ({', '.join(filter(None, facts))})"
