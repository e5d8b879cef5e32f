"""git hub-session exec: real commands, in real process groups."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from git_hub_session.system.procfs import pids_with_environment
from tests.support.hub import Hub, Result, is_alive, snapshot, wait_for


@pytest.fixture
def two(hub: Hub) -> Hub:
    """A session that runs, with two agents."""
    hub.session("s1", agents=2)
    hub.run("update", "s1", "--state", "running")
    return hub


def untimed(result: Result) -> Result:
    """With every duration as 0.0s."""
    return result._replace(out=re.sub(r" *\b\d+\.\d+s", "  0.0s", result.out))


def shell(hub: Hub, script: str, *words: str, code: int = 0, **more: str) -> Result:
    """`exec -- sh -c <script>`."""
    result = hub.run("exec", *words, "s1", "--", "sh", "-c", script, environ=more)
    assert result.code == code, result
    return result


def agent(hub: Hub, number: int) -> dict[str, object]:
    """What state.json says of an agent, without times."""
    found = dict(hub.state()["agents"][f"agent-{number}"])
    found["exec"] = {key: value for key, value in found["exec"].items() if key != "seconds"}
    return found


def log(hub: Hub, number: int, run: str = "exec-1") -> str:
    return (hub.directory() / "output" / run / f"agent-{number}.log").read_text()


def test_a_command_for_each_agent(two: Hub) -> None:
    result = shell(two, 'echo "$HUB_AGENT here"; echo oops >&2; pwd >where', "-j1")
    output = ".agenthub/sessions/s1/output/exec-1"
    assert untimed(result) == Result(
        0,
        "agent-1 | agent-1 here\nagent-1 | oops\nagent-2 | agent-2 here\nagent-2 | oops\n"
        "AGENT    EXIT  TIME  COMMITS  OUTPUT\n"
        f"agent-1  0  0.0s        0  {output}/agent-1.log\n"
        f"agent-2  0  0.0s        0  {output}/agent-2.log\n",
    ), result
    for number in (1, 2):
        assert log(two, number) == f"agent-{number} here\noops\n"
        assert (two.worktree(number) / "where").read_text() == f"{two.worktree(number)}\n"
        assert agent(two, number) == {
            "status": "done",
            "exec": {"run": "exec-1", "exit_code": 0, "commits": 0},
        }


def test_what_a_command_is_told(two: Hub) -> None:
    """HUB_*, and no repository but its own, even where git called us with one."""
    tip = two.refs()["refs/heads/main"]
    script = "env -0 >../env-$HUB_AGENT; git rev-parse --abbrev-ref HEAD"
    result = shell(two, script, "--agents", "2", GIT_DIR=f"{two.top}/.git", GIT_INDEX_FILE="/no")
    assert result.out.startswith("agent-2 | hub/s1/agent-2/attempt-1\n")
    found = dict(
        line.split("=", 1)
        for line in (two.worktrees / "s1" / "env-agent-2").read_text().split("\0")[:-1]
    )
    own = {name: value for name, value in found.items() if name.startswith("HUB_")}
    assert own == {
        "HUB_SESSION_ID": "s1",
        "HUB_AGENT": "agent-2",
        "HUB_ATTEMPT": "1",
        "HUB_BRANCH": "hub/s1/agent-2/attempt-1",
        "HUB_BASE": tip,
        "HUB_TASK": "Make it fast",
        "HUB_TASK_FILE": str(two.directory() / "task.txt"),
        "HUB_RUN": str(two.directory() / "output" / "exec-1"),
    }
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"} & found.keys()


def test_commits_and_failures(two: Hub) -> None:
    """The exit codes are the commands' own; what was committed is counted."""
    script = (
        'test "$HUB_AGENT" = agent-2 && exit 7; echo x >new && git add new && git commit -qm one &&'
        " git commit -qm two --allow-empty"
    )
    result = shell(two, script, code=1)
    rows = [line.split()[:4] for line in untimed(result).out.splitlines()]
    assert rows == [
        ["AGENT", "EXIT", "TIME", "COMMITS"],
        ["agent-1", "0", "0.0s", "2"],
        ["agent-2", "7", "0.0s", "0"],
    ]
    assert agent(two, 1)["exec"] == {"run": "exec-1", "exit_code": 0, "commits": 2}
    assert agent(two, 2) == {
        "status": "failed",
        "exec": {"run": "exec-1", "exit_code": 7, "commits": 0},
    }


def test_a_command_that_there_is_not(two: Hub) -> None:
    result = two.run("exec", "s1", "--agents=1", "--", "no-such-command")
    assert result.code == 1
    said = "cannot run 'no-such-command': No such file or directory"
    assert result.out.splitlines()[0] == f"agent-1 | {said}"
    assert agent(two, 1)["exec"] == {"run": "exec-1", "exit_code": 127, "commits": 0}
    assert log(two, 1) == f"{said}\n"


def test_what_it_leaves_running_ends_with_it(two: Hub) -> None:
    """A server that holds nothing open, one that holds the output, one that does not want to end."""
    script = (
        "sleep 300 & echo $! >../pids-$HUB_AGENT; sleep 300 >/dev/null 2>&1 &"
        " echo $! >>../pids-$HUB_AGENT"
    )
    shell(two, script)
    files = [two.worktrees / "s1" / f"pids-agent-{number}" for number in (1, 2)]
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    assert len(pids) == 4
    wait_for(lambda: not any(map(is_alive, pids)))  # what is killed takes a moment


def test_a_timeout_ends_all_of_it(two: Hub) -> None:
    """Also what does not hear of SIGTERM, and what has left the process group."""
    script = (
        'trap "" TERM; setsid sleep 300 & echo $! >../pids; sh -c "trap \\"\\" TERM; sleep 300" &'
        " echo $! >>../pids; echo begun; wait"
    )
    result = shell(two, script, "--agents=1", "--timeout=1s", code=1)
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["agent-1", "|"],
        ["AGENT", "EXIT"],
        ["agent-1", "timed"],
    ]
    assert agent(two, 1) == {
        "status": "failed",
        "exec": {"run": "exec-1", "exit_code": 137, "commits": 0, "cut_off": "timed out"},
    }
    pids = (two.worktrees / "s1" / "pids").read_text().split()
    assert len(pids) == 2
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids))


def started(hub: Hub, script: str, *words: str) -> subprocess.Popen[str]:
    """An exec that goes on."""
    return subprocess.Popen(
        ["git-hub-session", "exec", *words, "s1", "--", "sh", "-c", script],
        cwd=hub.top,
        env=hub.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_interrupt_ends_all_of_it(two: Hub, number: signal.Signals) -> None:
    """Who runs is ended and marked; whose turn it was not is what it was before."""
    pids = two.worktrees / "s1" / "pids"
    process = started(two, f"sleep 300 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait", "-j1")
    wait_for(pids.exists)
    assert [agent(two, one)["status"] for one in (1, 2)] == ["running", "waiting"]
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (-number, "", "")
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))
    assert agent(two, 1) == {
        "status": "failed",
        "exec": {"run": "exec-1", "exit_code": 143, "commits": 0, "cut_off": "interrupted"},
    }
    assert agent(two, 2)["status"] == "ready"
    assert shell(two, "true", "-q") == Result(0)


def test_an_interrupt_while_they_are_started(hub: Hub) -> None:
    """The first ones interrupt it before the last have begun: it knows of each that it has started."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "16")
    hub.run("spawn", "-q", "s1")
    for number in range(1, 6):
        result = hub.run("exec", "-q", "s1", "--", "sh", "-c", "kill -INT $PPID; exec sleep 300")
        assert result == Result(128 + signal.SIGINT)  # as git says it
        run = hub.directory() / "output" / f"exec-{number}"
        assert pids_with_environment({"HUB_RUN": str(run)}) == []


def test_more_agents_than_files(hub: Hub) -> None:
    """Who finds no file left waits until another has ended: nobody fails for it."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "20")
    hub.run("spawn", "-q", "s1")
    script = "ulimit -n 40; exec git-hub-session exec s1 -- sh -c 'sleep 0.1'"
    result = hub.call("sh", "-c", script)
    assert (result.code, result.err) == (0, "")
    assert {one["exec"]["exit_code"] for one in hub.state()["agents"].values()} == {0}


def test_an_agent_runs_once_at_a_time(two: Hub) -> None:
    """Another one may run beside it; after a kill -9 nobody seems to run for ever."""
    process = started(two, "echo $$; exec sleep 300", "--agents=1")
    assert process.stdout is not None
    pid = int(process.stdout.readline().removeprefix("agent-1 | "))
    refused = Result(1, "", "error: agent-1 is still running\nhint: wait for it, or end it\n")
    before = two.state()
    assert two.run("exec", "s1", "--", "true") == refused
    assert two.state() == before
    assert shell(two, "true", "-q", "--agents=2") == Result(0)
    process.kill()
    os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert agent(two, 1)["status"] == "running"
    assert shell(two, "true", "-q") == Result(0)
    assert agent(two, 1)["status"] == "done"


def test_somebody_else_says_that_an_agent_runs(two: Hub) -> None:
    document = two.state()
    document["agents"] = {"agent-1": {"status": "running", "exec": ["hostile"]}}
    (two.directory() / "state.json").write_text(json.dumps(document))
    assert two.run("exec", "s1", "--", "true").code == 1
    assert shell(two, "true", "-q", "--agents=2") == Result(0)


def test_an_agent_that_is_made_by_half(two: Hub) -> None:
    """A spawn was killed: nobody runs in a worktree that is not whole, and the next spawn finds its mark."""
    document = two.state()
    document["agents"] = {"agent-2": {"status": "spawning", "attempt": 1}}
    (two.directory() / "state.json").write_text(json.dumps(document))
    assert two.run("exec", "s1", "--", "true") == Result(
        1,
        "",
        "error: agent-2 is incomplete: its spawn was interrupted\nhint: git hub-session spawn s1\n",
    )
    assert two.state() == document
    assert two.run("spawn", "-q", "s1") == Result(0)
    assert shell(two, "true", "-q") == Result(0)


def test_nobody_can_run(hub: Hub) -> None:
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
    assert hub.run("exec", "s2", "--agents=1,2", "--", "true").err == (
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


def test_a_worktree_that_went(two: Hub) -> None:
    """Its agent has a branch: what was spawned once comes back by restore."""
    assert two.run("cleanup", "-q", "s1") == Result(0)
    assert two.run("exec", "s1", "--", "true") == Result(
        1, "", "error: session 's1' has no agent worktrees\nhint: git hub-session restore s1\n"
    )
    assert two.run("restore", "-q", "s1") == Result(0)
    assert shell(two, "true", "-q") == Result(0)


def test_who_was_archived_comes_back_and_who_never_was_is_spawned(hub: Hub) -> None:
    """Beside others who are at work."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3").code == 0
    for agent in (1, 2):
        hub.spawn("s1", agent)
    hub.run("update", "-q", "s1", "--state", "running")
    hub.git("tag", "hub/archive/s1/agent-1", "hub/s1/agent-1/attempt-1")
    hub.git("worktree", "remove", hub.worktree(1))
    hub.git("branch", "-q", "-D", "hub/s1/agent-1/attempt-1")

    def hint(agent: int) -> str:
        result = hub.run("exec", "--agents", str(agent), "s1", "--", "true")
        assert result.code == 1
        return result.err.removeprefix(f"error: no worktree: agent-{agent}\nhint: ")

    assert hint(1) == "git hub-session restore s1\n"
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert hint(3) == "git hub-session spawn s1\n"
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert hint(3) == "git hub-session init --task <text>\n"


def test_what_is_printed_does_not_drive_the_terminal(two: Hub) -> None:
    """Colours go, progress that was written over too; the log has every byte."""
    script = r"printf '\033[31mred\033[0m\r\n10%%\r20%%\n\033]0;title\007\377\nno end'"
    result = shell(two, script, "--agents=1")
    assert result.out.splitlines()[:4] == [
        "agent-1 | red",
        "agent-1 | 20%",
        r"agent-1 | \x1b]0;title\x07\xff",
        "agent-1 | no end",
    ]
    kept = (two.directory() / "output" / "exec-1" / "agent-1.log").read_bytes()
    assert kept == b"\x1b[31mred\x1b[0m\r\n10%\r20%\n\x1b]0;title\x07\xff\nno end"


def test_nobody_reads_on(two: Hub) -> None:
    """`exec … | head -1` does not end the agents' work."""
    done = two.worktrees / "s1" / "done"
    script = f"git-hub-session exec --agents=1 s1 -- sh -c 'seq 100000; touch {done}' | head -n 1"
    assert two.call("sh", "-c", script) == Result(0, "agent-1 | 1\n")
    wait_for(done.exists)
    wait_for(lambda: agent(two, 1)["status"] == "done")
    assert log(two, 1).count("\n") == 100_000


def test_formats(two: Hub) -> None:
    """Programs get the answer alone; -q nothing; -n does nothing."""
    before = snapshot(two.top)
    result = two.run("exec", "-n", "s1", "--", "touch", "made")
    assert result == Result(
        0,
        "Would run it for agent-1 in ../worktrees/s1/agent-1\n"
        "Would run it for agent-2 in ../worktrees/s1/agent-2\n",
    )
    assert snapshot(two.top) == before
    result = two.run("exec", "--format=json", "--agents=2", "s1", "--", "echo", "hello")
    found = json.loads(result.out)
    assert found["agents"][0].pop("seconds") >= 0
    assert found == {
        "session_id": "s1",
        "run": "exec-1",
        "dry_run": False,
        "agents": [
            {
                "agent": 2,
                "attempt": 1,
                "branch": "hub/s1/agent-2/attempt-1",
                "path": str(two.worktree(2)),
                "exit_code": 0,
                "cut_off": None,
                "commits": 0,
                "output": str(two.directory() / "output" / "exec-1" / "agent-2.log"),
            }
        ],
    }
    result = two.run("exec", "--format=porcelain", "--agents=2", "s1", "--", "echo", "hello")
    assert re.sub(r"seconds .*", "seconds 0", result.out) == (
        "session s1\nagent 2\nattempt 1\nbranch hub/s1/agent-2/attempt-1\n"
        f"path {two.worktree(2)}\nexit_code 0\nseconds 0\ncommits 0\n"
        f"output {two.directory()}/output/exec-2/agent-2.log\n\n"
    )
    assert shell(two, "echo hello", "-q") == Result(0)
    assert log(two, 1, "exec-3") == "hello\n"


def test_output_that_leads_elsewhere(two: Hub) -> None:
    """A link where the output goes is not followed; nothing is started."""
    elsewhere = two.top.parent / "elsewhere"
    elsewhere.mkdir()
    (two.directory() / "output").symlink_to(elsewhere)
    result = two.run("exec", "s1", "--", "touch", str(elsewhere / "made"))
    assert (result.code, result.out) == (128, "")
    assert "is a symbolic link: links in the hub are not followed" in result.err
    assert list(elsewhere.iterdir()) == []
    assert two.state()["agents"] == {}


def test_the_last_attempt_is_meant(two: Hub) -> None:
    two.spawn("s1", 1, 2)
    shell(two, "echo $HUB_ATTEMPT >attempt", "--agents=1")
    assert (two.worktrees / "s1" / "agent-1-2" / "attempt").read_text() == "2\n"
    assert os.listdir(two.directory() / "output") == ["exec-1"]
