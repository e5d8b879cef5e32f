"""git hub-session eval --on: workers elsewhere measure the agents beside the base branch."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.clones import add_clone, connect
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result, wait_for
from tests.support.measured_sessions import create_measurable_session
from tests.support.remotes import ServedRepository
from tests.support.workers import define_executor, finish, start_command

pytestmark = pytest.mark.slow
COMMAND = "echo ms: $(($(cat ms) * ${SLOWNESS:-1000000}))"
"""The base branch takes 100 ms on a fast machine. Each machine has its own factor."""
MEASURE = ("--eval", COMMAND, "--metric", "ms", "--direction", "lower", "--no-guard")
HOST = os.uname().nodename
RECORD = "refs/hub/sessions/s1"


@pytest.fixture
def first(hub: Hub, served: ServedRepository) -> Hub:
    """Return a clone with a session of two agents, and the executors `fast` and `slow`."""
    hub.commit(hub.top, "ms", "100")
    connect(hub, served.url)
    create_measurable_session(hub, "80", "50")
    define_executor(hub, "fast", command="env SLOWNESS=1", path="fast/project")
    define_executor(hub, "slow", command="env SLOWNESS=10", path="slow/project")
    return hub


def evaluate(hub: Hub, *words: str) -> Result:
    """Run `git hub-session eval` to its end."""
    return finish(start_command(hub, "eval", *words))


def claims(served: ServedRepository) -> list[str]:
    """Return the claims on the remote."""
    return [*served.refs("refs/hub/claims/")]


def claim_agent(hub: Hub, served: ServedRepository, agent: int) -> None:
    """Claim an agent for a worker that does not exist."""
    tip = hub.git("rev-parse", "HEAD")
    served.git("fetch", "-q", str(hub.top), tip)
    served.git("update-ref", f"refs/hub/claims/s1/agent-{agent}", tip)


def results(hub: Hub) -> dict[str, dict[str, object]]:
    """Return the recorded results by agent."""
    return {name: agent["result"] for name, agent in hub.state()["agents"].items()}


def table(*rows: str) -> list[str]:
    """Return the last lines of the output after a complete evaluation."""
    ranked = "Ranked by the ratio to the base branch, measured on the same machine"
    return [*rows, ranked, "Session s1: running → evaluating"]


def test_one_machine(first: Hub, served: ServedRepository) -> None:
    result = evaluate(first, "--on", "fast", *MEASURE, "--repeat", "3", "s1")
    assert (result.code, result.err) == (0, ""), result
    lines = result.out.splitlines()
    assert sorted(lines[:4]) == [
        *(f"fast: agent-{n}: measured" for n in (1, 2)),
        *(f"fast: working on agent-{n}" for n in (1, 2)),
    ]
    width = max(7, len(HOST))
    assert lines[4:] == table(
        f"RANK  AGENT         RATIO     METRIC  BASE  {'MACHINE':{width}}  FILES  +/-",
        f"   1  agent-2  0.5 ±0 (3)  50 ±0 (3)   100  {HOST:{width}}      1  +1/-1",
        f"   2  agent-1  0.8 ±0 (3)  80 ±0 (3)   100  {HOST:{width}}      1  +1/-1",
    )
    assert claims(served) == []
    recorded = results(first)["agent-2"]
    machine = recorded.pop("machine")
    assert isinstance(machine, dict)
    assert machine["host"] == HOST
    assert machine["cpus"] == os.cpu_count()
    assert {*machine} == {"host", "processor", "cpus", "load"}
    tree = first.git("rev-parse", "hub/s1/agent-2/attempt-1^{tree}")
    assert recorded == {
        "rank": 1,
        "attempt": 1,
        "commit": first.git("rev-parse", "hub/s1/agent-2/attempt-1"),
        "tree": tree,
        "metric": 50.0,
        "values": [50.0] * 3,
        "spread": 0.0,
        "baseline": 100.0,
        "base_values": [100.0] * 3,
        "ratio": 0.5,
        "delta": -50.0,
        "margin": 0.0,
        "tie": False,
        "reason": "",
        "files": 1,
        "insertions": 1,
        "deletions": 1,
    }


def test_the_values_of_two_machines_are_not_compared(first: Hub, served: ServedRepository) -> None:
    """agent-2 has the larger value, because its machine is slow, and the smaller ratio.

    The fast machine measures only agent-1. The same call goes on with the slow machine.
    """
    first.run("push", "-q", "s1")
    claim_agent(first, served, 2)
    process = start_command(first, "eval", "--on", "fast", *MEASURE, "s1")
    wait_for(lambda: "evaluations.jsonl" in served.git("ls-tree", "--name-only", RECORD))
    assert first.run("eval", "--on", "fast", "--cancel", "s1").out == "Ended 1 worker on fast\n"
    stopped = finish(process)
    assert (stopped.code, claims(served)) == (1, ["refs/hub/claims/s1/agent-2"])
    assert "error: not measured: agent-2; nothing is ranked" in stopped.err.splitlines()
    assert first.state()["state"] == "running"
    served.git("update-ref", "-d", "refs/hub/claims/s1/agent-2")
    result = evaluate(first, "--on", "slow", *MEASURE, "s1")
    assert (result.code, result.err) == (0, ""), result
    recorded = results(first)
    values = {
        name: (each["rank"], each["metric"], each["ratio"]) for name, each in recorded.items()
    }
    assert values == {"agent-1": (2, 80.0, 0.8), "agent-2": (1, 500.0, 0.5)}
    merged = first.run("merge", "--yes", "s1")
    assert merged.code == 0, merged
    assert first.git("show", "main:ms") == "50"


def test_merge_in_another_clone(first: Hub, served: ServedRepository) -> None:
    """A clone that has measured nothing takes the winner by the ratio."""
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0
    assert first.run("push", "-q", "s1").code == 0
    other = add_clone(first, "other", served.url)
    assert other.run("fetch", "-q", "s1").code == 0
    merged = other.run("merge", "--yes", "s1")
    assert merged.code == 0, merged
    assert other.git("show", "main:ms") == "50"


def test_the_base_branch_and_the_agent_are_measured_in_turns(first: Hub, tmp_path: Path) -> None:
    order = tmp_path / "order"
    command = f"echo $(cat ms) >>{order}; {COMMAND}"
    words = ("--eval", command, *MEASURE[2:], "--repeat", "3")
    result = evaluate(first, "--on", "fast", *words, "s1")
    assert result.code == 0, result
    values = order.read_text().split()
    halves = [values[: len(values) // 2], values[len(values) // 2 :]]
    for half in halves:
        [own] = {*half} - {"100"}
        assert half.count("100") == half.count(own) >= 3
        pairs = [{*half[n : n + 2]} for n in range(0, len(half), 2)]
        assert pairs == [{"100", own}] * len(pairs)


def test_two_machines_at_the_same_time(first: Hub, served: ServedRepository) -> None:
    """Each agent has the same ratio on both machines."""
    result = evaluate(first, "--on", "fast*2,slow", *MEASURE, "s1")
    assert (result.code, result.err) == (0, ""), result
    ranks = {name: (each["rank"], each["ratio"]) for name, each in results(first).items()}
    assert ranks == {"agent-1": (2, 0.8), "agent-2": (1, 0.5)}
    assert claims(served) == []
    for path in ("fast", "slow"):
        clone = Path(first.environ["HOME"]) / path / "project"
        assert first.git("worktree", "list", cwd=clone).count("\n") == 0
    record = served.git("show", f"{RECORD}:state.json")
    assert json.loads(record)["evaluation"]["by_ratio"] is True


def test_all_outputs_name_the_machine_and_the_order(first: Hub) -> None:
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0
    order = "the ratio to the base branch, measured on the same machine"
    status = first.run("status", "s1").out.splitlines()
    assert f"    Ranked by {order}" in status
    cells = [f"80 (−20.0 %) on {HOST}", f"50 (−50.0 %) on {HOST}"]
    assert all(any(cell in line for line in status) for cell in cells)
    shown = first.run("show", "s1", "2").out.splitlines()
    assert f"  Rank: 1 (by {order})" in shown
    assert "  Metric: ms: 100 → 50 (−50.0 %)" in shown
    assert any(line.startswith(f"  Machine: {HOST} (") for line in shown)
    logged = first.run("log", "s1", "--evaluations").out.splitlines()
    assert [line.split(maxsplit=3)[3] for line in logged[2:]] == [
        f"ms: 50 (ratio 0.5, on {HOST})",
        f"ms: 80 (ratio 0.8, on {HOST})",
    ]
    assert first.run("report", "s1", "--output", "report.md").code == 0
    report = (first.top / "report.md").read_text()
    assert order in report
    assert f"{HOST} (" in report
    answer = json.loads(first.run("status", "s1", "--format=json").out)
    agent = answer["agents"][1]
    assert (agent["ratio"], agent["baseline"], agent["machine"]["host"]) == (0.5, 100.0, HOST)


def test_json(first: Hub) -> None:
    result = first.run("eval", "--on", "fast", "--format=json", *MEASURE, "s1")
    assert (result.code, result.err) == (0, "")
    answer = json.loads(result.out)
    assert (answer["by_ratio"], answer["baseline"], answer["unmeasured"]) == (True, None, [])
    [worker] = answer["workers"]
    assert (worker["executor"], worker["exit_code"], worker["error"]) == ("fast", 0, None)
    agent = answer["agents"][0]
    assert (agent["agent"], agent["rank"], agent["ratio"]) == (2, 1, 0.5)
    assert (agent["metric"], agent["base"], agent["base_values"]) == (50.0, 100.0, [100.0])
    assert agent["machine"]["host"] == HOST


def test_merge_refuses_an_agent_that_is_not_better(first: Hub) -> None:
    """Its value on the fast machine is smaller than that of the base branch on the slow machine."""
    worse = first.top.parent / "project.hub" / "s1"
    for agent in (1, 2):
        first.commit(worse / f"agent-{agent}", "ms", "120")
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0
    refused = first.run("merge", "--yes", "s1")
    assert refused.code == 1
    message = (
        "no agent improves on the baseline: the best 'ms' is 120 (agent-1), the baseline is 100"
    )
    assert refused.err.splitlines()[0] == f"error: {message}"
    after = first.run("init", "--after", "s1", "--id", "s2")
    assert (after.code, after.err.splitlines()[0]) == (
        1,
        "error: no agent of session 's1' improves on the baseline",
    )


def test_a_next_session_has_no_value_of_another_machine(first: Hub) -> None:
    assert evaluate(first, "--on", "slow", *MEASURE, "s1").code == 0
    assert first.run("init", "-q", "--after", "s1", "--id", "s2") == Result(0, "s2\n")
    assert "baseline" not in (first.directory("s2") / "config.yaml").read_text()


def test_a_base_without_a_ratio(first: Hub) -> None:
    """A base of 0 has no ratio. Then no agent is ranked, and merge refuses them."""
    command = "test $(cat ms) = 100 && echo ms: 0 || echo ms: 5"
    result = evaluate(first, "--on", "fast", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.err) == (0, ""), result
    reason = "no ratio: the value of the base branch is 0"
    rows = [line for line in result.out.splitlines() if line.startswith("   -")]
    assert [row.endswith(f"  {reason}") for row in rows] == [True, True], result
    recorded = [(each["rank"], each["metric"], each["reason"]) for each in results(first).values()]
    assert recorded == [(None, 5.0, reason)] * 2
    merged = first.run("merge", "--yes", "s1")
    assert (merged.code, merged.err.splitlines()[0]) == (
        1,
        "error: no agent of session 's1' is ranked",
    )
    chosen = first.run("merge", "--yes", "--agent", "1", "s1")
    assert (chosen.code, chosen.err.splitlines()[0]) == (
        1,
        f"error: agent-1 is not compared with the baseline: {reason}",
    )


def test_a_base_that_fails(first: Hub) -> None:
    """An agent whose own measurement fails is ranked last, as without other machines."""
    command = "test $(cat ms) = 100 && exit 3; test $(cat ms) = 80 && exit 4; echo ms: 5"
    result = evaluate(first, "--on", "fast", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.err) == (0, ""), result
    reasons = {name: (each["rank"], each["reason"]) for name, each in results(first).items()}
    failed = "no ratio: the base branch could not be measured: exit code 3"
    assert reasons == {"agent-1": (1, "exit code 4"), "agent-2": (None, failed)}


def test_a_candidate_that_fails(first: Hub) -> None:
    command = f'test "$HUB_AGENT" = agent-1 && exit 4; {COMMAND}'
    result = evaluate(first, "--on", "fast", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.err) == (0, ""), result
    recorded = results(first)
    ranks = {name: (each["rank"], each["reason"]) for name, each in recorded.items()}
    assert ranks == {"agent-1": (2, "exit code 4"), "agent-2": (1, "")}
    assert recorded["agent-1"]["machine"]


def test_a_requirement_is_checked_on_the_machine(first: Hub) -> None:
    """An absolute requirement holds for the values of the machine that measures."""
    words = (*MEASURE, "--require", "ms<=60")
    assert evaluate(first, "--on", "slow", *words, "s1").code == 1
    recorded = results(first)
    assert [each["passed"] for each in recorded.values()] == [False, False]
    assert recorded["agent-2"]["reason"] == "'ms' is 500 (required: ms<=60)"
    assert evaluate(first, "--on", "fast", *words, "s1").code == 0
    assert [each["passed"] for each in results(first).values()] == [False, True]


def test_pass_or_fail(first: Hub) -> None:
    """Without a metric there is no ratio: an agent passes or fails on its machine."""
    words = ("--eval", "test $(cat ms) -lt 60", "--metric", "", "--no-guard")
    result = evaluate(first, "--on", "fast", *words, "s1")
    assert (result.code, result.err) == (0, ""), result
    ranks = {name: (each["rank"], each["passed"]) for name, each in results(first).items()}
    assert ranks == {"agent-1": (2, False), "agent-2": (1, True)}
    assert any(HOST in line for line in result.out.splitlines()[-3:])


def test_an_executor_fails_and_the_others_go_on(first: Hub) -> None:
    define_executor(first, "down", command="sh -c 'echo no route >&2; exit 255'")
    result = evaluate(first, "--on", "down,fast", *MEASURE, "s1")
    assert result.code == 1
    assert result.err.splitlines() == ["down: no route", "error: connection to 'down' failed"]
    assert results(first)["agent-2"]["rank"] == 1


def test_nobody_measures(first: Hub, served: ServedRepository) -> None:
    """The same line, typed later, measures what is missing."""
    define_executor(first, "fast", command="exit 3;")
    result = evaluate(first, "--on", "fast", *MEASURE, "s1")
    assert result.code == 1
    assert result.err.splitlines()[:2] == [
        "error: 'fast' failed with exit status 3",
        "error: not measured: agent-1, agent-2; nothing is ranked",
    ]
    assert first.state()["state"] == "running"
    assert result.err.splitlines()[2:] == [f"hint: {line}" for line in [_line_of(*MEASURE)]]
    define_executor(first, "fast", command="env SLOWNESS=1")
    assert first.call("sh", "-c", _line_of(*MEASURE)).code == 0
    assert results(first)["agent-2"]["rank"] == 1


def _line_of(*options: str) -> str:
    return shlex.join(["git", "hub-session", "eval", "--on", "fast", *options, "s1"])


def test_a_far_end_without_the_program(first: Hub, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh", "sed", "cut", "cat", "sleep", "env", "mkdir", "mv", "rm", "rmdir"):
        (programs / name).symlink_to(shutil.which(name) or "")
    define_executor(first, "bare", command=f"env HOME={tmp_path} PATH={programs} GIT_EXEC_PATH=")
    result = evaluate(first, "--on", "bare", *MEASURE, "s1")
    assert result.code == 1
    assert result.err.splitlines()[0] == "error: git hub-session is not installed on 'bare'"


def test_an_evaluation_in_the_clone_of_a_worker(first: Hub, tmp_path: Path) -> None:
    """Both would use the same temporary worktrees."""
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0
    far = Hub(Path(first.environ["HOME"]) / "fast" / "project", first.environ)
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done; {COMMAND}"
    process = start_command(far, "eval", "--eval", wait, *MEASURE[2:], "s1")
    wait_for(started.exists, process)
    refused = evaluate(first, "--on", "fast", *MEASURE, "s1")
    assert refused.code == 1
    assert "fast: error: session 's1' is being evaluated" in refused.out.splitlines()
    assert "error: not measured: agent-1, agent-2; nothing is ranked" in refused.err.splitlines()
    go.touch()
    result = finish(process)
    assert (result.code, result.err) == (0, ""), result
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0


@types("git hub-session eval --on {} --cancel {}")
def test_a_worker_of_another_evaluation(
    first: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    """It measures with other options, so its results do not count."""
    started = tmp_path / "started"
    words = ("--on", "fast", "--eval", f"touch {started}; sleep 600", *MEASURE[2:], "s1")
    process = start_command(first, "eval", *words)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    refused = evaluate(first, "--on", "fast", *MEASURE, "s1")
    assert refused.code == 1
    error = "error: a worker on 'fast' measures for another evaluation"
    assert error in refused.err.splitlines()
    type_hint(first, find_hint(refused, "git hub-session eval --on {} --cancel {}"))
    assert claims(served) == []
    again = evaluate(first, "--on", "fast", *MEASURE, "s1")
    assert again.code == 0, again


@types("git hub-session push {} {}")
def test_a_remote_that_refuses_a_measurement(
    first: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    """The clone of the worker keeps the measurement, and its next push publishes it."""
    served.install_hook(
        "pre-receive", f"test ! -e {tmp_path}/measured || ! grep -q refs/hub/sessions"
    )
    words = ("--eval", f"touch {tmp_path}/measured; {COMMAND}", *MEASURE[2:], "s1")
    result = evaluate(first, "--on", "fast", *words)
    assert result.code == 1
    lines = [line.removeprefix("fast: ") for line in result.out.splitlines()]
    [outcome] = [line for line in lines if line.endswith(": not published")]
    far = Hub(Path(first.environ["HOME"]) / "fast" / "project", first.environ)
    (served.path / "hooks" / "pre-receive").unlink()
    type_hint(far, find_hint(Result(1, "\n".join(lines)), "git hub-session push {} {}"))
    assert claims(served) == []
    again = evaluate(first, "--on", "fast", *words)
    assert again.code == 0, again
    measured = [line for line in again.out.splitlines() if line.endswith(": measured")]
    assert len(measured) == 1
    assert outcome.partition(":")[0] not in measured[0]


@types("show them with: {}")
@types("end them with: {}")
def test_a_signal_leaves_the_workers(first: Hub, served: ServedRepository, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done; {COMMAND}"
    words = ("--on", "fast", "--eval", wait, *MEASURE[2:], "s1")
    process = start_command(first, "eval", *words)
    wait_for(started.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    result = finish(process)
    assert result.code in (-signal.SIGINT, 128 + signal.SIGINT)
    assert result.err.splitlines()[0] == "the workers go on, unless their executor ends them"
    show = find_hint(result, "show them with: {}")
    follow_hint(show)
    assert shlex.split(show.partition(": ")[2])[3:] == [*words]
    hint = find_hint(result, "end them with: {}")
    ended = first.call("sh", "-c", hint.partition(": ")[2])
    follow_hint(hint)
    assert ended == Result(0, "Ended 1 worker on fast\n")
    assert claims(served) == []
    go.touch()
    again = first.call("sh", "-c", show.partition(": ")[2])
    assert again.code == 0
    assert results(first)["agent-2"]["rank"] == 1


def test_a_killed_worker_leaves_its_agent_to_another(
    first: Hub, served: ServedRepository, tmp_path: Path
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    wait = f"touch {started}; until test -e {go}; do sleep 0.05; done; {COMMAND}"
    words = ("--on", "fast", "--eval", wait, *MEASURE[2:], "s1")
    process = start_command(first, "eval", *words)
    wait_for(started.exists, process)
    clone = Path(first.environ["HOME"]) / "fast" / "project"
    pid_file = clone / ".git" / "hub-session-workers" / "s1" / "eval" / HOST / "1.pid"
    os.killpg(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    killed = finish(process)
    assert (killed.code, len(claims(served))) == (1, 1)
    assert "error: a worker on 'fast' was killed" in killed.err.splitlines()
    go.touch()
    again = evaluate(first, *words)
    assert (again.code, again.err, claims(served)) == (0, "", [])
    assert results(first)["agent-2"]["rank"] == 1


@types("git hub-session eval {} --eval {}")
def test_a_command_of_the_session_needs_an_approval(first: Hub, served: ServedRepository) -> None:
    """The far end runs the command of the caller, and records no approval."""
    first.run("init", "-q", "--id", "s2", "--task", "t", "--agents", "1", *MEASURE[:6])
    first.run("spawn", "-q", "s2")
    first.commit(first.top.parent / "project.hub" / "s2" / "agent-1", "ms", "70")
    shutil.rmtree(Path(first.environ["HOME"]) / ".local" / "state" / "git-hub-session")
    refused = evaluate(first, "--on", "fast", "s2")
    message = f"error: the eval command of session 's2' is not approved: {COMMAND}"
    assert (refused.code, refused.err.splitlines()[0]) == (1, message)
    assert served.refs("refs/hub/sessions/s2") == {}
    type_hint(first, find_hint(refused, "git hub-session eval {} --eval {}"))
    accepted = evaluate(first, "--on", "fast", "--no-guard", "s2")
    assert (accepted.code, accepted.err) == (0, ""), accepted
    far = Hub(Path(first.environ["HOME"]) / "fast" / "project", first.environ)
    again = far.run("eval", "s2", "--no-guard")
    assert (again.code, again.err.splitlines()[0]) == (1, message)


def test_the_measurement_of_a_remote_is_hostile(first: Hub, served: ServedRepository) -> None:
    """Values of a wrong type are left out, and no text controls the terminal."""
    assert evaluate(first, "--on", "fast", *MEASURE, "s1").code == 0
    log = first.directory("s1") / "evaluations.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line["machine"] = {"host": "\x1b]0;evil\x07" + "x" * 150, "cpus": "many", "load": []}
        line["ratio"] = "small"
        line["base_values"] = [1, "two", None, {}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = first.run("log", "s1", "--evaluations")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "(on \\x1b]0;evil\\x07xxx" in result.out
    answer = json.loads(first.run("log", "s1", "--evaluations", "--format=json").out)
    entry = answer["evaluations"][0]
    assert (entry["ratio"], entry["base_values"]) == (None, [1.0])
    assert entry["machine"]["cpus"] is None


@types("git push {} {}")
def test_a_base_branch_that_is_not_published(first: Hub, served: ServedRepository) -> None:
    first.commit(first.top, "file", "later\n")
    result = evaluate(first, "--on", "fast", *MEASURE, "s1")
    tip = first.git("rev-parse", "main")
    message = f"error: 'origin' does not have commit {tip[:12]} of 'main'"
    assert (result.code, result.out, result.err.splitlines()[0]) == (1, "", message)
    hint = find_hint(result, "git push {} {}")
    follow_hint(hint)
    assert first.call("sh", "-c", hint).code == 0
    again = evaluate(first, "--on", "fast", *MEASURE, "s1")
    assert (again.code, again.err) == (0, ""), again
    assert first.state()["evaluation"]["base"] == tip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "fast", "--in-place"), "--on and --in-place exclude each other"),
        (("--on", "fast", "--judge", "true"), "--on and --judge exclude each other"),
        (("--on", "fast", "-j", "2"), "--on and --jobs exclude each other"),
        (("--on", "fast", "-n"), "--on and --dry-run exclude each other"),
        (("--on", "fast", "--baseline", "9"), "--on and '--baseline <number>' exclude each other"),
        (("--on", "fast", "--repeat", "auto"), "--on and '--repeat auto' exclude each other"),
        (("--cancel",), "--cancel needs the executors"),
    ],
)
def test_wrong_options(
    first: Hub, served: ServedRepository, words: tuple[str, ...], message: str
) -> None:
    result = evaluate(first, *words, "s1")
    assert (result.code, result.out) == (129, "")
    assert result.err.splitlines()[0] == f"error: {message}"
    assert served.refs("refs/hub") == {}


@types("use eval --on, which starts workers")
@types("git hub-session eval {}")
@types("give --eval, --metric and --direction")
def test_the_hints_about_wrong_options(first: Hub) -> None:
    for result, hint in (
        (first.run("work", "--measure", "x", "--eval", "true", "s1"), "use eval --on, which {}"),
        (first.run("work", "--measure", "x", "s1"), "use eval --on, which {}"),
        (evaluate(first, "--on", "fast", "s1"), "give --eval, --metric and --direction"),
    ):
        follow_hint(find_hint(result, hint))
    assert first.run("work", "--eval", "true", "s1", "--", "true").err.splitlines()[0] == (
        "error: --eval requires --measure"
    )
    holdout = first.top.parent / "holdout"
    holdout.mkdir()
    (holdout / "secret").touch()
    first.git("config", "hubsession.holdout", str(holdout))
    refused = evaluate(first, "--on", "fast", *MEASURE, "s1")
    message = "error: the holdout files are only on this machine"
    assert (refused.code, refused.err.splitlines()[0]) == (1, message)
    follow_hint(find_hint(refused, "git hub-session eval {}"))
