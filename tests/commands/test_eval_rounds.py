"""`eval --warmup`, `--prepare` and `--allow-failures`, and files that change during a run."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

NUMBER_OF_RUN = 'echo x >>"../$HUB_AGENT-n"; n=$(wc -l <"../$HUB_AGENT-n")'
"""Count the runs of an agent in the variable n."""


def values(hub: Hub, agent: int) -> list[float]:
    """Return the measured values of an agent."""
    recorded = hub.state()["agents"][f"agent-{agent}"]["result"]["values"]
    assert isinstance(recorded, list)
    return recorded


def test_runs_of_the_warmup_do_not_count(hub: Hub) -> None:
    """A run of the warmup may fail, and its changes are removed."""
    create_measurable_session(hub, "x\n", "x\n")
    command = f'{NUMBER_OF_RUN}; echo ms: $n$(wc -l <ms); echo y >>ms; test "$n" -gt 1'
    arguments = (*MEASURE, "--eval", command, "--warmup=2", "--repeat=2")
    assert hub.run("eval", "-q", *arguments, "s1").code == 0
    assert [values(hub, agent) for agent in (1, 2)] == [[31, 41], [31, 41]]


def test_prepare_command_runs_before_each_run(hub: Hub) -> None:
    """The command sees the commit. Its output has no metric, and its changes are not reported."""
    create_measurable_session(hub, "x\n", "x\n")
    prepare = f"{NUMBER_OF_RUN}; echo ms: 99; cat ms; echo $n >>ms; echo $HUB_AGENT >who"
    command = 'test "$(cat who)" = "$HUB_AGENT" && echo ms: $(tail -n 1 ms)'
    arguments = (*MEASURE, "--eval", command, "--prepare", prepare, "--warmup=1", "--repeat=2")
    assert "tracked" not in hub.run("eval", *arguments, "s1").err
    assert [values(hub, agent) for agent in (1, 2)] == [[2, 3], [2, 3]]
    log = (hub.directory() / "output" / "eval-1" / "agent-1.log").read_text()
    assert log == "".join(f"ms: 99\nx\nms: {number}\n" for number in (1, 2, 3))


def test_prepare_command_that_fails(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    prepare = "test $HUB_AGENT = agent-1 || exit 3"
    assert hub.run("eval", "-q", *MEASURE, "--prepare", prepare, "s1") == Result(0)
    assert recorded_ranks(hub) == {
        "agent-1": (1, 1, ""),
        "agent-2": (2, None, "the prepare command failed: exit code 3"),
    }


def test_more_repetitions_do_not_make_a_tie(hub: Hub) -> None:
    """Noise of 3 % and an outlier do not hide a difference of 10 %, also not in 40 repetitions."""
    noise = [(number * 7 % 13 - 6) / 2 for number in range(40)]
    slow, fast = [110 + value for value in noise], [100 + value for value in noise[::-1]]
    fast[20] = 400
    create_measurable_session(hub, *("".join(f"{value}\n" for value in ms) for ms in (slow, fast)))
    hub.commit(agent_worktree(hub, 2), "more", "lines\n" * 90)  # A tie would rank agent-1 first.
    command = f'{NUMBER_OF_RUN}; echo ms: $(sed -n "${{n}}p" ms)'
    arguments = (*MEASURE, "--eval", command, "--in-place", "--repeat=40")
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert [values(hub, agent) for agent in (1, 2)] == [slow, fast]
    assert [rank for rank, *_ in recorded_ranks(hub).values()] == [2, 1]
    assert "tie" not in hub.run("status", "s1").out


def test_failed_runs_are_repeated(hub: Hub) -> None:
    """Agent-1 fails twice and agent-2 three times. Two failures are allowed."""
    create_measurable_session(hub, "1 4\n", "1 2 3\n")
    command = (
        f'{NUMBER_OF_RUN}; for m in $(cat ms); do test "$m" != "$n" || exit 1; done; echo ms: $n'
    )
    arguments = (*MEASURE, "--eval", command, "--allow-failures=2", "--repeat=3")
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert values(hub, 1) == [2, 3, 5]
    assert recorded_ranks(hub) == {"agent-1": (1, 3, ""), "agent-2": (2, None, "exit code 1")}
    assert (agent_worktree(hub, 2).parent / "agent-2-n").read_text() == "x\n" * 3


@pytest.mark.parametrize("in_place", [False, True])
def test_tracked_files_that_change_during_a_run(hub: Hub, in_place: bool) -> None:
    """New files are no change. In place, another process can be the one that changes files."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    for name in "abc":
        hub.commit(agent_worktree(hub, 1), name, "x\n")
    command = (
        "cat ms; touch new; test $HUB_AGENT = agent-2 || { rm a; echo y >>b; touch -d @1 c file; }"
    )
    options = ("--in-place",) if in_place else ()
    result = hub.run("eval", *MEASURE, "--eval", command, *options, "s1")
    assert result.err.splitlines()[0] == (
        "warning: tracked files of agent-1 changed while the command ran: 'a', 'b', 'c' and 1 more"
    )
    assert len(result.err.splitlines()) == (3 if in_place else 1)
    assert (agent_worktree(hub, 1) / "a").exists() is not in_place


@pytest.mark.parametrize("option", ["--warmup", "--allow-failures"])
def test_invalid_number_of_runs(hub: Hub, option: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    for number in ("-1", "1001", "x", ""):
        result = hub.run("eval", *MEASURE, f"{option}={number}", "s1")
        assert result == Result(
            129, "", f"error: not a number of runs: '{number}'\nhint: use 0 to 1000\n"
        )


@pytest.mark.parametrize("place", ["", "--in-place"])
@pytest.mark.parametrize(
    ("moves", "in_place_reason"),
    [
        ("git checkout -q --detach HEAD~1", "its HEAD is detached from 'hub/s1/agent-1/attempt-1'"),
        ("git switch -q -c other", "another branch is checked out: 'other'"),
        ("git commit -q --allow-empty -m more", "its branch moved"),
        ("git reset -q --hard HEAD~1", "its branch moved"),
        ("git worktree unlock . 2>/dev/null; rm -f $(git rev-parse --git-dir)/HEAD", ""),
    ],
)
def test_prepare_command_that_checks_out_another_commit(
    hub: Hub, place: str, moves: str, in_place_reason: str
) -> None:
    """The measured tree would not be the recorded one, so the agent gets no value."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    prepare = f"test $HUB_AGENT != agent-1 || {{ {moves}; }}"
    arguments = [*MEASURE, "--prepare", prepare, *([place] if place else [])]
    assert hub.run("eval", "-q", *arguments, "s1").code == 0
    ranks = recorded_ranks(hub)
    assert ranks["agent-2"] == (1, 2, "")
    rank, metric, reason = ranks["agent-1"]
    assert (rank, metric) == (2, None)
    if place:
        assert reason.startswith(f"cannot be measured: {in_place_reason}")
    else:
        assert reason == "cannot be measured: another commit is checked out"


def test_run_in_place_that_checks_out_another_commit(hub: Hub) -> None:
    """The next run would measure other files."""
    create_measurable_session(hub, "ms: 1\n")
    command = "cat ms; git checkout -q --detach HEAD~1"
    result = hub.run("eval", "-q", *MEASURE, "--eval", command, "--repeat=2", "--in-place", "s1")
    assert result.code == 1
    reason = "cannot be measured: its HEAD is detached from 'hub/s1/agent-1/attempt-1'"
    assert recorded_ranks(hub) == {"agent-1": (1, None, reason)}


@pytest.mark.parametrize("options", [(), ("--repeat=3",), ("--allow-failures=1",)])
def test_last_run_in_place_moves_head(hub: Hub, options: tuple[str, ...]) -> None:
    """The value may be that of another commit. No later run finds it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    move = "test $(wc -l <../runs) -lt $RUNS || git switch -q -c other"
    command = f"cat ms; test $HUB_AGENT = agent-2 || {{ echo x >>../runs; {move}; }}"
    hub.environ["RUNS"] = "3" if "--repeat=3" in options else "1"
    result = hub.run("eval", *MEASURE, "--eval", command, "--in-place", *options, "s1")
    assert result.code == 0
    reason = "cannot be measured: another branch is checked out: 'other'"
    assert recorded_ranks(hub) == {"agent-1": (2, None, reason), "agent-2": (1, 2, "")}
