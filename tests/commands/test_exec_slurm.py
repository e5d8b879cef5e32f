"""git hub-session exec --on slurm: a job of a real Slurm for each agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.support.clones import connect
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for
from tests.support.remotes import ServedRepository
from tests.support.slurm import (
    Slurm,
    install_squeue,
    record_job,
    recorded_jobs,
    run_slurm,
    use_cluster,
)
from tests.support.workers import (
    define_executor,
    finish,
    is_cut,
    published_attempts,
    script_with_a_long_log,
    start_command,
    start_exec,
)

pytestmark = pytest.mark.slow
COMMIT = 'echo "${HUB_AGENT#agent-} $(uname -n)" >work && git add work && git commit -qm work'


@pytest.fixture
def login(hub: Hub, served: ServedRepository, slurm: Slurm) -> Hub:
    """Return a clone on the login node, with a session that is not published."""
    prepare(hub, served, slurm)
    return hub


def prepare(hub: Hub, served: ServedRepository, slurm: Slurm) -> None:
    """Create a session, and let the clone use the cluster."""
    use_cluster(hub, served, slurm)
    created = hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    assert created == Result(0, "s1\n")


def execute(hub: Hub, *words: str) -> Result:
    """Run `git hub-session exec` to its end."""
    return finish(start_exec(hub, *words))


def jobs(hub: Hub) -> dict[str, str]:
    """Return the recorded jobs by agent."""
    return recorded_jobs(hub, "s1")


def claims(served: ServedRepository) -> list[str]:
    """Return the claims on the remote."""
    return [*served.refs("refs/hub/claims/")]


def content(served: ServedRepository, attempt: str) -> list[str]:
    """Return the words that COMMIT has committed."""
    return served.git("show", f"refs/heads/hub/s1/{attempt}:work").split()


def check_done(hub: Hub, served: ServedRepository) -> None:
    """Check that the work of both agents is on the remote and in this clone."""
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]
    assert [content(served, f"agent-{n}/attempt-1")[0] for n in (1, 2)] == ["1", "2"]
    assert claims(served) == []
    ours = {f"refs/heads/hub/s1/{name}": oid for name, oid in published_attempts(served).items()}
    assert hub.refs("refs/heads/hub/s1") == ours
    agents = hub.state()["agents"]
    assert [agents[name]["status"] for name in ("agent-1", "agent-2")] == ["done", "done"]


def test_each_agent_gets_a_job_in_this_clone(
    login: Hub, served: ServedRepository, slurm: Slurm
) -> None:
    result = execute(login, "--on", "slurm", "s1", "--", "sh", "-c", f"echo it\\'s; {COMMIT}")
    assert result.code == 0, result
    lines = result.out.splitlines()
    assert sorted(lines[:-3]) == sorted(
        f"slurm: {line}"
        for n in (1, 2)
        for line in (f"working on agent-{n}", f"agent-{n} | it's", f"agent-{n}: done")
    )
    check_done(login, served)
    number = jobs(login)["1"].partition("_")[0]
    assert jobs(login) == {"1": f"{number}_1", "2": f"{number}_2"}
    assert result.err.splitlines()[0] == f"slurm: submitted job {number} (2 agents)"
    assert {content(served, f"agent-{n}/attempt-1")[1] for n in (1, 2)} <= set(slurm.nodes)
    assert "[hub/s1/agent-1/attempt-1]" in login.git("worktree", "list")
    again = execute(login, "--on", "slurm", "s1", "--", "false")
    assert (again.code, again.err) == (0, "")
    assert len(again.out.splitlines()) == 3


def test_the_number_of_jobs_that_run_at_one_time(
    login: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    """A command fails if the other one is running."""
    script = f"mkdir {tmp_path}/busy && {COMMIT} && sleep 1; rmdir {tmp_path}/busy"
    result = execute(login, "--on", "slurm*1", "s1", "--", "sh", "-c", script)
    assert result.code == 0, result
    check_done(login, served)


def test_only_some_agents(login: Hub, served: ServedRepository) -> None:
    result = execute(login, "--on", "slurm", "--only", "2", "s1", "--", "sh", "-c", COMMIT)
    assert result.code == 0, result
    assert [*jobs(login)] == ["2"]
    assert [*published_attempts(served)] == ["agent-2/attempt-1"]


def test_the_settings_of_the_executor(login: Hub, served: ServedRepository, tmp_path: Path) -> None:
    path = tmp_path / "a clone's place" / "project"
    define_executor(
        login,
        "slurm",
        path=str(path),
        setup="export FAR='it is set up'",
        options="--time=5 --comment='two words'",
        slots="1",
    )
    script = 'echo "$FAR"; scontrol show job $SLURM_JOB_ID'
    result = execute(login, "--on", "slurm", "s1", "--", "sh", "-c", f"{script}; {COMMIT}")
    assert result.code == 0, result
    check_done(login, served)
    for agent in ("agent-1", "agent-2"):
        assert f"slurm: {agent} | it is set up" in result.out.splitlines()
        assert f"slurm: {agent} |    Comment=two words " in result.out.splitlines()
    assert "TimeLimit=00:05:00" in result.out
    assert "ArrayTaskThrottle=1" in result.out
    assert (path / ".git" / "hub-session-workers" / "created").exists()
    assert len(login.git("worktree", "list").splitlines()) == 1


def test_the_repository_cannot_set_options(login: Hub, tmp_path: Path) -> None:
    for variable in ("command", "setup", "path", "remote", "options"):
        login.git("config", f"hubsession.executor.slurm.{variable}", f"touch {tmp_path}/ran; false")
    result = execute(login, "--on", "slurm", "--only", "1", "s1", "--", "true")
    assert result.code == 0, result
    assert not (tmp_path / "ran").exists()


def test_a_failed_command(login: Hub, served: ServedRepository) -> None:
    script = f'{COMMIT}; test "$HUB_AGENT" = agent-1'
    result = execute(login, "--on", "slurm", "s1", "--", "sh", "-c", script)
    assert result.code == 1
    assert "error" not in result.err
    assert [line.split()[1] for line in result.out.splitlines()[-2:]] == ["done", "failed"]
    assert len(published_attempts(served)) == 2


def test_json(login: Hub, served: ServedRepository) -> None:
    result = execute(login, "--on", "slurm", "--format=json", "s1", "--", "true")
    assert result.code == 0, result
    answer = json.loads(result.out)
    common = {"attached": False, "running": False, "cancelled": 0, "error": None, "hint": None}
    assert sorted(answer["workers"], key=lambda worker: int(worker["worker"])) == [
        {"executor": "slurm", "worker": n, "exit_code": 0, "job": jobs(login)[str(n)], **common}
        for n in (1, 2)
    ]


def test_a_partition_that_is_missing(login: Hub, served: ServedRepository) -> None:
    define_executor(login, "slurm", options="--partition=nowhere")
    result = execute(login, "--on", "slurm", "s1", "--", "true")
    message = (
        "fatal: sbatch failed: Batch job submission failed: Invalid partition name specified\n"
    )
    assert result == Result(128, "", message)
    assert claims(served) == []


def test_an_option_with_an_open_quote(login: Hub) -> None:
    define_executor(login, "slurm", options="--comment='x")
    result = execute(login, "--on", "slurm", "s1", "--", "true")
    message = "fatal: bad value for hubsession.executor.slurm.options: a quote is not closed\n"
    assert result == Result(128, "", message)


def test_a_machine_without_slurm(hub: Hub, served: ServedRepository, tmp_path: Path) -> None:
    connect(hub, served.url)
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "git-hub-session", "sh", "env", "python3"):
        path = shutil.which(name, path=hub.environ["PATH"])
        assert path
        (programs / name).symlink_to(path)
    hub.environ["PATH"] = str(programs)
    result = execute(hub, "--on", "slurm", "s1", "--", "true")
    message = "fatal: cannot run 'sbatch': No such file or directory\n"
    assert result == Result(128, "", message)


def test_no_jobs(hub: Hub, served: ServedRepository) -> None:
    connect(hub, served.url)
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    result = execute(hub, "--on", "slurm*0", "s1", "--", "true")
    assert (result.code, result.out) == (129, "")
    assert "not a number of workers: 'slurm*0'" in result.err


@types("start one command with --on {}, and one with the other executors")
def test_slurm_and_other_executors(login: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """A job has one agent, and another worker takes any agent. Two commands can share the agents."""
    define_executor(login, "box", command="env FAR=x", path="box/project")
    mixed = ("--on", "box,slurm*2", "s1")
    for words in (("exec", *mixed, "--", "true"), ("eval", *mixed, "--eval", "true")):
        result = login.run(*words)
        assert (result.code, result.out) == (129, "")
        error, hint = result.err.splitlines()[:2]
        assert error == "error: 'slurm' and other executors exclude each other"
    assert served.refs("refs/hub") == {}
    follow_hint(hint.removeprefix("hint: "))
    # The command of agent-1 waits for that of agent-2: both are running at the same time.
    wait = f"touch {tmp_path}/$HUB_AGENT; until test -e {tmp_path}/agent-2; do sleep 0.1; done"
    command = ("s1", "--", "sh", "-c", f"{wait}; {COMMIT}")
    first = start_exec(login, "--on", "slurm", "--only", "1", *command)
    wait_for((tmp_path / "agent-1").exists, first)
    second = execute(login, "--on", "box", "--only", "2", *command)
    assert (finish(first).code, second.code) == (0, 0), second
    check_done(login, served)


def test_a_command_replaces_the_executor(hub: Hub, served: ServedRepository) -> None:
    """A user can have an executor with this name."""
    connect(hub, served.url)
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    define_executor(hub, "slurm", command="env FAR=x")
    result = execute(hub, "--on", "slurm", "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.err) == (0, "")
    check_done(hub, served)


@types("scontrol release {}")
def test_a_job_that_is_held(login: Hub, served: ServedRepository, slurm: Slurm) -> None:
    define_executor(login, "slurm", options="--hold")
    words = ("--on", "slurm", "--only", "1", "s1", "--", "sh", "-c", COMMIT)
    result = execute(login, *words)
    assert result.code == 1
    [job] = jobs(login).values()
    assert result.err.splitlines()[-2:] == [
        f"error: Slurm holds job {job}: JobHeldUser",
        f"hint: scontrol release {job}",
    ]
    type_hint(login, find_hint(result, "scontrol release {}"))
    result = execute(login, *words)
    assert result.code == 0, result
    assert [*jobs(login).values()] == [job]
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


def test_status_shows_the_queue(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """A job that waits, the same job while it runs, and no job after its end."""
    define_executor(login, "slurm", options="--hold")
    assert execute(login, "--on", "slurm", "--only", "1", "s1", "--", "sleep", "600").code == 1
    [job] = jobs(login).values()
    status = login.run("status", "s1")
    held = f"  Job: agent-1 is pending in Slurm (job {job}, JobHeldUser)"
    assert held in status.out.splitlines()
    slurm.run("scontrol", "release", job)
    slurm.wait_for(lambda: slurm.states() == {job: "RUNNING"} and claims(served))
    [row] = [line for line in login.run("status", "s1").out.splitlines() if "  Job:" in line]
    nodes = slurm.run("squeue", "-h", "-o", "%N")
    assert row == f"  Job: agent-1 is running in Slurm (job {job}, {nodes})"
    answer = json.loads(login.run("status", "s1", "--format=json").out)
    assert answer["jobs"] == [
        {
            "job_agent": 1,
            "job_command": "exec",
            "job": job,
            "cluster": None,
            "job_state": "running",
            "reason": None,
            "nodes": nodes,
        }
    ]
    assert answer["jobs_error"] is None
    slurm.run("scancel", job)
    slurm.wait_for(lambda: not slurm.queue())
    result = login.run("status", "s1")
    assert result.code == 0
    assert "Job" not in result.out
    assert claims(served) == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exec sleep 600", "squeue does not answer"),
        (r"printf 'squeue: error: \033]0;no\n' >&2; exit 1", r"squeue failed: \x1b]0;no"),
    ],
)
def test_status_without_an_answer(hub: Hub, tmp_path: Path, script: str, message: str) -> None:
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    record_job(hub, "s1", "7_1")
    install_squeue(hub, tmp_path / "programs", script)
    result = hub.run("status", "s1")
    assert result.code == 0
    line = f"  Jobs: cannot read the queue of Slurm: {message}"
    assert line in result.out.splitlines()


@pytest.mark.parametrize("text", ["7_1 -A", "--help", "7", "", "7_1;a b", "1" * 5000])
def test_a_hostile_record(hub: Hub, tmp_path: Path, text: str) -> None:
    """An agent can write there."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "2")
    record_job(hub, "s1", text)
    install_squeue(hub, tmp_path / "programs", f"touch {tmp_path}/ran")
    result = hub.run("status", "s1")
    assert (result.code, result.err) == (0, "")
    assert not (tmp_path / "ran").exists()


def start_and_wait(hub: Hub, slurm: Slurm, script: str) -> tuple[subprocess.Popen[str], str]:
    """Start a job for agent-1. Return the process of `exec` and the job when its command runs."""
    words = ("--on", "slurm", "--only", "1", "s1", "--", "sh", "-c", script)
    process = start_exec(hub, *words)
    log = hub.top / ".git" / "hub-session-jobs" / "s1" / "agent-1.log"
    wait_for(lambda: log.exists() and "| started" in log.read_text(), process)
    return process, jobs(hub)["1"]


FIRST_WAITS = (
    f"test -e work && echo second >>work && git commit -qam 2 && exit; {COMMIT}; echo started"
)
"""The first run of this command waits, and the second one continues its worktree."""


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_requeued_job_continues_its_attempt(
    login: Hub, served: ServedRepository, slurm: Slurm, is_killed: bool
) -> None:
    """The worker gets SIGTERM, or it is killed and its job starts again on the other node."""
    process, job = start_and_wait(login, slurm, f"{FIRST_WAITS}; sleep 600")
    node = slurm.run("squeue", "-h", "-o", "%N")
    if is_killed:
        claim = json.loads(served.git("show", "refs/hub/claims/s1/agent-1:claim.json"))
        os.kill(claim["pid"], signal.SIGSTOP)  # it does not release its claim
        slurm.run("scontrol", "requeue", job)
        slurm.run("scontrol", "update", f"JobId={job}", f"ExcNodeList={node}")
    else:
        slurm.run("scontrol", "requeue", job)
    result = finish(process)
    assert result.code == 0, result
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert content(served, "agent-1/attempt-1") == ["1", node, "second"]
    assert claims(served) == []
    assert jobs(login) == {"1": job}
    if is_killed and len(slurm.nodes) > 1:
        assert "a worker on" not in result.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run several nodes")
def test_a_node_that_is_down(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """Slurm starts the job again on the other node, where the worker continues its claim."""
    script = f"{FIRST_WAITS}; echo $$ >{tmp_path}/pid; exec sleep 600"
    process, job = start_and_wait(login, slurm, script)
    node = slurm.run("squeue", "-h", "-o", "%N")
    claim = json.loads(served.git("show", "refs/hub/claims/s1/agent-1:claim.json"))
    wait_for((tmp_path / "pid").exists, process)
    pids = [*job_processes(job), claim["pid"], int((tmp_path / "pid").read_text())]
    slurm.kill_node(node, pids)
    try:
        result = finish(process)
    finally:
        slurm.start_node(node, ":")
        slurm.wait_for(lambda: slurm.node_states() == {"idle"})
    assert result.code == 0, result
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert content(served, "agent-1/attempt-1") == ["1", node, "second"]
    assert (claims(served), jobs(login)) == ([], {"1": job})


def job_processes(job: str) -> list[int]:
    """Return the ids of the slurmstepd of a job and of the shell below it."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,args="], capture_output=True, text=True)
    rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    number = job.partition("_")[0]
    names = (f"slurmstepd: [{number}.batch]", f"job{int(number):05}/slurm_script")
    return [int(pid) for pid, name in rows if any(each in name for each in names)]


def test_a_log_that_is_too_long(login: Hub, tmp_path: Path) -> None:
    define_executor(login, "slurm", setup="log_limit=5000 log_pause=0.1")
    go = tmp_path / "go"
    words = ("--on", "slurm", "--only", "1", "s1", "--", "sh", "-c", script_with_a_long_log(go))
    process = start_exec(login, *words)
    log = login.top / ".git" / "hub-session-jobs" / "s1" / "agent-1.log"
    wait_for(lambda: is_cut(log), process)
    go.touch()
    result = finish(process)
    assert result.code == 0, result
    assert "slurm: agent-1 | later" in result.out.splitlines()
    assert is_cut(log)


@pytest.mark.parametrize("words", [("exec", "--on", "slurm", "--cancel", "s1"), ()])
def test_cancel(login: Hub, served: ServedRepository, slurm: Slurm, words: tuple[str, ...]) -> None:
    """The worker publishes the commits and releases its claim, also if the user types scancel."""
    process, job = start_and_wait(login, slurm, f"{COMMIT}; echo started; sleep 600")
    if words:
        ended = finish(start_command(login, *words))
        assert ended == Result(0, "Ended 1 job on slurm\n")
    else:
        slurm.run("scancel", job)
    result = finish(process)
    assert result.code == 1
    assert result.err.splitlines()[-1] == f"error: job {job} ended before its worker: cancelled"
    assert result.out.splitlines()[-1].split()[:3] == ["agent-1", "interrupted", "1"]
    assert slurm.queue() == []
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert claims(served) == []


def test_a_time_limit(login: Hub, served: ServedRepository, slurm: Slurm) -> None:
    """Slurm looks at the limits only now and then, so send the signal of the limit by hand."""
    define_executor(login, "slurm", options="--time=1")
    process, job = start_and_wait(login, slurm, f"{COMMIT}; echo started; sleep 600")
    slurm.run("scancel", "--signal=TERM", "--batch", job)
    assert finish(process).code == 1
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    assert claims(served) == []


def test_the_jobs_go_on_without_exec(login: Hub, served: ServedRepository, slurm: Slurm) -> None:
    process, job = start_and_wait(login, slurm, f"{COMMIT}; echo started; sleep 2; echo later")
    os.killpg(process.pid, signal.SIGINT)
    result = finish(process)
    assert result.code in (-signal.SIGINT, 130)
    hints = result.err.splitlines()[-3:]
    assert hints[0] == "the jobs go on"
    assert hints[2] == "hint: end them with: git hub-session exec --on slurm --cancel s1"
    again = execute(login, "--on", "slurm", "--only", "1", "s1", "--", "false")
    assert again.code == 0, again
    lines = again.err.splitlines()
    assert lines[0] == f"slurm: job {job} was submitted before"
    start_of_line = f"slurm: warning: job {job} runs another command: git hub-session work s1 -- sh"
    assert lines[1].startswith(start_of_line)
    assert lines[2:4] == [
        "slurm: not started: git hub-session work s1 -- false",
        f"slurm: to end it: scancel {job}",
    ]
    assert jobs(login) == {"1": job}
    assert [*published_attempts(served)] == ["agent-1/attempt-1"]


def test_srun_as_a_prefix(login: Hub, served: ServedRepository) -> None:
    login.git("config", "--global", "hubsession.executor.node.command", "srun -n1 --quiet")
    result = execute(login, "--on", "node*2", "s1", "--", "sh", "-c", COMMIT)
    assert (result.code, result.err) == (0, "")
    check_done(login, served)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide the clone from a node")
def test_nodes_that_do_not_see_the_clone(hub: Hub, served: ServedRepository) -> None:
    with run_slurm(setup=f"mount -t tmpfs none {hub.top}") as slurm:
        prepare(hub, served, slurm)
        result = execute(hub, "--on", "slurm", "s1", "--", "sh", "-c", f"{COMMIT}; echo far")
        assert result.code == 0, result
        check_done(hub, served)
        assert len(hub.git("worktree", "list").splitlines()) == 1
        cache = Path(hub.environ["HOME"]) / ".cache" / "git-hub-session"
        logs = [cache / "jobs" / f"{job}.log" for job in jobs(hub).values()]
        assert ["| far" in log.read_text() for log in logs] == [True, True]
        hub.run("init", "-q", "--id", "s2", "--task", "Make it small", "--agents", "1")
        define_executor(hub, "slurm", setup="false")
        failed = execute(hub, "--on", "slurm", "s2", "--", "true")
        assert failed.code == 1
        assert "see ~/.cache/git-hub-session/jobs/" in failed.err


def test_a_controller_that_is_away(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """The job ends in the meantime. Slurm may then start it again, or hold it."""
    go = tmp_path / "go"
    wait = f"until test -e {go}; do sleep 0.1; done"
    process, _ = start_and_wait(login, slurm, f"{COMMIT}; echo started; {wait}")
    slurm.kill_controller()
    try:
        status = login.run("status", "s1")
        assert "  Jobs: cannot read the queue of Slurm: " in status.out
        go.touch()
        result = finish(process)
        assert result.code == 0, result
        assert [*published_attempts(served)] == ["agent-1/attempt-1"]
    finally:
        # The controller has not always saved the last ids. A node refuses the id of an earlier job.
        slurm.start_controller(first_job=1000)
        slurm.wait_for(
            lambda: (
                "UP"
                in subprocess.getoutput(f"SLURM_CONF={slurm.environ['SLURM_CONF']} scontrol ping")
            )
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a node its own host name")
def test_cleanup_keeps_the_worktree_of_a_job_on_another_node(
    login: Hub, served: ServedRepository, slurm: Slurm, tmp_path: Path
) -> None:
    """The login node cannot see whether the worker of a claim has ended."""
    script = f"{COMMIT}; echo $$ >{tmp_path}/pid; echo started; sleep 600"
    process, _ = start_and_wait(login, slurm, script)
    result = login.run("cleanup", "s1")
    assert (result.code, "kept" in result.out) == (1, True), result
    claim = json.loads(served.git("show", "refs/hub/claims/s1/agent-1:claim.json"))
    assert claim["host"] in slurm.nodes
    os.kill(claim["pid"], signal.SIGKILL)
    # Slurm ends only processes below that of the job with proctrack/linuxproc.
    os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert finish(process).code == 1
    result = login.run("cleanup", "s1")
    assert f"a worker on {claim['host']}" in result.out or "claim" in result.out, result
    assert "[hub/s1/agent-1/attempt-1]" in login.git("worktree", "list")


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_question_after_an_interrupt(
    login: Hub, served: ServedRepository, slurm: Slurm, answer: str
) -> None:
    script = f"{COMMIT}; echo started; sleep 600"
    words = ["hub-session", "exec", "--on", "slurm", "--only", "1", "s1", "--", "sh", "-c", script]
    terminal = pexpect.spawn(
        "git", words, cwd=str(login.top), env={**login.environ}, encoding="utf-8", timeout=120
    )
    terminal.expect("started")
    terminal.sendintr()
    terminal.expect(r"cancel the jobs\? \[y/N\] ")
    terminal.sendline(answer)
    terminal.expect("Ended 1 job on slurm" if answer == "y" else "the jobs go on")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert bool(slurm.queue()) == (answer == "n")
    assert bool(claims(served)) == (answer == "n")
