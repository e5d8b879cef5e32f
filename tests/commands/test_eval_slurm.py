"""git hub-session eval --on slurm: a job of a real Slurm measures each agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.support.hints import find_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for
from tests.support.measured_sessions import create_measurable_session
from tests.support.remotes import ServedRepository
from tests.support.slurm import Slurm, recorded_jobs, run_slurm, use_cluster
from tests.support.workers import define_executor, finish, start_command

pytestmark = pytest.mark.slow
COMMAND = "echo ms: $(($(cat ms) * $(uname -n | tr -dc 1-9)))"
"""Each node has its own factor: node2 is half as fast as node1."""
METRIC = ("--metric", "ms", "--direction", "lower", "--no-guard")
MEASURE = ("--eval", COMMAND, *METRIC)
if os.geteuid() != 0:
    MEASURE = ("--eval", "echo ms: $(cat ms)", *METRIC)


def prepare(hub: Hub, served: ServedRepository, slurm: Slurm) -> None:
    """Create a session of two agents that have committed a metric. Use the cluster."""
    hub.commit(hub.top, "ms", "100")
    use_cluster(hub, served, slurm)
    create_measurable_session(hub, "80", "50")


@pytest.fixture
def login(hub: Hub, served: ServedRepository, slurm: Slurm) -> Hub:
    """Return a clone on the login node."""
    prepare(hub, served, slurm)
    return hub


def evaluate(hub: Hub, *words: str) -> Result:
    """Run `git hub-session eval` to its end."""
    return finish(start_command(hub, "eval", *words))


def claims(served: ServedRepository) -> list[str]:
    """Return the claims on the remote."""
    return [*served.refs("refs/hub/claims/")]


def results(hub: Hub) -> dict[str, dict[str, object]]:
    """Return the recorded results by agent."""
    return {name: agent["result"] for name, agent in hub.state()["agents"].items()}


def check_ranked(hub: Hub, served: ServedRepository) -> None:
    """Check that both agents are ranked by their ratios, and that nothing remains."""
    ranks = {name: (each["rank"], each["ratio"]) for name, each in results(hub).items()}
    assert ranks == {"agent-1": (2, 0.8), "agent-2": (1, 0.5)}
    assert claims(served) == []
    assert "-eval-" not in hub.git("worktree", "list")
    record = json.loads(served.git("show", "refs/hub/sessions/s1:state.json"))
    assert record["evaluation"]["by_ratio"] is True


def start_and_wait(
    hub: Hub, slurm: Slurm, tmp_path: Path
) -> tuple[subprocess.Popen[str], tuple[str, ...]]:
    """Start `eval` with commands that wait for the file `go`. Return when both are running.

    Return the process and the arguments.
    """
    started = tmp_path / "started"
    started.mkdir()
    wait = f"touch {started}/$SLURM_ARRAY_TASK_ID; until test -e {tmp_path}/go; do sleep 0.05; done"
    words = ("--on", "slurm", "--eval", f"{wait}; {MEASURE[1]}", *METRIC, "s1")
    process = start_command(hub, "eval", *words)
    tasks = {"1", "2"}
    wait_for(lambda: tasks <= {path.name for path in started.iterdir()}, process)
    return process, words


def test_each_agent_gets_a_job(login: Hub, served: ServedRepository, slurm: Slurm) -> None:
    """The values of two nodes are not compared: the ratio is that of each node."""
    define_executor(login, "slurm", options="--exclusive")
    result = evaluate(login, "--on", "slurm", *MEASURE, "--repeat", "3", "s1")
    assert result.code == 0, result
    jobs = recorded_jobs(login, "s1/eval")
    number = jobs["1"].partition("_")[0]
    assert jobs == {"1": f"{number}_1", "2": f"{number}_2"}
    assert result.err.splitlines()[0] == f"slurm: submitted job {number} (2 agents)"
    lines = result.out.splitlines()
    assert sorted(lines[:4]) == [
        *(f"slurm: agent-{n}: measured" for n in (1, 2)),
        *(f"slurm: working on agent-{n}" for n in (1, 2)),
    ]
    check_ranked(login, served)
    hosts = {}
    for name, value in (("agent-1", 80), ("agent-2", 50)):
        recorded = results(login)[name]
        machine = recorded["machine"]
        assert isinstance(machine, dict)
        hosts[name] = machine["host"]
        factor = int(str(machine["host"])[4:]) if os.geteuid() == 0 else 1
        assert recorded["base_values"] == [100.0 * factor] * 3
        assert recorded["values"] == [float(value) * factor] * 3
    assert sorted(hosts.values()) == sorted((slurm.nodes * 2)[:2])
    # The result is recorded, so the same call measures again.
    again = evaluate(login, "--on", "slurm", *MEASURE, "--repeat", "3", "s1")
    assert again.code == 0, again
    assert recorded_jobs(login, "s1/eval")["1"] != jobs["1"]
    check_ranked(login, served)


def test_exec_and_eval_have_their_own_jobs(login: Hub, served: ServedRepository) -> None:
    done = finish(start_command(login, "exec", "--on", "slurm", "s1", "--", "true"))
    assert done.code == 0, done
    jobs = recorded_jobs(login, "s1")
    result = evaluate(login, "--on", "slurm*1", *MEASURE, "s1")
    assert result.code == 0, result
    assert recorded_jobs(login, "s1") == jobs
    check_ranked(login, served)


def test_another_executor_at_the_same_time(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """Two commands share the agents of one evaluation. Both rank all agents."""
    define_executor(login, "box", command="env FAR=x", path="box/project")
    wait = f"touch {tmp_path}/job-$SLURM_JOB_ID; until test -e {tmp_path}/go; do sleep 0.05; done"
    words = ("--eval", f"{wait}; echo ms: $(cat ms)", *METRIC, "s1")
    first = start_command(login, "eval", "--on", "slurm*1", *words)
    wait_for(lambda: len(claims(served)) == 1, first)
    second = start_command(login, "eval", "--on", "box", *words)
    wait_for((tmp_path / "job-").exists, second)
    (tmp_path / "go").touch()
    assert [finish(process).code for process in (first, second)] == [0, 0]
    check_ranked(login, served)
    slurm.wait_for(lambda: not slurm.queue())


def test_the_jobs_go_on_without_eval(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """`status` shows the jobs, and the same call shows them again and submits no job."""
    process, words = start_and_wait(login, slurm, tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    stopped = finish(process)
    assert stopped.code in (-signal.SIGINT, 128 + signal.SIGINT)
    hints = stopped.err.splitlines()[-3:]
    assert hints[0] == "the jobs go on"
    assert hints[2] == "hint: end them with: git hub-session eval --on slurm --cancel s1"
    jobs = recorded_jobs(login, "s1/eval")
    nodes = dict(line.split() for line in slurm.run("squeue", "-hro", "%i %N").splitlines())
    shown = [line for line in login.run("status", "s1").out.splitlines() if "  Job:" in line]
    assert shown == [
        f"  Job: the measurement of agent-{n} is running in Slurm (job {job}, {nodes[job]})"
        for n, job in jobs.items()
    ]
    answer = json.loads(login.run("status", "s1", "--format=json").out)
    assert [(row["job_agent"], row["job_command"]) for row in answer["jobs"]] == [
        (1, "eval"),
        (2, "eval"),
    ]
    refused = login.run("eval", *MEASURE, "s1")
    assert refused.code == 1
    assert refused.err.splitlines()[0] == "error: session 's1' is being evaluated"
    (tmp_path / "go").touch()
    again = evaluate(login, *words)
    assert again.code == 0, again
    assert recorded_jobs(login, "s1/eval") == jobs
    check_ranked(login, served)
    assert "Job:" not in login.run("status", "s1").out


@types("git hub-session eval --on {} --cancel {}")
def test_jobs_of_another_evaluation(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """They measure with other options, so their results do not count."""
    process, _ = start_and_wait(login, slurm, tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    jobs = recorded_jobs(login, "s1/eval")
    refused = evaluate(login, "--on", "slurm", *MEASURE, "s1")
    message = f"jobs of another evaluation of session 's1' wait or run: {jobs['1']}, {jobs['2']}"
    assert (refused.code, refused.err.splitlines()[0]) == (1, f"error: {message}")
    assert sorted(slurm.queue()) == sorted(jobs.values())
    type_hint(login, find_hint(refused, "git hub-session eval --on {} --cancel {}"))
    assert slurm.queue() == []
    assert claims(served) == []
    result = evaluate(login, "--on", "slurm", *MEASURE, "s1")
    assert result.code == 0, result
    check_ranked(login, served)


def test_cancel(login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path) -> None:
    process, words = start_and_wait(login, slurm, tmp_path)
    ended = evaluate(login, "--on", "slurm", "--cancel", "s1")
    assert ended == Result(0, "Ended 2 jobs on slurm\n")
    result = finish(process)
    assert result.code == 1
    assert "error: not measured: agent-1, agent-2; nothing is ranked" in result.err.splitlines()
    assert (slurm.queue(), claims(served)) == ([], [])
    assert "-eval-" not in login.git("worktree", "list")
    assert login.state()["state"] == "running"
    (tmp_path / "go").touch()
    again = evaluate(login, *words)
    assert again.code == 0, again
    check_ranked(login, served)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_requeued_job_measures_again(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path, is_killed: bool
) -> None:
    """The worker gets SIGTERM, or it cannot release its claim before its job starts again."""
    process, _ = start_and_wait(login, slurm, tmp_path)
    jobs = recorded_jobs(login, "s1/eval")
    if is_killed:
        claim = json.loads(served.git("show", "refs/hub/claims/s1/agent-1:claim.json"))
        os.kill(claim["pid"], signal.SIGSTOP)
    slurm.run("scontrol", "requeue", jobs["1"])
    slurm.wait_for(lambda: slurm.states().get(jobs["1"]) != "RUNNING")
    (tmp_path / "go").touch()
    result = finish(process)
    assert result.code == 0, result
    assert recorded_jobs(login, "s1/eval") == jobs
    check_ranked(login, served)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide the clone from a node")
def test_nodes_that_do_not_see_the_clone(hub: Hub, served: ServedRepository) -> None:
    with run_slurm(setup=f"mount -t tmpfs none {hub.top}") as slurm:
        prepare(hub, served, slurm)
        result = evaluate(hub, "--on", "slurm", *MEASURE, "s1")
        assert result.code == 0, result
        check_ranked(hub, served)
        cache = Path(hub.environ["HOME"]) / ".cache" / "git-hub-session"
        for agent, job in recorded_jobs(hub, "s1/eval").items():
            assert f"agent-{agent}: measured" in (cache / "jobs" / f"{job}.log").read_text()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_question_after_an_interrupt(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path, answer: str
) -> None:
    script = f"touch {tmp_path}/started; sleep 600"
    words = ["hub-session", "eval", "--on", "slurm", "--eval", script, *METRIC, "s1"]
    terminal = pexpect.spawn(
        "git", words, cwd=str(login.top), env={**login.environ}, encoding="utf-8", timeout=120
    )
    terminal.expect("working on")
    slurm.wait_for((tmp_path / "started").exists)
    terminal.sendintr()
    terminal.expect(r"cancel the jobs\? \[y/N\] ")
    terminal.sendline(answer)
    terminal.expect("Ended 2 jobs on slurm" if answer == "y" else "the jobs go on")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert bool(slurm.queue()) == (answer == "n")
    if answer == "y":
        assert claims(served) == []


def test_an_evaluation_in_this_clone(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """It uses the same temporary worktrees as a job in this clone."""
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done; echo ms: $(cat ms)"
    process = start_command(login, "eval", "--eval", wait, *METRIC, "s1")
    wait_for(started.exists, process)
    refused = evaluate(login, "--on", "slurm", *MEASURE, "s1")
    assert refused.code == 1
    assert refused.err.splitlines()[0] == "error: session 's1' is being evaluated"
    assert slurm.queue() == []
    go.touch()
    assert finish(process).code == 0
