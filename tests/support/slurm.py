"""A real Slurm on this machine: munged, slurmctld and a slurmd for each node, all of this user."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.clones import connect
from tests.support.hub import Hub
from tests.support.remotes import ServedRepository, free_port

_PATIENCE = 120.0  # seconds
_KILL_WAIT = 20  # seconds between SIGTERM and SIGKILL for a job
_PROGRAMS = ("munged", "slurmctld", "slurmd")
_SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Slurm:
    """A cluster. Each node has a host name of its own if this user is root."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self.directory = directory
        self.environ = {**os.environ, "PATH": _SYSTEM_PATH, "SLURM_CONF": f"{directory}/slurm.conf"}
        self.nodes = [f"node{n}" for n in range(1, nodes + 1)]
        if os.geteuid() != 0:
            self.nodes = [socket.gethostname().partition(".")[0]]

    def run(self, *words: str, patience: float = _PATIENCE) -> str:
        """Run a program of Slurm, and return its output."""
        done = subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=patience
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def queue(self) -> list[str]:
        """Return the ids of the jobs that wait or run."""
        return self.run("squeue", "-h", "-r", "-o", "%i").split()

    def states(self) -> dict[str, str]:
        """Return the states of the jobs that wait or run."""
        return dict(line.split() for line in self.run("squeue", "-hro", "%i %T").splitlines())

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        """Return the ends of the logs of the daemons."""
        return "\n".join(
            f"{log}:\n{log.read_text()[-2000:]}" for log in self.directory.glob("*.log")
        )

    def start(self, setup: str) -> None:
        """Start the daemons, and wait until the nodes are idle.

        Args:
            setup: as for start_node().
        """
        self._write_configuration()
        munge = [f"--socket={self.directory}/munge.sock", f"--key-file={self.directory}/munge.key"]
        munge += [
            f"--{name}-file={self.directory}/munged.{name}" for name in ("pid", "log", "seed")
        ]
        self.run("munged", "--force", "--num-threads=2", *munge)
        self.start_controller()
        for node in self.nodes:
            self.start_node(node, setup)
        self.wait_for(lambda: self.node_states() == {"idle"})

    def node_states(self) -> set[str]:
        """Return the states of the nodes."""
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%T"], env=self.environ, capture_output=True, text=True
        )
        return set(done.stdout.split())

    def start_controller(self, first_job: int = 1) -> None:
        """Start slurmctld. It gives the jobs ids from `first_job` on."""
        configuration = Path(self.environ["SLURM_CONF"])
        text = re.sub("(?m)^FirstJobId=.*$", f"FirstJobId={first_job}", configuration.read_text())
        configuration.write_text(text)
        self.run("slurmctld", "-f", str(configuration))

    def kill_node(self, node: str, pids: Sequence[int]) -> None:
        """Kill the slurmd of a node and other processes, as a power failure does.

        Then tell the controller that the node is down, as it finds out later.
        """
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._kill(f"slurmd-{node}", signal.SIGKILL)
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def kill_controller(self) -> None:
        """End slurmctld without a warning."""
        self._kill("slurmctld", signal.SIGKILL)

    def start_node(self, node: str, setup: str) -> None:
        """Start the slurmd of a node.

        Args:
            setup: a shell command that runs first, in a mount namespace of the node.
        """
        command = f"slurmd -f {self.environ['SLURM_CONF']}"
        if os.geteuid() == 0:
            script = f"hostname {node} && {setup} && exec {command}"
            self.run("unshare", "--uts", "--mount", "sh", "-c", script)
        else:
            self.run(*command.split())

    def _kill(self, name: str, number: int) -> None:
        file = self.directory / f"{name}.pid"
        with suppress(OSError, ValueError):
            pid = int(file.read_text())
            os.kill(pid, number)
            self.wait_for(lambda: not _is_running(pid))
        file.unlink(missing_ok=True)

    def stop(self) -> None:
        """End all jobs and daemons."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("scancel", "--signal=KILL", "--full", "-u", str(os.getuid()), patience=10)
            self.run("scancel", "-u", str(os.getuid()), patience=10)
            self.wait_for(lambda: not self.queue())
        for node in self.nodes:
            self._kill(f"slurmd-{node}", signal.SIGTERM)
        for name in ("slurmctld", "munged"):
            self._kill(name, signal.SIGKILL)

    def _write_configuration(self) -> None:
        top = self.directory
        (top / "munge.key").write_bytes(os.urandom(1024))
        (top / "munge.key").chmod(0o400)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        settings = {
            "ClusterName": "test",
            "SlurmctldHost": f"{socket.gethostname().partition('.')[0]}(127.0.0.1)",
            "AuthType": "auth/munge",
            # A job that is requeued may start again after the lifetime of its credential.
            "AuthInfo": f"socket={top}/munge.sock,cred_expire=5",
            "CryptoType": "crypto/munge",
            "SlurmUser": user,
            "SlurmdUser": user,
            "StateSaveLocation": f"{top}/state",
            "SlurmdSpoolDir": f"{top}/spool-%n",
            "SlurmctldPidFile": f"{top}/slurmctld.pid",
            "SlurmdPidFile": f"{top}/slurmd-%n.pid",
            "SlurmctldPort": free_port(),
            "FirstJobId": 1,
            "DebugFlags": "NO_CONF_HASH",  # the file of the nodes may have another FirstJobId
            "SlurmctldLogFile": f"{top}/slurmctld.log",
            "SlurmdLogFile": f"{top}/slurmd-%n.log",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "JobAcctGatherType": "jobacct_gather/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core",
            "ReturnToService": 2,
            "KillWait": _KILL_WAIT,
            "SchedulerParameters": "sched_interval=1,batch_sched_delay=0,sched_min_interval=0",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        cpus = os.cpu_count()
        for node in self.nodes:
            address = f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={free_port()}"
            lines.append(f"{address} CPUs={cpus} RealMemory=500 State=UNKNOWN")
        lines.append(f"PartitionName=p Nodes={','.join(self.nodes)} Default=YES State=UP")
        (top / "slurm.conf").write_text("".join(f"{line}\n" for line in lines))


def _is_running(pid: int) -> bool:
    """Return True if a process has not ended. A container may not reap a process that has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


@contextmanager
def run_slurm(nodes: int = 1, setup: str = ":") -> Iterator[Slurm]:
    """Run a cluster while the block runs. Skip the test if this machine has no Slurm.

    Args:
        setup: a shell command that runs in a mount namespace of each node, if this user is root.
    """
    for program in _PROGRAMS:
        if shutil.which(program, path=_SYSTEM_PATH) is None:
            pytest.skip(f"{program} is not installed")
    # The path of a socket has at most 107 characters, and slurmstepd adds about 40.
    with TemporaryDirectory(prefix="hub-slurm-", dir="/tmp", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "state").mkdir()
        slurm = Slurm(directory, nodes)
        try:
            slurm.start(setup)
            yield slurm
        finally:
            slurm.stop()


def use_cluster(hub: Hub, served: ServedRepository, slurm: Slurm) -> None:
    """Make a clone one on the login node of a cluster, with a remote."""
    connect(hub, served.url)
    hub.environ["SLURM_CONF"] = slurm.environ["SLURM_CONF"]


def recorded_jobs(hub: Hub, name: str) -> dict[str, str]:
    """Return the jobs in a record, such as that of "s1" or "s1/eval", by agent."""
    path = hub.top / ".git" / "hub-session-jobs" / name / "jobs.json"
    return {str(agent): str(job) for agent, job in json.loads(path.read_text())["jobs"].items()}


def install_squeue(hub: Hub, directory: Path, script: str, name: str = "squeue") -> None:
    """Put another squeue, or another program of Slurm, in front of the PATH."""
    directory.mkdir()
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    hub.environ["PATH"] = f"{directory}:{hub.environ['PATH']}"


def record_job(hub: Hub, sid: str, text: str) -> None:
    """Write the record of a job for agent-1 by hand."""
    directory = hub.top / ".git" / "hub-session-jobs" / sid
    directory.mkdir(parents=True)
    (directory / "jobs.json").write_text(json.dumps({"jobs": {"1": text}}))
