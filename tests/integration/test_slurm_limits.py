"""Programs of Slurm that do not answer, and jobs that do not end, have a time limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_hub_session.executors.executor import SLURM, Executor
from git_hub_session.executors.far_script import FarWork
from git_hub_session.executors.launcher import FarObserver
from git_hub_session.executors.slurm import (
    Job,
    JobArray,
    SlurmFailed,
    cancel_jobs,
    read_queue,
    submit_jobs,
)
from git_hub_session.executors.slurm_launcher import JobsPlace, SlurmLauncher
from tests.support.hints import type_hint, types
from tests.support.hub import Hub
from tests.support.slurm import install_squeue, record_job

_SILENT = "exec sleep 600"
_LIMIT = 0.3


@types("squeue --name={}{}")
def test_sbatch_that_does_not_answer(hub: Hub, tmp_path: Path) -> None:
    install_squeue(hub, tmp_path / "sbatch", _SILENT, "sbatch")
    with pytest.raises(SlurmFailed, match="^sbatch does not answer$") as caught:
        submit_jobs(JobArray("s1", [1, 2]), b"", hub.environ, timeout=_LIMIT)
    install_squeue(hub, tmp_path / "squeue", "echo the jobs")
    assert type_hint(hub, caught.value.hint).out == "the jobs\n"


def test_squeue_and_scancel_that_do_not_answer(hub: Hub, tmp_path: Path) -> None:
    for name in ("squeue", "scancel"):
        install_squeue(hub, tmp_path / name, _SILENT, name)
    jobs = [Job("7_1")]
    with pytest.raises(SlurmFailed, match="^squeue does not answer$"):
        read_queue("s1", jobs, hub.environ, timeout=_LIMIT)
    with pytest.raises(SlurmFailed, match="^scancel does not answer$"):
        cancel_jobs("s1", jobs, hub.environ, timeout=_LIMIT)


def test_a_cancelled_job_that_does_not_end(hub: Hub, tmp_path: Path) -> None:
    """The job of a node that does not answer goes on ending."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "1")
    record_job(hub, "s1", "7_1")
    install_squeue(hub, tmp_path / "squeue", "echo '7_1|COMPLETING|0|node1|None|'")
    install_squeue(hub, tmp_path / "scancel", f"touch {tmp_path}/ran", "scancel")
    records = str(hub.top / ".git" / "hub-session-jobs")
    place = JobsPlace(str(hub.top), records, hub.environ)
    work = FarWork("s1", "", "", {}, directory="s1")
    launcher = SlurmLauncher(Executor(SLURM, "", 0), work, place)
    with pytest.raises(SlurmFailed, match="^cancelled jobs do not end: 7_1$") as caught:
        launcher.cancel(FarObserver(), limit=_LIMIT)
    assert (tmp_path / "ran").exists()
    assert caught.value.hint == "squeue --name=hub-session-s1"
