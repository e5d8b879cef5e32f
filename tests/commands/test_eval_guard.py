"""Guarded paths: they are measured as in the base branch, and agents that change them are marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import Hub, Result
from tests.support.interrupt import DIE, run_with_injected_code
from tests.support.measured_sessions import (
    agent_worktree,
    count_worktrees,
    create_measurable_session,
    recorded_ranks,
)

BENCH = "echo ms: $(wc -c <work)\n"
CHEAT = "echo ms: 0"
OPTIONS = ("--metric", "ms", "--direction", "lower")
MEASURE = ("--eval", "sh bench/run.sh", *OPTIONS)
MARK = "changed guarded path 'bench/run.sh'"
NAMED_NOTE = (
    "warning: 'bench/run.sh' was measured as in the base branch, because the eval command names it"
    " (use --no-guard to measure the agents' own)\n"
)


def create_guarded_session(hub: Hub, cheat: str = f"{CHEAT} >bench/run.sh") -> Hub:
    """Create a session with two agents. Agent-2 changes the benchmark too."""
    hub.commit(hub.top, "bench/run.sh", BENCH)
    create_measurable_session(hub, agents=2)
    hub.commit(agent_worktree(hub, 1), "work", "1234")
    hub.commit(agent_worktree(hub, 2), "work", "123456")
    run_and_commit(hub, 2, cheat)
    return hub


def run_and_commit(hub: Hub, agent: int, script: str) -> None:
    """Run a script in the worktree of an agent, and commit the result."""
    hub.call("sh", "-c", script, cwd=agent_worktree(hub, agent))
    hub.git("add", "-A", cwd=agent_worktree(hub, agent))
    hub.git("commit", "-q", "-m", "cheat", cwd=agent_worktree(hub, agent))


def guarded(hub: Hub) -> dict[str, list[str]]:
    """Return the recorded guarded paths that each agent changed."""
    agents = hub.state()["agents"]
    return {name: agent["result"].get("guarded", []) for name, agent in agents.items()}


@pytest.mark.parametrize(
    "cheat",
    [
        f"echo '{CHEAT}' >bench/run.sh",
        "git rm -q bench/run.sh",
        "git mv bench/run.sh moved.sh",
        f"echo '{CHEAT}' >cheat.sh; ln -sf ../cheat.sh bench/run.sh",
        "rm bench/run.sh; mkdir -p bench/run.sh/deep; echo x >bench/run.sh/deep/file",
        f"mkdir other; echo '{CHEAT}' >other/run.sh; rm -r bench; ln -s other bench",
        "rm -r bench; echo x >bench",
        "chmod +x bench/run.sh",
        "echo '*.sh eol=crlf' >.gitattributes",
        "echo '*.sh eol=crlf' >bench/.gitattributes",
    ],
)
def test_base_commit_has_the_benchmark(hub: Hub, cheat: str) -> None:
    """The benchmark of the base branch measures each agent, also one that changed its own copy."""
    create_guarded_session(hub, cheat)
    result = hub.run("eval", *MEASURE, "--repeat=2", "--baseline=10", "s1")
    assert (result.code, result.err) == (0, NAMED_NOTE)
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
    assert guarded(hub) == {"agent-1": [], "agent-2": ["bench/run.sh"]}
    assert result.out.splitlines()[2].endswith(f"  {MARK}")
    assert hub.state()["evaluation"]["guard"] == ["bench/run.sh"]
    assert count_worktrees(hub) == 3
    assert hub.git("status", "--porcelain", cwd=agent_worktree(hub, 2)) == ""


def test_agent_is_marked_everywhere(hub: Hub) -> None:
    create_guarded_session(hub)
    document = hub.json("eval", *MEASURE, "s1")
    assert document["guard"] == ["bench/run.sh"]
    assert [agent["guarded"] for agent in document["agents"]] == [[], ["bench/run.sh"]]
    porcelain = hub.run("eval", *MEASURE, "--format=porcelain", "s1").out
    assert porcelain.partition("\nagent 2\n")[2].count("\nguarded bench/run.sh\n") == 1
    assert porcelain.count("\nguarded ") == 1
    agents = hub.run("status", "s1").out.partition("  Branches:")[0].splitlines()
    assert [MARK in line for line in agents if "agent-" in line] == [False, True]
    branches = hub.json("status", "s1")["branches"]
    assert [branch["guarded"] for branch in branches] == [[], ["bench/run.sh"]]
    preview = hub.run("merge", "-n", "--agent=2", "s1")
    assert preview.err == f"warning: agent-2 {MARK}\n"
    assert hub.run("merge", "-n", "--agent=1", "s1").err == ""


def test_no_guard_measures_the_own_file(hub: Hub) -> None:
    create_guarded_session(hub, f"echo '{CHEAT}' >bench/run.sh")
    result = hub.run("eval", "-q", *MEASURE, "--no-guard", "s1")
    assert result == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (2, 4, ""), "agent-2": (1, 0, "")}
    assert "guard" not in hub.state()["evaluation"]


def test_setup_command_sees_the_file_of_the_base(hub: Hub) -> None:
    """The file is restored after this command, and after the prepare command."""
    create_guarded_session(hub, f"echo '{CHEAT}' >bench/run.sh")
    hub.git(
        "config", "hubsession.setup", "cp bench/run.sh ../seen-$HUB_AGENT; echo x >bench/run.sh"
    )
    prepare = f"echo '{CHEAT}' >bench/run.sh"
    assert hub.run("eval", "-q", *MEASURE, "--prepare", prepare, "s1").code == 0
    assert recorded_ranks(hub)["agent-2"] == (2, 6, "")
    assert (agent_worktree(hub, 2).parent / "seen-agent-2").read_text() == BENCH


def test_guarded_directory(hub: Hub) -> None:
    """New files of an agent in the directory are left out. Ignored files stay."""
    hub.commit(hub.top, ".gitignore", "/bench/cache\n")
    hub.git("config", "hubsession.setup", "touch bench/cache")
    create_guarded_session(hub, "echo x >bench/more; mkdir bench/sub; echo x >bench/sub/y")
    command = "echo ms: $(find bench -type f | wc -l)"
    arguments = ("--eval", command, *OPTIONS, "--guard=./bench/", "--repeat=2", "s1")
    assert hub.run("eval", "-q", *arguments).code == 0
    assert [rank[1] for rank in recorded_ranks(hub).values()] == [2, 2]
    assert guarded(hub) == {"agent-1": [], "agent-2": ["bench"]}


def test_given_paths_replace_those_of_the_command(hub: Hub) -> None:
    create_guarded_session(hub, f"echo '{CHEAT}' >bench/run.sh; echo x >file")
    result = hub.run("eval", *MEASURE, "--guard=file", "--guard=sub", "s1")
    assert (result.code, result.err) == (0, "")
    assert hub.state()["evaluation"]["guard"] == ["file", "sub"]
    assert recorded_ranks(hub)["agent-2"] == (1, 0, "")
    assert guarded(hub)["agent-2"] == ["file"]


def test_paths_of_the_session_and_of_the_setting(hub: Hub) -> None:
    hub.commit(hub.top, "bench/run.sh", BENCH)
    hub.git("config", "--add", "hubsession.guard", "missing")
    hub.git("config", "--add", "hubsession.guard", "file")
    init = ("init", "-q", "--task=t", "--agents=1", *MEASURE)
    assert hub.run(*init, "--id=s1").code == 0
    assert hub.run(*init, "--id=s2", "--guard=sub", "--guard", "bench").code == 0
    assert hub.run(*init, "--id=s3", "--no-guard").code == 0
    shown = hub.run("status", "s2").out
    assert "  Guard: sub\n  Guard: bench\n" in shown
    expected = {"s1": ["file"], "s2": ["sub", "bench"], "s3": []}
    for sid, paths in expected.items():
        hub.run("spawn", "-q", sid)
        hub.commit(hub.top.parent / "project.hub" / sid / "agent-1", "work", "1")
        document = hub.json("eval", "-n", sid)
        assert (sid, document["guard"]) == (sid, paths)
    assert hub.json("eval", "-n", "--guard=file", "s3")["guard"] == ["file"]


def test_run_keeps_the_guarded_paths(hub: Hub) -> None:
    hub.commit(hub.top, "bench/run.sh", BENCH)
    hub.commit(hub.top, "work", "12345678")
    agent = f"printf 1234 >work; echo '{CHEAT}' >bench/run.sh"
    options = ("--task=t", "--agents=1", *OPTIONS, "--agent-cmd", agent)
    result = hub.run(
        *("run", "--id=s1", *options, "--eval", "sh bench/run.sh", "--guard=bench", "--yes")
    )
    assert result.code == 0, result
    assert result.err == "warning: agent-1 changed guarded path 'bench'\n"
    assert hub.state()["agents"]["agent-1"]["result"]["metric"] == 4


def test_agent_that_changed_a_guarded_path_is_not_measured_in_place(hub: Hub) -> None:
    create_guarded_session(hub, f"echo '{CHEAT}' >bench/run.sh")
    result = hub.run("eval", *MEASURE, "--in-place", "s1")
    assert (result.code, result.err) == (0, NAMED_NOTE)
    ranks = recorded_ranks(hub)
    assert ranks == {"agent-1": (1, 4, ""), "agent-2": (None, None, MARK)}
    run = agent_worktree(hub, 2) / "bench" / "run.sh"
    assert run.read_text() == f"{CHEAT}\n"


def test_newer_base_branch_changes_no_mark(hub: Hub) -> None:
    """Both agents are measured by the new benchmark. The rebased one did not change it."""
    create_guarded_session(hub, "echo more >notes")
    hub.commit(hub.top, "bench/run.sh", "echo ms: 99\n")
    hub.git("rebase", "-q", "main", cwd=agent_worktree(hub, 2))
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert {rank[1:] for rank in recorded_ranks(hub).values()} == {(99, "")}
    assert guarded(hub) == {"agent-1": [], "agent-2": []}


def test_amended_commit_of_the_base_branch(hub: Hub) -> None:
    """`git commit --amend` copies the commit that added the benchmark, but does not change it."""
    create_guarded_session(hub, "echo more >notes")
    hub.git("reset", "-q", "--soft", "HEAD~2", cwd=agent_worktree(hub, 2))
    hub.git("commit", "-q", "--amend", "-m", "faster", cwd=agent_worktree(hub, 2))
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert guarded(hub) == {"agent-1": [], "agent-2": []}
    (agent_worktree(hub, 2) / "bench/run.sh").write_text(CHEAT)
    hub.git("commit", "-q", "--amend", "-a", "-m", "faster", cwd=agent_worktree(hub, 2))
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert guarded(hub) == {"agent-1": [], "agent-2": ["bench/run.sh"]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--guard=nothing"], 128, "no such path in the base branch: 'nothing'"),
        (["--guard=bench/run"], 128, "no such path in the base branch: 'bench/run'"),
        (["--guard=../x"], 129, "not a path in the repository: '../x'"),
        (["--guard=/x"], 129, "not a path in the repository: '/x'"),
        (["--guard=."], 129, "not a path in the repository: '.'"),
        (["--guard=a\nb"], 129, "not a path in the repository: 'a\\nb'"),
        (["--no-guard", "--guard=nothing"], 128, "no such path in the base branch: 'nothing'"),
    ],
)
def test_wrong_path(hub: Hub, arguments: list[str], code: int, message: str) -> None:
    """`init` and `eval` refuse the same paths."""
    create_guarded_session(hub)
    state = hub.state()
    for command in (("eval", *MEASURE, "s1"), ("init", "--task=t", *MEASURE)):
        result = hub.run(*command, *arguments)
        assert (result.code, result.out) == (code, ""), command
        kind = "fatal" if code == 128 else "error"
        assert result.err.splitlines()[0] == f"{kind}: {message}"
    assert hub.state() == state
    assert [session.name for session in hub.directory().parent.iterdir()] == ["s1"]
    result = hub.run("eval", "--ranking=1", *arguments[-1:], "s1")
    assert result.err.startswith("error: --ranking and --guard exclude each other\n")


def test_path_that_came_with_the_repository(hub: Hub) -> None:
    """The key in config.yaml is read like any other text of another user."""
    create_guarded_session(hub)
    config = hub.directory() / "config.yaml"
    text = config.read_text()
    for value in ("'../x'", '"/etc/passwd"', '"a\\0b"', '"\\ud800"'):
        config.write_text(f"{text}guard: {value}\n")
        result = hub.run("eval", *MEASURE, "s1")
        assert (result.code, result.out) == (128, "")
        assert result.err.startswith("fatal: ")
        assert "config.yaml" in result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("event", "nth"),
    [("subprocess.Popen", 1), ("subprocess.Popen", 2), ("subprocess.Popen", 3), ("os.fork", 1)],
)
def test_next_run_cleans_up_after_a_kill(hub: Hub, event: str, nth: int) -> None:
    """The call is killed before it starts git, or the supervisor of the eval command."""
    hub.commit(hub.top, "bench/run.sh", BENCH)
    create_measurable_session(hub, agents=1)
    hub.commit(agent_worktree(hub, 1), "work", "1234")
    killed = run_with_injected_code(hub, "eval", *MEASURE, "s1", code=DIE, nth=nth, only=event)
    assert (killed.code, hub.state()["state"]) == (-9, "running")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 4, "")}
    names = [path.name for path in agent_worktree(hub, 1).parent.iterdir()]
    assert (names, count_worktrees(hub)) == (["agent-1"], 2)


def test_replaced_benchmark_is_not_used(hub: Hub) -> None:
    """An agent replaces the benchmark of the base commit in all worktrees with `git replace`."""
    hub.commit(hub.top, "bench/run.sh", BENCH)
    create_measurable_session(hub, agents=2)
    for agent, work in ((1, "1234"), (2, "123456")):
        hub.commit(agent_worktree(hub, agent), "work", work)
    cheat = hub.top.parent / "cheat"
    cheat.write_text(f"{CHEAT}\n")
    blob = hub.git("hash-object", "-w", str(cheat))
    hub.git("replace", hub.git("rev-parse", "HEAD:bench/run.sh"), blob)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}


def test_filter_that_an_agent_adds_is_named(hub: Hub) -> None:
    """A filter of the shared configuration can change the files of all agents."""
    create_measurable_session(hub, "ms: 4\n", "ms: 6\n")
    hub.git("config", "filter.cheat.smudge", "echo ms: 1")
    hub.git("config", "user.name", "Other")
    result = hub.run("eval", "-q", "--eval", "cat ms", *OPTIONS, "s1")
    assert (result.code, result.err) == (
        0,
        "warning: git settings changed since the first agent was created: 'filter.cheat.smudge'\n",
    )


@pytest.mark.parametrize(
    ("attributes", "file", "before"),
    [
        ("info/attributes", "", ""),  # an agent adds a filter
        (".gitattributes", "config", "cat"),  # it changes one of the project
        (".gitattributes", "--global", "cat"),  # it covers one of the user
    ],
)
def test_filter_that_an_agent_changes_is_not_used(
    hub: Hub, attributes: str, file: str, before: str
) -> None:
    """The filter would change the benchmark in the worktrees of all agents."""
    rule = "bench/run.sh filter=fair\n"
    if before:
        scope = "--global" if file == "--global" else "--local"
        hub.git("config", scope, "filter.fair.smudge", before)
        hub.commit(hub.top, attributes, rule)
    hub.commit(hub.top, "bench/run.sh", BENCH)
    create_measurable_session(hub, agents=2)
    for agent, work in ((1, "1234"), (2, "123456")):
        hub.commit(agent_worktree(hub, agent), "work", work)
    hub.git("config", "filter.fair.smudge", f"echo '{CHEAT}'; cat >/dev/null")
    names = "'filter.fair.smudge'"
    if not before:
        (hub.top / ".git" / "info" / "attributes").write_text(rule)
        names += ", 'info/attributes'"
    warning = f"warning: git settings changed since the first agent was created: {names}\n"
    assert hub.run("eval", "-q", *MEASURE, "s1", "--repeat=2") == Result(0, "", warning)
    assert [rank[:2] for rank in recorded_ranks(hub).values()] == [(1, 4), (2, 6)]


def test_sparse_checkout_has_the_guarded_file(hub: Hub) -> None:
    create_guarded_session(hub, f"echo '{CHEAT}' >bench/run.sh")
    hub.git("sparse-checkout", "set", "--no-cone", "/work")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
    assert not Path(hub.top, "bench").exists()


@pytest.mark.parametrize(
    ("link", "command"),
    [("run.sh -> bench/run.sh", "sh run.sh"), ("linked -> bench", "sh linked/run.sh")],
)
def test_link_to_the_benchmark(hub: Hub, link: str, command: str) -> None:
    """The target of a link is guarded, and also a file in a linked directory."""
    name, _, target = link.partition(" -> ")
    (hub.top / name).symlink_to(target)
    hub.git("add", name)
    create_guarded_session(hub)
    result = hub.run("eval", "--eval", command, *OPTIONS, "s1")
    assert result.code == 0, result
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
    assert guarded(hub) == {"agent-1": [], "agent-2": ["bench/run.sh"]}


def test_guarded_directory_outside_a_sparse_checkout(hub: Hub) -> None:
    """The files that the checkout leaves out count as unchanged."""
    create_guarded_session(hub, "echo more >notes")
    hub.git("sparse-checkout", "set", "--no-cone", "/*", "!/bench/")
    assert hub.run("eval", "-q", *MEASURE, "--guard", "bench", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 4, ""), "agent-2": (2, 6, "")}
    assert guarded(hub) == {"agent-1": [], "agent-2": []}
