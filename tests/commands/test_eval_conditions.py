"""`eval`: all agents and the baseline are measured under the same conditions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.hints import follow_hint, type_hint, types
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    count_worktrees,
    create_measurable_session,
    recorded_ranks,
)

WITH_CACHE = "test -e cache && echo ms: 10 || echo ms: 100"


def ignore_in_base(hub: Hub, *names: str) -> None:
    """Commit a .gitignore on the base branch."""
    hub.commit(hub.top, ".gitignore", "".join(f"/{name}\n" for name in names))


def values(hub: Hub, agent: int) -> list[float]:
    """Return the measured values of an agent."""
    recorded = hub.state()["agents"][f"agent-{agent}"]["result"]["values"]
    assert isinstance(recorded, list)
    return recorded


def test_ignored_file_in_one_worktree_has_no_effect(hub: Hub) -> None:
    """Agent-1 has an ignored cache, and agent-2 has an untracked file. Their code is the same."""
    ignore_in_base(hub, "cache")
    create_measurable_session(hub, "x\n", "x\n")
    (agent_worktree(hub, 1) / "cache").touch()
    (agent_worktree(hub, 2) / "untracked").touch()
    arguments = (*MEASURE, "--eval", WITH_CACHE, "--baseline=measure")
    result = hub.run("eval", *arguments, "s1")
    assert (result.code, result.err) == (0, "")
    assert [values(hub, agent) for agent in (1, 2)] == [[100], [100]]
    assert hub.state()["evaluation"]["baseline"] == 100
    assert (agent_worktree(hub, 1) / "cache").exists()
    assert (agent_worktree(hub, 2) / "untracked").exists()


def test_output_of_an_evaluation_is_not_committed(hub: Hub) -> None:
    create_measurable_session(hub, "x\n")
    command = "echo ms: 1 | tee result; echo more >>ms"
    result = hub.run("eval", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.err) == (
        0,
        "warning: tracked file of agent-1 changed while the command ran: 'ms'\n",
    )
    hub.git("add", "-A", cwd=agent_worktree(hub, 1))
    assert hub.git("status", "--porcelain", cwd=agent_worktree(hub, 1)) == ""


CHANGE_EVERYTHING = """\
echo ms: $(cat file new sub/other 2>/dev/null | wc -l)$(test -e cache && echo 7)
echo more >>file; rm -r sub; mkdir -p new.d/empty; touch cache; echo x >new
git update-index --skip-worktree file
git checkout -q --force -B "side-$HUB_AGENT" 2>/dev/null
git add new; git commit -q -m side; : >"$(git rev-parse --git-dir)/index.lock"
"""


def test_each_repetition_starts_with_the_commit(hub: Hub) -> None:
    """The command changes, stages and commits files. Only what git ignores stays."""
    ignore_in_base(hub, "cache")
    create_measurable_session(hub, "x\n", "x\n")
    arguments = (*MEASURE, "--eval", CHANGE_EVERYTHING, "--repeat=3")
    assert hub.run("eval", "-q", *arguments, "s1").code == 0
    assert [values(hub, agent) for agent in (1, 2)] == [[2, 27, 27]] * 2
    # The branch of the command still has its own commit: the reset has not moved it.
    assert hub.git("log", "-1", "--format=%s", "side-agent-1") == "side"
    assert hub.git("status", "--porcelain", cwd=agent_worktree(hub, 1)) == ""
    assert count_worktrees(hub) == 3


def test_setup_leaves_no_untracked_file_for_the_first_repetition(hub: Hub) -> None:
    """All repetitions see the same files: those of the commit, and ignored files."""
    ignore_in_base(hub, "deps")
    create_measurable_session(hub, "x\n")
    hub.git("config", "hubsession.setup", "touch deps untracked; echo more >>file")
    command = "echo ms: $(ls | wc -l)$(wc -l <file)"
    assert hub.run("eval", "-q", *MEASURE, "--eval", command, "--repeat=2", "s1").code == 0
    assert values(hub, 1) == [41, 41]  # deps, file, ms and sub


def test_worktree_that_cannot_be_reset(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    command = 'cat ms; test $HUB_AGENT = agent-2 || rm -rf "$PWD"'
    result = hub.run("eval", *MEASURE, "--eval", command, "--repeat=2", "s1")
    path = agent_worktree(hub, 1).parent / ".s1-eval-agent-1"
    assert result.code == 0
    assert recorded_ranks(hub) == {
        "agent-1": (2, None, f"its worktree cannot be reset: directory '{path}' is missing"),
        "agent-2": (1, 2, ""),
    }
    assert count_worktrees(hub) == 3


# --- In place -------------------------------------------------------------------------------------


def test_agents_are_measured_in_their_own_worktrees(hub: Hub) -> None:
    """Nothing is reset or removed."""
    ignore_in_base(hub, "cache")
    create_measurable_session(hub, "x\n", "x\n")
    (agent_worktree(hub, 1) / "cache").touch()
    command = f"{WITH_CACHE}; echo x >>result; pwd >>../paths"
    arguments = (*MEASURE, "--eval", command, "--in-place", "--repeat=2")
    result = hub.run("eval", *arguments, "s1")
    assert result.code == 0
    assert result.err == (
        "warning: the eval command left 1 file in the worktree of agent-1: 'result'\n"
        "warning: the eval command left 1 file in the worktree of agent-2: 'result'\n"
    )
    assert [values(hub, agent) for agent in (1, 2)] == [[10, 10], [100, 100]]
    parent = agent_worktree(hub, 1).parent
    names = ("agent-1", "agent-2")
    assert (parent / "paths").read_text() == "".join(f"{parent / name}\n" for name in names) * 2
    assert (agent_worktree(hub, 1) / "result").read_text() == "x\nx\n"


@types("leave out --in-place, or give --baseline <number>")
def test_no_baseline_from_a_new_worktree_is_compared_in_place(hub: Hub) -> None:
    """Without the cache of the agents, the unchanged base branch looks ten times as slow."""
    ignore_in_base(hub, "cache")
    create_measurable_session(hub, "x\n")
    (agent_worktree(hub, 1) / "cache").touch()
    before = everything(hub)
    arguments = ("eval", *MEASURE, "--eval", WITH_CACHE, "--baseline=measure", "s1")
    hint = "leave out --in-place, or give --baseline <number>"
    message = "--in-place cannot be compared with a baseline that is measured in a new worktree"
    refused = Result(129, "", f"error: {message}\nhint: {hint}\n")
    assert hub.run(*arguments, "--in-place") == refused
    assert everything(hub) == before
    follow_hint(hint)
    assert hub.run(*arguments, "-q", "--in-place", "--baseline=10") == Result(0)
    merged = hub.run("merge", "--yes", "s1")
    assert (merged.code, "no agent improves on the baseline" in merged.err) == (1, True)
    assert hub.run(*arguments, "-q") == Result(0)
    assert hub.state()["evaluation"]["baseline"] == 100


def test_baseline_of_a_run_is_not_compared_in_place(hub: Hub) -> None:
    """`run` has measured it in a new worktree. The baseline of a user can be any."""
    ignore_in_base(hub, "cache")
    run = ("run", "-q", "--id=s1", "--task=x", "--agents=1", *MEASURE, "--eval", WITH_CACHE)
    agent = ("--agent-cmd", "touch cache; echo x >new")
    message = "--in-place cannot be compared with a baseline that is measured in a new worktree"
    refused = hub.run(*run, *agent, "--in-place")
    assert (refused.code, refused.err.splitlines()[0]) == (129, f"error: {message}")
    assert not hub.directory().exists()
    assert hub.run(*run, *agent).code == 1  # no improvement
    assert hub.run("eval", "--in-place", "s1").err == refused.err
    assert hub.run("eval", "-q", "--in-place", "--baseline=10", "s1") == Result(0)
    config = hub.directory() / "config.yaml"
    config.write_text(config.read_text().replace("baseline: 100", "baseline: 10"))
    assert hub.run("eval", "-q", "--in-place", "s1") == Result(0)
    assert hub.run("merge", "--yes", "s1").code == 1


@pytest.mark.parametrize("baseline", ["none", "20"])
def test_run_in_place_without_a_measured_baseline(hub: Hub, baseline: str) -> None:
    ignore_in_base(hub, "cache")
    run = ("run", "-q", "--id=s1", "--task=x", "--agents=1", *MEASURE, "--eval", WITH_CACHE)
    agent = ("--agent-cmd", "touch cache; echo x >new")
    result = hub.run(*run, *agent, "--in-place", f"--baseline={baseline}", "--yes")
    assert result.code == 0, result
    assert hub.state()["evaluation"]["baseline"] == (None if baseline == "none" else 20)


def test_agent_that_cannot_be_measured_in_place_has_no_rank(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n", "ms: 3\n")
    (agent_worktree(hub, 1) / "ms").write_text("ms: 0\n")
    hub.git("checkout", "-q", "--detach", cwd=agent_worktree(hub, 2))
    tip = hub.git("rev-parse", "hub/s1/agent-3/attempt-1")
    preview = hub.run("eval", "-n", *MEASURE, "--in-place", "s1")
    detached = "its HEAD is detached from 'hub/s1/agent-2/attempt-1'"
    assert preview.out == (
        "Would not measure agent-1: its worktree has uncommitted changes\n"
        f"Would not measure agent-2: {detached}\n"
        f"Would measure agent-3 at {tip[:12]} in ../project.hub/s1/agent-3\n"
    )
    result = hub.run("eval", *MEASURE, "--in-place", "s1")
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3       3      -       -      1  +1/-0\n"
        "   -  agent-1       -      -       -      1  +1/-0"
        "  its worktree has uncommitted changes, 1 file uncommitted, not measured\n"
        f"   -  agent-2       -      -       -      1  +1/-0  {detached}\n"
        "Session s1: running → evaluating\n",
    )
    ranks = {name: agent["result"]["rank"] for name, agent in hub.state()["agents"].items()}
    assert ranks == {"agent-1": None, "agent-2": None, "agent-3": 1}


def test_no_agent_can_be_measured_in_place(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    for agent in (1, 2):
        (agent_worktree(hub, agent) / "ms").write_text("ms: 0\n")
    state = hub.state()
    assert hub.run("eval", *MEASURE, "--in-place", "s1") == Result(
        1,
        "",
        "error: no agent can be measured in place: agent-1: its worktree has uncommitted changes\n"
        "hint: leave out --in-place to measure in temporary worktrees\n",
    )
    assert hub.state() == state
    assert not (hub.directory() / "output").exists()
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)


# --- Something is missing in a new worktree -------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("no-such-tool --metric", "exit code 127"),
        ("./file", "exit code 126"),
        ("python3 -m nosuchmodule", "No module named nosuchmodule"),
        ("python3 -c 'import nosuch.module'", "No module named 'nosuch'"),
        ("cat node_modules/data.json", "node_modules/data.json"),
        ("python3 -c 'open(\"vendor/x\")'", "vendor"),
    ],
)
def test_all_agents_fail_alike(hub: Hub, command: str, missing: str) -> None:
    """The error names what prepares a worktree, and --in-place. Nothing is recorded."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    state = hub.state()
    result = hub.run("eval", *MEASURE, "--eval", command, "--baseline=measure", "s1")
    assert result == Result(
        1,
        "",
        f"error: the eval command fails alike in each temporary worktree: {missing}\n"
        "hint: set hubsession.setup to the command that prepares a new worktree\n"
        "hint: list the ignored files that a new worktree needs in .worktreeinclude\n"
        "hint: measure in the agents' own worktrees with --in-place\n"
        f"hint: read its output in {hub.directory()}/output/eval-1/baseline.log\n",
    )
    assert (hub.state(), count_worktrees(hub)) == (state, 3)


def test_each_hint_for_a_missing_file_helps(hub: Hub) -> None:
    ignore_in_base(hub, "node_modules")
    create_measurable_session(hub, "ms: 1\n")
    arguments = ("eval", "-q", *MEASURE, "--eval", "cat node_modules/ms", "s1")
    for directory in (hub.top, agent_worktree(hub, 1)):
        (directory / "node_modules").mkdir()
        (directory / "node_modules" / "ms").write_text("ms: 3\n")
    assert hub.run(*arguments).code == 1
    assert hub.run(*arguments, "--in-place") == Result(0)
    assert values(hub, 1) == [3]
    hub.git("config", "hubsession.setup", "mkdir -p node_modules; echo ms: 4 >node_modules/ms")
    assert hub.run(*arguments) == Result(0)
    assert values(hub, 1) == [4]
    hub.git("config", "--unset", "hubsession.setup")
    Path(hub.top, ".worktreeinclude").write_text("node_modules\n")
    assert hub.run(*arguments) == Result(0)
    assert values(hub, 1) == [3]


def test_agents_that_fail_differently(hub: Hub) -> None:
    """The worktrees are not the cause, so the results are recorded."""
    create_measurable_session(hub, "exit 127\n", "exit 3\n")
    assert hub.run("eval", "-q", *MEASURE, "--eval", "sh ./ms", "s1") == Result(1)
    assert recorded_ranks(hub) == {
        "agent-1": (1, None, "exit code 127"),
        "agent-2": (2, None, "exit code 3"),
    }


def test_agents_that_fail_unlike_the_baseline(hub: Hub) -> None:
    hub.commit(hub.top, "ms", "echo ms: 1\n")
    create_measurable_session(hub, "exit 127\n")
    arguments = (*MEASURE, "--eval", "sh <ms", "--baseline=measure", "--no-guard")
    assert hub.run("eval", "-q", *arguments, "s1") == Result(1)
    assert recorded_ranks(hub) == {"agent-1": (1, None, "exit code 127")}


def test_baseline_of_a_run_misses_something(hub: Hub) -> None:
    options = ("--task=t", "--agent-cmd=true", "--direction=lower", "--metric=ms")
    result = hub.run("run", "--id=s1", *options, "--eval=no-such-tool")
    assert result.code == 1
    assert result.err.splitlines()[:4] == [
        "error: the eval command cannot measure 'main': exit code 127",
        "hint: set hubsession.setup to the command that prepares a new worktree",
        "hint: list the ignored files that a new worktree needs in .worktreeinclude",
        f"hint: read its output in {hub.directory()}/output/eval-1/baseline.log",
    ]


def test_baseline_of_a_run_misses_an_uncommitted_file(hub: Hub) -> None:
    """.worktreeinclude, or a commit, gives the file to the agents."""
    (hub.top / "bench").write_text("echo ms: 1\n")
    options = ("--task=t", "--agent-cmd=true", "--direction=lower", "--metric=ms")
    result = hub.run("run", "--id=s1", *options, "--eval=sh ./bench")
    assert result.code == 1
    assert result.err.splitlines()[:3] == [
        "error: the eval command cannot measure 'main': exit code 2 (not committed: 'bench')",
        "hint: git add --force -- bench && git commit -m 'Add the benchmark'",
        f"hint: read its output in {hub.directory()}/output/eval-1/baseline.log",
    ]
    (hub.top / ".git" / "info" / "exclude").write_text("bench\n.worktreeinclude\n")
    (hub.top / ".worktreeinclude").write_text("bench\n")
    result = hub.run("run", "--id=s2", *options, "--eval=sh ./bench; exit 3")
    assert "error: the eval command cannot measure 'main': exit code 3\n" in result.err


COMMIT_BENCH = "git add --force -- bench && git commit -m 'Add the benchmark'"
ALIKE = "the eval command fails alike in each temporary worktree: exit code 127"


@types("git add --force -- {} && git commit -m 'Add the benchmark'")
@pytest.mark.parametrize(
    ("command", "error"),
    [("sh ./bench", ""), ("exec ./bench", f"error: {ALIKE} (not committed: 'bench')\n")],
)
def test_uncommitted_benchmark(hub: Hub, command: str, error: str) -> None:
    """The hint helps: the agents are merged with the base branch, which then has the file."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    (hub.top / "bench").write_text("#!/bin/sh\ncat ms\n")
    (hub.top / "bench").chmod(0o755)
    warning = "warning: the eval command names files that are not committed: 'bench'\n"
    result = hub.run("eval", "-q", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.out) == (1, "")
    assert (error or warning) + f"hint: {COMMIT_BENCH}\n" in result.err
    type_hint(hub, COMMIT_BENCH)
    assert hub.run("eval", "-q", *MEASURE, "--eval", command, "s1") == Result(0)
    assert (values(hub, 1), values(hub, 2)) == ([1], [2])


def test_uncommitted_benchmark_from_a_subdirectory(hub: Hub) -> None:
    """The hint names the file as the caller must type it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    (hub.top / "bench").write_text("cat ms\n")
    (hub.top / "below").mkdir()
    hint = "git add --force -- ../bench && git commit -m 'Add the benchmark'"
    command = ("eval", "-q", *MEASURE, "--eval", "sh ./bench", "s1")
    assert hub.run(*command, cwd=hub.top / "below").err.splitlines()[-1] == f"hint: {hint}"
    type_hint(hub, f"cd below && {hint}")
    assert hub.run(*command) == Result(0)


def test_uncommitted_benchmark_in_place(hub: Hub) -> None:
    """A commit does not put the file into the agents' worktrees. Agent-2 has it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.commit(agent_worktree(hub, 2), "bench", "cat ms\n")
    (hub.top / "bench").write_text("cat ms\n")
    result = hub.run("eval", "-q", "--in-place", *MEASURE, "--eval", "sh ./bench", "s1")
    assert result == Result(
        0, "", "warning: the eval command names files that are not committed: 'bench'\n"
    )


def test_repository_in_a_temporary_worktree(hub: Hub) -> None:
    """The eval command has cloned a dependency. The temporary worktree is removed all the same."""
    create_measurable_session(hub, "ms: 1\n")
    arguments = (*MEASURE, "--eval", "git init -q build/dep; cat ms", "--repeat", "2")
    for _ in range(2):
        assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
        assert not [*hub.top.parent.glob("project.hub/s1/.s1-eval*")]
    assert (values(hub, 1), count_worktrees(hub)) == ([1, 1], 2)


def test_link_in_place_of_a_temporary_worktree(hub: Hub) -> None:
    """A reset through the link would delete the uncommitted files of another agent."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    other = agent_worktree(hub, 2)
    (other / "notes").write_text("mine\n")
    (other / "ms").write_text("changed\n")
    replace = "cd ..; mv .s1-eval-agent-1 moved; ln -s agent-2 .s1-eval-agent-1"
    command = f"cat ms; test $HUB_AGENT = agent-2 || {{ {replace}; }}"
    result = hub.run("eval", *MEASURE, "--eval", command, "--repeat", "2", "s1")
    assert result.code == 0, result
    path = agent_worktree(hub, 1).parent / ".s1-eval-agent-1"
    reason = f"its worktree cannot be reset: '{path}' is another directory now"
    assert recorded_ranks(hub) == {"agent-2": (1, 2, ""), "agent-1": (2, None, reason)}
    assert ((other / "notes").read_text(), (other / "ms").read_text()) == ("mine\n", "changed\n")
    assert (path.is_symlink(), path.exists(), count_worktrees(hub)) == (False, False, 3)


def test_link_in_place_of_the_index(hub: Hub) -> None:
    """The index is written again before each repetition. The target of the link stays."""
    create_measurable_session(hub, "ms: 1\n")
    precious = hub.top.parent / "precious"
    precious.write_text("mine\n")
    command = f'ln -sf {precious} "$(git rev-parse --git-dir)/index"; cat ms'
    assert hub.run("eval", "-q", *MEASURE, "--eval", command, "--repeat", "2", "s1") == Result(0)
    assert (precious.read_text(), values(hub, 1)) == ("mine\n", [1, 1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_file_system_in_a_temporary_worktree(hub: Hub) -> None:
    """The files of the file system are not deleted. The next evaluation prints the umount command."""
    create_measurable_session(hub, "ms: 1\n")
    mounted = hub.top.parent / "mounted"
    mounted.mkdir()
    (mounted / "file").write_text("mine\n")
    command = f"cat ms; mkdir point; mount --bind {mounted} point"
    point = agent_worktree(hub, 1).parent / ".s1-eval-agent-1" / "point"
    result = hub.run("eval", "-q", *MEASURE, "--eval", command, "s1")
    try:
        if not os.path.ismount(point):
            pytest.skip(f"cannot mount a file system: {result}")
        assert (mounted / "file").read_text() == "mine\n"
        refused = hub.run("eval", "-q", *MEASURE, "s1")
        assert refused == Result(
            128, "", f"fatal: a file system is mounted at '{point}'\nhint: umount {point}\n"
        )
    finally:
        subprocess.run(["umount", str(point)], check=False, stderr=subprocess.DEVNULL)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert (count_worktrees(hub), (mounted / "file").exists()) == (2, True)


def test_sessions_whose_ids_have_the_same_start(hub: Hub) -> None:
    """The evaluation of one session keeps the temporary worktrees of the other."""
    hub.git("config", "hubsession.worktreePath", "../trees/{id}-{n}")
    for sid in ("s", "s-eval-2"):
        hub.run("init", "-q", "--id", sid, "--task", "t", "--agents", "1")
        hub.run("spawn", "-q", sid)
        hub.commit(hub.top.parent / "trees" / f"{sid}-1", "ms", "ms: 1\n")
    inner = "git hub-session eval -q s --eval 'cat ms' --metric ms --direction lower"
    command = f"(cd {hub.top} && {inner}) >&2; cat ms"
    arguments = (*MEASURE, "--eval", command, "--repeat", "2")
    assert hub.run("eval", "-q", *arguments, "s-eval-2") == Result(0)
    assert hub.state("s-eval-2")["agents"]["agent-1"]["result"]["values"] == [1, 1]
    assert hub.state("s")["agents"]["agent-1"]["result"]["metric"] == 1
