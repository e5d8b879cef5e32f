"""The jobs of a session that this clone has submitted, and their output.

They are in <git dir>/hub-session-jobs/<id>. A job on another machine writes its output there if the
machine sees the same directory. The content of the file `id` proves that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session.errors import Damaged
from git_hub_session.executors.slurm import Job, parse_job
from git_hub_session.system.directory import SafeDirectory, write_error
from git_hub_session.system.json_file import encode_json, read_json
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.numbers import parse_int

_JOBS = "jobs.json"
_ID = "id"
_MAX_AGENT = 999
_MAX_ID = 100  # bytes
_LOCK_TIMEOUT = 60.0  # seconds: another process may be waiting for Slurm


def read_jobs(place: str, sid: str) -> dict[int, Job]:
    """Return the jobs of a session by agent. A record that is not valid counts as missing.

    Args:
        place: the directory with the records of all sessions.
    """
    try:
        with SafeDirectory(f"{place}/{sid}") as directory:
            return _read_jobs(directory)
    except (OSError, Damaged):
        return {}


def _read_jobs(directory: SafeDirectory) -> dict[int, Job]:
    try:
        values = as_mapping(read_json(directory, _JOBS).get("jobs"))
    except Damaged:
        return {}
    pairs = ((parse_int(name, _MAX_AGENT), parse_job(text)) for name, text in values.items())
    return {agent: job for agent, job in sorted(pairs, key=str) if agent and job}


class JobRecord:
    """The record of the jobs of a session. Only one process can have it open."""

    def __init__(self, place: str, sid: str) -> None:
        """Open the record, and create it if it is missing.

        Args:
            place: the directory with the records of all sessions.

        Raises:
            HubError: the record cannot be written.
            LockHeld: another process has it open.
        """
        parent, name = os.path.split(place)
        try:
            with SafeDirectory(parent) as git_dir, git_dir.ensure_child(name) as records:
                self._directory = records.ensure_child(sid)
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

    def read(self) -> dict[int, Job]:
        """Return the jobs by agent."""
        return _read_jobs(self._directory)

    def write(self, jobs: Mapping[int, Job]) -> None:
        """Replace the jobs."""
        texts = {str(agent): str(job) for agent, job in sorted(jobs.items())}
        self._directory.replace_atomically(_JOBS, encode_json({"jobs": texts}))

    def clear_log(self, agent: int) -> None:
        """Delete the output of the last job of an agent."""
        self._directory.unlink_if_exists(log_name(agent))


def log_name(agent: int) -> str:
    """Return the name of the file with the output of the job of an agent."""
    return f"agent-{agent}.log"
