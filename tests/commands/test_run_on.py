"""git hub-session run --on: the agents and their measurements run elsewhere."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.clones import connect
from tests.support.hints import find_hint, follow_hint
from tests.support.hub import Hub, wait_for
from tests.support.remotes import ServedRepository
from tests.support.slurm import Slurm, use_cluster
from tests.support.workers import (
    connect_with_box,
    define_executor,
    finish,
    published_attempts,
    start_command,
)

pytestmark = pytest.mark.slow
AGENT = "echo $((100 - 20 * ${HUB_AGENT#agent-})) >ms"
TASK = ("--task", "t", "--agents", "2", "--id", "s1", "--no-guard", "--yes")
MEASURE = ("--eval", "echo ms: $(cat ms)", "--metric", "ms", "--direction", "lower")
RUN = ("run", *TASK, *MEASURE, "--agent-cmd", AGENT)


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    return connect_with_box(hub, served)


def check_merged(hub: Hub, served: ServedRepository) -> None:
    """Check that the work of agent-2 is merged, and that the ranking used ratios."""
    assert hub.git("show", "main:ms") == "60"
    state = hub.state()
    assert (state["state"], state["evaluation"]["by_ratio"]) == ("merged", True)
    assert sorted(published_attempts(served)) == ["agent-1/attempt-1", "agent-2/attempt-1"]
    assert served.refs("refs/hub/claims/") == {}
    assert len(hub.git("worktree", "list").splitlines()) == 1


def test_all_steps(first: Hub, served: ServedRepository) -> None:
    result = first.run(*RUN, "--on", "box*2")
    assert result.code == 0, result
    check_merged(first, served)


def test_json(first: Hub, served: ServedRepository) -> None:
    result = first.run(*RUN, "--on", "box", "--format=json")
    assert result.code == 0, result
    answer = json.loads(result.out)
    assert [*answer["steps"]] == ["init", "exec", "eval", "merge"]
    for step in ("exec", "eval"):
        [worker] = answer["steps"][step]["workers"]
        assert (worker["executor"], worker["exit_code"]) == ("box", 0)
    check_merged(first, served)


def test_jobs_of_slurm(hub: Hub, served: ServedRepository, slurm: Slurm) -> None:
    hub.commit(hub.top, "ms", "100")
    use_cluster(hub, served, slurm)
    result = finish(start_command(hub, *RUN, "--on", "slurm"))
    assert result.code == 0, result
    assert hub.git("show", "main:ms") == "60"


def test_an_agent_that_fails(first: Hub, served: ServedRepository) -> None:
    """The run goes on with the other agents."""
    agent = f'test "$HUB_AGENT" = agent-2 && {AGENT}'
    words = ("--on", "box", "--agent-cmd", agent)
    result = first.run("run", *TASK, *MEASURE, *words)
    assert result.code == 0, result
    assert "warning: agent-1: failed with exit code 1" in result.err.splitlines()
    assert "run again" not in result.err
    assert first.git("show", "main:ms") == "60"


def test_an_executor_that_fails(first: Hub, served: ServedRepository) -> None:
    """The run stops at `exec`, and the printed commands continue it."""
    define_executor(first, "box", command="exit 3;")
    result = first.run(*RUN, "--on", "box")
    assert result.code == 1
    assert first.state()["state"] == "init"
    lines = [line for line in result.err.splitlines() if "git hub-session" in line]
    commands = [line[line.index("git hub-session") :] for line in lines]
    assert [command.split()[2] for command in commands] == ["exec", "eval", "merge"], result
    define_executor(first, "box", command="env FAR=box")
    for command in commands:
        assert first.call("sh", "-c", command).code == 0, command
    check_merged(first, served)


def test_a_signal(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    """The workers go on, and the printed commands continue the run."""
    started, go = tmp_path / "started", tmp_path / "go"
    agent = f"touch {started}; until test -e {go}; do sleep 0.05; done; {AGENT}"
    words = ("--on", "box", "--agent-cmd", agent)
    process = start_command(first, "run", *TASK, *MEASURE, *words)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    stopped = finish(process)
    assert stopped.code in (-signal.SIGINT, 128 + signal.SIGINT)
    lines = [line for line in stopped.err.splitlines() if "git hub-session" in line]
    texts = [line[line.index("git hub-session") :] for line in lines]
    assert [text.split()[2] for text in texts] == ["exec", "exec", "exec", "eval", "merge"], stopped
    assert "--cancel" in texts[1]
    follow_hint(lines[0].removeprefix("hint: "))
    go.touch()
    for text in texts[2:]:
        assert first.call("sh", "-c", text).code == 0, text
    check_merged(first, served)


def test_without_an_eval_command(first: Hub, served: ServedRepository) -> None:
    result = first.run("run", *TASK[:-2], "--agent-cmd", AGENT, "--on", "box")
    assert result.code == 0, result
    assert first.state()["state"] == "running"
    assert len(published_attempts(served)) == 2


def test_a_dry_run(first: Hub, served: ServedRepository) -> None:
    result = first.run(*RUN, "--on", "box", "-n")
    assert result.code == 0, result
    assert [line for line in result.out.splitlines() if line.startswith("Would then")] == [
        "Would then run the agent command in each worktree",
        "Would then measure and rank the agents",
        "Would then ask, and merge the winner",
    ]
    assert served.refs("refs/hub") == {}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--on", "box", "--rounds", "2"), 129, "--on and --rounds exclude each other"),
        (("--on", "box", "-j", "2"), 129, "--on and --jobs exclude each other"),
        (("--on", "box", "--judge", "true"), 129, "--on and --judge exclude each other"),
        (
            ("--on", "box", "--in-place", "--baseline", "none"),
            129,
            "--on and --in-place exclude each other",
        ),
        (("--on", "box", "--repeat", "auto"), 129, "--on and '--repeat auto' exclude each other"),
        (
            ("--on", "box", "--baseline", "9"),
            129,
            "--on and '--baseline <number>' exclude each other",
        ),
        (("--on", "slurm,box"), 129, "'slurm' and other executors exclude each other"),
        (("--bootstrap",), 129, "--bootstrap needs the executors"),
    ],
)
def test_wrong_options(
    first: Hub, served: ServedRepository, words: tuple[str, ...], code: int, message: str
) -> None:
    """Nothing is created."""
    result = first.run(*RUN, *words)
    assert (result.code, result.out) == (code, "")
    assert result.err.splitlines()[0] == f"error: {message}"
    assert not first.directory("s1").exists()


def test_what_another_machine_cannot_do(first: Hub, tmp_path: Path) -> None:
    """Nothing is created."""
    missing = first.run(*RUN, "--on", "nowhere")
    assert missing.code == 128
    assert find_hint(missing, "git config --global {} {}").endswith("'ssh nowhere'")
    first.git("remote", "rename", "origin", "x")
    first.git("remote", "remove", "x")
    assert first.run(*RUN, "--on", "box").code == 128
    (tmp_path / "holdout").mkdir()
    connected = connect(first, str(tmp_path / "server" / "shared.git"))
    connected.git("config", "hubsession.holdout", str(tmp_path / "holdout"))
    refused = first.run(*RUN, "--on", "box")
    assert (refused.code, refused.err) == (1, "error: the holdout files are only on this machine\n")
    assert not first.directory("s1").exists()
