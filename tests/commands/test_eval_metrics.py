"""`eval`: how values with units, JSON and other output of an eval command are read and compared."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)


def test_units_are_converted(hub: Hub) -> None:
    """The unit of the first agent is used in the table and in state.json."""
    create_measurable_session(hub, "ms: 1.2 s\n", "ms: 900 ms\n", "ms: 0m1.1s\n")
    result = hub.run("eval", *MEASURE, "--baseline", "1500 ms", "s1")
    assert result == Result(
        0,
        "RANK  AGENT     METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-2   900 ms   -600       -      1  +1/-0\n"
        "   2  agent-3  1100 ms   -400       -      1  +1/-0\n"
        "   3  agent-1  1200 ms   -300       -      1  +1/-0\n"
        "Session s1: running → evaluating\n",
    )
    state = hub.state()
    evaluation = state["evaluation"]
    assert (evaluation["baseline"], evaluation["unit"]) == (1500, "ms")
    assert state["agents"]["agent-1"]["result"]["values"] == [1200]
    document = hub.json("eval", *MEASURE, "s1")
    assert (document["unit"], document["agents"][0]["metric"]) == ("s", 0.9)
    porcelain = hub.run("eval", *MEASURE, "--format=porcelain", "s1").out
    assert [line for line in porcelain.splitlines() if line.startswith("unit")] == ["unit s"] * 3


@pytest.mark.parametrize("text", ["18O", "180,5", "0o10", "about 180", ".inf"])
def test_baseline_in_config_that_is_not_a_number(hub: Hub, text: str) -> None:
    """Without this error, `merge` would not compare the agents with the baseline."""
    create_measurable_session(hub, "ms: 1\n")
    config = hub.directory() / "config.yaml"
    config.write_text(f"{config.read_text()}metric: ms\nbaseline: {text}\n")
    assert hub.run("eval", *MEASURE, "s1") == Result(
        1,
        "",
        f"error: config.yaml: the baseline is not a number: '{text}'\n"
        "hint: give a number with --baseline <number>\n",
    )
    assert hub.state()["state"] == "running"
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "180", "s1") == Result(0)
    assert hub.state()["evaluation"]["baseline"] == 180


@pytest.mark.parametrize("text", ["", "~", "null", "None", "N/A"])
def test_baseline_in_config_that_is_none(hub: Hub, text: str) -> None:
    create_measurable_session(hub, "ms: 1\n")
    config = hub.directory() / "config.yaml"
    config.write_text(f"{config.read_text()}metric: ms\nbaseline: {text}\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.state()["evaluation"]["baseline"] is None


def test_value_without_a_unit_is_an_error(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 5 s\n", "ms: 7\n", "ms: 900 ms\n")
    assert hub.run("eval", *MEASURE, "s1") == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3   0.9 s      -       -      1  +1/-0\n"
        "   2  agent-1     5 s      -       -      1  +1/-0\n"
        "   3  agent-2       -      -       -      1  +1/-0"
        "  its values are without a unit, those of most agents are in 's'\n"
        "Session s1: running → evaluating\n",
    )


def test_units_that_no_majority_has(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 5 s\n", "ms: 7\n")
    reason = "the units differ: agent-1 in 's', agent-2 without a unit"
    assert hub.run("eval", *MEASURE, "s1").code == 1
    assert recorded_ranks(hub) == {"agent-1": (1, None, reason), "agent-2": (2, None, reason)}


def test_baseline_without_a_unit(hub: Hub) -> None:
    """The number is in the agents' unit. If they have used several units, it is not compared."""
    create_measurable_session(hub, "ms: 5 s\n", "ms: 7 s\n")
    result = hub.run("eval", *MEASURE, "--baseline", "9", "s1")
    assert result.err == ""
    assert hub.state()["evaluation"]["baseline"] == 9
    hub.commit(agent_worktree(hub, 2), "ms", "ms: 7000 ms\n")
    result = hub.run("eval", *MEASURE, "--baseline", "9", "s1")
    assert result.err == "warning: the baseline 9 has no unit\n"
    assert hub.state()["evaluation"]["baseline"] is None


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("ms: 1,234,567\n", 1234567),
        ("\033[32mms:\033[0m \033[1m12.5\033[0m\n", 12.5),
        ('starting\n{"p": 1, "ms": 8}\ndone\n', 8),
        ('{"ms": 1}\n{"ms": 2}\n', 2),
        ("\nms\t0m1.234s\nuser\t0m1.2s\n", 1.234),
    ],
)
def test_forms_of_output(hub: Hub, output: str, value: float) -> None:
    create_measurable_session(hub, output)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, value, "")}


def test_last_value_that_is_not_a_number(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 50\nms: failed\n", "ms: 60\n")
    assert hub.run("eval", *MEASURE, "s1") == Result(
        0,
        "RANK  AGENT    METRIC  DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-2      60      -       -      1  +1/-0\n"
        "   2  agent-1       -      -       -      1  +2/-0  'ms' is not a number: 'ms: failed'\n"
        "Session s1: running → evaluating\n",
    )


def test_different_values_never_look_the_same(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 12.3456782\n", "ms: 12.3456781\n", "ms: 0.1\n")
    assert hub.run("eval", *MEASURE, "--baseline", "0.1", "s1") == Result(
        0,
        "RANK  AGENT        METRIC        DELTA  SPREAD  FILES  +/-\n"
        "   1  agent-3         0.1           +0       -      1  +1/-0\n"
        "   2  agent-2  12.3456781  +12.2456781       -      1  +1/-0\n"
        "   3  agent-1  12.3456782  +12.2456782       -      1  +1/-0\n"
        "Session s1: running → evaluating\n",
    )


def test_unit_of_a_measured_baseline_is_kept(hub: Hub) -> None:
    """`run` writes the unit into config.yaml. The agents' values are converted to it."""
    hub.commit(hub.top, "ms", "ms: 2 s\n")
    agent = "echo ms: ${HUB_AGENT#agent-}00 ms >ms; git commit -qam faster"
    result = hub.run(
        *("run", "--id", "s1", "--task", "t", "--agents", "2", "--yes", *MEASURE),
        *("--agent-cmd", agent),
    )
    assert (result.code, result.err) == (0, "")
    assert "\nBaseline: ms 2 s\n" in result.out
    assert "\n   1  agent-1   0.1 s   -1.9       -      1  +1/-1\n" in result.out
    config = (hub.directory() / "config.yaml").read_text()
    assert config.endswith("direction: lower\nbaseline: 2 s\n")


def test_metric_regex(hub: Hub) -> None:
    """The first group of the last match is the metric. The whole group has to be a number."""
    create_measurable_session(hub, "took 9s\ntook 5s\n", "took 7s\n", "took 3xs\n", "none\n")
    result = hub.run("eval", *MEASURE, "--metric-regex", "took ([0-9a-z]+)", "s1")
    assert (result.code, result.err) == (0, "")
    assert recorded_ranks(hub) == {
        "agent-1": (1, 5, ""),
        "agent-2": (2, 7, ""),
        "agent-3": (3, None, "'ms' is not a number: 'took 3xs'"),
        "agent-4": (4, None, "no match for 'took ([0-9a-z]+)' in the output"),
    }
    assert hub.state()["evaluation"]["metric_regex"] == "took ([0-9a-z]+)"


def test_metric_regex_of_the_session(hub: Hub) -> None:
    """`run` stores the pattern, and uses it for the baseline and for the agents."""
    hub.commit(hub.top, "ms", "took 9 s\nn: 1\n")
    result = hub.run(
        *("run", "-q", "--id", "s1", "--task", 'say "hi"', "--agents", "1", "--yes", *MEASURE),
        *("--metric-regex", r"took (\d+ s)"),
        *("--agent-cmd", "echo took 7 s >ms; echo n: 2 >>ms; git commit -qam faster"),
    )
    assert result == Result(0, "s1\n", "")
    assert recorded_ranks(hub) == {"agent-1": (1, 7, "")}
    config = (hub.directory() / "config.yaml").read_text()
    assert config.endswith("metric_regex: 'took (\\d+ s)'\nbaseline: 9 s\n")
    assert '  Task: say "hi"\n' in hub.run("status", "s1").out


@pytest.mark.slow
def test_slow_metric_regex(hub: Hub) -> None:
    create_measurable_session(hub, "a" * 40 + "!\n")
    assert hub.run("eval", *MEASURE, "--metric-regex", "((?:a+)+)$", "s1").code == 1
    assert recorded_ranks(hub) == {"agent-1": (1, None, "'((?:a+)+)$' took more than 5 seconds")}


@pytest.mark.parametrize(
    ("regex", "message"),
    [
        ("(", "not a regular expression: '('"),
        ("took", "no group in the regular expression: 'took'"),
        ("(" + "a" * 1000 + ")", "the regular expression is longer than 1000 characters"),
    ],
)
def test_invalid_metric_regex(hub: Hub, regex: str, message: str) -> None:
    arguments = ("--metric", "m", "--direction", "lower", "--metric-regex", regex)
    result = hub.run("init", "--task", "t", *arguments)
    assert (result.code, result.out) == (129, "")
    assert result.err.startswith(f"error: {message}")
    result = hub.run("init", "--task", "t", "--metric-regex", "(x)")
    assert result.err.startswith("error: --metric-regex requires --metric\n")


def test_json_numbers_have_no_binary_noise(hub: Hub) -> None:
    """142.031 - 144 is -1.9689999999999999 as binary fractions."""
    create_measurable_session(hub, "ms: 142.031\n", "ms: 0.3\n")
    script = "if test -e again; then echo ms: 0.1; else touch again; cat ms; fi"
    options = ("--metric", "ms", "--direction", "lower", "--baseline", "144", "--repeat", "2")
    result = hub.run("eval", "-q", "--eval", "cat ms", *options, "s1")
    assert result.code == 0, result
    record = hub.state()["agents"]["agent-1"]["result"]
    assert (record["delta"], record["metric"]) == (-1.969, 142.031)
    assert hub.json("merge", "-n", "--agent=1", "s1")["delta"] == -1.969
    hub.run("eval", "-q", "--in-place", "--eval", script, *options, "s1")
    record = hub.state()["agents"]["agent-2"]["result"]
    assert record["values"] == [0.3, 0.1]
    assert (record["metric"], record["spread"], record["delta"]) == (0.2, 0.2, -143.8)
