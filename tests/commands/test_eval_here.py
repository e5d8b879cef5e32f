"""`eval --here`: an agent measures the present state of its worktree."""

from __future__ import annotations

from tests.support.cleanup import everything
from tests.support.hub import Hub, Result
from tests.support.locks import lock_directory
from tests.support.measured_sessions import agent_worktree, running_evaluation

INIT = ("--id=s1", "--task=t", "--agents=2", "--metric=ms", "--direction=lower", "--baseline=9 ms")
GUARDED = (
    "warning: agent-1 changed guarded path 'bench.sh': an evaluation uses the files of the base"
    " branch\n"
)
OUTSIDE = Result(
    1,
    "",
    "error: the current directory is not in the worktree of an agent\n"
    "hint: run the command in the worktree of an agent\n",
)


def create_session(hub: Hub) -> Hub:
    bench = 'test -n "$HUB_PORT" || exit 4\necho $HUB_AGENT; echo "ms: $(wc -c <work) ms"\n'
    hub.commit(hub.top, "bench.sh", bench)
    hub.commit(hub.top, "work", "12345678\n")
    assert hub.run("init", "-q", *INIT, "--eval", "sh bench.sh").code == 0
    assert hub.run("spawn", "-q", "s1").code == 0
    return hub


def test_agent_measures_its_uncommitted_files(hub: Hub) -> None:
    """Nothing is recorded. A lock, a running evaluation and another branch do not matter."""
    create_session(hub)
    top = agent_worktree(hub, 1)
    inside = top / "sub"
    fails = Result(1, "fail: ms: 9 ms → 9 ms (+0.0 %), no better than the baseline\n")
    assert hub.run("eval", "--here", cwd=top) == fails
    (top / "work").write_text("1234")
    before = everything(hub)
    passes = Result(0, "pass: ms: 9 ms → 4 ms (−55.6 %)\n")
    with lock_directory(hub.directory()):
        assert hub.run("eval", "--here", "--repeat=3", "--timeout=9m", cwd=inside) == passes
    assert everything(hub) == before
    hub.git("switch", "-q", "--detach", cwd=top)
    hub.git("config", "hubsession.holdout", "../secret")
    note = "warning: an evaluation also has holdout files\n"
    assert hub.run("eval", "--here", cwd=top) == passes._replace(err=note)
    hub.git("config", "--unset", "hubsession.holdout")
    hub.git("switch", "-q", "-c", "mine", cwd=top)
    hub.commit(agent_worktree(hub, 2), "work", "1")
    with running_evaluation(hub):
        document = hub.json("eval", "--here", cwd=inside)
    assert [document[key] for key in ("agent", "uncommitted", "values", "delta", "passed")] == [
        *(1, 1, [4], -5, True)
    ]
    assert hub.run("eval", "--here") == OUTSIDE


def test_difference_to_a_baseline_from_a_new_worktree(hub: Hub) -> None:
    """The worktree of the agent has a cache. Nobody knows how a person has measured a number."""
    hub.commit(hub.top, ".gitignore", "/cache\n")
    command = "test -e cache && echo ms: 10 || echo ms: 100"
    measure = ("--eval", command, "--metric=ms", "--direction=lower")
    agent = ("--agent-cmd", "touch cache; echo x >new")
    run = hub.run("run", "-q", "--id=s1", "--task=t", "--agents=1", *measure, *agent)
    assert run.code == 1  # no improvement
    top = hub.top.parent / "project.hub" / "s1" / "agent-1"
    note = (
        "warning: the baseline was measured in a new worktree: files that git ignores here can"
        " change the result\n"
    )
    passes = Result(0, "pass: ms: 100 → 10 (−90.0 %)\n", note)
    assert hub.run("eval", "--here", cwd=top) == passes
    assert hub.run("eval", "--here", "--baseline=100", cwd=top) == passes._replace(err="")
    assert hub.run("eval", "--in-place", "--baseline=90", "s1").code == 0
    (hub.directory() / "config.yaml").write_text(
        (hub.directory() / "config.yaml").read_text().replace("baseline: 100", "baseline: 80")
    )
    measured = hub.run("eval", "--here", cwd=top)
    assert measured == Result(0, "pass: ms: 90 → 10 (−88.9 %)\n")


def test_failure_shows_the_output_and_the_guarded_paths(hub: Hub) -> None:
    create_session(hub)
    top = agent_worktree(hub, 1)
    (top / "bench.sh").write_text("printf '\\033[31mbad\\033[2J\\n'; exit 3\n")
    result = hub.run("eval", "--here", cwd=top)
    assert result == Result(1, "fail: exit code 3\n", f"{GUARDED}  bad\\x1b[2J\n")
    assert (top / "bench.sh").read_text().endswith("exit 3\n")
    (top / "bench.sh").write_text("exit 3\n")
    assert hub.run("eval", "--here", cwd=top) == Result(1, "fail: exit code 3\n", GUARDED)
    (hub.directory() / "config.yaml").write_text(
        (hub.directory() / "config.yaml").read_text().replace("sh bench.sh", "sh other.sh")
    )
    refused = hub.run("eval", "--here", "--warmup=1", cwd=top)
    assert (refused.code, refused.err.splitlines()) == (
        1,
        [
            "error: the eval command of session 's1' is not approved: sh other.sh",
            "hint: git hub-session eval --eval 'sh other.sh' --warmup 1 --here",
        ],
    )
    for option, error in {
        "s1": "--here takes no session id: the worktree belongs to a session",
        "--in-place": "--here and --in-place exclude each other",
        "--judge=cat": "--here and --judge exclude each other",
        "--tolerance=5%": "--here and --tolerance exclude each other",
        "--repeat=auto": "--here and '--repeat auto' exclude each other",
    }.items():
        assert hub.run("eval", "--here", option, cwd=top) == Result(129, "", f"error: {error}\n")
