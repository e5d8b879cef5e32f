"""The jobs of a session that this clone has submitted, and their output.

Those of `exec` are in <git dir>/hub-session-jobs/<id>, and those of `eval` in its subdirectory `eval`.
A job on another machine writes its output there if the machine sees the same directory. The content
of the file `id` proves that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.executors.slurm import Job, parse_job
from git_hub_session.system.directory import SafeDirectory, write_error
from git_hub_session.system.json_file import encode_json, read_json
from git_hub_session.util.json_values import as_mapping, as_text
from git_hub_session.util.numbers import parse_int

_JOBS = "jobs.json"
_EVALUATION = "evaluation"
_COMMANDS = "commands"
_ID = "id"
_MAX_AGENT = 999
_MAX_ID = 100  # bytes
_LOCK_TIMEOUT = 60.0  # seconds: another process may be waiting for Slurm


class RecordedJobs(NamedTuple):
    """The last job of each agent."""

    by_agent: Mapping[int, Job]
    evaluation: str = ""
    """The id of the evaluation for which the jobs measure, or ''."""
    commands: Mapping[int, str] = {}
    """The command line of each job, from `work` on, without its agent."""


def read_jobs(place: str, name: str) -> RecordedJobs:
    """Return the recorded jobs. A record that is not valid counts as missing.

    Args:
        place: the directory with the records of all sessions.
        name: the path of the record below `place`.
    """
    try:
        with SafeDirectory(f"{place}/{name}") as directory:
            return _read_jobs(directory)
    except (OSError, Damaged):
        return RecordedJobs({})


def _read_jobs(directory: SafeDirectory) -> RecordedJobs:
    try:
        document = read_json(directory, _JOBS)
    except Damaged:
        return RecordedJobs({})
    values = as_mapping(document.get("jobs"))
    pairs = ((parse_int(name, _MAX_AGENT), parse_job(text)) for name, text in values.items())
    jobs = {agent: job for agent, job in sorted(pairs, key=str) if agent and job}
    lines = as_mapping(document.get(_COMMANDS))
    commands = {agent: as_text(lines.get(str(agent))) for agent in jobs}
    return RecordedJobs(jobs, as_text(document.get(_EVALUATION)), commands)


class JobRecord:
    """The record of the jobs of a session. Only one process can have it open."""

    def __init__(self, place: str, name: str) -> None:
        """Open the record, and create it if it is missing.

        Args:
            place: the directory with the records of all sessions.
            name: the path of the record below `place`.

        Raises:
            HubError: the record cannot be written.
            LockHeld: another process has it open.
        """
        parent, top = os.path.split(place)
        try:
            self._directory = SafeDirectory(parent)
            for part in (top, *name.split("/")):
                with self._directory as directory:
                    self._directory = directory.ensure_child(part)
        except OSError as error:
            raise write_error(place, error) from None
        self.path = self._directory.path
        try:
            self._directory.lock(wait=_LOCK_TIMEOUT)
            self.id = self._read_id()
        except BaseException:
            self._directory.close()
            raise

    def _read_id(self) -> str:
        """Return the content of the file `id`. Create it if it is missing."""
        if not self._directory.exists(_ID):
            self._directory.replace_atomically(_ID, os.urandom(16).hex().encode())
        return self._directory.read(_ID, limit=_MAX_ID).decode("ascii", "replace")

    def close(self) -> None:
        """Release the record."""
        self._directory.close()

    def read(self) -> RecordedJobs:
        """Return the jobs."""
        return _read_jobs(self._directory)

    def write(self, jobs: RecordedJobs) -> None:
        """Replace the jobs."""
        texts = {str(agent): str(job) for agent, job in sorted(jobs.by_agent.items())}
        lines = {str(agent): jobs.commands.get(agent, "") for agent in sorted(jobs.by_agent)}
        document = {_EVALUATION: jobs.evaluation} if jobs.evaluation else {}
        content = encode_json({"jobs": texts, _COMMANDS: lines, **document})
        self._directory.replace_atomically(_JOBS, content)

    def clear_log(self, agent: int) -> None:
        """Delete the output of the last job of an agent."""
        self._directory.unlink_if_exists(log_name(agent))


def log_name(agent: int) -> str:
    """Return the name of the file with the output of the job of an agent."""
    return f"agent-{agent}.log"
