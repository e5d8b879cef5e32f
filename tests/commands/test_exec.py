"""`exec`: commands of agents, in their own process groups."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess

import pytest

from git_hub_session.system.procfs import pids_with_environment
from tests.support.hub import Hub, Result, is_alive, snapshot, wait_for


@pytest.fixture
def running_session(hub: Hub) -> Hub:
    """Return a hub with a running session of two agents."""
    hub.session("s1", agents=2)
    hub.run("update", "s1", "--state", "running")
    return hub


def without_durations(result: Result) -> Result:
    """Replace every duration with 0.0s."""
    return result._replace(out=re.sub(r" *\b\d+\.\d+s", "  0.0s", result.out))


def run_script(hub: Hub, script: str, *arguments: str, code: int = 0, **environ: str) -> Result:
    """Run a shell script for the agents."""
    result = hub.run("exec", *arguments, "s1", "--", "sh", "-c", script, environ=environ)
    assert result.code == code, result
    return result


def agent_record(hub: Hub, number: int) -> dict[str, object]:
    """Return the record of an agent in state.json, without times."""
    record = dict(hub.state()["agents"][f"agent-{number}"])
    record["exec"] = {
        key: value
        for key, value in record["exec"].items()
        if key not in ("started", "seconds", "command")
    }
    return record


def read_log(hub: Hub, number: int, run: str = "exec-1") -> str:
    """Return the log of an agent."""
    return (hub.directory() / "output" / run / f"agent-{number}.log").read_text()


def test_command_for_each_agent(running_session: Hub) -> None:
    result = run_script(running_session, 'echo "$HUB_AGENT here"; echo oops >&2; pwd >where', "-j1")
    output = ".agenthub/sessions/s1/output/exec-1"
    remark = "(1 file uncommitted, not measured)"
    assert without_durations(result) == Result(
        0,
        "agent-1 | agent-1 here\nagent-1 | oops\nagent-2 | agent-2 here\nagent-2 | oops\n"
        "AGENT    EXIT  TIME  COMMITS  OUTPUT\n"
        f"agent-1  0  0.0s        0  {output}/agent-1.log {remark}\n"
        f"agent-2  0  0.0s        0  {output}/agent-2.log {remark}\n",
    ), result
    for number in (1, 2):
        assert read_log(running_session, number) == f"agent-{number} here\noops\n"
        assert (
            running_session.worktree(number) / "where"
        ).read_text() == f"{running_session.worktree(number)}\n"
        assert agent_record(running_session, number) == {
            "status": "done",
            "exec": {"run": "exec-1", "exit_code": 0, "commits": 0},
        }


def test_environment_of_a_command(running_session: Hub) -> None:
    """The HUB_* variables are set. Variables of git that name a repository are removed."""
    tip = running_session.refs()["refs/heads/main"]
    script = "env -0 >../env-$HUB_AGENT; git rev-parse --abbrev-ref HEAD"
    result = run_script(
        running_session,
        script,
        "--agents",
        "2",
        GIT_DIR=f"{running_session.top}/.git",
        GIT_INDEX_FILE="/no",
        HUB_METRIC="of an outer session",
    )
    assert result.out.startswith("agent-2 | hub/s1/agent-2/attempt-1\n")
    environ = dict(
        line.split("=", 1)
        for line in (running_session.worktrees / "s1" / "env-agent-2").read_text().split("\0")[:-1]
    )
    assert 20_000 <= int(environ.pop("HUB_PORT")) < 32_000
    assert len(environ.pop("HUB_RUN_ID")) == 16
    own = {name: value for name, value in environ.items() if name.startswith("HUB_")}
    assert own == {
        "HUB_SESSION_ID": "s1",
        "HUB_AGENT": "agent-2",
        "HUB_ATTEMPT": "1",
        "HUB_BRANCH": "hub/s1/agent-2/attempt-1",
        "HUB_BASE": tip,
        "HUB_TASK": "Make it fast",
        "HUB_TASK_FILE": str(running_session.directory() / "task.txt"),
        "HUB_PROMPT_FILE": str(running_session.directory() / "prompt-agent-2.txt"),
        "HUB_BOARD": str(running_session.top / ".agenthub" / "board"),
        "HUB_RUN": str(running_session.directory() / "output" / "exec-1"),
    }
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"} & environ.keys()


def test_commits_and_failures(running_session: Hub) -> None:
    """The exit codes of the commands are reported, and their commits are counted."""
    script = (
        'test "$HUB_AGENT" = agent-2 && exit 7; echo x >new && git add new && git commit -qm one &&'
        " git commit -qm two --allow-empty"
    )
    result = run_script(running_session, script, code=1)
    rows = [line.split()[:4] for line in without_durations(result).out.splitlines()]
    assert rows == [
        ["AGENT", "EXIT", "TIME", "COMMITS"],
        ["agent-1", "0", "0.0s", "2"],
        ["agent-2", "7", "0.0s", "0"],
    ]
    assert agent_record(running_session, 1)["exec"] == {
        "run": "exec-1",
        "exit_code": 0,
        "commits": 2,
    }
    assert agent_record(running_session, 2) == {
        "status": "failed",
        "exec": {"run": "exec-1", "exit_code": 7, "commits": 0},
    }


def test_missing_command(running_session: Hub) -> None:
    result = running_session.run("exec", "s1", "--only=1", "--", "no-such-command")
    assert result.code == 1
    message = "cannot run 'no-such-command': No such file or directory"
    assert result.out.splitlines()[0] == f"agent-1 | {message}"
    assert agent_record(running_session, 1)["exec"] == {
        "run": "exec-1",
        "exit_code": 127,
        "commits": 0,
    }
    assert read_log(running_session, 1) == f"{message}\n"


def test_background_processes_end_with_the_command(running_session: Hub) -> None:
    """One background process holds the output open. The other has its own output."""
    script = (
        "sleep 300 & echo $! >../pids-$HUB_AGENT; sleep 300 >/dev/null 2>&1 &"
        " echo $! >>../pids-$HUB_AGENT"
    )
    run_script(running_session, script)
    files = [running_session.worktrees / "s1" / f"pids-agent-{number}" for number in (1, 2)]
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    assert len(pids) == 4
    wait_for(lambda: not any(map(is_alive, pids)))  # a killed process takes a moment to end


def test_server_in_another_session_is_ended(running_session: Hub) -> None:
    """A warning names it, and the agents can be evaluated."""
    hub = running_session
    script = (
        "setsid sleep 300 >/dev/null 2>&1 & echo $! >../pid; "
        "until grep -q sleep /proc/$!/comm; do sleep 0.01; done; echo x >new"
    )
    result = hub.run("exec", "--only=1", "--commit", "s1", "--", "sh", "-c", script)
    left = "warning: agent-1 left 1 process running: sleep (ended)\n"
    assert (result.code, result.err) == (0, left)
    assert not is_alive(int((hub.worktrees / "s1" / "pid").read_text()))
    measure = ("--eval", "cat new && echo ms: 1", "--metric=ms", "--direction=lower")
    assert hub.run("eval", *measure, "s1").code == 0


@pytest.mark.slow
def test_timeout_ends_all_processes(running_session: Hub) -> None:
    """One process ignores SIGTERM, and one has left the process group."""
    script = (
        'trap "" TERM; setsid sleep 300 & echo $! >../pids; sh -c "trap \\"\\" TERM; sleep 300" &'
        " echo $! >>../pids; echo begun; wait"
    )
    result = run_script(running_session, script, "--agents=1", "--timeout=1s", code=1)
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["agent-1", "|"],
        ["AGENT", "EXIT"],
        ["agent-1", "timed"],
    ]
    assert agent_record(running_session, 1) == {
        "status": "failed",
        "exec": {
            "run": "exec-1",
            "exit_code": 137,
            "commits": 0,
            "cut_off": "timed out",
            "time_limit": 1.0,
        },
    }
    pids = (running_session.worktrees / "s1" / "pids").read_text().split()
    assert len(pids) == 2
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids))


def start_exec(hub: Hub, script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start an exec in the background."""
    return subprocess.Popen(
        ["git-hub-session", "exec", *arguments, "s1", "--", "sh", "-c", script],
        cwd=hub.top,
        env=hub.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signal_ends_all_processes(running_session: Hub, number: signal.Signals) -> None:
    """A running agent is marked as interrupted. A waiting agent gets its old status back."""
    pids = running_session.worktrees / "s1" / "pids"
    script = f"sleep 300 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait"
    process = start_exec(running_session, script, "-j1")
    wait_for(pids.exists)
    assert [agent_record(running_session, n)["status"] for n in (1, 2)] == ["running", "waiting"]
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    command = (
        f"git hub-session exec --only agent-1,agent-2 --jobs 1 s1 -- sh -c {shlex.quote(script)}"
    )
    assert (process.returncode, out, err) == (-number, "", f"hint: continue with: {command}\n")
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))
    assert agent_record(running_session, 1) == {
        "status": "failed",
        "exec": {"run": "exec-1", "exit_code": 143, "commits": 0, "cut_off": "interrupted"},
    }
    assert agent_record(running_session, 2)["status"] == "ready"
    assert run_script(running_session, "true", "-q") == Result(0)


def test_interrupt_while_the_commands_start(hub: Hub) -> None:
    """The first commands interrupt exec before the last have started. exec ends all commands."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "16")
    hub.run("spawn", "-q", "s1")
    for number in range(1, 6):
        # The parent of the command is its supervisor, and the parent of that is exec.
        parent = "while read -r key id; do test $key != PPid: || kill -INT $id; done"
        script = f"{parent} </proc/$PPID/status; exec sleep 300"
        result = hub.run("exec", "-q", "s1", "--", "sh", "-c", script)
        # git's exit code for a command that SIGINT has ended
        assert (result.code, result.out) == (128 + signal.SIGINT, "")
        assert re.fullmatch(
            r"hint: continue with: git hub-session exec .* s1 -- sh .*\n", result.err
        )
        run = hub.directory() / "output" / f"exec-{number}"
        assert pids_with_environment({"HUB_RUN": str(run)}) == []


def test_more_agents_than_file_descriptors(hub: Hub) -> None:
    """If no file descriptor is free, a command waits until another command has ended."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "20")
    hub.run("spawn", "-q", "s1")
    script = "ulimit -n 40; exec git-hub-session exec s1 -- sh -c 'sleep 0.1'"
    result = hub.call("sh", "-c", script)
    assert (result.code, result.err) == (0, "")
    assert {record["exec"]["exit_code"] for record in hub.state()["agents"].values()} == {0}


def test_agent_runs_once_at_a_time(running_session: Hub) -> None:
    """Another agent may run at the same time. After `kill -9` the agent can run again."""
    process = start_exec(running_session, "echo $$; exec sleep 300", "--only=1")
    assert process.stdout is not None
    pid = int(process.stdout.readline().removeprefix("agent-1 | "))
    refused = Result(1, "", "error: agent-1 is still running\nhint: wait for it, or end it\n")
    before = running_session.state()
    assert running_session.run("exec", "s1", "--", "true") == refused
    assert running_session.state() == before
    assert run_script(running_session, "true", "-q", "--agents=2") == Result(0)
    process.kill()
    os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert agent_record(running_session, 1)["status"] == "running"
    assert run_script(running_session, "true", "-q") == Result(0)
    assert agent_record(running_session, 1)["status"] == "done"


def test_agent_marked_as_running_in_state_json(running_session: Hub) -> None:
    document = running_session.state()
    document["agents"] = {"agent-1": {"status": "running", "exec": ["hostile"]}}
    (running_session.directory() / "state.json").write_text(json.dumps(document))
    assert running_session.run("exec", "s1", "--", "true").code == 1
    assert run_script(running_session, "true", "-q", "--agents=2") == Result(0)


def test_agent_with_an_interrupted_spawn(running_session: Hub) -> None:
    """No command runs until the next spawn has completed the worktree."""
    document = running_session.state()
    document["agents"] = {"agent-2": {"status": "spawning", "attempt": 1}}
    (running_session.directory() / "state.json").write_text(json.dumps(document))
    assert running_session.run("exec", "s1", "--", "true") == Result(
        1,
        "",
        "error: agent-2 is incomplete: its spawn was interrupted\nhint: git hub-session spawn s1\n",
    )
    assert running_session.state() == document
    assert running_session.run("spawn", "-q", "s1") == Result(0)
    assert run_script(running_session, "true", "-q") == Result(0)


def test_no_agent_can_run(hub: Hub) -> None:
    hub.session("s1")
    assert hub.run("exec", "s1", "--", "true") == Result(
        1,
        "",
        "error: session 's1' is 'init': its agents cannot run commands\nhint: git hub-session spawn s1\n",
    )
    hub.run("update", "s1", "--state", "running")
    assert hub.run("exec", "s1", "--", "true").err == (
        "error: session 's1' has no agent worktrees\nhint: git hub-session spawn s1\n"
    )
    hub.spawn("s1", 1)
    hub.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "2")
    hub.spawn("s2", 1)
    hub.run("update", "s2", "--state", "running")
    assert hub.run("exec", "s2", "--only=1,2", "--", "true").err == (
        "error: no worktree: agent-2\nhint: git hub-session spawn s2\n"
    )
    assert hub.run("exec", "s1").code == 129
    assert hub.run("exec", "s1", "--").code == 129
    assert hub.run("exec", "s1", "--timeout", "soon", "--", "true").code == 129
    for state in ("evaluating", "archived"):
        hub.run("update", "s1", "--state", state)
    assert hub.run("exec", "s1", "--", "true") == Result(
        1,
        "",
        "error: session 's1' is 'archived': its agents cannot run commands\n"
        "hint: git hub-session init --task <text>\n",
    )
    assert not (hub.directory() / "output").exists()


def test_removed_worktree(running_session: Hub) -> None:
    """The agents still have branches, so the hint is `restore` and not `spawn`."""
    assert running_session.run("cleanup", "-q", "s1") == Result(0)
    assert running_session.run("exec", "s1", "--", "true") == Result(
        1, "", "error: session 's1' has no agent worktrees\nhint: git hub-session restore s1\n"
    )
    assert running_session.run("restore", "-q", "s1") == Result(0)
    assert run_script(running_session, "true", "-q") == Result(0)


def test_hint_for_an_agent_without_a_worktree(hub: Hub) -> None:
    """An archived agent can be restored. An agent that never existed must be spawned."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3").code == 0
    for agent_record in (1, 2):
        hub.spawn("s1", agent_record)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.git("tag", "hub/archive/s1/agent-1", "hub/s1/agent-1/attempt-1")
    hub.git("worktree", "remove", hub.worktree(1))
    hub.git("branch", "-q", "-D", "hub/s1/agent-1/attempt-1")

    def hint(agent_record: int) -> str:
        result = hub.run("exec", "--only", str(agent_record), "s1", "--", "true")
        assert result.code == 1
        return result.err.removeprefix(f"error: no worktree: agent-{agent_record}\nhint: ")

    assert hint(1) == "git hub-session restore s1\n"
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hint(3) == "git hub-session spawn s1\n"
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert hint(3) == "git hub-session init --task <text>\n"


def test_failed_agents_without_a_worktree(running_session: Hub) -> None:
    """No run starts if no agent is left with a worktree. A preview is refused too."""
    run_script(running_session, "test $HUB_AGENT != agent-1", "-q", code=1)
    running_session.git("worktree", "remove", "--force", running_session.worktree(1))
    refusal = Result(1, "", "error: agent-1: no worktree\nhint: git hub-session restore s1\n")
    for options in ((), ("-n",)):
        assert running_session.run("exec", "--failed", *options, "s1", "--", "true") == refusal
    assert os.listdir(running_session.directory() / "output") == ["exec-1"]


def test_output_cannot_control_the_terminal(running_session: Hub) -> None:
    """Colors and overwritten progress are removed from the output. The log has every byte."""
    script = r"printf '\033[31mred\033[0m\r\n10%%\r20%%\n\033]0;title\007\377\nno end'"
    result = run_script(running_session, script, "--agents=1")
    assert result.out.splitlines()[:4] == [
        "agent-1 | red",
        "agent-1 | 20%",
        r"agent-1 | \x1b]0;title\x07\xff",
        "agent-1 | no end",
    ]
    log = (running_session.directory() / "output" / "exec-1" / "agent-1.log").read_bytes()
    assert log == b"\x1b[31mred\x1b[0m\r\n10%\r20%\n\x1b]0;title\x07\xff\nno end"


def test_closed_output_does_not_end_the_commands(running_session: Hub) -> None:
    """The output is a pipe to `head -n 1`."""
    marker = running_session.worktrees / "s1" / "done"
    script = f"git-hub-session exec --only=1 s1 -- sh -c 'seq 100000; touch {marker}' | head -n 1"
    assert running_session.call("sh", "-c", script) == Result(0, "agent-1 | 1\n")
    wait_for(marker.exists)
    wait_for(lambda: agent_record(running_session, 1)["status"] == "done")
    assert read_log(running_session, 1).count("\n") == 100_000


def test_formats(running_session: Hub) -> None:
    """JSON and porcelain contain only the result. -q prints nothing, and -n changes nothing."""
    before = snapshot(running_session.top)
    result = running_session.run("exec", "-n", "s1", "--", "touch", "made")
    assert result == Result(
        0,
        "Would run the command for agent-1 in ../worktrees/s1/agent-1\n"
        "Would run the command for agent-2 in ../worktrees/s1/agent-2\n",
    )
    assert snapshot(running_session.top) == before
    result = running_session.run("exec", "--format=json", "--only=2", "s1", "--", "echo", "hello")
    document = json.loads(result.out)
    assert document["agents"][0].pop("seconds") >= 0
    assert document == {
        "version": 1,
        "session_id": "s1",
        "run": "exec-1",
        "dry_run": False,
        "agents": [
            {
                "agent": 2,
                "attempt": 1,
                "branch": "hub/s1/agent-2/attempt-1",
                "path": str(running_session.worktree(2)),
                "exit_code": 0,
                "cut_off": None,
                "commits": 0,
                "output": str(running_session.directory() / "output" / "exec-1" / "agent-2.log"),
                "commit": None,
                "not_committed": None,
                "tries": 1,
                "reason": None,
                "hint": None,
                "command": "echo hello",
                "uncommitted": 0,
            }
        ],
    }
    result = running_session.run(
        "exec", "--format=porcelain", "--only=2", "s1", "--", "echo", "hello"
    )
    assert re.sub(r"seconds .*", "seconds 0", result.out) == (
        "session s1\nagent 2\nattempt 1\nbranch hub/s1/agent-2/attempt-1\n"
        f"path {running_session.worktree(2)}\nexit_code 0\nseconds 0\ncommits 0\n"
        f"output {running_session.directory()}/output/exec-2/agent-2.log\ntries 1\n"
        "command echo hello\nuncommitted 0\n\n"
    )
    assert run_script(running_session, "echo hello", "-q") == Result(0)
    assert read_log(running_session, 1, "exec-3") == "hello\n"


def test_output_directory_that_is_a_symbolic_link(running_session: Hub) -> None:
    """The link is not followed, and no command is started."""
    elsewhere = running_session.top.parent / "elsewhere"
    elsewhere.mkdir()
    (running_session.directory() / "output").symlink_to(elsewhere)
    result = running_session.run("exec", "s1", "--", "touch", str(elsewhere / "made"))
    assert (result.code, result.out) == (128, "")
    assert "is a symbolic link: links in the hub are not followed" in result.err
    assert list(elsewhere.iterdir()) == []
    assert running_session.state()["agents"] == {}


def test_last_attempt_is_used(running_session: Hub) -> None:
    running_session.spawn("s1", 1, 2)
    run_script(running_session, "echo $HUB_ATTEMPT >attempt", "--agents=1")
    assert (running_session.worktrees / "s1" / "agent-1-2" / "attempt").read_text() == "2\n"
    assert os.listdir(running_session.directory() / "output") == ["exec-1"]


def test_the_start_time_is_kept(running_session: Hub) -> None:
    """`report` draws the time line of a session with it."""
    run_script(running_session, "true")
    for number in (1, 2):
        fields = running_session.state()["agents"][f"agent-{number}"]["exec"]
        assert fields["started"] == "2026-03-17T14:30:22.000000+00:00"
