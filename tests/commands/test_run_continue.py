"""`run` with agents that fail, and the lines that say how to continue. Each line is typed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support.answers import find_invalid
from tests.support.continued_runs import start, type_commands
from tests.support.hints import follow_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for

pytestmark = pytest.mark.slow

MEASURE = ("--eval", "cat ms", "--metric", "ms", "--direction", "lower")
RUN = ("run", "--id", "s1", "--task", "t", "--agents", "2")
OPTIONS = ("-j", "1", "--timeout", "90s", "--repeat", "2", "--yes", "-m", "Be quick", "-m", "x y")
WORK = 'echo "ms: ${HUB_AGENT#agent-}" >ms'
FAILED = """\
warning: agent-{0}: 1 file uncommitted, not measured: 'ms'
warning: agent-{0}: failed with exit code 1
"""
AGENT_2_FAILS = f"{WORK}; test -e ../go || test $HUB_AGENT = agent-1"


@pytest.fixture
def project(hub: Hub) -> Hub:
    """Return a hub whose project has the metric `ms` 50."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    return hub


def worktrees(hub: Hub) -> Path:
    """Return the directory of the worktrees."""
    return hub.top.parent / "project.hub" / "s1"


def run_agents(hub: Hub, agent: str, *options: str) -> Result:
    return hub.run(*RUN, "--agent-cmd", agent, *options)


def assert_merged(hub: Hub, agent: int, *, repeats: int = 2) -> None:
    """Assert that the session is merged, with the options of OPTIONS."""
    state = hub.state()
    assert (state["state"], state["merge"]["agent"]) == ("merged", agent)
    assert hub.git("show", "main:ms") == f"ms: {agent}"
    assert len(state["agents"][f"agent-{agent}"]["result"]["values"]) == repeats
    assert hub.git("show", "-s", "--format=%B", "main").startswith("Be quick\n\nx y\n")


# --- Some agents fail -----------------------------------------------------------------------------


def test_run_goes_on_without_the_failed_agents(project: Hub) -> None:
    agent = f"{WORK}; test $HUB_AGENT = agent-2"
    result = run_agents(project, agent, *MEASURE, *OPTIONS)
    assert (result.code, result.err) == (0, FAILED.format(1))
    assert "   -  agent-1" in result.out
    assert_merged(project, 2)


def test_formats_after_a_failure(project: Hub) -> None:
    result = run_agents(project, AGENT_2_FAILS, *MEASURE, *OPTIONS, "--format=json")
    document = json.loads(result.out)
    assert (result.code, result.err) == (0, FAILED.format(2))
    assert (document["stopped"], document["error"]) == (None, None)
    assert document["failed"] == [{"agent": 2, "failure": "failed with exit code 1"}]
    assert document["steps"]["merge"]["agent"] == 1


@types("run again with: {}")
def test_run_again_with_the_failed_agents(project: Hub) -> None:
    """The command is named if it can still run. It runs only the failed agent."""
    result = run_agents(project, AGENT_2_FAILS, "-q", "-j", "2", "--timeout", "90s")
    command = (
        "git hub-session exec --failed --jobs 2 --timeout 90s --commit --quiet s1"
        f" -- sh -c {shlex.quote(AGENT_2_FAILS)}"
    )
    assert result == Result(
        0,
        "s1\n",
        f"warning: agent-2: failed with exit code 1\nhint: run again with: {command}\n",
    )
    worktrees(project).joinpath("go").touch()
    assert type_hint(project, command) == Result(0)
    follow_hint(f"run again with: {command}")
    logs = project.directory() / "output" / "exec-2"
    assert [path.name for path in logs.iterdir()] == ["agent-2.log"]


def test_declined_merge_after_a_failure(project: Hub) -> None:
    """A refused merge names the failed agents too. Both commands work."""
    result = run_agents(project, AGENT_2_FAILS, *MEASURE)
    again = f"git hub-session exec --failed --commit s1 -- sh -c {shlex.quote(AGENT_2_FAILS)}"
    assert result.code == 1
    assert result.err == (
        f"{FAILED.format(2)}hint: run again with: {again}\n"
        "error: cannot ask for confirmation: standard input is not a terminal (use --yes)\n"
        "hint: git hub-session merge --yes s1\n"
    )
    worktrees(project).joinpath("go").touch()
    assert project.call("sh", "-c", again).code == 0
    assert project.call("sh", "-c", "git hub-session merge --yes s1").code == 0
    assert project.state()["merge"]["agent"] == 1


def test_retries(project: Hub) -> None:
    agent = f"echo >>../tries-$HUB_AGENT; {WORK}; test $(wc -l <../tries-$HUB_AGENT) -ge 2"
    options = ("--retries", "3", "--retry-delay", "0")
    result = run_agents(project, agent, *MEASURE, *OPTIONS, *options)
    assert (result.code, result.err) == (0, "")
    assert {record["exec"]["tries"] for record in project.state()["agents"].values()} == {2}
    assert_merged(project, 1)


# --- A step fails ---------------------------------------------------------------------------------


def test_fail_fast(project: Hub) -> None:
    """Only the failed agent runs again. The agent that succeeded keeps its commit."""
    options = ("--fail-fast", "--retries", "1", "--retry-delay", "0")
    result = run_agents(project, AGENT_2_FAILS, *MEASURE, *OPTIONS, *options)
    assert (result.code, project.state()["state"]) == (1, "running")
    exec_options = "--jobs 1 --timeout 90s --retries 1 --retry-delay 0 --commit"
    agent = shlex.quote(AGENT_2_FAILS)
    expected = [
        f"git hub-session exec --failed {exec_options} s1 -- sh -c {agent}",
        "git hub-session eval --eval 'cat ms' --baseline measure --repeat 2 --timeout 90s s1",
        "git hub-session merge --message 'Be quick' --message 'x y' --yes s1",
    ]
    assert result.err == (
        "warning: agent-2: failed with exit code 1\nerror: the run stopped at 'exec'\n"
        f"hint: continue with: {expected[0]}\nhint: then: {expected[1]}\nhint: then: {expected[2]}\n"
    )
    worktrees(project).joinpath("go").touch()
    first = project.git("rev-parse", "hub/s1/agent-1/attempt-1")
    assert type_commands(project, result.err) == expected
    assert project.git("rev-parse", "main^2") == first
    assert_merged(project, 1)


def test_no_agent_succeeded(project: Hub) -> None:
    agent = f"{WORK}; test -e ../go"
    result = run_agents(project, agent, *MEASURE, *OPTIONS)
    assert result.code == 1
    assert "error: the run stopped at 'exec'\n" in result.err
    worktrees(project).joinpath("go").touch()
    assert len(type_commands(project, result.err)) == 3
    assert_merged(project, 1)


def test_skipped_agent_is_not_a_success(project: Hub) -> None:
    """The setup leaves agent-1 on another branch, and the command of agent-2 fails."""
    setup = 'test "$HUB_AGENT" != agent-1 || git switch -q -c fix'
    project.git("config", "hubsession.setup", setup)
    result = run_agents(project, f"{WORK}; test -e ../go", *MEASURE, *OPTIONS)
    assert (result.code, project.state()["state"]) == (1, "running")
    assert "error: the run stopped at 'exec'\n" in result.err
    worktrees(project).joinpath("go").touch()
    project.git("config", "--unset", "hubsession.setup")
    assert project.run("adopt", "-q", "s1", "agent-1").code == 0
    assert [command.split()[2] for command in type_commands(project, result.err)] == [
        *("exec", "eval", "merge"),
    ]
    assert_merged(project, 1)


def test_baseline_that_cannot_be_measured(project: Hub) -> None:
    """`eval` measures the baseline instead. It measures the agents twice, and the baseline too."""
    project.commit(project.top, "go", "no\n")
    measure = ("--eval", "grep yes go && cat ms", *MEASURE[2:])
    result = run_agents(project, WORK, *measure, *OPTIONS)
    assert result.code == 1
    project.git("rm", "-q", "go")
    project.commit(project.top, "go", "yes\n")
    commands = type_commands(project, result.err)
    assert [command.split()[2] for command in commands] == ["spawn", "exec", "eval", "merge"]
    assert project.state()["evaluation"]["baseline"] == 50
    assert_merged(project, 1)


def test_spawn_that_fails(project: Hub) -> None:
    (worktrees(project) / "agent-2").mkdir(parents=True)
    (worktrees(project) / "agent-2" / "mine").touch()
    result = run_agents(project, WORK, *MEASURE, *OPTIONS)
    (worktrees(project) / "agent-2" / "mine").unlink()
    (worktrees(project) / "agent-2").rmdir()
    commands = type_commands(project, result.err)
    assert [command.split()[2] for command in commands] == ["spawn", "exec", "eval", "merge"]
    assert_merged(project, 1)


def test_eval_that_fails(project: Hub) -> None:
    """No measurement succeeds until the file `go` exists."""
    go = worktrees(project) / "go"
    measure = ("--eval", f"test -e {go} && cat ms", *MEASURE[2:], "--baseline", "50")
    result = run_agents(project, WORK, *measure, *OPTIONS)
    assert (result.code, project.state()["state"]) == (1, "evaluating")
    go.touch()
    commands = type_commands(project, result.err)
    assert [command.split()[2] for command in commands] == ["eval", "merge"]
    assert_merged(project, 1)


@pytest.mark.parametrize(("agents", "stopped"), [((1, 2), "eval"), ((1,), "merge")])
def test_agents_on_other_branches(project: Hub, agents: tuple[int, ...], stopped: str) -> None:
    """The error names `adopt`. The commands that measure and merge the adopted commits follow."""
    names = [f"agent-{agent}" for agent in agents]
    switch = f"case $HUB_AGENT in {'|'.join(names)}) git switch -q -c fix-$HUB_AGENT;; esac"
    result = run_agents(project, f"{WORK}; {switch}; git commit -qam x", *MEASURE, *OPTIONS)
    assert (result.code, project.state()["state"]) == (
        *(1, "running" if stopped == "eval" else "evaluating"),
    )
    assert "hint: git hub-session adopt s1 agent-1\n" in result.err
    for name in names:
        assert project.run("adopt", "-q", "s1", name).code == 0
    commands = type_commands(project, result.err)
    assert [command.split()[2] for command in commands] == ["eval", "merge"]
    assert_merged(project, 1)


@pytest.mark.parametrize(
    ("agent", "hint"),
    [
        ("test ! -e ../go || echo ms: 1 >ms", ""),
        (
            "echo ms: 1 >ms",
            "hint: git hub-session exec --only agent-1,agent-2 --commit s1 -- true\n",
        ),
    ],
)
def test_agents_without_commits(project: Hub, agent: str, hint: str) -> None:
    """Without files to commit, the agents run again."""
    commit = ("--no-commit",) if hint else ()
    result = run_agents(project, agent, *MEASURE, *OPTIONS, *commit)
    assert (result.code, hint in result.err) == (1, True)
    worktrees(project).joinpath("go").touch()
    if hint:
        assert project.call("sh", "-c", hint.removeprefix("hint: ")).code == 0
    type_commands(project, result.err)
    assert_merged(project, 1)


def test_json_after_a_refused_step(project: Hub) -> None:
    """The finished steps are in the document, with the error of the refused step."""
    result = run_agents(project, WORK, *MEASURE, "--format=json")
    document: dict[str, Any] = json.loads(result.out)
    assert result.code == 1
    assert list(document["steps"]) == ["init", "baseline", "spawn", "exec", "eval"]
    assert document["stopped"] == "merge"
    assert document["error"] == {
        "code": "not-approved",
        "message": "cannot ask for confirmation: standard input is not a terminal (use --yes)",
        "hint": "git hub-session merge --yes s1",
    }
    assert result.err == (
        f"error: {document['error']['message']}\nhint: {document['error']['hint']}\n"
    )


def test_porcelain_after_a_refused_step(project: Hub) -> None:
    result = run_agents(project, "true", *MEASURE, "--format=porcelain")
    assert result.code == 1
    assert result.out.split("\n\n")[-2].splitlines()[:3] == [
        "step eval",
        "code no-commits",
        "message no agent has a commit of its own",
    ]


# --- A signal -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signal_while_agents_run(project: Hub, number: signal.Signals) -> None:
    """agent-1 has ended, and its changes are committed. agent-2 runs again."""
    wait = f"touch {worktrees(project)}/at-$HUB_AGENT; exec sleep 300"
    agent = f"{WORK}; test -e ../go || test $HUB_AGENT = agent-1 || {{ {wait}; }}"
    process = start(project, *RUN, "--agent-cmd", agent, *MEASURE, *OPTIONS)
    wait_for((worktrees(project) / "at-agent-2").exists, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -number
    worktrees(project).joinpath("go").touch()
    commands = type_commands(project, err)
    assert [command.partition(" --jobs")[0] for command in commands[:2]] == [
        "git hub-session exec --only agent-2",
        "git hub-session exec --only agent-1 --commit s1 -- true",
    ]
    assert [command.split()[2] for command in commands[2:]] == ["eval", "merge"]
    assert_merged(project, 1)


@pytest.mark.parametrize("format_", ["json", "porcelain"])
def test_machine_format_after_a_signal(project: Hub, format_: str) -> None:
    """The answer has the steps that were done, and the commands for what is left."""
    wait = f"touch {worktrees(project)}/at-$HUB_AGENT; exec sleep 300"
    agent = f"{WORK}; test -e ../go || test $HUB_AGENT = agent-1 || {{ {wait}; }}"
    words = (*RUN, "--agent-cmd", agent, *MEASURE, *OPTIONS, f"--format={format_}")
    process = start(project, *words, stdout=subprocess.PIPE)
    wait_for((worktrees(project) / "at-agent-2").exists, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    message = "the run was ended by SIGINT"
    if format_ == "porcelain":
        records = out.split("\n\n")
        assert {record.splitlines()[0] for record in records if record} == {
            *("step init", "step baseline", "step spawn", "step exec")
        }
        assert f"step exec\ncode interrupted\nmessage {message}\n" in out
        return
    document = json.loads(out)
    assert find_invalid(["run"], out, "") == []
    assert list(document["steps"]) == ["init", "baseline", "spawn"]
    assert (document["stopped"], document["rounds"]) == ("exec", [])
    error = document["error"]
    assert (error["code"], error["message"]) == ("interrupted", message)
    worktrees(project).joinpath("go").touch()
    assert err == "".join(f"hint: {line}\n" for line in error["hint"].splitlines())
    commands = type_commands(project, err)
    assert [command.split()[2] for command in commands] == ["exec", "exec", "eval", "merge"]
    assert_merged(project, 1)


def test_json_after_a_signal_in_a_later_round(project: Hub) -> None:
    """The finished round has all of its steps."""
    wait = f"test $HUB_SESSION_ID = s1 || {{ touch {worktrees(project)}/at; exec sleep 300; }}"
    agent = f"{WORK}; {wait}"
    words = (*RUN, "--agent-cmd", agent, *MEASURE, *OPTIONS, "--rounds=2", "--format=json")
    process = start(project, *words, stdout=subprocess.PIPE)
    wait_for((worktrees(project) / "at").exists, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    document = json.loads(out)
    assert find_invalid(["run"], out, "") == []
    assert list(document["steps"]) == ["init", "baseline", "spawn", "exec", "eval"]
    assert [list(round_["steps"]) for round_ in document["rounds"]] == [["init", "spawn"]]
    assert (document["stopped"], document["error"]["code"]) == ("exec", "interrupted")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["baseline", "spawn", "eval"])
def test_signal_in_another_step(project: Hub, step: str) -> None:
    place = project.top.parent
    wait = f"test -e {place}/go || {{ touch {place}/at; exec sleep 300; }}"
    measure: tuple[str, ...] = MEASURE
    baseline: tuple[str, ...] = ()
    if step == "spawn":
        project.git("config", "hubsession.setup", f'test -z "$HUB_AGENT" || {{ {wait}; }}')
    else:
        measure = ("--eval", f"{wait}; cat ms", *MEASURE[2:], "--no-guard")
        baseline = ("--baseline", "50") if step == "eval" else ()
    process = start(project, *RUN, "--agent-cmd", WORK, *measure, *baseline, *OPTIONS)
    wait_for((place / "at").exists, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    (place / "go").touch()
    commands = type_commands(project, err)
    steps = ["eval", "merge"] if step == "eval" else ["spawn", "exec", "eval", "merge"]
    assert [command.split()[2] for command in commands] == steps
    assert project.state()["evaluation"]["baseline"] == 50
    assert_merged(project, 1)


def test_signal_during_exec(project: Hub) -> None:
    """All options are kept, but only the agents that have not succeeded run again.

    The option -q hides no hint.
    """
    assert project.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "3").code == 0
    assert project.run("spawn", "-q", "s1").code == 0
    script = "test -e ../go || test $HUB_AGENT = agent-1 || { touch ../at; exec sleep 300; }"
    options = ("--agents=1,2", "-j1", "--timeout=9m", "--commit=always", "--force", "-q")
    process = start(project, "exec", *options, "s1", "--", "sh", "-c", script)
    wait_for((worktrees(project) / "at").exists, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    rest = (
        f"--jobs 1 --timeout 9m --commit=always --force --quiet s1 -- sh -c {shlex.quote(script)}"
    )
    assert err == (
        f"hint: continue with: git hub-session exec --only agent-2 {rest}\n"
        "hint: then: git hub-session exec --only agent-1 --commit=always s1 -- true\n"
    )
    worktrees(project).joinpath("go").touch()
    type_commands(project, err)
    records = project.state()["agents"]
    assert [records[f"agent-{agent}"]["status"] for agent in (1, 2, 3)] == ["done", "done", "ready"]


# --- A terminal -----------------------------------------------------------------------------------


def test_elapsed_time_on_a_terminal(project: Hub) -> None:
    """The line disappears before the next output, and is shown again in the next silence."""
    first, second = (project.top.parent / name for name in ("first", "second"))
    wait = "until test -e {}; do sleep 0.05; done"
    agent = f"{wait.format(first)}; echo first; {wait.format(second)}; {WORK}"
    arguments = [*RUN[:-1], "1", "--agent-cmd", agent]
    environ = {**project.environ, "GIT_PROGRESS_DELAY": "0", "TERM": "xterm"}
    terminal = pexpect.spawn(
        "git-hub-session", arguments, cwd=str(project.top), env=environ, timeout=120
    )  # fmt: skip
    terminal.expect(r"\rRunning: agent-1 0:0\d")
    terminal.expect(r"\rRunning: agent-1 0:0[1-9]")
    first.touch()
    terminal.expect(r"\r {20,}\ragent-1 \| first\r\n")
    terminal.expect(r"\rRunning: agent-1 \d:\d\d")
    second.touch()
    terminal.expect(r"\r {20,}\rAGENT ")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_no_elapsed_time_without_a_terminal(project: Hub) -> None:
    environ = {"GIT_PROGRESS_DELAY": "0"}
    result = project.run(*RUN, "--agent-cmd", WORK, environ=environ)
    assert (result.code, "Running" in result.err) == (0, False)


# --- The cleanup after the merge keeps a worktree -------------------------------------------------

LOCKS_INDEX = f"""{WORK}; git commit -qam "$HUB_AGENT"
test $HUB_AGENT = agent-1 || : >"$(git rev-parse --git-dir)/index.lock" """


@pytest.mark.parametrize("option", ["--no-squash", "-q", "--format=json"])
@types("wait for the git command, or delete {}")
def test_stale_index_lock_of_an_agent(project: Hub, option: str) -> None:
    """The merge is done. The message says so, and names what is left."""
    options = [] if option == "--no-squash" else [option]
    result = run_agents(project, LOCKS_INDEX, *MEASURE, "--yes", *options)
    lock = project.top / ".git" / "worktrees" / "agent-2" / "index.lock"
    quiet = " --quiet" if option == "-q" else ""
    quiet = " --format json" if option == "--format=json" else quiet
    delete = f"wait for the git command, or delete {lock}"
    error = [
        (
            "error: agent-1 is merged into 'main', but agent-2 was kept in ../project.hub/s1/agent-2:"
            " the index is locked: a git command is running or was killed"
        ),
        f"hint: {delete}",
        f"hint: continue with: git hub-session merge --yes{quiet} s1",
    ]
    assert (result.code, result.err.splitlines()[-3:]) == (1, error)
    assert project.git("show", "main:ms") == "ms: 1"
    assert project.state()["state"] == "merged"
    lock.unlink()
    follow_hint(delete)
    type_commands(project, result.err)
    assert not (worktrees(project) / "agent-2").exists()


def test_hook_that_keeps_a_branch_after_the_merge(project: Hub) -> None:
    hook = project.top / ".git" / "hooks" / "reference-transaction"
    agent = f"{WORK}; git commit -qam x"
    hook.write_text(
        '#!/bin/sh\ntest "$1" != prepared || ! grep "0\\{40\\} refs/heads/hub/s1/agent-2" >&2\n'
    )
    hook.chmod(0o755)
    result = run_agents(project, agent, *MEASURE, "--yes", "-q")
    assert result.code == 1
    start = "error: agent-1 is merged into 'main', but the branch of agent-2 was kept: "
    assert [line for line in result.err.splitlines() if line.startswith(start)]
    hook.unlink()
    type_commands(project, result.err)
