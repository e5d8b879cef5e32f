"""An agent without a commit of its own ranks last, never wins, and its files are named."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.support.cleanup import everything
from tests.support.evaluated_sessions import protected_state
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)


def leave_files(hub: Hub, agent: int) -> Path:
    """Change one file and write two new files, and a post, in the worktree of an agent."""
    worktree = agent_worktree(hub, agent)
    (worktree / "file").write_text("changed\n")
    (worktree / "new").write_text("ms: 1\n")
    (worktree / "ms").write_text("ms: 1\n")
    (worktree / ".agenthub").mkdir()
    (worktree / ".agenthub" / "post.md").write_text("done\n")
    return worktree


FILES = "3 files uncommitted: 'file', 'ms', 'new'"


WARNING = "warning: agent-1: 3 files uncommitted, not measured: 'file', 'ms', 'new'\n"


def commit_hints(agents: str, *options: str) -> str:
    """Return the hints that commit the files of agents, and evaluate with these options."""
    names = ",".join(f"agent-{agent}" for agent in agents.split(","))
    return (
        f"hint: git hub-session exec --only {names} --commit s1 -- true\n"
        f"hint: {shlex.join(['git', 'hub-session', 'eval', *options, 's1'])}\n"
    )


@pytest.fixture
def mixed(hub: Hub) -> Hub:
    """Return a hub with an agent that left files, one that did nothing, and two with commits.

    agent-4 cannot be measured. agent-1 and agent-2 would be measured as the base, which is best.
    """
    hub.commit(hub.top, "ms", "ms: 5\n")
    create_measurable_session(hub, agents=4)
    leave_files(hub, 1)
    hub.commit(agent_worktree(hub, 3), "ms", "ms: 7\n")
    hub.commit(agent_worktree(hub, 4), "ms", "none\n")
    return hub


def test_agents_without_a_commit_rank_last(mixed: Hub) -> None:
    result = mixed.run("eval", *MEASURE, "s1")
    assert result == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3       7      -       -      1  +1/-1\n"
        "   2  agent-4       -      -       -      1  +1/-1  no 'ms' in the output\n"
        "   3  agent-1       -      -       -      0  +0/-0  3 files uncommitted, not measured\n"
        "   4  agent-2       -      -       -      0  +0/-0  no commit of its own, not measured\n"
        "Session s1: running → evaluating\n",
        f"{WARNING}{commit_hints('1', *MEASURE)}",
    )
    assert recorded_ranks(mixed)["agent-1"] == (3, None, "3 files uncommitted, not measured")
    logs = sorted(path.name for path in (mixed.directory() / "output" / "eval-1").iterdir())
    assert logs == ["agent-3.log", "agent-4.log"]
    preview = mixed.run("merge", "-n", "s1")
    assert (preview.code, preview.err) == (0, f"{WARNING}{commit_hints('1')}")
    assert mixed.run("merge", "-q", "--yes", "s1") == Result(0)
    assert mixed.state()["merge"]["agent"] == 3


def test_commands_of_a_warning(mixed: Hub) -> None:
    """The warnings of `eval` and `merge` name the first files. Their commands commit the files."""
    worktree = agent_worktree(mixed, 1)
    for name in ("p", "q"):
        (worktree / name).write_text("x\n")
    (agent_worktree(mixed, 4) / "notes").write_text("x\n")
    warning = (
        "warning: agent-1: 5 files uncommitted, not measured: 'file', 'ms', 'new' and 2 more\n"
    )
    hints = commit_hints("1", *MEASURE, "--repeat", "2")
    evaluated = mixed.run("eval", *MEASURE, "--repeat", "2", "s1")
    assert evaluated.err == f"{warning}{hints}"
    notes = "warning: agent-4: 1 file uncommitted, not measured: 'notes'\n"
    assert mixed.run("merge", "-n", "s1").err == f"{warning}{notes}{commit_hints('1')}"
    for line in hints.splitlines():
        assert mixed.call("sh", "-c", line.removeprefix("hint: ")).code == 0
    assert recorded_ranks(mixed)["agent-1"][:2] == (1, 1)


def test_warning_without_a_worktree(mixed: Hub) -> None:
    """After a cleanup, `merge` names the agent, but no command."""
    assert mixed.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert mixed.run("cleanup", "-q", "s1") == Result(0)
    assert mixed.run("merge", "-n", "s1").err == (
        "warning: agent-1: 3 files uncommitted, not measured\n"
    )


def test_dry_run_of_eval(mixed: Hub) -> None:
    before = everything(mixed)
    lines = mixed.run("eval", "-n", *MEASURE, "s1").out.splitlines()
    assert lines[:2] == [
        "Would not measure agent-1: 3 files uncommitted, not measured",
        "Would not measure agent-2: no commit of its own, not measured",
    ]
    assert everything(mixed) == before
    agents = mixed.json("eval", "-n", *MEASURE, "s1")["agents"]
    assert [agent["uncommitted"] for agent in agents] == [3, 0, 0, 0]


def test_agents_without_an_eval_command(mixed: Hub) -> None:
    result = mixed.run("eval", "s1")
    assert result.code == 0
    assert result.out == (
        "AGENT    FILES  +/-\n"
        "agent-1      0  +0/-0  3 files uncommitted, not measured\n"
        "agent-2      0  +0/-0  no commit of its own, not measured\n"
        "agent-3      1  +1/-1\n"
        "agent-4      1  +1/-1\n"
    )


def test_status_counts_the_uncommitted_files(mixed: Hub) -> None:
    """The files of a hub do not count, and an agent with a commit of its own has the same words."""
    (agent_worktree(mixed, 3) / "new").write_text("x\n")
    out = mixed.run("status", "s1").out
    assert "../project.hub/s1/agent-1 (3 files uncommitted, not measured) " in out
    assert "../project.hub/s1/agent-2  " in out
    assert "../project.hub/s1/agent-3 (1 file uncommitted, not measured) " in out
    agents = mixed.json("status", "s1")["agents"]
    assert [agent["uncommitted"] for agent in agents] == [3, 0, 1, 0]


@pytest.mark.parametrize(
    ("ranking", "error"),
    [
        ("1,3,4", f"agent-1 has no commit of its own, but {FILES}\n{{}}"),
        ("3,1,4", f"agent-1 has no commit of its own, but {FILES}\n{{}}"),
        (
            "2,3",
            "agent-2 has no commit of its own\nhint: git hub-session exec s1 -- <command>\n",
        ),
        ("4,3,2,1", ""),
    ],
)
def test_ranking_by_a_judge(mixed: Hub, ranking: str, error: str) -> None:
    before = mixed.state()
    result = mixed.run("eval", "-q", "--ranking", ranking, "s1")
    if error:
        hints = commit_hints("1", "--ranking", ranking, "--quiet")
        assert result == Result(1, "", f"error: {error.format(hints)}")
        assert mixed.state() == before
    else:
        assert result == Result(0)


def test_no_agent_has_a_commit(hub: Hub) -> None:
    """`eval` records nothing. The first hint commits the files, the second one measures them."""
    hub.commit(hub.top, "ms", "ms: 5\n")
    create_measurable_session(hub, agents=3)
    leave_files(hub, 1)
    (agent_worktree(hub, 3) / "ms").write_text("ms: 4\n")
    before = hub.state()
    message = f"error: no agent has a commit of its own; agent-1 has {FILES}; agent-3 has 1 file "
    for arguments in ((), ("--ranking", "1,2,3"), MEASURE):
        error = f"{message}uncommitted: 'ms'\n{commit_hints('1,3', *arguments)}"
        assert hub.run("eval", *arguments, "s1") == Result(1, "", error)
        assert hub.run("eval", "-n", *arguments, "s1") == Result(1, "", error)
    assert hub.state() == before
    command = error.splitlines()[1].removeprefix("hint: ")
    assert hub.call("sh", "-c", command).code == 0
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert [rank[:2] for rank in recorded_ranks(hub).values()] == [(1, 1), (3, None), (2, 4)]


def test_requested_winner_without_a_commit(mixed: Hub) -> None:
    """The error names the files. It does not propose to end the session."""
    assert mixed.run("eval", "-q", *MEASURE, "s1") == Result(0)
    mixed.git("branch", "old", "main~1")
    before = protected_state(mixed)
    files = f"agent-1 has no commit of its own, but {FILES}\n{commit_hints('1')}"
    nothing = "agent-2 has no commit of its own\nhint: git hub-session exec s1 -- <command>\n"
    for agent, error in ((1, files), (2, nothing)):
        for option in ("--yes", "--dry-run", "--allow-regression"):
            result = mixed.run("merge", option, "--agent", str(agent), "s1")
            assert result == Result(1, "", f"error: {error}")
    assert mixed.run("merge", "--yes", "--agent=2", "--into=old", "s1").err == f"error: {nothing}"
    assert protected_state(mixed) == before


def test_ranking_of_an_older_version(mixed: Hub) -> None:
    """A ranking that has an agent without a commit first is not merged."""
    state = mixed.directory() / "state.json"
    assert mixed.run("eval", "-q", "--ranking", "3", "s1") == Result(0)
    base = mixed.git("rev-parse", "main")
    text = state.read_text().replace(mixed.git("rev-parse", "hub/s1/agent-3/attempt-1"), base)
    state.write_text(text)
    mixed.git("reset", "-q", "--hard", "main", cwd=agent_worktree(mixed, 3))
    assert mixed.run("merge", "--yes", "s1").err == (
        "error: agent-3 has no commit of its own\nhint: git hub-session exec s1 -- <command>\n"
    )


def test_agent_that_only_follows_the_base_branch(mixed: Hub) -> None:
    """A tip in the base branch is no work of the agent, also if it is newer than the start."""
    mixed.commit(mixed.top, "later", "x\n")
    mixed.git("merge", "-q", "--ff-only", "main", cwd=agent_worktree(mixed, 2))
    assert mixed.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(mixed)["agent-2"] == (4, None, "no commit of its own, not measured")


def test_merged_branch_with_uncommitted_files(mixed: Hub) -> None:
    """The hint does not end the session while files are uncommitted."""
    assert mixed.run("eval", "-q", *MEASURE, "s1") == Result(0)
    mixed.git("merge", "-q", "--ff-only", "hub/s1/agent-3/attempt-1")
    assert mixed.run("merge", "--yes", "s1").err == (
        "error: nothing to merge: 'main' already contains the commits of agent-3\n"
        "hint: git hub-session update s1 --state merged\n"
    )
    (agent_worktree(mixed, 3) / "more").write_text("x\n")
    assert mixed.run("merge", "--yes", "s1").err == (
        "error: agent-3 has no commit of its own, but 1 file uncommitted: 'more'\n"
        f"{commit_hints('3')}"
    )


def test_many_files_and_control_characters(hub: Hub) -> None:
    """The error names three files, and escapes their names."""
    create_measurable_session(hub, agents=1)
    for name in ("b\x1b[2J", "a\nhint: rm -rf x", "c", "d", "e"):
        (agent_worktree(hub, 1) / name).write_text("x\n")
    assert hub.run("eval", *MEASURE, "s1").err == (
        "error: no agent has a commit of its own; agent-1 has 5 files uncommitted: "
        f"'a\\nhint: rm -rf x', 'b\\x1b[2J', 'c' and 2 more\n{commit_hints('1', *MEASURE)}"
    )


def test_many_agents(hub: Hub) -> None:
    create_measurable_session(hub, agents=7)
    for agent in range(1, 8):
        (agent_worktree(hub, agent) / "new").write_text("x\n")
    error = hub.run("eval", *MEASURE, "s1").err
    assert "; agent-5 has 1 file uncommitted: 'new'; and 2 more agents\n" in error
    assert error.endswith(commit_hints("1,2,3,4,5,6,7", *MEASURE))


def test_agent_that_only_wrote_posts(hub: Hub) -> None:
    """Files of a hub in a worktree are not work, and do not move the measurement elsewhere."""
    create_measurable_session(hub, "ms: 1\n")
    (agent_worktree(hub, 1) / ".agenthub").mkdir()
    (agent_worktree(hub, 1) / ".agenthub" / "post.md").write_text("done\n")
    result = hub.run("eval", *MEASURE, "s1")
    assert (result.code, result.err, "uncommitted" in result.out) == (0, "", False)


def test_uncommitted_files_of_an_agent_with_a_commit(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 1\nx\n")
    (agent_worktree(hub, 1) / "new").write_text("x\n")
    result = hub.run("eval", *MEASURE, "s1")
    assert [line.partition("  +")[2] for line in result.out.splitlines()[1:3]] == [
        *("1/-0  tie, 1 file uncommitted, not measured", "2/-0  tie"),
    ]


def test_hint_keeps_the_options(mixed: Hub) -> None:
    """The command that evaluates again has the options of the first one."""
    for agent in (3, 4):
        mixed.git("reset", "-q", "--hard", "main", cwd=agent_worktree(mixed, agent))
    result = mixed.run("eval", "-n", *MEASURE, "--repeat", "2", "s1")
    assert result.code == 1
    assert result.err.splitlines()[1:] == [
        "hint: git hub-session exec --only agent-1 --commit s1 -- true",
        "hint: git hub-session eval --eval 'cat ms' --metric ms --direction lower --repeat 2 s1",
    ]
    for line in result.err.splitlines()[1:]:
        assert mixed.call("sh", "-c", line.removeprefix("hint: ")).code == 0
    assert mixed.state()["agents"]["agent-1"]["result"]["values"] == [1, 1]
